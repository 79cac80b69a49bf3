#!/usr/bin/env python3
"""Makes fuzz/seeds anew, from tests/vectors and with stock git: what each fuzz target begins with.

    fuzz/seeds.py

Small on purpose (tens of kB in all): they are played through the parsers in every run of the tests, too.
"""

import base64
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
SEEDS = os.path.join(HERE, "seeds")
VECTORS = os.path.join(HERE, "..", "tests", "vectors")


def load(name):
    with open(os.path.join(VECTORS, name + ".json")) as f:
        return json.load(f)


def seed(target, name, data):
    os.makedirs(os.path.join(SEEDS, target), exist_ok=True)
    with open(os.path.join(SEEDS, target, name), "wb") as f:
        f.write(data)


def ours():
    vault = load("keys")
    seed("headers", "vault", bytes.fromhex(vault["vault_file"]))
    for n, row in enumerate(load("vault")[:5]):
        seed("headers", f"bad-{n}", bytes.fromhex(row[1]))
    for n, row in enumerate(load("names")):
        if n % 4 == 0:
            seed("names", f"name-{n:02}", row["entry"].encode() + bytes.fromhex(row["long"] or ""))
    # Records as the target seals them: version, epoch, spelling, cut; id, kind, name.
    record = bytes([7] * 16)
    for n, (lead, p) in enumerate([
        (b"\0\0\0\0", record + b"\2a"), (b"\0\0\0\0", record + b"\1" + b"d" * 15), (b"\0\0\0\0", b"\1" * 16 + b"\4"),
        (b"\0\0\1\0", record + b"\3" + b"l" * 200), (b"\0\0\0\1", record + b"\2a/b"), (b"\0\0\0\0", bytes(16) + b"\1x")]):
        seed("names", f"record-{n}", lead + p)
    for n, row in enumerate(load("keyfile")):
        if n % 5 == 0:
            seed("keyfile", f"file-{n:02}", bytes.fromhex(row["file"]))
    for n, row in enumerate(load("recovery")):
        seed("recovery", f"key-{n}", row["text"].encode())
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    for n, groups in enumerate([vault["recovery"]]):
        seed("recovery", f"digits-{n}", bytes(digits.index(c) for g in groups for c in g[:7]))
    for n, row in enumerate(load("notices")[:3]):
        seed("notice", f"text-{n}", row["text"].encode())
    body = bytes([1] * 16) + struct.pack(">QQQ", 1000, 3, 4) + bytes([2] * 20) + bytes(12) + b"\x14" + bytes(15)
    seed("notice", "body", b"\5" + body)

    # The 128 bytes of a file head, behind a byte that says what the target sets right.
    def record128(kind=0, flags=0, writer=b"pi", ns=5, s=1_700_000_000, size=5, generation=1, segment=0, offset=60):
        r = bytes(16) + bytes([kind, flags, 1, len(writer)]) + struct.pack(">IqQQ", ns, s, size, generation) + bytes(32)
        return r + writer.ljust(32, b"\0") + struct.pack(">hB", offset, segment) + bytes(13)

    keeper = dict(kind=2, writer=b"", ns=0, s=0, size=0, generation=0, offset=0)
    for n, (mode, r, plain) in enumerate([
        (0, record128(), b"hello"), (0, record128(kind=1, size=4), b"../x"), (0, record128(**keeper), b""), (0, record128(flags=3, size=1500), b"x" * 1500),
        (4, record128(), b"hello, longer"), (8, record128(), b"hello"), (2, record128(size=1 << 44), b"")]):
        seed("small", f"record-{n}", bytes([mode]) + r + plain)
    for n, (mode, size, segment) in enumerate([(0, 1 << 20 | 5, 16), (0, 17 << 20, 0), (0, 1 << 21, 20), (2, 1 << 33, 20), (4, 1 << 20 | 5, 16), (8, 1 << 21, 18)]):
        seed("large", f"record-{n}", bytes([mode]) + record128(size=size, segment=segment) + struct.pack(">Q", 4095) + b"content" * 9)

    rows = load("commits")
    for n in (0, 1, 2, 3, 4, 7, 11):
        seed("commit", f"object-{n}", bytes.fromhex(rows[n]["object"])[:700])
    item = lambda kind, value: struct.pack(">BH", kind, len(value)) + value  # noqa: E731
    time = item(3, struct.pack(">qI", 1_700_003_599, 7))
    height = lambda h: item(5, struct.pack(">Q", h))  # noqa: E731
    device = item(1, bytes([4] * 16)) + item(2, b"laptop") + time + item(4, struct.pack(">Q", 3))
    pad = lambda b: b + bytes(-len(b) % 64)  # noqa: E731
    everything = item(6, "zwei".encode()) + item(7, bytes(16) + bytes(8) + bytes([9] * 24)) + item(8, bytes([3] * 20)) + item(9, bytes(20) + bytes([5] * 20))
    for n, (mode, items) in enumerate([
        (2 | 1 << 2, device + height(4)), (2, device + height(1)), (2 | 2 << 2, time + height(9)), (3 | 1 << 2, device + height(2)),
        (2, device + height(7) + everything), (2 | 1 << 2, device + height(4) + item(100, b"later")), (2 | 1 << 2, device + height(4) + item(128, b"must"))]):
        seed("commit", f"items-{n}", bytes([mode]) + pad(items))
    text = bytes.fromhex(rows[0]["object"])
    seed("commit", "lines", b"\0" + text[: text.rfind(b"seal: ")])


def line(payload):
    return b"%04x" % (len(payload) + 4) + payload


def wire():
    a, b, zero = b"a" * 40, b"b" * 40, b"0" * 40
    caps = b" side-band-64k no-progress report-status delete-refs quiet atomic object-format=sha1 symref=HEAD:refs/heads/main agent=git/2.47"
    refs = line(a + b" HEAD\0" + caps + b"\n") + line(a + b" refs/heads/main\n") + line(b + b" refs/sharelock/x\n") + line(a + b" refs/tags/v1^{}\n") + b"0000"
    empty = line(zero + b" capabilities^{}\0" + caps) + b"0000"
    pack = b"PACK\0\0\0\2\0\0\0\0"
    pack += hashlib.sha1(pack).digest()
    seed("upload", "banded", refs + line(b"NAK\n") + line(b"\2counting\r") + line(b"\1" + pack) + b"0000")
    seed("upload", "raw", line(a + b" refs/heads/main\0\n") + line(b"shallow " + b) + b"0000" + line(b"ACK " + a) + pack)
    seed("upload", "v1", line(b"version 1\n") + refs + line(b"ERR upload-pack: not our ref"))
    seed("upload", "gone", line(b"ERR no such repository"))
    seed("upload", "sha256", line(b"c" * 64 + b" refs/heads/main\0object-format=sha256\n") + b"0000")
    seed("upload", "last", refs + line(b"NAK\n") + line(b"\3No space left on device"))
    report = line(b"unpack ok\n") + line(b"ok refs/heads/main\n") + line(b"ng refs/sharelock/x hook declined\n") + b"0000"
    seed("push", "banded", refs + line(b"\2hook: no\n") + line(b"\1" + report) + b"0000")
    seed("push", "raw", line(a + b" refs/heads/main\0report-status delete-refs\n") + b"0000" + report)
    seed("push", "empty", empty + line(b"\1" + line(b"unpack disk full\n") + b"0000") + b"0000")
    seed("push", "option", refs + line(b"\1" + line(b"unpack ok") + line(b"ok refs/heads/main") + line(b"option refname x") + b"0000") + b"0000")


def git(dir_, *args, stdin=None):
    env = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", HOME=dir_, GIT_AUTHOR_DATE="1700000000 +0000", GIT_COMMITTER_DATE="1700000000 +0000")
    for who in ("AUTHOR", "COMMITTER"):
        env[f"GIT_{who}_NAME"], env[f"GIT_{who}_EMAIL"] = "a", "a@b"
    return subprocess.run(["git", *args], cwd=dir_, env=env, input=stdin, capture_output=True, check=True).stdout


def stock():
    with tempfile.TemporaryDirectory() as d:
        git(d, "init", "-q", "-b", "main")
        put = lambda name, text: (os.makedirs(os.path.dirname(os.path.join(d, name)) or d, exist_ok=True), open(os.path.join(d, name), "w").write(text))  # noqa: E731
        text = "".join(f"line {i}\n" for i in range(60))
        for name in ("a", "a-b/c", "a.d/e/f", "g"):
            put(name, text + name)
        git(d, "add", ".")
        git(d, "commit", "-q", "-m", "one")
        put("a", text + "changed")
        git(d, "commit", "-q", "-a", "-m", "two")
        git(d, "update-ref", "refs/sharelock/seen/origin", "HEAD~1")
        for version in (2, 3, 4):
            git(d, "update-index", "--index-version", str(version))
            if version == 3:
                git(d, "update-index", "--skip-worktree", "g")
            with open(os.path.join(d, ".git", "index"), "rb") as f:
                seed("index", f"v{version}", f.read())
        seed("tree", "tree", git(d, "cat-file", "tree", "HEAD^{tree}"))
        seed("tree", "commit", git(d, "cat-file", "commit", "HEAD"))
        seed("tree", "order", b"100644 a\0" + bytes(20) + b"100644 a-b\0" + bytes(20) + b"40000 a\0" + bytes(20))
        seed("tree", "link", b"120000 a\0" + bytes(20))
        for name, options in (("deltas", ["--delta-base-offset"]), ("refs", []), ("one", None)):
            which = b"HEAD:a\n" if options is None else b"HEAD\n"
            args = ["pack-objects", "--stdout", "-q", "--window=10"] + (["--revs"] + options if options is not None else [])
            if options is None:
                which = git(d, "rev-parse", "HEAD:a")
            pack = git(d, *args, stdin=which)
            seed("pack", name, b"\xfc" + pack)
            with tempfile.TemporaryDirectory() as e:
                p = os.path.join(e, "x.pack")
                with open(p, "wb") as f:
                    f.write(pack)
                git(d, "index-pack", "-o", os.path.join(e, "x.idx"), p)
                with open(os.path.join(e, "x.idx"), "rb") as f:
                    idx = f.read()
            seed("idx", name, struct.pack(">H", len(idx)) + idx + pack)
        git(d, "pack-refs", "--all")
        with open(os.path.join(d, ".git", "packed-refs"), "rb") as f:
            seed("refs", "packed", f.read())
    # As the target puts packs together: type and choice, length, content.
    entry = lambda op, content: bytes([op, len(content)]) + content  # noqa: E731
    copy = bytes([40, 0x90, 40])
    seed("pack", "built", b"\xfe" + entry(3, b"x" * 93) + entry(6, copy) + entry(7, copy) + entry(7 | 1 << 3, copy))
    seed("pack", "built-trees", b"\xfe" + entry(2, b"100644 a\0" + bytes(20)) + entry(1, b"tree " + b"0" * 40 + b"\n") + entry(6 | 2 << 3, b"\5\5hello"))
    seed("pack", "built-tag", b"\x02" + entry(4, b"object") + entry(3, b"late"))
    seed("pack", "inflated", b"\x01PACK\0\0\0\2\0\0\0\1\x3b" + zlib.compress(b"hello world") + bytes(20))
    seed("refs", "loose", b"a" * 40 + b"\n")
    seed("refs", "head", b"ref: refs/heads/main\n")
    seed("refs", "name", b"refs/heads/a.lock")


def texts():
    config = """share = "~/share"
secure = "/s"
device = "laptop"
password_file = "~/p"
ignore = ["*.tmp", "a/b"]
min_free = "64MB"
brake = { files = 1000, fraction = 0.1 }
[[remote]]
name = "origin"
url = "ssh://me@host:22/v.git"
"""
    seed("config", "all", config.encode())
    seed("config", "wrong", b"shar = 1\ndevice = \"a b\"\nbrake = { fils = 3 }\n[[remote]]\nname = \"a/b\"\n")
    seed("config", "size", b"5 kB")
    seed("config", "duration", b"200ms")
    seed("ignore", "rules", b"# c\n*.tmp\n!keep.tmp\n/a/**/b\n[a-z]?\\ \nd/\n" + b"x.tmp\nkeep.tmp\na/q/b\nd\nz1\na/b/c/d/e\n")
    seed("ignore", "stars", b"*a*a*a*a*b\n**/**/**/c\n[[:alpha:]]*\n" + b"aaaaaaaaaaaaaaaaaaaaaaaaaa\na/a/a/a/c\nq\n")
    key = base64.b64encode(struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 32) + bytes(32)).decode()
    salt = base64.b64encode(bytes(20)).decode()
    hosts = f"# c\nhost,192.0.2.1 ssh-ed25519 {key}\n@revoked * ssh-ed25519 {key}\n|1|{salt}|{salt} ssh-rsa {key}\n[host]:2222 ssh-rsa AAAA\n!host,h?st* ssh-rsa AAAA\nbad\n"
    seed("known_hosts", "file", hosts.encode())
    seed("known_hosts", "line", f"ssh-ed25519 {key} pi".encode())
    seed("known_hosts", "url", b"ssh://me@[2001:db8::1]:22/~/v%20x.git\nme@host:v.git\n")
    seed("known_hosts", "key", base64.b64decode(key))
    seed("ssh_config", "host", b"Host a *.org !b\n  HostName %h.x%%\nHost *\n Port=22\nUser \"me too\"\nIdentityFile ~/.ssh/%r@%n-%p\nUserKnownHostsFile none\nIdentityAgent $X\n")
    seed("ssh_config", "match", b"Match originalhost host !host x,y\nUser a\nMatch all\nIdentitiesOnly yes\nHostKeyAlias z\nProxyJump none\nProxyCommand x\n")


def chat():
    """Behind a byte that says how the target begins: 0 after a login, 2 in TLS, 3 in the clear; the rest of it the pieces."""
    stream = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
    event = "<message from='me@example.org'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='node'><item id='current'><notice xmlns='urn:sharelock:notice:1'>AQI=</notice></item></items></event></message>"
    after = {
        "event": event,
        "presence": "<presence from='me@example.org/pi'><c xmlns='http://jabber.org/protocol/caps' node='urn:sharelock:client' ver='x' hash='sha-1'/></presence><presence from='me@example.org/pi' type='unavailable'/>",
        "asked": "<iq type='get' id='1' from='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq><iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq><r xmlns='urn:xmpp:sm:3'/>",
        "chat": "<message from='friend@example.net/x' type='chat'><body>status now</body></message><message from='me@example.org/x' type='chat'><body>pushed a b</body><delay xmlns='urn:xmpp:delay'/></message>",
        "answers": "<iq type='error' id='1'><error><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq><enabled xmlns='urn:xmpp:sm:3'/><r xmlns='urn:xmpp:sm:3'/></stream:stream>",
    }
    for name, text in after.items():
        seed("xml", name, b"\xf8" + text.encode())
    sasl = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism></mechanisms></stream:features>"
    challenge = base64.b64encode(b"r=nonceserver,s=c2FsdHNhbHQ=,i=4096").decode()
    seed("xml", "scram", b"\xfa" + (stream + sasl + f"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{challenge}</challenge>").encode())
    tls = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features><proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    seed("xml", "starttls", b"\xfb" + (stream + tls).encode())


def main():
    for part in (ours, wire, stock, texts, chat):
        part()
    return 0


if __name__ == "__main__":
    sys.exit(main())
