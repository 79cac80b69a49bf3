"""What all cases share."""

import hashlib
import struct

from ..files import FIELDS


MASTER, VAULT = bytes(range(32)), bytes(range(16, 32))
ID, DIR = bytes([7] * 16), bytes([1] * 16)
# The fields of a head, but for its size.
BASE = dict(FIELDS, id=ID, flags=1, ns=5, s=1_700_000_000, generation=2, writer="läptop".encode(), offset=60)
del BASE["size"]


def hx(b):
    return None if b is None else b.hex()


def pattern(n):
    """n bytes of SHA-256 over a counter: the content of all large vectors."""
    return b"".join(hashlib.sha256(struct.pack(">Q", i)).digest() for i in range(-(-n // 32)))[:n]


def digest(b):
    return hashlib.sha256(b).hexdigest()


def head_json(h):
    return {k: v.decode() if k == "writer" else v.hex() if isinstance(v, bytes) else v for k, v in h.items()}
