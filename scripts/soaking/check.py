"""After everything has healed: are all shares equal, is everything still there, did anybody grow?"""

import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import time

from vectors.files import open_large, open_small
from vectors.keyfile import parse_recovery
from vectors.names import open_name
from vectors.primitives import ROOT, Keys

from .edits import digest

# How long the agents may take until all is equal once everything works again.
HEAL = 420
# A life shorter than this (in half minutes) says nothing about growth.
LIFE = 16
# Growth of the median from the first to the last quarter of a life: private memory (KiB), descriptors.
MEMORY, DESCRIPTORS = 6144, 24


def tree(share):
    """Everything below a share: content, executable bit, time."""
    out, top = {}, os.fsencode(share)
    for place, dirs, files in os.walk(top):
        for d in dirs:
            out[os.path.relpath(os.path.join(place, d), top)] = "dir"
        for f in files:
            path = os.path.join(place, f)
            name = os.path.relpath(path, top)
            if name != b".sharelock-root":
                s = os.lstat(path)
                out[name] = (digest(path), bool(s.st_mode & 0o111), s.st_mtime_ns)
    return out


def differences(a, b):
    return [f"{p!r}: {a.get(p)} / {b.get(p)}" for p in sorted(set(a) | set(b)) if a.get(p) != b.get(p)]


class History:
    """Every content in the history of a repository, decrypted by the second implementation of the format."""

    def __init__(self, repository, recovery):
        with open(recovery) as f:
            self.keys = Keys(parse_recovery(f.read()))
        self.git = ["git", "-C", str(repository)]
        self.batch = subprocess.Popen([*self.git, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.seen, self.names, self.found, self.bad = set(), {}, set(), []

    def read(self, oid):
        self.batch.stdin.write(oid.encode() + b"\n")
        self.batch.stdin.flush()
        size = int(self.batch.stdout.readline().split()[2])
        data = self.batch.stdout.read(size)
        self.batch.stdout.read(1)
        return data

    def entries(self, oid):
        data, at, out = self.read(oid), 0, {}
        while at < len(data):
            end = data.index(b"\0", at)
            name = data[at:end].split(b" ", 1)[1]
            out[name] = data[end + 1 : end + 21].hex()
            at = end + 21
        return out

    def walk(self):
        commits = subprocess.run([*self.git, "log", "--all", "--format=%T"], capture_output=True, check=True).stdout.decode().split()
        for root in commits:
            self.directory(ROOT, root)
        return len(commits)

    def directory(self, fid, oid):
        if (fid, oid) in self.seen:
            return
        self.seen.add((fid, oid))
        entries = self.entries(oid)
        for e, child in entries.items():
            if e.endswith(b".n") or (fid == ROOT and e == b"vault"):
                continue
            long = entries.get(e[:-2] + b".n") if e.endswith(b".l") else None
            key = (fid, e, long)
            try:
                if key not in self.names:
                    self.names[key] = open_name(self.keys, fid, e.decode("ascii"), self.read(long) if long else None)
                kind, own, _ = self.names[key]
                if kind == 1:
                    self.directory(own, child)
                elif kind in (2, 3) and (own, child) not in self.seen:
                    self.seen.add((own, child))
                    self.found.add(self.content(kind, own, child))
            except Exception as x:  # Whatever it is, it is a finding.
                self.bad.append(f"{e!r}: {x!r}")

    def content(self, kind, fid, oid):
        if kind == 2:
            return hashlib.sha256(open_small(self.keys, fid, self.read(oid))[1]).hexdigest()
        h = hashlib.sha256()
        parts = self.entries(oid)

        def get(name):
            where, _, rest = name.partition("/")
            at = parts.get(where.encode())
            if rest and at:
                at = self.entries(at).get(rest.encode())
            return [self.read(at)] if at else []

        open_large(self.keys, fid, get, h.update)
        return h.hexdigest()


class Result:
    def __init__(self):
        self.rows, self.good = [], True

    def row(self, what, good, text):
        self.good &= good
        self.rows.append(f"| {what} | {'yes' if good else '**NO**'} | {text} |")
        print(f"{what}: {'yes' if good else 'NO'}: {text}", flush=True)


def heal(soak):
    """Waits until all shares are equal and all agents content; the seconds, or None."""
    began, homes = time.monotonic(), soak.world.homes
    while time.monotonic() - began < HEAL:
        texts = [home.verb("status", "--json", timeout=120)[1] for home in homes]
        try:
            content = all(json.loads(t)["in_sync"] for t in texts)
            trees = [tree(home.share) for home in homes] if content else []
        except (ValueError, KeyError, OSError):
            content = False
        if content and trees[0] == trees[1] == trees[2]:
            return time.monotonic() - began
        time.sleep(3)
    return None


def growth(soak, result):
    table = ["| agent | life | minutes | private KiB: first, last quarter, most | descriptors: first, last, most | threads | CPU s |", "|---|---|---|---|---|---|---|"]
    grown = []
    for (name, life), rows in sorted(soak.samples.items()):
        quarter = max(1, len(rows) // 4)
        column = lambda n, part: statistics.median(r[n] for r in part)
        ends = {n: (column(n, rows[:quarter]), column(n, rows[-quarter:]), max(r[n] for r in rows)) for n in (2, 3)}
        text = {n: "{:.0f}, {:.0f}, {:.0f}".format(*ends[n]) for n in ends}
        minutes = (rows[-1][0] - rows[0][0]) / 60
        table.append(f"| {name} | {life} | {minutes:.0f} | {text[2]} | {text[3]} | {max(r[4] for r in rows)} | {rows[-1][5]:.0f} |")
        if len(rows) >= LIFE and (ends[2][1] - ends[2][0] > MEMORY or ends[3][1] - ends[3][0] > DESCRIPTORS):
            grown.append(f"{name} {life}")
    result.row("no agent grew", not grown, ", ".join(grown) or f"{len(soak.samples)} lives")
    return table


def report(soak):
    w, result = soak.world, Result()
    minutes = (time.monotonic() - soak.began) / 60
    took = heal(soak)
    result.row("all agents in sync by themselves", took is not None, f"{took:.0f} s after all was healed" if took is not None else f"not in {HEAL} s")
    table = growth(soak, result)
    if took is None:
        for home in w.homes:
            print(home.name, home.verb("status", "--files")[1], sep="\n")
    trees = [tree(home.share) for home in w.homes]
    apart = differences(trees[0], trees[1]) + differences(trees[0], trees[2])
    result.row("all shares equal", not apart, f"{len(trees[0])} entries; " + "; ".join(apart[:5]))
    left = sorted({p for t in trees for p in t if os.path.basename(p).startswith(b".sharelock-")})
    result.row("no scratch files left", not left, repr(left[:5]) if left else "")
    contents(soak, result, trees)
    repositories = [home.dir / "secure" for home in w.homes] + [w.nodes / "origin.git", w.nodes / "usb.git"]
    heads = []
    for r in repositories:
        f = subprocess.run(["git", "-C", str(r), "fsck", "--strict", "--no-dangling"], capture_output=True, stdin=subprocess.DEVNULL)
        said = (f.stdout + f.stderr).decode(errors="replace").strip()
        result.row(f"git fsck --strict of {r.relative_to(w.dir)}", f.returncode == 0, said[-300:].replace("\n", " / "))
        heads.append(subprocess.run(["git", "-C", str(r), "rev-parse", "refs/heads/main"], capture_output=True).stdout)
    result.row("one head everywhere", len(set(heads)) == 1, heads[0].decode()[:12])
    for home in w.homes:
        code, text = home.verb("verify", "--remote", timeout=600)
        result.row(f"sharelock verify --remote, {home.name}", code == 0, text.strip().splitlines()[-1] if text.strip() else "")
    decrypted(soak, result, trees[0])
    broken = []
    for home in w.homes:
        log = (home.dir / "agent.txt").read_text(errors="replace")
        broken += [f"{home.name}: {x[:160]}" for x in log.splitlines() if re.search(r"^\S+ \S+ error |panicked|no device of this vault", x)]
    result.row("no errors in the agents' logs", not broken, " / ".join(broken[:4]))
    result.row("nothing odd meanwhile", not soak.odd, f"{len(soak.odd)} lines" if soak.odd else "")
    summary(soak, result, table, minutes, trees[0])
    return result.good


def contents(soak, result, trees):
    ledger = soak.ledger
    with ledger.lock:
        for n, sha in ledger.standing:
            ledger.due.setdefault(sha, ledger.all[sha][:2])
    here = {v[0] for t in trees for v in t.values() if v != "dir"}
    history = History(soak.world.nodes / "origin.git", soak.world.dir / "alpha/recovery")
    commits = history.walk()
    lost = [f"{sha[:12]} of {where}" for sha, where in ledger.due.items() if sha not in here and sha not in history.found]
    brief = sum(1 for sha in ledger.all if sha in here or sha in history.found)
    text = f"{len(ledger.due)} due of {len(ledger.all)} contents written; {len(here)} in shares, {len(history.found)} in {commits} commits; of all written {brief} are found"
    result.row("every content that stood is found", not lost, f"{text}; " + "; ".join(lost[:8]))
    result.row("the whole history decrypts", not history.bad, "; ".join(history.bad[:4]))


def decrypted(soak, result, share):
    """The second implementation reads a plain clone of the node on a disk."""
    clone, out = soak.dir / "clone", soak.dir / "decrypted"
    subprocess.run(["git", "clone", "-q", "-b", "main", str(soak.world.nodes / "usb.git"), str(clone)], check=True, stdin=subprocess.DEVNULL)
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors.py")
    args = [sys.executable, script, "decrypt", str(clone), str(out), "--recovery-key-file", str(soak.dir / "alpha/recovery")]
    r = subprocess.run(args, capture_output=True)
    apart = differences(share, tree(out)) if out.exists() else ["nothing"]
    text = (r.stdout + r.stderr).decode(errors="replace").strip().replace("\n", " / ")
    result.row("vectors.py decrypts a clone to the same share", r.returncode == 0 and not apart, text[-300:] + "; ".join(apart[:4]))


def summary(soak, result, table, minutes, share):
    a, verbs = soak.a, soak.verbs.table
    answers = ", ".join(f"{v} " + " ".join(f"{n}x{'no answer' if c is None else c}" for c, n in sorted(r.items(), key=str)) for v, r in sorted(verbs.items()))
    faults = ", ".join(f"{n} {k}" for k, n in sorted(soak.faults.counts.items()))
    copies = sum(b"(conflict " in p for p in share)
    print(f"\n# Soak of {minutes:.0f} minutes: {'all holds' if result.good else 'NOT all holds'}\n")
    print(f"Seed {a.seed}, {soak.ledger.ops} edits, {copies} conflict copies in the end.\n\nFaults: {faults}.\n\nVerbs with their exit codes: {answers}.\n")
    print("\n".join(["| what | holds | |", "|---|---|---|", *result.rows, "", *table, ""]))
    if soak.odd:
        print("Odd:\n\n" + "\n".join(f"    {x[:400]}" for x in soak.odd[:60]))
    sys.stdout.flush()
