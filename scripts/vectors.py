#!/usr/bin/env python3
"""The vault format a second time, written from src/crypt/FORMAT.md alone.

    vectors.py generate DIR     writes the test vectors (the same bytes each time)
    vectors.py check DIR        checks vectors against this implementation
    vectors.py decrypt SECURE OUT (--recovery-key-file F | --key-file F --password-file F)
                                decrypts a whole secure folder into the new folder OUT

Needs Python 3.9 and the package `cryptography` (44 or newer). Nothing of sharelock itself is used, so that nobody's
files depend on our binary. Section numbers are those of FORMAT.md.
"""

import sys

from vectors.cli import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
