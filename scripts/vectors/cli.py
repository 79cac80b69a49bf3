"""The command line of scripts/vectors.py."""

import argparse
import sys

from .check import check, generate
from .decrypt import decrypt
from .primitives import Reject


def main(doc):
    ap = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="verb", required=True)
    for verb in ("generate", "check"):
        sub.add_parser(verb).add_argument("dir")
    d = sub.add_parser("decrypt")
    d.add_argument("secure")
    d.add_argument("out")
    d.add_argument("--recovery-key-file")
    d.add_argument("--key-file")
    d.add_argument("--password-file")
    a = ap.parse_args()
    if a.verb == "decrypt":
        if not a.recovery_key_file and not (a.key_file and a.password_file):
            d.error("needs --recovery-key-file, or --key-file and --password-file")
        try:
            return decrypt(a)
        except (Reject, OSError) as e:
            print(f"vectors.py: {e}", file=sys.stderr)
            return 1
    return (generate if a.verb == "generate" else check)(a.dir)
