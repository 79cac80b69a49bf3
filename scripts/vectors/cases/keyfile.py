"""Key files and recovery keys."""

import struct

from ..keyfile import print_recovery, seal_keyfile
from .common import MASTER, VAULT


def keyfile(k):
    key = seal_keyfile(MASTER, VAULT, "pässword".encode(), 19456, 4, bytes([0x42] * 16))
    put = lambda at, b: (key[:at] + b + key[at + len(b) :]).hex()  # noqa: E731
    cost = lambda m, p: put(28, struct.pack(">II", m, p))  # noqa: E731
    nfd = "pa\u0308ssword".encode().hex()
    return [
        dict(what="round trip", file=key.hex(), password="pässword".encode().hex(), master=MASTER.hex(), vault=VAULT.hex(), memory=19456, passes=4),
        dict(what="another normal form", file=key.hex(), password=nfd, master=MASTER.hex(), vault=VAULT.hex(), memory=19456, passes=4),
        *[dict(what=w, file=f, password=nfd, reject=c) for w, f, c in [
            ("length", key[:-1].hex(), "form"), ("type", put(4, b"V"), "form"), ("format version", put(5, b"\2"), "version"), ("epoch", put(7, b"\1"), "version"),
            ("derivation", put(24, b"\2"), "version"), ("lanes", put(25, b"\2"), "form"), ("key length", put(27, b"\x40"), "form"),
            ("too little memory", cost(19455, 64), "limit"), ("one pass", cost(1 << 20, 1), "limit"), ("too cheap together", cost(19456, 3), "limit"),
            ("too much memory", cost((1 << 20) + 1, 2), "limit"), ("too many passes", cost(19456, 65), "limit"), ("too dear together", cost(1 << 20, 5), "limit"),
            ("salt", put(36, b"\0"), "secret"), ("vault id", put(8, b"\0"), "secret"), ("tag", put(52, bytes([key[52] ^ 1])), "secret")]],
        dict(what="wrong password", file=key.hex(), password=b"password".hex(), reject="secret")]


def recovery(k):
    g = print_recovery(MASTER)
    text = " ".join(g)
    return [
        dict(what="as printed", text=text, master=MASTER.hex()), dict(what="lower case, look-alikes, no spaces", text="".join(g).lower().replace("0", "o").replace("1", "l"), master=MASTER.hex()),
        dict(what="another key", text="-".join(print_recovery(bytes([255] * 32))), master="ff" * 32),
        dict(what="a wrong digit", text=text.replace("40J2GB1M", "40J2GB2M"), reject="secret", group=3),
        dict(what="two digits exchanged", text=text.replace("40J2GB1M", "40J2BG1M"), reject="secret", group=3),
        dict(what="groups exchanged", text=" ".join(g[:2] + [g[3], g[2]] + g[4:]), reject="secret", group=3),
        dict(what="a group missing", text=" ".join(g[:7]), reject="secret"), dict(what="a U", text=text.replace("2001081Q", "U001081Q"), reject="secret"),
        dict(what="a dotless i", text=text.replace("40J2GB1M", "40J2GB\u0131M"), reject="secret"),
        dict(what="version 2", text=" ".join(print_recovery(MASTER, version=2)), reject="secret"),
        dict(what="groups of two keys", text=" ".join(g[:7] + [print_recovery(bytes(32))[7]]), reject="secret")]
