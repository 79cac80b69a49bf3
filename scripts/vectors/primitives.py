"""FORMAT 2 and 3: the two constructions, spellings of bytes, and the keys."""

import base64
import hashlib
import hmac
import re
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ROOT = bytes(16)


class Reject(Exception):
    def __init__(self, cls, why):
        super().__init__(f"{cls}: {why}")
        self.cls = cls


def need(ok, cls, why):
    if not ok:
        raise Reject(cls, why)


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
