"""Commits and notices."""

import struct

from ..names import hdr
from ..primitives import Keys, b64, unb64
from ..seals import item, items_of, raw_commit, seal_notice, write_commit
from .common import DIR, ID, VAULT, hx

T1, P1, P2 = bytes([0x11] * 20), bytes([0x22] * 20), bytes([0x33] * 20)


def commits(k):
    dev = {1: DIR, 2: b"laptop", 3: (1_700_003_599, 7), 4: 3, 5: 4}
    commits = []

    def good_commit(what, parents, d, label="main"):
        commits.append(dict(what=what, label=label, tree=T1.hex(), parents=[p.hex() for p in parents], object=write_commit(k, VAULT, label, T1, parents, d).hex(),
                            details={str(n): x.decode() if n in (2, 6) else hx(x) if isinstance(x, bytes) else
                                     [[a.hex(), b] for a, b in x] if n == 7 else [a.hex() for a in x] if n in (9, 10) else x for n, x in d.items()}))

    good_commit("a device's", [P1], dev)
    good_commit("a root", [], {**dev, 5: 1})
    good_commit("a merge", [P1, P2], {3: (7200, 0), 5: 9})
    good_commit("staging", [P1], dev, "staging")
    good_commit("a new root with everything", [], {**dev, 6: "zwei Dateien: a, ü".encode(), 7: [(DIR, 3), (ID, 9)], 8: P1, 9: [P1, P2]})
    good_commit("devices are forgotten", [P1], {**dev, 10: [DIR, ID]})
    c = lambda items, parents=(P1,), t=1_700_002_800, **kw: raw_commit(k, VAULT, kw.pop("label", "main"), T1, parents, items + bytes(-len(items) % 64), t, **kw)  # noqa: E731
    it = items_of(dev)
    one = write_commit(k, VAULT, "main", T1, [P1], dev)
    without = lambda n: b"".join(item(a, b) for a, b in [(1, DIR), (2, b"laptop"), (3, struct.pack(">qI", *dev[3])), (4, struct.pack(">Q", 3)), (5, struct.pack(">Q", 4))] if a != n)  # noqa: E731
    for what, o, cls in [
        ("another parent", one.replace(P1.hex().encode(), P2.hex().encode()), "auth"), ("another tree", one.replace(T1.hex().encode(), P2.hex().encode()), "auth"),
        ("another label", c(it, label="other"), "auth"), ("another vault", raw_commit(k, ID, "main", T1, [P1], it + bytes(-len(it) % 64), 1_700_002_800), "auth"),
        ("no seal", one[: one.rfind(b"seal: ")], "auth"), ("bytes behind the seal", one + b"x", "form"), ("no newline at the end", one[:-1], "form"),
        ("a line more", c(it, extra=b"encoding x\n"), "form"), ("another subject", c(it, subject=b"hello"), "form"), ("three parents", c(it, (P1, P2, T1)), "form"),
        ("epoch of the seal", one[: one.rfind(b"seal: ") + 6] + b64(b"\0\1" + unb64(one[one.rfind(b"seal: ") + 6 : -1])[2:]).encode() + b"\n", "version"),
        ("over 64 KiB", one + b"x" * 65536, "limit"), ("another date", c(it, t=1_700_002_801), "form"),
        *[(f"without item {n}", c(without(n)), "form") for n in (1, 2, 3, 4, 5)],
        ("an item twice", c(it + item(5, struct.pack(">Q", 4))), "form"), ("items out of order", c(it + item(1, DIR)), "form"), ("an item cut short", c(it + b"\x06\xff\xff"), "form"),
        ("more padding than needed", c(it + bytes(64)), "form"), ("padding that is not zero", c(it + bytes(3) + b"\1"), "form"),
        ("an item that must be understood", c(it + item(128, b"")), "version"), ("an item of another width", c(without(5) + item(5, b"\4")), "form"),
        ("seq 0", c(items_of({**dev, 4: 0})), "form"), ("height 0", c(items_of({**dev, 5: 0})), "form"), ("a device name with a space", c(items_of({**dev, 2: b"a b"})), "form"),
        ("a time below 0", c(items_of({**dev, 3: (-1, 0)}), t=-3600), "limit"), ("a time of 2^33", c(items_of({**dev, 3: (1 << 33, 0)}), t=(1 << 33) - (1 << 33) % 3600), "limit"),
        ("nanoseconds", c(items_of({**dev, 3: (1_700_003_599, 10**9)})), "form"), ("a summary that is not UTF-8", c(it + item(6, b"\xff")), "form"),
        ("a summary of 4097 bytes", c(it + item(6, b"a" * 4097)), "form"), ("a vector in a child", c(it + item(7, DIR + bytes(8))), "form"),
        ("a vector out of order", c(it + item(7, ID + bytes(8) + DIR + bytes(8)) + item(8, P1), ()), "form"), ("adopts out of order", c(it + item(9, P2 + P1)), "form"),
        ("forgets out of order", c(it + item(10, ID + DIR)), "form"),
        ("a root of height 4", c(it, ()), "form"),
        *[(f"a merge with item {n}", c(items_of({3: dev[3], 5: 4, n: {1: DIR, 2: b"a", 4: 3, 6: b"x", 7: [(DIR, 1)], 8: P1, 9: [P1], 10: [DIR]}[n]}), (P1, P2)), "form") for n in (1, 2, 4, 6, 7, 8, 9, 10)],
        ("a merge of height 1", c(items_of({3: dev[3], 5: 1}), (P1, P2)), "form"),
        ("an empty list", c(it + item(9, b"")), "form"),
        ("details cut to no length", c(it, change=lambda d: d[:-1]), "form"), ("details of no length and another version", c(it, change=lambda d: d[:5] + b"\2" + d[6:-1]), "form"),
        ("details with another type under a right seal", c(it, change=lambda d: hdr("M") + d[8:]), "form"),
        ("details of another commit", c(it, change=lambda d: d[:-1] + bytes([d[-1] ^ 1])), "auth"),
        ("details of another type", one.replace(b"details: U0xLAE", b"details: U0xLAF"), "auth")]:
        commits.append(dict(what=what, object=o.hex(), reject=cls))
    skipped = c(it + item(100, b"later"))
    commits.append(dict(what="an item of a later version is skipped", object=skipped.hex(), skipped=True))
    return commits


def notices(k):
    n = seal_notice(k, DIR, 1000, 3, 4, P1)
    raw = unb64(n)
    return [
        dict(what="round trip", text=n, device=DIR.hex(), counter=1000, seq=3, height=4, head=P1.hex()),
        *[dict(what=w, text=t, reject=r) for w, t, r in [
            ("length", n[:-1], "form"), ("bits behind the end", n[:-1] + chr(ord(n[-1]) + 1), "form"), ("type", b64(hdr("D") + raw[8:]), "form"), ("format version", b64(raw[:5] + b"\2" + raw[6:]), "version"),
            ("epoch", b64(raw[:7] + b"\1" + raw[8:]), "version"), ("tag", b64(raw[:8] + bytes([raw[8] ^ 1]) + raw[9:]), "auth"),
            ("body", b64(raw[:-1] + bytes([raw[-1] ^ 1])), "auth"), ("head length", seal_notice(k, DIR, 1, 1, 1, P1, length=32), "form"),
            ("bytes behind the head", seal_notice(k, DIR, 1, 1, 1, P1 + b"\1"), "form"), ("zeros", seal_notice(k, DIR, 1, 1, 1, P1, rest=bytes(14) + b"\1"), "form"),
            ("another vault", seal_notice(Keys(bytes(32)), DIR, 1, 1, 1, P1), "auth")]],
        dict(what="seen before", text=n, last=1000, reject="stale")]
