"""FORMAT 9: commits and notices."""

import hmac
import re
import struct

from .files import writer_ok
from .names import check_hdr, hdr
from .primitives import H, Reject, b64, need, siv_open, siv_seal, unb64


def item(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def items_of(d):
    """Items by number; 3 is (s, ns), 7 a list of (device, seq), 9 and 10 lists of ids."""
    out = {k: v for k, v in d.items() if k in (1, 2, 6, 8)}
    out[3] = struct.pack(">qI", *d[3])
    out.update({k: struct.pack(">Q", d[k]) for k in (4, 5) if k in d})
    if 7 in d:
        out[7] = b"".join(i + struct.pack(">Q", n) for i, n in d[7])
    out.update({k: b"".join(d[k]) for k in (9, 10) if k in d})
    return b"".join(item(k, out[k]) for k in sorted(out))


def raw_commit(keys, vault, label, tree, parents, items, t, tail=b"", extra=b"", subject=b"sharelock", change=lambda sealed: sealed):
    text, c = siv_seal(keys.details, 32, hdr("D"), items)
    out = b"tree " + tree.hex().encode() + b"\n" + b"".join(b"parent " + p.hex().encode() + b"\n" for p in parents)
    for role in (b"author", b"committer"):
        out += role + b" sharelock <sharelock@localhost> %d +0000\n" % t
    out += extra + b"\n" + subject + b"\n\ndetails: " + b64(change(hdr("D") + text + c)).encode() + b"\nseal: "
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
    need(len(sealed) >= 40 and (len(sealed) - 40) % 64 == 0, "form", "length of the details")
    check_hdr(sealed, "D")
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
        elif kind in (7, 9, 10):
            w = {7: 24, 9: 20, 10: 16}[kind]
            need(n and n % w == 0, "form", "list")
            v = [v[i : i + w] for i in range(0, n, w)]
            ids = [x[:16] if kind == 7 else x for x in v]
            need(all(a < b for a, b in zip(ids, ids[1:])), "form", "order of a list")
            v = [(x[:16], int.from_bytes(x[16:], "big")) for x in v] if kind == 7 else v
        if kind < 11:
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
