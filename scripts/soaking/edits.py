"""People at work on three shares, and what they may expect to find again."""

import hashlib
import json
import os
import shutil
import threading
import time

# What the agent itself keeps in a share, for a moment or for good.
OWN = b".sharelock-"
ODD = [b"caf\xc3\xa9", b"cafe\xcc\x81", b"\xff\xfe raw", b"two\nlines", b"tab\there", b" edge ", b"-n", b"a\\b", b"\xf0\x9f\x90\x9f",
       b"UPPER", b"upper", b"quote'\"", b"%s$HOME", b"long" * 50]  # fmt: skip


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()


class Ledger:
    """Every content that was written. A content is due once it has stood for `STOOD` seconds in the share where it was
    written, with that device's agent at work all the time."""

    STOOD = 30

    def __init__(self, file):
        self.file, self.lock = open(file, "a"), threading.Lock()
        self.standing, self.due, self.all, self.ops = {}, {}, {}, 0

    def note(self, home, op, path, **more):
        with self.lock:
            self.ops += 1
            row = dict(t=round(time.time(), 3), home=home.name, op=op, path=path.decode("utf-8", "backslashreplace"), **more)
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()

    def wrote(self, home, path, sha):
        with self.lock:
            self.standing[home.n, sha] = time.monotonic()
            self.all[sha] = (home.name, path.decode("utf-8", "backslashreplace"), time.time())

    def gone(self, home, sha):
        with self.lock:
            since = self.standing.pop((home.n, sha), None)
            if since is not None:
                self.judge(home, sha, since)

    def judge(self, home, sha, since):
        awake = home.awake
        if awake is not None and time.monotonic() - max(since, awake) >= self.STOOD:
            self.due.setdefault(sha, (home.name, self.all[sha][1]))

    def tick(self, homes):
        """What stands long enough is due, whatever becomes of it later."""
        with self.lock:
            for (n, sha), since in list(self.standing.items()):
                self.judge(homes[n], sha, since)


class Person:
    """Edits of all three shares, from one seed."""

    def __init__(self, homes, ledger, random):
        self.homes, self.ledger, self.random, self.count = homes, ledger, random, 0

    def walk(self, home):
        files, dirs = [], []
        for top, ds, fs in os.walk(os.fsencode(home.share)):
            dirs += [os.path.join(top, d) for d in ds]
            files += [p for f in fs if not f.startswith(OWN) and os.path.isfile(p := os.path.join(top, f))]
        return sorted(files), sorted(dirs)

    def content(self):
        r = self.random
        self.count += 1
        size = r.choice([0, 20, 200, 1000, 4096, 20_000, 80_000])
        if self.count % 150 == 0:
            size = r.randrange(2 << 20, 6 << 20)
        # Unlike any other content, so that each can be found again.
        return b"%d %s\n" % (self.count, r.randbytes(8).hex().encode()) + r.randbytes(size)

    def fresh(self, dirs, home):
        r = self.random
        folder = r.choice(dirs + [os.fsencode(home.share)] * 3)
        name = b"%s %d.txt" % (r.choice(ODD), r.randrange(40)) if r.random() < 0.25 else b"f%d.txt" % r.randrange(400)
        return os.path.join(folder, name)

    def relative(self, home, path):
        return os.path.relpath(path, os.fsencode(home.share))

    def lost(self, home, path):
        """Before a content is destroyed or covered."""
        if os.path.isfile(path) and not os.path.islink(path):
            self.ledger.gone(home, digest(path))

    def put(self, home, path, data, by_rename):
        self.lost(home, path)
        target = os.path.join(os.path.dirname(path), b".%d.tmp" % self.count) if by_rename else path
        with open(target, "wb") as f:
            f.write(data)
            own = os.fstat(f.fileno())
        if by_rename:
            os.rename(target, path)
        # Somebody else's file may have come in between: then nothing is promised.
        if os.stat(path).st_ino == own.st_ino:
            self.ledger.wrote(home, self.relative(home, path), hashlib.sha256(data).hexdigest())

    def append(self, home, path, data):
        with open(path, "r+b") as f:
            old = f.read()
            self.ledger.gone(home, hashlib.sha256(old).hexdigest())
            f.write(data)
            own = os.fstat(f.fileno())
        if os.stat(path).st_ino == own.st_ino:
            self.ledger.wrote(home, self.relative(home, path), hashlib.sha256(old + data).hexdigest())

    def edit(self):
        r = self.random
        home = r.choice(self.homes)
        files, dirs = self.walk(home)
        few, many = len(files) < 120, len(files) > 220
        ops = {"create": 30 if few else 4 if many else 14, "overwrite": 20, "save": 20, "append": 12, "rename": 8, "rename folder": 1.5,
               "delete": 3 if few else 25 if many else 10, "delete folder": 0 if few else 1.5, "chmod": 4, "mkdir": 3 if len(dirs) < 30 else 0}  # fmt: skip
        op = r.choices(list(ops), list(ops.values()))[0]
        path = self.fresh(dirs, home) if op in ("create", "mkdir") or not files else r.choice(files)
        if op.endswith("folder"):
            if not dirs:
                return
            path = r.choice(dirs)
        to = self.fresh(dirs, home)
        try:
            self.do(home, op, path, to)
            self.ledger.note(home, op, self.relative(home, path), to=repr(self.relative(home, to)) if "rename" in op else None)
        except OSError as e:
            # The agent was quicker: the file or folder has gone or come meanwhile.
            self.ledger.note(home, "not " + op, self.relative(home, path), why=str(e))

    def do(self, home, op, path, to):
        if op in ("create", "overwrite", "save"):
            self.put(home, path, self.content(), op == "save")
        elif op == "append":
            self.append(home, path, self.content()[:500])
        elif op == "rename":
            self.lost(home, to)
            os.rename(path, to)
        elif op == "rename folder":
            if os.path.lexists(to) or (to + b"/").startswith(path + b"/"):
                return
            os.rename(path, to[:-4] if to.endswith(b".txt") else to)
        elif op == "delete":
            self.lost(home, path)
            os.unlink(path)
        elif op == "delete folder":
            below = [os.path.join(top, f) for top, _, fs in os.walk(path) for f in fs]
            if len(below) <= 12:
                for f in below:
                    self.lost(home, f)
                shutil.rmtree(path)
        elif op == "chmod":
            mode = os.stat(path).st_mode
            os.chmod(path, mode & ~0o111 if mode & 0o111 else mode | 0o111)
        elif op == "mkdir":
            os.mkdir(path[:-4])
