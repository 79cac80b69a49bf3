"""The vectors: what is sealed as FORMAT.md says, and for each of its rules what must be refused."""

from ..primitives import Keys
from ..rules import name_rules
from . import keyfile, keys, large, names, seals, small
from .common import MASTER


def make():
    k = Keys(MASTER)
    groups = dict(
        keys=keys.keys, vault=keys.vault, names=names.names, small=small.small, large=large.large, keyfile=keyfile.keyfile,
        recovery=keyfile.recovery, commits=seals.commits, notices=seals.notices)
    made = {name: cases(k) for name, cases in groups.items()}
    return {name: name_rules(name, rows) if isinstance(rows, list) else rows for name, rows in made.items()}
