"""Decrypts a whole secure folder: nobody's files depend on our binary."""

import os
import re
import sys

from .files import open_head, open_large, open_small
from .keyfile import open_keyfile, parse_recovery, without_newline
from .names import open_name, open_vault
from .primitives import ROOT, Keys, Reject, need


def read(path):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as f:
        return f.read(4 << 20)


class Decrypt:
    def __init__(self, keys):
        self.keys, self.bad, self.files = keys, 0, 0

    def say(self, where, problem):
        self.bad += 1
        print(f"vectors.py: {where!r}: {problem}", file=sys.stderr)

    def entries(self, dirs):
        """The entries of one directory, which by rule 1 of section 5 may stand at several places in secure."""
        for fid, place in dirs:
            listed = sorted(os.listdir(place))
            for e in listed:
                if re.search(rb"\.new$|\.stray-[0-9]+$|\.n$", e) or (fid == ROOT and e in (b"vault", b".git")):
                    continue
                path = os.path.join(place, e)
                try:
                    text = e.decode("ascii", "strict") if e.isascii() else ""
                    need(not os.path.islink(path), "form", "a symlink in secure")
                    beside = path[:-2] + b".n"
                    long = read(beside) if text.endswith(".l") and os.path.isfile(beside) else None
                    kind, own, name = open_name(self.keys, fid, text, long)
                    need(os.path.isdir(path) == (kind in (1, 3)), "form", "file for directory")
                    yield kind, own, name, path
                except Reject as x:
                    self.say(path, x)

    def directory(self, dirs, out, seen):
        by_name = {}
        for kind, fid, name, path in self.entries(dirs):
            if kind == 4:
                try:
                    h, _ = open_small(self.keys, fid, read(path))
                    need(h["kind"] == 2, "form", "a file as a keeper")
                except Reject as x:
                    self.say(path, x)
                continue
            if kind == 1 and fid in seen:
                self.say(path, "a directory that stands at two places")
                continue
            by_name.setdefault(name, []).append((kind, fid, path))
        for name, found in sorted(by_name.items()):
            subs = sorted((fid, path) for kind, fid, path in found if kind == 1)
            files = []
            for kind, fid, path in found:
                try:
                    if kind != 1:
                        files.append((-self.head(kind, fid, path)["generation"], fid, kind, path))
                except (Reject, OSError) as x:
                    self.say(path, x)
            target = os.path.join(out, name)
            if subs:
                os.mkdir(target, 0o700)
                self.directory(subs, target, seen | {fid for fid, _ in subs})
            for n, (_, fid, kind, path) in enumerate(sorted(files)):
                other = b" (%s)" % fid.hex().encode()
                place = target if n == 0 and not subs else target[: len(out) + 1 + 255 - len(other)] + other
                try:
                    self.file(kind, fid, path, place)
                except (Reject, OSError) as x:
                    self.say(path, x)

    def head(self, kind, fid, path):
        h = open_head(self.keys, fid, "F" if kind == 2 else "H", read(path if kind == 2 else os.path.join(path, b"head")))
        need(h["kind"] != 2, "form", "a keeper as a file")
        return h

    def file(self, kind, fid, path, place):
        if kind == 2:
            h, plain = open_small(self.keys, fid, read(path))
            if h["kind"] == 1:
                os.symlink(plain, place)
                os.utime(place, ns=(h["s"] * 10**9 + h["ns"],) * 2, follow_symlinks=False)
                self.files += 1
                return
        mode = 0o700 if self.head(kind, fid, path)["flags"] & 2 else 0o777
        part = place[: len(os.path.dirname(place)) + 1] + b".decrypting-" + fid.hex().encode()
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(fd, "wb") as f:
                if kind == 2:
                    f.write(plain)
                else:

                    def get(name):
                        for p in (os.path.join(path, name.encode()), os.path.join(path, name.encode() + b".new")):
                            if os.path.isfile(p) and not os.path.islink(p):
                                yield read(p)

                    h = open_large(self.keys, fid, get, f.write)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(part, mode & ~umask & (0o777 if h["flags"] & 1 else 0o666))
            os.utime(part, ns=(h["s"] * 10**9 + h["ns"],) * 2)
            need(not os.path.lexists(place), "form", "a second entry of this name")
            os.rename(part, place)
            self.files += 1
        except BaseException:
            os.unlink(part)
            raise


def decrypt(a):
    secure, out = os.fsencode(a.secure), os.fsencode(a.out)
    if a.recovery_key_file:
        with open(a.recovery_key_file) as f:
            master = parse_recovery(f.read())
    else:
        with open(a.key_file, "rb") as f, open(a.password_file, "rb") as p:
            master, vault = open_keyfile(f.read(200), without_newline(p.read()))
    keys = Keys(master)
    found = open_vault(keys, read(os.path.join(secure, b"vault")))
    need(a.recovery_key_file or found == vault, "auth", "the key file is of another vault")
    os.mkdir(out, 0o700)
    work = Decrypt(keys)
    work.directory([(ROOT, secure)], out, {ROOT})
    print(f"{work.files} files, {work.bad} problems")
    return 1 if work.bad else 0
