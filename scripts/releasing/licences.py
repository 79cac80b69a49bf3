"""The licences of all that is linked: of the crates by `cargo about`, and behind them of the C libraries, of Rust's own library
and of libc.

    python3 -m releasing.licences ZIG OF_CRATES OUT TARGET=BINARY..
"""

import sys
from pathlib import Path

from . import linked

RUST = """The Rust standard library is licensed, as sharelock is, under MIT or Apache-2.0, as you like (LICENSE-MIT, LICENSE-APACHE).
Copyright (c) The Rust Project Contributors, https://rust-lang.org.
"""


def main(zig: str, of_crates: str, out: str, *binaries: str) -> None:
    text = Path(of_crates).read_text()
    libraries = {}
    for pair in binaries:
        target, binary = pair.split("=", 1)
        for library in linked.c_libraries(target, Path(binary), Path(zig)):
            libraries[library.name, library.version] = library
        # What is linked and what is told of must not drift apart.
        untold = sorted(f"{n} {v}" for n, v in linked.crates(target) if f"\n  {n} {v}\n" not in text)
        if untold:
            raise linked.Wrong(f"no licence of {', '.join(untold)}")
    version, _ = linked.rust()
    parts = [(f"{library.name} {library.version} ({library.licence})", library.text) for _, library in sorted(libraries.items())]
    for title, words in [*parts, (f"rust-std {version} (MIT OR Apache-2.0)", RUST)]:
        text += f"\n{'=' * 78}\n{title}\n{'-' * 78}\n\n{words.strip()}\n"
    Path(out).write_text(text)
    print(f"{out}: {len(text) // 1024} KiB")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except linked.Wrong as e:
        sys.exit(f"licences: {e}")
