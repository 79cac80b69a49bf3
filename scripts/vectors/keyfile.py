"""FORMAT 8: the key file and the recovery key."""

import hashlib
import re
import struct
import unicodedata

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from .names import check_hdr, hdr
from .primitives import Reject, need, siv_open, siv_seal


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


def print_recovery(master, version=1):
    n = version << 276 | int.from_bytes(master, "big") << 20 | sum20(master)
    out = []
    for g in range(8):
        d = [n >> (275 - 35 * g - 5 * i) & 31 for i in range(7)]
        out.append("".join(DIGITS[x] for x in d + [check_digit(g, d)]))
    return out


def parse_recovery(text):
    text = re.sub(r"[\s-]", "", text)
    need(text.isascii(), "secret", "8 groups of 8 characters")
    text = text.upper().replace("O", "0").replace("I", "1").replace("L", "1")
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
