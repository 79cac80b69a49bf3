"""Names of entries."""

from ..names import hdr, name_record, seal_name, seal_record, spell
from ..primitives import ROOT, Keys, b64, unb64
from .common import DIR, ID, hx


def names(k):
    names = []
    for kind, fid, name in [(1, ID, b"a"), (2, ID, "früh".encode()), (3, ID, b"x" * 15), (2, ID, b"x" * 16), (2, ID, b"\xff\n"),
                            (2, ID, b"y" * 143), (2, ID, b"y" * 144), (1, ID, b"z" * 255), (4, DIR, b"")]:
        e, n, c = seal_name(k, DIR, kind, fid, name)
        names.append(dict(what=f"kind {kind}, {len(name)} bytes", parent=DIR.hex(), kind=kind, id=fid.hex(), name=name.hex(),
                          entry=e, long_name=n, long=hx(c)))
    rec = lambda p, parent=DIR, **kw: b64(seal_record(k, parent, p, **kw))  # noqa: E731
    good = rec(name_record(2, ID, b"a"))
    le, _, lc = seal_name(k, DIR, 2, ID, b"y" * 200)
    me, _, mc = seal_name(k, DIR, 2, ID, b"x" * 201)
    se, _, sc = spell(seal_record(k, DIR, name_record(2, ID, b"a")), force=True)
    huge = name_record(2, ID, b"a" * 256)
    he, _, hc = spell(seal_record(k, DIR, huge), force=True)
    ee, _, ec = spell(seal_record(k, DIR, name_record(2, ID, b"y" * 200), epoch=1))
    bad = lambda what, entry, cls, long=None: dict(what=what, parent=DIR.hex(), entry=entry, long=hx(long), reject=cls)  # noqa: E731
    last = good[-1]
    names += [
        bad("padding characters", good + "=", "form"), bad("bits behind the end", good[:-1] + chr(ord(last) + 1) if (len(good) * 6) % 8 else good + "A", "form"),
        bad("not base64url", "+" + good[1:], "form"), bad("a length that no name has", b64(unb64(good)[:-1]), "form"),
        bad("no record", b64(unb64(good)[:35]), "form"), bad("version 2", rec(name_record(2, ID, b"a"), version=2), "version"),
        bad("epoch 1", rec(name_record(2, ID, b"a"), epoch=1), "version"), bad("moved to another directory", rec(name_record(2, ID, b"a"), ID), "auth"),
        bad("another vault", b64(seal_record(Keys(bytes(32)), DIR, name_record(2, ID, b"a"))), "auth"),
        bad("more padding than needed", rec(name_record(2, ID, b"a") + bytes(16)), "form"), bad("kind 0", rec(name_record(0, ID, b"a")), "form"),
        bad("kind 5", rec(name_record(5, ID, b"a")), "form"), bad("an id of zeros", rec(name_record(1, ROOT, b"a")), "form"),
        bad("no name", rec(name_record(2, ID, b"")), "form"), bad("dot", rec(name_record(2, ID, b".")), "form"),
        bad("dot dot", rec(name_record(1, ID, b"..")), "form"), bad("slash", rec(name_record(2, ID, b"a/b")), "form"),
        bad("NUL", rec(name_record(2, ID, b"a\0b")), "form"), bad("a keeper with a name", rec(name_record(4, DIR, b"a")), "form"),
        bad("a keeper of another directory", rec(name_record(4, ID, b"")), "form"),
        bad("a long name written short", b64(lc[8:]), "form"), bad("a long name whose s.n is missing", le, "absent"),
        bad("a long name with another's s.n", le, "auth", mc), bad("another epoch in the header of s.n", le, "version", lc[:7] + b"\1" + lc[8:]),
        bad("another type of s.n", le, "form", hdr("F") + lc[8:]), bad("a short name written long", se, "form", sc),
        bad("a name of 256 bytes", he, "form", hc), bad("an altered s.n", le, "auth", lc[:-1] + bytes([lc[-1] ^ 1])),
        bad("an s.n of 300 bytes", le, "form", lc + bytes(300 - len(lc))), bad("an s.n shorter than its stem", le, "auth", lc[:20]),
        bad("two epochs in one long name", ee, "form", ec)]
    return names
