"""Large files. Damage is done to the parts of the last whole one."""

from ..files import GROUP, MIB, numbered, seal_head, seal_large
from ..names import hdr
from .common import BASE as base
from .common import ID, digest, head_json, pattern


def large(k):
    large = []
    for n, seg in [(MIB + 1, 16), (MIB + 1, 20), (3 * MIB, 20), (17 * MIB, 16)]:
        h, parts = seal_large(k, dict(base, segment=seg), pattern(n))
        large.append(dict(what=f"{n} bytes, segments of 2^{seg}", head=head_json(h), head_object=parts["head"].hex(),
                          parts={p: digest(o) for p, o in sorted(parts.items())}))
    # Damage is done to the parts of the last one: flip the lowest bit of byte `at`, cut to `at`, remove, or swap.
    for what, op, part, at, cls in [
        ("list", "flip", "head", 168, "auth"), ("head of head", "flip", "head", 9, "auth"), ("list cut", "cut", "head", 200, "form"), ("no head", "remove", "head", 0, "absent"),
        ("a segment's chunk", "flip", "00", 8, "auth"), ("a segment's tag", "flip", "00", 8 + 65536, "auth"), ("a segment's type", "flip", "00", 4, "form"),
        ("a segment's version", "flip", "00", 5, "version"), ("a segment's epoch", "flip", "00", 7, "version"), ("a segment cut", "cut", "ff", 1000, "form"),
        ("a segment missing", "remove", "ff", 0, "absent"), ("an index altered", "flip", "g0001/x", 8, "auth"), ("an index cut", "cut", "g0001/x", 40, "form"),
        ("an index missing", "remove", "g0001/x", 0, "absent"), ("an index of another type", "flip", "g0001/x", 4, "form"), ("a segment of a group", "flip", "g0001/00", 8, "auth"),
        ("segments swapped", "swap", "00", "01", "auth"), ("segments of two groups swapped", "swap", "00", "g0001/00", "auth")]:
        large.append(dict(what=what, op=op, part=part, at=at, reject=cls))
    ck, lk = k.file(ID)

    def crafted(what, cls, count, groups=1, **fields):
        L = bytes(32 * (min(count, GROUP) + groups - 1))
        h = dict(base, **fields)
        h["mac"] = numbered(lk, hdr("H"), count, L)
        large.append(dict(what=what, object=(seal_head(k, "H", h) + L).hex(), reject=cls))

    crafted("segments of 2^15", "form", 34, size=MIB + 1, segment=15)
    crafted("segments of 2^21", "form", 1, size=MIB + 1, segment=21)
    crafted("a small file as a large one", "form", 1, size=MIB, segment=20)
    crafted("a link as a large file", "form", 2, size=MIB + 1, segment=20, kind=1, flags=0)
    crafted("more than 65536 groups", "limit", 256, size=(1 << 40) + 1, segment=16)
    crafted("a list for another size", "form", 3, size=3 * MIB + 1, segment=20)
    return large
