"""FORMAT 6: file heads, small and large files."""

import hmac
import struct
import unicodedata

from .names import check_hdr, hdr
from .primitives import ROOT, H, Reject, need, siv_open, siv_seal

CHUNK, TAG, MIB, GROUP = 4096, 16, 1 << 20, 256


def padded(n):
    if n <= 1024:
        return 1024
    e = n.bit_length() - 1
    g = 1 << (e - (e.bit_length() - 1) - 1)
    return -(-n // g) * g


def writer_ok(raw):
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return False
    space = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
    return not any(c in "/()" or c in space or unicodedata.category(c) == "Cc" for c in text)


FIELDS = dict(id=ROOT, kind=0, flags=0, scheme=1, ns=0, s=0, size=0, generation=1, mac=bytes(32), writer=b"a", offset=0, segment=0)


def head_record(h):
    w = h["writer"]
    r = h["id"] + bytes([h["kind"], h["flags"], h["scheme"], h.get("writer_len", len(w))])
    r += struct.pack(">IqQQ", h["ns"], h["s"], h["size"], h["generation"]) + h["mac"] + w + bytes(32 - len(w))
    return r + struct.pack(">hB", h["offset"], h["segment"]) + h.get("reserved", bytes(13))


def seal_head(keys, kind, h):
    t, c = siv_seal(keys.head, 32, hdr(kind), head_record(h))
    return hdr(kind) + t + c


def open_head(keys, fid, kind, obj):
    check_hdr(obj, kind)
    need(len(obj) >= 168, "form", "cut short")
    r = siv_open(keys.head, 32, obj[:8], obj[8:40], obj[40:168])
    n = r[19]
    h = dict(id=r[:16], kind=r[16], flags=r[17], scheme=r[18], mac=r[48:80], writer=r[80 : 80 + n], segment=r[114])
    h["ns"], h["s"], h["size"], h["generation"] = struct.unpack(">IqQQ", r[20:48])
    (h["offset"],) = struct.unpack(">h", r[112:114])
    need(h["kind"] <= 2 and h["flags"] <= (3 if h["kind"] == 0 else 0), "form", "kind or flags")
    need(h["scheme"] == 1, "version", "padding scheme")
    keeper = h["kind"] == 2
    need(n <= 32 and (n == 0) == keeper, "form", "length of the writer")
    need(h["ns"] < 10**9, "form", "ns")
    need(abs(h["s"]) <= 1 << 40, "limit", "time")
    need(h["size"] <= 1 << 44, "limit", "size")
    need(h["kind"] != 1 or 1 <= h["size"] <= 4095, "form", "link")
    need(h["generation"] <= 1 << 62, "limit", "generation")
    need((h["generation"] == 0) == keeper, "form", "generation")
    need(writer_ok(h["writer"]) and not any(r[80 + n : 112]), "form", "writer")
    need(-1440 <= h["offset"] <= 1440, "form", "offset")
    large = padded(h["size"]) > MIB
    need(16 <= h["segment"] <= 20 if large else h["segment"] == 0, "form", "segment size")
    need(not any(r[115:]), "form", "reserved")
    need(not keeper or not (h["size"] or h["s"] or h["ns"] or h["offset"]), "form", "keeper")
    need(h["id"] == fid, "auth", "contents of another file")
    return h


def seal_chunks(chunk_key, first, data):
    out, tags = [], []
    for j in range(0, len(data), CHUNK):
        ctx = b"C\x01\0\0" + bytes(4) + struct.pack(">Q", first + j // CHUNK)
        t, c = siv_seal(chunk_key, 16, ctx, data[j : j + CHUNK])
        out.append(c)
        tags.append(t)
    return b"".join(out), b"".join(tags)


def open_chunks(chunk_key, first, body, tags):
    out = []
    for n, j in enumerate(range(0, len(body), CHUNK)):
        ctx = b"C\x01\0\0" + bytes(4) + struct.pack(">Q", first + n)
        out.append(siv_open(chunk_key, 16, ctx, tags[16 * n : 16 * n + 16], body[j : j + CHUNK]))
    return b"".join(out)


def numbered(key, header, n, data):
    return H(key, header + struct.pack(">Q", n) + data)


def seal_small(keys, h, plain, pad=None):
    ck, lk = keys.file(h["id"])
    data = plain + (pad if pad is not None else bytes(padded(len(plain)) - len(plain)))
    body, tags = seal_chunks(ck, 0, data)
    h = dict(h, size=h.get("size", len(plain)), mac=numbered(lk, hdr("F"), 0, tags))
    return h, seal_head(keys, "F", h) + body + tags


def open_small(keys, fid, obj):
    h = open_head(keys, fid, "F", obj)
    p = padded(h["size"])
    need(p <= MIB and len(obj) == 168 + p + TAG * -(-p // CHUNK), "form", "length")
    ck, lk = keys.file(fid)
    body, tags = obj[168 : 168 + p], obj[168 + p :]
    need(hmac.compare_digest(numbered(lk, hdr("F"), 0, tags), h["mac"]), "auth", "content MAC")
    plain = open_chunks(ck, 0, body, tags)
    need(not any(plain[h["size"] :]), "form", "padding")
    plain = plain[: h["size"]]
    need(h["kind"] != 1 or b"\0" not in plain, "form", "link target")
    return h, plain


def part_name(s):
    return f"{s:02x}" if s < GROUP else f"g{s // GROUP:04x}/{s % GROUP:02x}"


def seal_large(keys, h, plain):
    """(head fields, {part: object})"""
    h = dict(h, size=len(plain))
    ck, lk = keys.file(h["id"])
    data = plain + bytes(padded(len(plain)) - len(plain))
    step, parts, macs = 1 << h["segment"], {}, []
    for s, at in enumerate(range(0, len(data), step)):
        body, tags = seal_chunks(ck, at // CHUNK, data[at : at + step])
        parts[part_name(s)] = hdr("S") + body + tags
        macs.append(numbered(lk, hdr("S"), s, tags))
    L = b"".join(macs[:GROUP])
    for g in range(1, -(-len(macs) // GROUP)):
        own = b"".join(macs[g * GROUP : (g + 1) * GROUP])
        parts[f"g{g:04x}/x"] = hdr("X") + own
        L += numbered(lk, hdr("X"), g, own)
    h["mac"] = numbered(lk, hdr("H"), len(macs), L)
    parts["head"] = seal_head(keys, "H", h) + L
    return h, parts


def open_large(keys, fid, get, take):
    """`get(part)` gives the candidates for a part (itself, then PART.new); `take` gets the plaintext by segments."""

    def first_good(part, check):
        problem = Reject("absent", part)
        for n, obj in enumerate(get(part)):
            try:
                return check(obj)
            except Reject as e:
                problem = e if n == 0 else problem
        raise problem

    def check_head(obj):
        h = open_head(keys, fid, "H", obj)
        p, step = padded(h["size"]), 1 << h["segment"]
        need(h["kind"] == 0 and p > MIB, "form", "not a large file")
        count = -(-p // step)
        groups = -(-count // GROUP)
        need(groups <= 65536, "limit", "groups")
        need(len(obj) == 168 + 32 * (min(count, GROUP) + groups - 1), "form", "length of the list")
        need(hmac.compare_digest(numbered(lk, hdr("H"), count, obj[168:]), h["mac"]), "auth", "list")
        return h, obj[168:], p, step, count

    ck, lk = keys.file(fid)
    h, L, p, step, count = first_good("head", check_head)
    index = L[: 32 * GROUP]
    for s in range(count):
        g, at = s // GROUP, s * step
        if g and s % GROUP == 0:

            def check_index(obj):
                need(len(obj) == 8 + 32 * min(GROUP, count - g * GROUP), "form", "length of an index")
                check_hdr(obj, "X")
                want = L[32 * (GROUP + g - 1) :][:32]
                need(hmac.compare_digest(numbered(lk, hdr("X"), g, obj[8:]), want), "auth", "index")
                return obj[8:]

            index = first_good(f"g{g:04x}/x", check_index)

        def check_segment(obj):
            n = min(step, p - at)
            need(len(obj) == 8 + n + TAG * -(-n // CHUNK), "form", "length of a segment")
            check_hdr(obj, "S")
            tags = obj[8 + n :]
            want = index[32 * (s % GROUP) :][:32]
            need(hmac.compare_digest(numbered(lk, hdr("S"), s, tags), want), "auth", "segment")
            plain = open_chunks(ck, at // CHUNK, obj[8 : 8 + n], tags)
            real = max(0, min(n, h["size"] - at))
            need(not any(plain[real:]), "form", "padding")
            return plain[:real]

        take(first_good(part_name(s), check_segment))
    return h
