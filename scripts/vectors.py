#!/usr/bin/env python3
"""The vault format a second time, written from src/crypt/FORMAT.md alone.

    vectors.py generate DIR     writes the test vectors (the same bytes each time)
    vectors.py check DIR        checks vectors against this implementation
    vectors.py decrypt SECURE OUT (--recovery-key-file F | --key-file F --password-file F)
                                decrypts a whole secure folder into the new folder OUT

Needs Python 3.9 and the package `cryptography` (44 or newer). Nothing of sharelock itself is used, so that nobody's
files depend on our binary. Section numbers are those of FORMAT.md.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import unicodedata

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

CHUNK, TAG, MIB, GROUP = 4096, 16, 1 << 20, 256
ROOT = bytes(16)


class Reject(Exception):
    def __init__(self, cls, why):
        super().__init__(f"{cls}: {why}")
        self.cls = cls


def need(ok, cls, why):
    if not ok:
        raise Reject(cls, why)


# -- 2: two constructions ------------------------------------------------------------------------------------------


def H(k, m):
    return hmac.new(k, m, hashlib.sha256).digest()


def E(k, iv, m):
    c = Cipher(algorithms.AES(k), modes.CTR(iv)).encryptor()
    return c.update(m) + c.finalize()


def iv(t):
    b = bytearray(t[:16])
    b[8] &= 0x7F
    b[12] &= 0x7F
    return bytes(b)


def siv_seal(key, n, ctx, m):
    t = H(key[:32], ctx + m)[:n]
    return t, E(key[32:64], iv(t), m)


def siv_open(key, n, ctx, t, c):
    m = E(key[32:64], iv(t), c)
    need(len(t) == n and hmac.compare_digest(H(key[:32], ctx + m)[:n], t), "auth", "tag")
    return m


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text):
    text = text.encode() if isinstance(text, str) else text
    need(re.fullmatch(rb"[A-Za-z0-9_-]*", text) and len(text) % 4 != 1, "form", "base64url")
    raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    need(b64(raw).encode() == text, "form", "base64url that is not canonical")
    return raw


# -- 3: keys -------------------------------------------------------------------------------------------------------


def X(k, label, ctx, length):
    info, out, t, i = b"sharelock/v1/" + label.encode() + b"\0" + ctx, b"", b"", 1
    while len(out) < length:
        t = H(k, t + info + bytes([i]))
        out, i = out + t, i + 1
    return out[:length]


class Keys:
    def __init__(self, master):
        prk = H(b"sharelock/v1", master)
        self.vault = X(prk, "vault", b"", 32)
        e = X(prk, "epoch", struct.pack(">H", 0), 32)
        self.head, self.name, self.details, self.notice = (X(e, x, b"", 64) for x in ("head", "name", "details", "notice"))
        self.content, self.dirid, self.seal = (X(e, x, b"", 32) for x in ("content", "dir-id", "seal"))
        self.pep = X(e, "pep", b"", 16)

    def file(self, fid):
        k = X(self.content, "file", fid, 96)
        return k[:64], k[64:]

    def dir_id(self, parent, name):
        return H(self.dirid, parent + name)[:16]


# -- 4: headers, the vault file ------------------------------------------------------------------------------------


def hdr(kind, epoch=0):
    return b"SLK\0" + kind.encode() + b"\x01" + struct.pack(">H", epoch)


def check_hdr(obj, kind):
    need(len(obj) >= 8 and obj[:4] == b"SLK\0" and obj[4:5] == kind.encode(), "form", "header")
    need(obj[5] == 1 and obj[6:8] == b"\0\0", "version", "header")


def vault_file(keys, vault):
    m = hdr("V") + vault + bytes(8)
    return m + H(keys.vault, m)


def open_vault(keys, obj):
    need(len(obj) == 64, "form", "length")
    check_hdr(obj, "V")
    need(obj[24:28] == bytes(4), "version", "features")
    need(obj[28:32] == bytes(4), "form", "zero")
    need(hmac.compare_digest(H(keys.vault, obj[:32]), obj[32:]), "auth", "vault")
    return obj[8:24]


# -- 5: names ------------------------------------------------------------------------------------------------------


def seal_record(keys, parent, p, version=1, epoch=0):
    lead = bytes([version]) + struct.pack(">H", epoch)
    t, c = siv_seal(keys.name, 16, lead + parent, p)
    return lead + t + c


def name_record(kind, fid, name):
    p = fid + bytes([kind]) + name
    return p + bytes(-len(p) % 16)


def spell(raw, force=None):
    """(entry, name of s.n, content of s.n)"""
    text = b64(raw)
    if (len(text) <= 255) if force is None else not force:
        return text, None, None
    s = b64(raw[:19])
    return s + ".l", s + ".n", hdr("N") + raw


def seal_name(keys, parent, kind, fid, name):
    return spell(seal_record(keys, parent, name_record(kind, fid, name)))


def open_name(keys, parent, entry, long=None):
    """(kind, id, name)"""
    if entry.endswith(".l"):
        need(long is not None, "absent", "s.n")
        check_hdr(long, "N")
        raw = long[8:]
        need(raw[:19] == unb64(entry[:-2]) and len(raw) >= 19, "auth", "s.n is of another name")
        need(raw[1:3] == long[6:8], "form", "epochs")
        need(len(b64(raw)) > 255, "form", "would have fitted")
    else:
        need(len(entry) <= 255, "form", "too long")
        raw = unb64(entry)
    need((len(raw) - 35) % 16 == 0 and 1 <= (len(raw) - 35) // 16 <= 16, "form", "length")
    need(raw[0] == 1 and raw[1:3] == b"\0\0", "version", "entry name")
    p = siv_open(keys.name, 16, raw[:3] + parent, raw[3:19], raw[19:])
    fid, kind, name = p[:16], p[16], p[17:].rstrip(b"\0")
    need(fid != ROOT and 1 <= kind <= 4, "form", "id or kind")
    need(len(name_record(kind, fid, name)) == len(p), "form", "padding")
    if kind == 4:
        need(name == b"" and fid == parent, "form", "keeper")
    else:
        need(1 <= len(name) <= 255 and b"\0" not in name and b"/" not in name and name not in (b".", b".."), "form", "name")
    return kind, fid, name


# -- 6: files ------------------------------------------------------------------------------------------------------


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
    need(n <= 32 and (n == 0) == keeper and writer_ok(h["writer"]) and not any(r[80 + n : 112]), "form", "writer")
    need(h["ns"] < 10**9, "form", "ns")
    need(abs(h["s"]) <= 1 << 40, "limit", "time")
    need(h["size"] <= 1 << 44, "limit", "size")
    need(h["kind"] != 1 or 1 <= h["size"] <= 4095, "form", "link")
    need(h["generation"] <= 1 << 62, "limit", "generation")
    need((h["generation"] == 0) == keeper, "form", "generation")
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


# -- 8: key file, recovery key -------------------------------------------------------------------------------------


def password_bytes(raw):
    try:
        return unicodedata.normalize("NFC", raw.decode()).encode()
    except UnicodeDecodeError:
        return raw


def without_newline(raw):
    return raw[:-2] if raw.endswith(b"\r\n") else raw[:-1] if raw.endswith(b"\n") else raw


def argon(password, salt, memory, passes):
    return Argon2id(salt=salt, length=64, iterations=passes, lanes=1, memory_cost=memory).derive(password_bytes(password))


def seal_keyfile(master, vault, password, memory, passes, salt):
    ctx = hdr("K") + vault + b"\1\1\0\x20" + struct.pack(">II", memory, passes) + salt
    t, c = siv_seal(argon(password, salt, memory, passes), 32, ctx, master)
    return ctx + t + c


def open_keyfile(obj, password):
    need(len(obj) == 116, "form", "length")
    check_hdr(obj, "K")
    need(obj[24] == 1, "version", "derivation")
    need(obj[25:28] == b"\1\0\x20", "form", "lanes or key length")
    memory, passes = struct.unpack(">II", obj[28:36])
    need(memory >= 19456 and passes >= 2 and memory * passes >= 65536, "limit", "too cheap")
    need(memory <= 1 << 20 and passes <= 64 and memory * passes <= 1 << 22, "limit", "too dear")
    try:
        return siv_open(argon(password, obj[36:52], memory, passes), 32, obj[:52], obj[52:84], obj[84:]), obj[8:24]
    except Reject:
        raise Reject("secret", "wrong password") from None


DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
POWERS = [1]
for _ in range(30):
    _v = POWERS[-1] << 1
    POWERS.append(_v ^ 0b100101 if _v & 32 else _v)


def gf(a, b):
    return 0 if 0 in (a, b) else POWERS[(POWERS.index(a) + POWERS.index(b)) % 31]


def check_digit(g, d):
    c = gf(POWERS[8], g + 1)
    for i, x in enumerate(d):
        c ^= gf(POWERS[i + 1], x)
    return c


def sum20(master):
    return int.from_bytes(hashlib.sha256(b"sharelock/v1/recovery\0" + master).digest()[:3], "big") >> 4


def print_recovery(master):
    n = 1 << 276 | int.from_bytes(master, "big") << 20 | sum20(master)
    out = []
    for g in range(8):
        d = [n >> (275 - 35 * g - 5 * i) & 31 for i in range(7)]
        out.append("".join(DIGITS[x] for x in d + [check_digit(g, d)]))
    return out


def parse_recovery(text):
    text = re.sub(r"[\s-]", "", text).upper().replace("O", "0").replace("I", "1").replace("L", "1")
    need(len(text) == 64 and all(c in DIGITS for c in text), "secret", "8 groups of 8 characters")
    n = 0
    for g in range(8):
        d = [DIGITS.index(c) for c in text[8 * g : 8 * g + 8]]
        need(check_digit(g, d[:7]) == d[7], "secret", f"typing error in group {g + 1}")
        for x in d[:7]:
            n = n << 5 | x
    need(n >> 276 == 1, "secret", "version")
    master = (n >> 20 & (1 << 256) - 1).to_bytes(32, "big")
    need(n & 0xFFFFF == sum20(master), "secret", "groups that do not belong together")
    return master


# -- 9: commits, notices -------------------------------------------------------------------------------------------


def item(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def items_of(d):
    """Items by number; 3 is (s, ns), 7 a list of (device, seq), 9 a list of ids."""
    out = {k: v for k, v in d.items() if k in (1, 2, 6, 8)}
    out[3] = struct.pack(">qI", *d[3])
    out.update({k: struct.pack(">Q", d[k]) for k in (4, 5) if k in d})
    if 7 in d:
        out[7] = b"".join(i + struct.pack(">Q", n) for i, n in d[7])
    if 9 in d:
        out[9] = b"".join(d[9])
    return b"".join(item(k, out[k]) for k in sorted(out))


def raw_commit(keys, vault, label, tree, parents, items, t, tail=b"", extra=b"", subject=b"sharelock"):
    text, c = siv_seal(keys.details, 32, hdr("D"), items)
    out = b"tree " + tree.hex().encode() + b"\n" + b"".join(b"parent " + p.hex().encode() + b"\n" for p in parents)
    for role in (b"author", b"committer"):
        out += role + b" sharelock <sharelock@localhost> %d +0000\n" % t
    out += extra + b"\n" + subject + b"\n\ndetails: " + b64(hdr("D") + text + c).encode() + b"\nseal: "
    mac = H(keys.seal, label.encode() + b"\0" + vault + out)
    return out + b64(b"\0\0" + mac).encode() + b"\n" + tail


def write_commit(keys, vault, label, tree, parents, d):
    items = items_of(d)
    items += bytes(-len(items) % 64)
    return raw_commit(keys, vault, label, tree, parents, items, d[3][0] - d[3][0] % 3600)


def open_commit(keys, vault, obj):
    """(label, tree, parents, items)"""
    need(len(obj) <= 65536, "limit", "length")
    at = obj.rfind(b"\nseal: ") + 7
    need(at > 6, "auth", "no seal")
    body, seal = obj[:at], obj[at:]
    need(seal.endswith(b"\n"), "form", "behind the seal")
    seal = unb64(seal[:-1])
    need(len(seal) == 34, "form", "seal")
    need(seal[:2] == b"\0\0", "version", "epoch")
    macs = {x: H(keys.seal, x.encode() + b"\0" + vault + body) for x in ("main", "staging")}
    label = next((x for x, mac in macs.items() if hmac.compare_digest(mac, seal[2:])), None)
    need(label, "auth", "seal")
    who = rb" sharelock <sharelock@localhost> (-?\d+) \+0000\n"
    form = rb"tree ([0-9a-f]{40})\n((?:parent [0-9a-f]{40}\n){0,2})author" + who + rb"committer" + who
    m = re.fullmatch(form + rb"\nsharelock\n\ndetails: ([A-Za-z0-9_-]*)\nseal: ", body)
    need(m, "form", "lines")
    parents = [bytes.fromhex(p.decode()) for p in re.findall(rb"parent (\w+)", m[2])]
    sealed = unb64(m[5])
    check_hdr(sealed, "D")
    need(len(sealed) >= 40 and (len(sealed) - 40) % 64 == 0, "form", "length of the details")
    rest = siv_open(keys.details, 32, sealed[:8], sealed[8:40], sealed[40:])
    d, last = {}, 0
    while len(rest) >= 3 and rest[0]:
        kind, n = struct.unpack(">BH", rest[:3])
        need(kind > last and len(rest) >= 3 + n, "form", "order of items")
        last, v, rest = kind, rest[3 : 3 + n], rest[3 + n :]
        need(kind < 128, "version", "item")
        width = {1: 16, 3: 12, 4: 8, 5: 8, 8: 20}.get(kind)
        need(width in (None, n), "form", "width of an item")
        if kind == 2:
            need(1 <= n <= 32 and writer_ok(v), "form", "device name")
        elif kind == 3:
            v = struct.unpack(">qI", v)
        elif kind in (4, 5):
            (v,) = struct.unpack(">Q", v)
        elif kind == 6:
            need(n <= 4096, "form", "summary")
            try:
                v.decode()
            except UnicodeDecodeError:
                raise Reject("form", "summary") from None
        elif kind in (7, 9):
            w = 24 if kind == 7 else 20
            need(n and n % w == 0, "form", "list")
            v = [v[i : i + w] for i in range(0, n, w)]
            ids = [x[:16] if kind == 7 else x for x in v]
            need(all(a < b for a, b in zip(ids, ids[1:])), "form", "order of a list")
            v = [(x[:16], int.from_bytes(x[16:], "big")) for x in v] if kind == 7 else v
        if kind < 10:
            d[kind] = v
    need(len(rest) < 64 and not any(rest), "form", "padding")
    need(3 in d and 5 in d, "form", "no time or height")
    need(0 <= d[3][0] < 1 << 33, "limit", "time")
    need(d[3][1] < 10**9, "form", "ns")
    if len(parents) == 2:
        need(set(d) == {3, 5} and d[5] >= 2, "form", "a merge")
    else:
        need({1, 2, 4} <= set(d) and d[4] and d[5] and (7 not in d or not parents), "form", "a device's commit")
        need(parents or 8 in d or d[5] == 1, "form", "height of a root")
    t = b"%d" % (d[3][0] - d[3][0] % 3600)
    need(m[3] == t and m[4] == t, "form", "date")
    return label, bytes.fromhex(m[1].decode()), parents, d


def seal_notice(keys, device, counter, seq, height, head, length=20, rest=bytes(15)):
    body = device + struct.pack(">QQQ", counter, seq, height) + head.ljust(32, b"\0") + bytes([length]) + rest
    t, c = siv_seal(keys.notice, 32, hdr("M"), body)
    return b64(hdr("M") + t + c)


def open_notice(keys, text, last=None):
    need(len(text) == 171, "form", "length")
    obj = unb64(text)
    check_hdr(obj, "M")
    b = siv_open(keys.notice, 32, obj[:8], obj[8:40], obj[40:])
    need(b[72] == 20 and not any(b[60:72]) and not any(b[73:]), "form", "zeros")
    counter, seq, height = struct.unpack(">QQQ", b[16:40])
    need(last is None or counter > last, "stale", "counter")
    return b[:16], counter, seq, height, b[40:60]


# -- decrypt a folder ----------------------------------------------------------------------------------------------


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


# -- vectors -------------------------------------------------------------------------------------------------------


def pattern(n):
    """n bytes of SHA-256 over a counter: the content of all large vectors."""
    return b"".join(hashlib.sha256(struct.pack(">Q", i)).digest() for i in range(-(-n // 32)))[:n]


def digest(b):
    return hashlib.sha256(b).hexdigest()


MASTER, VAULT = bytes(range(32)), bytes(range(16, 32))
ID, DIR = bytes([7] * 16), bytes([1] * 16)


def head_json(h):
    return {k: v.decode() if k == "writer" else v.hex() if isinstance(v, bytes) else v for k, v in h.items()}


def make():
    k, out = Keys(MASTER), {}
    hx = lambda b: None if b is None else b.hex()  # noqa: E731
    tag, ke = bytes.fromhex("00" * 8 + "ffffffffffffffff"), bytes([3] * 32)
    out["keys"] = dict(
        master=MASTER.hex(), vault=VAULT.hex(), pep=k.pep.hex(), dir=[[DIR.hex(), "Fotos".encode().hex(), k.dir_id(DIR, b"Fotos").hex()]],
        vault_file=vault_file(k, VAULT).hex(), recovery=print_recovery(MASTER),
        mask=dict(tag=tag.hex(), iv=iv(tag).hex(), key=ke.hex(), stream=E(ke, iv(tag), bytes(64)).hex()),
        padded=[[n, padded(n)] for n in (0, 1, 1024, 1025, 4096, 4097, 65537, 10**6, MIB, MIB + 1, 10**9, 2**44)])

    v = vault_file(k, VAULT)
    remac = lambda m: m + H(k.vault, m)  # noqa: E731
    out["vault"] = [
        ["length", hx(v[:63]), "form"], ["magic", hx(b"X" + v[1:]), "form"], ["type", hx(remac(b"SLK\0F" + v[5:32])), "form"],
        ["format version", hx(remac(v[:5] + b"\2" + v[6:32])), "version"], ["epoch", hx(remac(v[:7] + b"\1" + v[8:32])), "version"],
        ["feature", hx(remac(v[:27] + b"\1" + v[28:32])), "version"], ["zeros", hx(remac(v[:31] + b"\1")), "form"],
        ["mac", hx(v[:63] + bytes([v[63] ^ 1])), "auth"], ["another key", hx(vault_file(Keys(bytes(32)), VAULT)), "auth"]]

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
        bad("a name of 256 bytes", he, "form", hc), bad("an altered s.n", le, "auth", lc[:-1] + bytes([lc[-1] ^ 1]))]
    out["names"] = names

    base = dict(FIELDS, id=ID, flags=1, ns=5, s=1_700_000_000, generation=2, writer="läptop".encode(), offset=60)
    del base["size"]
    small = []
    for what, h, plain in [("empty", base, b""), ("one byte", base, b"a"), ("1024", base, pattern(1024)), ("1025", base, pattern(1025)),
                           ("a chunk", base, pattern(4096)), ("a chunk and one", base, pattern(4097)), ("private", dict(base, flags=3), b"key"),
                           ("before 1970", dict(base, s=-(1 << 40), offset=-1440), b"old"),
                           ("a link", dict(base, kind=1, flags=0), b"../x"),
                           ("a keeper", dict(FIELDS, id=DIR, kind=2, generation=0, writer=b"", size=0), b"")]:
        h, obj = seal_small(k, h, plain)
        small.append(dict(what=what, head=head_json(h), plain=plain.hex(), object=obj.hex()))

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
    out["small"] = small

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
    crafted("more than 65536 groups", "limit", 256, size=(1 << 40) + 1, segment=16)
    crafted("a list for another size", "form", 3, size=3 * MIB + 1, segment=20)
    out["large"] = large

    key = seal_keyfile(MASTER, VAULT, "pässword".encode(), 19456, 4, bytes([0x42] * 16))
    put = lambda at, b: (key[:at] + b + key[at + len(b) :]).hex()  # noqa: E731
    cost = lambda m, p: put(28, struct.pack(">II", m, p))  # noqa: E731
    nfd = "pa\u0308ssword".encode().hex()
    out["keyfile"] = [
        dict(what="round trip", file=key.hex(), password="pässword".encode().hex(), master=MASTER.hex(), vault=VAULT.hex(), memory=19456, passes=4),
        dict(what="another normal form", file=key.hex(), password=nfd, master=MASTER.hex(), vault=VAULT.hex(), memory=19456, passes=4),
        *[dict(what=w, file=f, password=nfd, reject=c) for w, f, c in [
            ("length", key[:-1].hex(), "form"), ("type", put(4, b"V"), "form"), ("format version", put(5, b"\2"), "version"), ("epoch", put(7, b"\1"), "version"),
            ("derivation", put(24, b"\2"), "version"), ("lanes", put(25, b"\2"), "form"), ("key length", put(27, b"\x40"), "form"),
            ("too little memory", cost(19455, 64), "limit"), ("one pass", cost(1 << 20, 1), "limit"), ("too cheap together", cost(19456, 3), "limit"),
            ("too much memory", cost((1 << 20) + 1, 2), "limit"), ("too many passes", cost(19456, 65), "limit"), ("too dear together", cost(1 << 20, 5), "limit"),
            ("salt", put(36, b"\0"), "secret"), ("vault id", put(8, b"\0"), "secret"), ("tag", put(52, bytes([key[52] ^ 1])), "secret")]],
        dict(what="wrong password", file=key.hex(), password=b"password".hex(), reject="secret")]

    g = print_recovery(MASTER)
    text = " ".join(g)
    out["recovery"] = [
        dict(what="as printed", text=text, master=MASTER.hex()), dict(what="lower case, look-alikes, no spaces", text="".join(g).lower().replace("0", "o").replace("1", "l"), master=MASTER.hex()),
        dict(what="another key", text="-".join(print_recovery(bytes([255] * 32))), master="ff" * 32),
        dict(what="a wrong digit", text=text.replace("40J2GB1M", "40J2GB2M"), reject="secret", group=3),
        dict(what="two digits exchanged", text=text.replace("40J2GB1M", "40J2BG1M"), reject="secret", group=3),
        dict(what="groups exchanged", text=" ".join(g[:2] + [g[3], g[2]] + g[4:]), reject="secret", group=3),
        dict(what="a group missing", text=" ".join(g[:7]), reject="secret"), dict(what="a U", text=text.replace("2001081Q", "U001081Q"), reject="secret"),
        dict(what="groups of two keys", text=" ".join(g[:7] + [print_recovery(bytes(32))[7]]), reject="secret")]

    T1, P1, P2 = bytes([0x11] * 20), bytes([0x22] * 20), bytes([0x33] * 20)
    dev = {1: DIR, 2: b"laptop", 3: (1_700_003_599, 7), 4: 3, 5: 4}
    commits = []

    def good_commit(what, parents, d, label="main"):
        commits.append(dict(what=what, label=label, tree=T1.hex(), parents=[p.hex() for p in parents], object=write_commit(k, VAULT, label, T1, parents, d).hex(),
                            details={str(n): x.decode() if n in (2, 6) else hx(x) if isinstance(x, bytes) else
                                     [[a.hex(), b] for a, b in x] if n == 7 else [a.hex() for a in x] if n == 9 else x for n, x in d.items()}))

    good_commit("a device's", [P1], dev)
    good_commit("a root", [], {**dev, 5: 1})
    good_commit("a merge", [P1, P2], {3: (7200, 0), 5: 9})
    good_commit("staging", [P1], dev, "staging")
    good_commit("a new root with everything", [], {**dev, 6: "zwei Dateien: a, ü".encode(), 7: [(DIR, 3), (ID, 9)], 8: P1, 9: [P1, P2]})
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
        ("a root of height 4", c(it, ()), "form"),
        *[(f"a merge with item {n}", c(items_of({3: dev[3], 5: 4, n: {1: DIR, 2: b"a", 4: 3, 6: b"x", 7: [(DIR, 1)], 8: P1, 9: [P1]}[n]}), (P1, P2)), "form") for n in (1, 2, 4, 6, 7, 8, 9)],
        ("a merge of height 1", c(items_of({3: dev[3], 5: 1}), (P1, P2)), "form"),
        ("details of another type", one.replace(b"details: U0xLAE", b"details: U0xLAF"), "auth")]:
        commits.append(dict(what=what, object=o.hex(), reject=cls))
    skipped = c(it + item(100, b"later"))
    commits.append(dict(what="an item of a later version is skipped", object=skipped.hex(), skipped=True))
    out["commits"] = commits

    n = seal_notice(k, DIR, 1000, 3, 4, P1)
    raw = unb64(n)
    out["notices"] = [
        dict(what="round trip", text=n, device=DIR.hex(), counter=1000, seq=3, height=4, head=P1.hex()),
        *[dict(what=w, text=t, reject=r) for w, t, r in [
            ("length", n[:-1], "form"), ("type", b64(hdr("D") + raw[8:]), "form"), ("format version", b64(raw[:5] + b"\2" + raw[6:]), "version"),
            ("epoch", b64(raw[:7] + b"\1" + raw[8:]), "version"), ("tag", b64(raw[:8] + bytes([raw[8] ^ 1]) + raw[9:]), "auth"),
            ("body", b64(raw[:-1] + bytes([raw[-1] ^ 1])), "auth"), ("head length", seal_notice(k, DIR, 1, 1, 1, P1, length=32), "form"),
            ("bytes behind the head", seal_notice(k, DIR, 1, 1, 1, P1 + b"\1"), "form"), ("zeros", seal_notice(k, DIR, 1, 1, 1, P1, rest=bytes(14) + b"\1"), "form"),
            ("another vault", seal_notice(Keys(bytes(32)), DIR, 1, 1, 1, P1), "auth")]],
        dict(what="seen before", text=n, last=1000, reject="stale")]
    return out


def verdict(f):
    try:
        f()
        return None
    except Reject as e:
        return e.cls


def check(dir_):
    """Opens every vector with this implementation: a fault of a vector shows before anybody builds on it."""
    k, wrong = Keys(MASTER), 0
    for name, want in make().items():
        with open(os.path.join(dir_, name + ".json")) as f:
            got = json.load(f)
        if got != json.loads(json.dumps(want)):
            print(f"{name}.json is not what this program generates")
            wrong += 1
    uh = lambda h: None if h is None else bytes.fromhex(h)  # noqa: E731
    v = make()
    _, parts = seal_large(k, dict(FIELDS, id=ID, flags=1, ns=5, s=1_700_000_000, generation=2, writer="läptop".encode(), offset=60, segment=16), pattern(17 * MIB))
    for group, rows in v.items():
        if group == "keys":
            continue
        for r in rows:
            if group == "vault":
                what, want, f = r[0], r[2], lambda r=r: open_vault(k, uh(r[1]))
            else:
                what, want = r["what"], r.get("reject")
            if group == "names":
                f = lambda: open_name(k, uh(r["parent"]), r["entry"], uh(r["long"]))  # noqa: E731
            elif group == "small":
                f = lambda: open_small(k, uh(r.get("id") or r["head"]["id"]), uh(r["object"]))  # noqa: E731
            elif group == "large":
                p = dict(parts)
                if "object" in r:
                    p["head"] = uh(r["object"])
                elif "op" in r:
                    o = p[r["part"]]
                    if r["op"] == "flip":
                        p[r["part"]] = o[: r["at"]] + bytes([o[r["at"]] ^ 1]) + o[r["at"] + 1 :]
                    elif r["op"] == "cut":
                        p[r["part"]] = o[: r["at"]]
                    elif r["op"] == "remove":
                        del p[r["part"]]
                    else:
                        p[r["part"]], p[r["at"]] = p[r["at"]], o
                f = lambda: open_large(k, ID, lambda n: [p[n]] if n in p else [], lambda b: None)  # noqa: E731
            elif group == "keyfile":
                f = lambda: open_keyfile(uh(r["file"]), uh(r["password"]))  # noqa: E731
            elif group == "recovery":
                f = lambda: parse_recovery(r["text"])  # noqa: E731
            elif group == "commits":
                f = lambda: open_commit(k, VAULT, uh(r["object"]))  # noqa: E731
            elif group == "notices":
                f = lambda: open_notice(k, r["text"], r.get("last"))  # noqa: E731
            got = verdict(f)
            if got != want:
                print(f"{group}: {what}: {got} where {want} is expected")
                wrong += 1
    return 1 if wrong else 0


def generate(dir_):
    os.makedirs(dir_, exist_ok=True)
    for name, rows in make().items():
        with open(os.path.join(dir_, name + ".json"), "w") as f:
            json.dump(rows, f, indent=0, ensure_ascii=False)
            f.write("\n")
    return 0


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="verb", required=True)
    for verb in ("generate", "check"):
        sub.add_parser(verb).add_argument("dir")
    d = sub.add_parser("decrypt")
    d.add_argument("secure")
    d.add_argument("out")
    d.add_argument("--recovery-key-file")
    d.add_argument("--key-file")
    d.add_argument("--password-file")
    a = ap.parse_args()
    if a.verb == "decrypt":
        if not a.recovery_key_file and not (a.key_file and a.password_file):
            d.error("needs --recovery-key-file, or --key-file and --password-file")
        try:
            return decrypt(a)
        except (Reject, OSError) as e:
            print(f"vectors.py: {e}", file=sys.stderr)
            return 1
    return (generate if a.verb == "generate" else check)(a.dir)


if __name__ == "__main__":
    sys.exit(main())
