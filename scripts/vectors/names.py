"""FORMAT 4 and 5: headers, the vault file, the names of entries."""

import hmac
import struct

from .primitives import ROOT, H, b64, need, siv_open, siv_seal, unb64


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
        need(len(long) <= 8 + 35 + 256, "form", "length of s.n")
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
