"""Small files, links and keepers; and every rule of the file head."""

from ..files import FIELDS, MIB, seal_head, seal_small
from .common import BASE as base
from .common import DIR, ID, head_json, pattern


def small(k):
    small = []
    for what, h, plain in [("empty", base, b""), ("one byte", base, b"a"), ("1024", base, pattern(1024)), ("1025", base, pattern(1025)),
                           ("a chunk", base, pattern(4096)), ("a chunk and one", base, pattern(4097)), ("private", dict(base, flags=3), b"key"),
                           ("before 1970", dict(base, s=-(1 << 40), offset=-1440), b"old"),
                           ("a link", dict(base, kind=1, flags=0), b"../x"),
                           ("a keeper", dict(FIELDS, id=DIR, kind=2, generation=0, writer=b"", size=0), b"")]:
        h, obj = seal_small(k, h, plain)
        small.append(dict(what=what, head=head_json(h), plain=plain.hex(), object=obj.hex()))

    keeper = dict(kind=2, flags=0, writer=b"", ns=0, s=0, offset=0, size=0, generation=0)

    def bad_head(what, cls, plain=b"hi", fid=ID, **fields):
        small.append(dict(what=what, id=fid.hex(), object=seal_small(k, dict(base, **fields), plain)[1].hex(), reject=cls))

    for f in [("kind 3", "form", dict(kind=3)), ("unknown flag", "form", dict(flags=4)), ("an executable link", "form", dict(kind=1)),
              ("padding scheme 2", "version", dict(scheme=2)), ("no writer", "form", dict(writer=b"")),
              ("bytes behind the writer", "form", dict(writer=b"ab", writer_len=1)), ("a writer of 33 bytes", "form", dict(writer=b"a" * 32, writer_len=33)),
              ("a writer with a slash", "form", dict(writer=b"a/b")), ("a writer with a bracket", "form", dict(writer=b"a(b")),
              ("a writer with a space", "form", dict(writer=b"a b")), ("a writer with an escape", "form", dict(writer=b"a\x1bb")),
              ("a writer that is not UTF-8", "form", dict(writer=b"\xff")), ("nanoseconds", "form", dict(ns=10**9)),
              ("a time after the limit", "limit", dict(s=(1 << 40) + 1)), ("a time before the limit", "limit", dict(s=-(1 << 40) - 1)),
              ("a size above the limit", "limit", dict(size=(1 << 44) + 1, segment=20)), ("an empty link", "form", dict(kind=1, flags=0, size=0)),
              ("a link of 4096 bytes", "form", dict(kind=1, flags=0, size=4096)), ("generation 0", "form", dict(generation=0)),
              ("a generation above the limit", "limit", dict(generation=(1 << 62) + 1)),
              ("an offset of a day and a minute", "form", dict(offset=1441)), ("a segment size in a small file", "form", dict(segment=20)),
              ("reserved bytes", "form", dict(reserved=bytes(12) + b"\1")), ("a size that the length does not fit", "form", dict(size=5000)),
              ("a large file's size", "form", dict(size=MIB + 1, segment=20)),
              ("a keeper with a generation", "form", dict(kind=2, flags=0, writer=b"", ns=0, s=0, offset=0, size=0)),
              ("a link without a length, of a generation above the limit", "form", dict(kind=1, flags=0, size=0, generation=(1 << 62) + 1)),
              ("a writer with a slash, a time after the limit", "limit", dict(writer=b"a/b", s=(1 << 40) + 1)),
              ("a keeper with a time", "form", dict(keeper, s=1)), ("a keeper with a size", "form", dict(keeper, size=2)), ("a keeper with an offset", "form", dict(keeper, offset=1)),
              ("a keeper with a writer", "form", dict(kind=2, flags=0, generation=0, ns=0, s=0, offset=0, size=0))]:
        bad_head(f[0], f[1], **f[2])
    bad_head("another file's contents", "auth", fid=DIR)
    bad_head("a link with a NUL", "form", plain=b"a\0b", kind=1, flags=0)
    small.append(dict(what="padding that is not zero", id=ID.hex(), reject="form", object=seal_small(k, dict(base, size=5), b"hello", b"!" * 1019)[1].hex()))
    _, obj = seal_small(k, base, pattern(5000))
    _, two = seal_small(k, base, pattern(5001)[1:])
    flip = lambda at: obj[:at] + bytes([obj[at] ^ 1]) + obj[at + 1 :]  # noqa: E731
    for what, o, cls in [("magic", flip(0), "form"), ("type", flip(4), "form"), ("format version", flip(5), "version"), ("epoch", flip(7), "version"),
                         ("tag of the head", flip(8), "auth"), ("record of the head", flip(60), "auth"), ("first chunk", flip(168), "auth"),
                         ("second chunk", flip(168 + 4096), "auth"), ("tags", flip(len(obj) - 1), "auth"), ("cut short", obj[:-1], "form"),
                         ("one byte more", obj + b"\0", "form"), ("cut in the head", obj[:100], "form"), ("nothing", b"", "form"),
                         ("another version's content", obj[:168] + two[168:], "auth"), ("another version's tags", obj[:-32] + two[-32:], "auth"),
                         ("the head of a large file", seal_head(k, "H", dict(base, size=5000)) + obj[168:], "form")]:
        small.append(dict(what=what, id=ID.hex(), object=o.hex(), reject=cls))
    return small
