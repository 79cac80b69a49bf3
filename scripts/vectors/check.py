"""Writes the vectors, and opens every one of them with this implementation."""

import json
import os

from .cases import make
from .cases.common import BASE, ID, MASTER, VAULT, pattern
from .files import MIB, open_large, open_small, seal_large
from .keyfile import open_keyfile, parse_recovery
from .names import open_name, open_vault
from .primitives import Keys, Reject
from .seals import open_commit, open_notice


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
    _, parts = seal_large(k, dict(BASE, segment=16), pattern(17 * MIB))
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
