"""Keys, numbers and the vault file."""

from ..files import MIB, padded
from ..keyfile import print_recovery
from ..names import vault_file
from ..primitives import E, H, Keys, iv
from .common import DIR, MASTER, VAULT, hx


def keys(k):
    tag, ke = bytes.fromhex("00" * 8 + "ffffffffffffffff"), bytes([3] * 32)
    return dict(
        master=MASTER.hex(), vault=VAULT.hex(), pep=k.pep.hex(), dir=[[DIR.hex(), "Fotos".encode().hex(), k.dir_id(DIR, b"Fotos").hex()]],
        vault_file=vault_file(k, VAULT).hex(), recovery=print_recovery(MASTER),
        mask=dict(tag=tag.hex(), iv=iv(tag).hex(), key=ke.hex(), stream=E(ke, iv(tag), bytes(64)).hex()),
        padded=[[n, padded(n)] for n in (0, 1, 1024, 1025, 4096, 4097, 65537, 10**6, MIB, MIB + 1, 10**9, 2**44)])


def vault(k):
    v = vault_file(k, VAULT)
    remac = lambda m: m + H(k.vault, m)  # noqa: E731
    return [
        ["length", hx(v[:63]), "form"], ["magic", hx(b"X" + v[1:]), "form"], ["type", hx(remac(b"SLK\0F" + v[5:32])), "form"],
        ["format version", hx(remac(v[:5] + b"\2" + v[6:32])), "version"], ["epoch", hx(remac(v[:7] + b"\1" + v[8:32])), "version"],
        ["feature", hx(remac(v[:27] + b"\1" + v[28:32])), "version"], ["zeros", hx(remac(v[:31] + b"\1")), "form"],
        ["mac", hx(v[:63] + bytes([v[63] ^ 1])), "auth"], ["another key", hx(vault_file(Keys(bytes(32)), VAULT)), "auth"]]
