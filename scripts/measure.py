"""The parts of scripts/measure that a shell cannot do: a proxy that counts bytes, seeded edits, and a comparison of trees.

    proxy PORT FILE           passes connections on to PORT of the loopback, prints its own port, keeps FILE up to date
    copy TARGET FILES BYTES   copies whole directories of /usr until there are that many files and bytes
    edit SEED N SINCE A B LOG N edits of two shares; what must be found afterwards is appended to LOG
    equal A B                 fails with the first differences of two shares
    found SHARE SINCE LOG     fails if a version that the log names is not in the share
"""
import hashlib
import os
import random
import shutil
import signal
import socket
import stat
import sys
import threading


def proxy(port, path):
    """`FILE` holds: bytes up, bytes down, connections that are open."""
    port = int(port)
    count = [0, 0, 0]
    lock = threading.Lock()

    def note():
        with open(path + ".new", "w") as f:
            print(*count, file=f)
        os.rename(path + ".new", path)

    def pump(source, target, which):
        n = 0
        buffer = bytearray(1 << 18)
        try:
            while got := source.recv_into(buffer):
                n += got
                target.sendall(memoryview(buffer)[:got])
        except OSError:
            pass
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        with lock:
            count[which] += n

    def serve(client):
        server = socket.create_connection(("127.0.0.1", port))
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        down = threading.Thread(target=pump, args=(server, client, 1))
        down.start()
        pump(client, server, 0)
        down.join()
        client.close()
        server.close()
        with lock:
            count[2] -= 1
            note()

    listener = socket.create_server(("127.0.0.1", 0))
    note()
    print(listener.getsockname()[1], flush=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        client, _ = listener.accept()
        with lock:
            count[2] += 1
            note()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


def walk(root):
    """Every path below a root, with its lstat, in order."""
    for dir, dirs, files in os.walk(os.fsencode(root)):
        dirs.sort()
        for name in sorted(dirs + files):
            path = os.path.join(dir, name)
            yield os.path.relpath(path, os.fsencode(root)), path, os.lstat(path)


def copy(target, files, bytes_):
    files, bytes_ = int(files), int(bytes_)
    have = [0, 0]
    os.makedirs(target)
    for top in ("/usr/share", "/usr/include", "/usr/lib", os.path.expanduser("~/.rustup/toolchains")):
        for name in sorted(os.listdir(top) if os.path.isdir(top) else []):
            if have[0] >= files and have[1] >= bytes_:
                break
            source = os.path.join(top, name)
            if not os.path.isdir(source) or os.path.islink(source):
                continue
            n = [0, 0]
            for _, _, st in walk(source):
                if stat.S_ISREG(st.st_mode):
                    n[0] += 1
                    n[1] += st.st_size
            # A directory that is too much for its files waits; one that only adds bytes is taken when bytes are missing.
            if n[1] > 300 << 20 or have[1] + n[1] > bytes_ * 1.3 or (have[0] >= files and n[0] > 4000):
                continue
            to = os.path.join(target, top.strip("/").replace("/", "_"), name)
            shutil.copytree(source, to, symlinks=True, ignore_dangling_symlinks=True)
            have[0] += n[0]
            have[1] += n[1]
    print(*have)


def what(path, st):
    """What a mirror keeps of an entry: content, executable and private bit, time; of a link its target."""
    if stat.S_ISLNK(st.st_mode):
        return ("link", os.readlink(path))
    if stat.S_ISDIR(st.st_mode):
        return ("dir",)
    with open(path, "rb") as f:
        sum = hashlib.file_digest(f, "blake2b").hexdigest()
    return ("file", sum, bool(st.st_mode & 0o100), not st.st_mode & 0o077, st.st_mtime_ns)


def equal(a, b):
    mark = b".sharelock-root"
    left = ((rel, path, st) for rel, path, st in walk(a) if rel != mark)
    right = ((rel, path, st) for rel, path, st in walk(b) if rel != mark)
    n = wrong = files = 0
    x, y = next(left, None), next(right, None)
    key = lambda e: e[0].split(b"/")
    while x or y:
        n += 1
        if y is None or x and key(x) < key(y):
            wrong += 1
            print("only in A:", x[0])
            x = next(left, None)
        elif x is None or key(y) < key(x):
            wrong += 1
            print("only in B:", y[0])
            y = next(right, None)
        else:
            p, q = what(x[1], x[2]), what(y[1], y[2])
            files += p[0] != "dir"
            if p != q:
                wrong += 1
                print("differs:", x[0], p, q)
            x, y = next(left, None), next(right, None)
        if wrong >= 10:
            break
    if wrong:
        sys.exit("the shares differ")
    print(files)


def edit(seed, n, since, a, b, log):
    """Edits, renames and deletions on both sides. Every text that is written is unique and must still be there at the end,
    whatever the other side did to its file meanwhile: so what was written in this series is not chosen again on its own
    side, and no directory that holds such a file is deleted there."""
    n, since = int(n), float(since)
    rnd = random.Random(seed)
    done = []
    sides = []
    for root in (a, b):
        files, dirs, new = [], {}, set()
        for rel, path, st in walk(root):
            if stat.S_ISREG(st.st_mode) and rel != b".sharelock-root":
                dirs.setdefault(os.path.dirname(rel), []).append(rel)
                if st.st_mtime < since:
                    files.append(rel)
                else:
                    up = rel
                    while up := os.path.dirname(up):
                        new.add(up)
            elif stat.S_ISDIR(st.st_mode):
                dirs.setdefault(rel, [])
        sides.append((os.fsencode(root), files, dirs, new, []))

    def write(root, rel, token, how):
        path = os.path.join(root, rel)
        st = os.stat(path)
        if not st.st_mode & 0o200:
            os.chmod(path, stat.S_IMODE(st.st_mode) | 0o200)
        with open(path, "r+b") as f:
            if how == "append":
                f.seek(0, 2)
            elif how == "inside" and st.st_size > 200:
                f.seek(rnd.randrange(st.st_size - 100))
            else:
                f.truncate(0)
            f.write(token)

    clashes = 0
    for i in range(n):
        side = i % 2
        root, files, dirs, new, edited = sides[side]
        other = sides[1 - side]
        token = b"<measured %s-%d-%d>" % (str(seed).encode(), i, side)
        kind = rnd.choices(
            ["edit", "clash", "create", "rename", "move", "rename dir", "delete", "delete dir", "mode"],
            [30, 12, 12, 14, 8, 4, 12, 2, 6],
        )[0]
        try:
            if kind in ("edit", "clash"):
                # A clash: what the other side has just edited, renamed or deleted.
                pool = other[4] if kind == "clash" and other[4] else files
                rel = rnd.choice(pool)
                if os.stat(os.path.join(root, rel)).st_mtime >= since or os.path.islink(os.path.join(root, rel)):
                    continue
                write(root, rel, token, rnd.choice(["append", "inside", "anew"]))
                clashes += kind == "clash"
                done.append(token)
            elif kind == "create":
                rel = os.path.join(rnd.choice(list(dirs)), b"new-%d-%d" % (i, rnd.randrange(10**6)))
                with open(os.path.join(root, rel), "wb") as f:
                    f.write(token * rnd.choice([1, 10, 10000]))
                done.append(token)
            elif kind in ("rename", "move"):
                rel = rnd.choice(files)
                to = os.path.dirname(rel) if kind == "rename" else rnd.choice(list(dirs))
                name = b"moved-%d-%s" % (i, os.path.basename(rel)[-60:])
                os.rename(os.path.join(root, rel), os.path.join(root, to, name))
            elif kind in ("rename dir", "delete dir"):
                rel = rnd.choice([d for d in dirs if 0 < len(dirs[d]) <= 20 and d.count(b"/") >= 2])
                path = os.path.join(root, rel)
                under = [(r, s) for r, _, s in walk(path)]
                if kind == "rename dir":
                    os.rename(path, path + b"-%d" % i)
                elif len(under) <= 20 and not any(stat.S_ISREG(s.st_mode) and s.st_mtime >= since for _, s in under):
                    shutil.rmtree(path)
            elif kind == "delete":
                rel = rnd.choice(files)
                path = os.path.join(root, rel)
                if os.stat(path).st_mtime >= since:
                    continue
                os.unlink(path)
            elif kind == "mode":
                rel = rnd.choice(files)
                path = os.path.join(root, rel)
                os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) ^ 0o100)
            if kind not in ("create", "rename dir", "delete dir"):
                edited.append(rel)
        except FileNotFoundError:
            continue  # What an earlier edit of this round has moved or deleted.
    with open(log, "ab") as f:
        f.writelines(t + b"\n" for t in done)
    print(clashes)


def found(share, since, log):
    """Hard links make one edit two files; a text counts when it is found at least once."""
    wanted = set(open(log, "rb").read().split(b"\n")) - {b""}
    total = len(wanted)
    copies = 0
    for rel, path, st in walk(share):
        copies += b" (conflict " in os.path.basename(rel)
        if stat.S_ISREG(st.st_mode) and st.st_mtime >= float(since):
            with open(path, "rb") as f:
                data = f.read()
            at = data.find(b"<measured ")
            while at >= 0:
                end = data.find(b">", at)
                wanted.discard(data[at : end + 1])
                at = data.find(b"<measured ", at + 1)
    if wanted:
        sys.exit("lost: " + ", ".join(t.decode() for t in sorted(wanted)[:10]))
    print(total, copies)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
