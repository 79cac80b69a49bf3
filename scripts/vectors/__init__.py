"""The vault format a second time, written from src/crypt/FORMAT.md alone.

Nothing of sharelock itself is used. `primitives`, `names`, `files`, `keyfile` and `seals` each seal and open what their
sections of FORMAT.md describe; `cases` makes of them the vectors of tests/vectors, `rules` says which rule of FORMAT.md
each of them that must be refused stands for.
"""
