"""What is linked into a static binary: crates, C libraries with the versions that the binary itself shows, Rust's own
library, and libc."""

import json
import re
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


class Wrong(Exception):
    """Something is not as a release needs it."""


@dataclass
class Library:
    """A library in C."""

    name: str
    version: str
    # An SPDX expression.
    licence: str
    text: str
    # Where its sources come from.
    source: str
    # The crate that calls it, by its name; nothing: Rust's own library.
    crate: str
    # Vendor and product in the names of CVEs.
    cpe: str


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], check=True, capture_output=True, text=True).stdout


@cache
def metadata(target: str) -> dict:
    """What cargo knows of a build."""
    return json.loads(cargo("metadata", "--format-version=1", "--locked", "--filter-platform", target))


@cache
def crates(target: str) -> dict[tuple[str, str], dict]:
    """What is linked, as cargo knows it, by name and version: no build scripts, no macros, no tests; not sharelock itself."""
    tree = cargo("tree", "--locked", "--target", target, "--edges=no-build,no-dev,no-proc-macro", "--prefix=none", "--format={p}")
    wanted = {(name, version.removeprefix("v")) for name, version in (line.split()[:2] for line in tree.splitlines())}
    known = {(p["name"], p["version"]): p for p in metadata(target)["packages"]}
    return {at: known[at] for at in sorted(wanted) if at[0] != "sharelock"}


@cache
def checksums() -> dict[tuple[str, str], str]:
    """The SHA-256 sums of Cargo.lock."""
    packages = tomllib.loads(Path("Cargo.lock").read_text())["package"]
    return {(p["name"], p["version"]): p["checksum"] for p in packages if "checksum" in p}


def defined(header: Path, name: str) -> str:
    """The text of a macro in a header."""
    found = re.search(rf'#define\s+{name}\s+"([^"]+)"', header.read_text(errors="replace"))
    if not found:
        raise Wrong(f"{header} does not define {name}")
    return found.group(1)


def c_libraries(target: str, binary: Path, zig: Path) -> list[Library]:
    """The C libraries in a binary. Each shows itself in it; one that does not is not there, or not of that version."""
    inside = binary.read_bytes()
    linked = {name for name, _ in crates(target)}
    at = {p["name"]: (Path(p["manifest_path"]).parent, f"crate {p['name']} {p['version']}") for p in metadata(target)["packages"]}
    found = []

    def needs(shown: str, name: str) -> None:
        if shown.encode() not in inside:
            raise Wrong(f"{binary}: {name} does not show itself by {shown!r}: another version is linked?")

    if "openssl-sys" in linked:
        root, source = at["openssl-src"]
        parts = dict(line.split("=", 1) for line in (root / "openssl/VERSION.dat").read_text().splitlines() if "=" in line)
        version = ".".join(parts[part] for part in ("MAJOR", "MINOR", "PATCH")) + parts["PRE_RELEASE_TAG"].strip('"')
        needs(f"{version}\0", "OpenSSL")
        text = (root / "openssl/LICENSE.txt").read_text()
        found.append(Library("openssl", version, "Apache-2.0", text, source, "openssl-sys", "openssl:openssl"))
    if "libssh2-sys" in linked:
        root, source = at["libssh2-sys"]
        version = defined(root / "libssh2/include/libssh2.h", "LIBSSH2_VERSION")
        needs(f"libssh2_{version}", "libssh2")
        text = (root / "libssh2/COPYING").read_text()
        found.append(Library("libssh2", version, "BSD-3-Clause", text, source, "libssh2-sys", "libssh2:libssh2"))
    if "libz-sys" in linked:
        root, source = at["libz-sys"]
        version = defined(root / "src/zlib/zlib.h", "ZLIB_VERSION")
        # libssh2 calls it only where it was built with it.
        if b" Mark Adler " in inside:
            needs(f"flate {version} Copyright", "zlib")
            found.append(Library("zlib", version, "Zlib", (root / "src/zlib/LICENSE").read_text(), source, "libz-sys", "zlib:zlib"))
    root, source = at["libsqlite3-sys"]
    version = defined(root / "sqlite3/sqlite3.h", "SQLITE_VERSION")
    needs(defined(root / "sqlite3/sqlite3.h", "SQLITE_SOURCE_ID"), "SQLite")
    text = "SQLite is in the public domain (https://www.sqlite.org/copyright.html).\n"
    found.append(Library("sqlite", version, "blessing", text, source, "libsqlite3-sys", "sqlite:sqlite"))

    # What zig links below all of that.
    said = subprocess.run([zig / "zig", "version"], check=True, capture_output=True, text=True).stdout.strip()
    source = f"zig {said}"
    musl = zig / "lib/libc/musl"
    version = defined(musl / "src/internal/version.h", "VERSION")
    found.append(Library("musl", version, "MIT", (musl / "COPYRIGHT").read_text(), source, "", "musl-libc:musl"))
    found.append(Library("zig-compiler-rt", said, "MIT", (zig / "LICENSE").read_text(), source, "", "ziglang:zig"))
    if b"libunwind: " in inside:
        clang = subprocess.run([zig / "zig", "cc", "--version"], check=True, capture_output=True, text=True).stdout
        version = re.search(r"clang version ([0-9.]+)", clang).group(1)
        text = (zig / "lib/libunwind/LICENSE.TXT").read_text()
        found.append(Library("llvm-libunwind", version, "Apache-2.0 WITH LLVM-exception", text, source, "", "llvm:libunwind"))
    return found


def rust() -> tuple[str, str]:
    """Version and commit of Rust's own library."""
    said = subprocess.run(["rustc", "--version", "--verbose"], check=True, capture_output=True, text=True).stdout
    facts = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    return facts["release"], facts["commit-hash"]
