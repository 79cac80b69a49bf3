"""The licences of all that is linked: of crates, C libraries, Rust's own library and libc, each with its words. Which licences are
allowed is for `cargo deny`.

    python3 -m releasing.licences ZIG OUT TARGET=BINARY..
"""

import sys
from pathlib import Path

from . import linked

HEAD = """sharelock is licensed under MIT or Apache-2.0, as you like: LICENSE-MIT, LICENSE-APACHE. Linked into its binaries are the parts
below, each with its licence.
"""

RUST = """The Rust standard library is licensed, as sharelock is, under MIT or Apache-2.0, as you like (LICENSE-MIT, LICENSE-APACHE).
Copyright (c) The Rust Project Contributors, https://rust-lang.org.
"""

# How files begin that hold licences, notices, and who wrote it.
NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE", "AUTHORS")


def words(package: dict) -> list[str]:
    """What a crate says of its licence, file by file."""
    root = Path(package["manifest_path"]).parent
    places = [root, *(p for p in (root / "LICENSES", root / "license", root / "licenses") if p.is_dir())]
    files = sorted(f for place in places for f in place.iterdir() if f.is_file())
    # A crate's licence is the one thing in a folder of that name.
    own = [f for f in files if f.parent != root or f.name.upper().startswith(NAMES) and f.suffix.lower() not in (".rs", ".html")]
    texts = [f.read_text(errors="replace").strip() for f in own]
    if texts:
        return texts
    # It brings no file along: then it is what it says, with who says so.
    authors = ", ".join(package["authors"]) or f"its authors, {package['repository'] or package['homepage']}"
    return [f"{package['license']}, whose words stand elsewhere in this file. Copyright (c) {authors}"]


def main(zig: str, out: str, *binaries: str) -> None:
    # Many bring along the same words: once, below the names of all of them.
    by_words: dict[str, tuple[str, list[str]]] = {}
    libraries = {}
    seen = set()
    for pair in binaries:
        target, binary = pair.split("=", 1)
        for at, package in linked.crates(target).items():
            if at not in seen:
                seen.add(at)
                for text in words(package):
                    _, names = by_words.setdefault(" ".join(text.split()), (text, []))
                    names.append(f"{at[0]} {at[1]} ({package['license']})")
        for library in linked.c_libraries(target, Path(binary), Path(zig)):
            libraries[library.name, library.version] = library
    version, _ = linked.rust()
    parts = sorted((sorted(set(names)), text) for text, names in by_words.values())
    parts += [([f"{library.name} {library.version} ({library.licence})"], library.text) for _, library in sorted(libraries.items())]
    parts.append(([f"rust-std {version} (MIT OR Apache-2.0)"], RUST))
    line = "=" * 78
    text = HEAD + "".join(f"\n{line}\n" + "\n".join(names) + f"\n{'-' * 78}\n\n{words.strip()}\n" for names, words in parts)
    Path(out).write_text(text)
    print(f"{out}: {len(seen)} crates, {len(libraries)} C libraries, {len(text) // 1024} KiB")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except linked.Wrong as e:
        sys.exit(f"licences: {e}")
