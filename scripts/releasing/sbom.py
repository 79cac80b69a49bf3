"""The SBOM of a binary (CycloneDX 1.5): crates, C libraries, Rust's own library and libc. It is checked against CycloneDX's schema.

    python3 -m releasing.sbom TARGET BINARY ZIG OUT
"""

import datetime
import hashlib
import json
import os
import sys
import uuid
from pathlib import Path

from . import linked


def component(ref: str, name: str, version: str, licence: str, source: str) -> dict:
    return {
        "type": "library",
        "bom-ref": ref,
        "name": name,
        "version": version,
        "licenses": [{"expression": licence}] if " " in licence else [{"license": {"id": licence}}],
        "purl": ref,
        "properties": [{"name": "sharelock:source", "value": source}],
    }


def of_crate(at: tuple[str, str], package: dict) -> dict:
    name, version = at
    # Some write MIT/Apache-2.0, which SPDX has given up.
    licence = package["license"].replace("/", " OR ")
    out = component(f"pkg:cargo/{name}@{version}", name, version, licence, package["source"])
    out["hashes"] = [{"alg": "SHA-256", "content": linked.checksums()[at]}]
    return out


def of_library(library: linked.Library) -> dict:
    ref = f"pkg:generic/{library.name}@{library.version}"
    out = component(ref, library.name, library.version, library.licence, library.source)
    # What follows `_` is not of its number.
    number = library.version.split("_")[0]
    return out | {"cpe": f"cpe:2.3:a:{library.cpe}:{number}:*:*:*:*:*:*:*"}


def make(target: str, binary: Path, libraries: list[linked.Library]) -> dict:
    crates = linked.crates(target)
    metadata = linked.metadata(target)
    own = next(p for p in metadata["packages"] if p["name"] == "sharelock")
    me = f"pkg:generic/sharelock@{own['version']}"
    program = {
        "type": "application",
        "bom-ref": me,
        "name": "sharelock",
        "version": own["version"],
        "description": own["description"],
        "licenses": [{"expression": own["license"]}],
        "purl": me,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(binary.read_bytes()).hexdigest()}],
        "properties": [{"name": "sharelock:target", "value": target}],
    }
    version, commit = linked.rust()
    rust = component(f"pkg:generic/rust-std@{version}", "rust-std", version, "MIT OR Apache-2.0", f"rust-lang/rust {commit}")
    components = [*(of_crate(*c) for c in crates.items()), *map(of_library, libraries), rust]

    # Who calls whom.
    ref_of = {p["id"]: f"pkg:cargo/{n}@{v}" for (n, v), p in crates.items()} | {own["id"]: me}
    calls = {c["bom-ref"]: set() for c in [program, *components]}
    for node in metadata["resolve"]["nodes"]:
        if node["id"] in ref_of:
            calls[ref_of[node["id"]]] |= {ref_of[d["pkg"]] for d in node["deps"] if d["pkg"] in ref_of}
    calls[me].add(rust["bom-ref"])
    crate_refs = {n: f"pkg:cargo/{n}@{v}" for n, v in crates}
    for library, c in zip(libraries, map(of_library, libraries)):
        calls[crate_refs[library.crate] if library.crate else rust["bom-ref"]].add(c["bom-ref"])

    made = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    out = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": program},
        "components": sorted(components, key=lambda c: (c["name"], c["version"])),
        "dependencies": [{"ref": r, "dependsOn": sorted(on)} if on else {"ref": r} for r, on in sorted(calls.items())],
    }
    # A number of its own, and the same one for the same contents.
    out["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(out, sort_keys=True))}"
    return out


def check(text: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    wrong = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if wrong:
        raise linked.Wrong(f"not as CycloneDX's schema has it: {wrong}")


def main(target: str, binary: str, zig: str, out: str) -> None:
    libraries = linked.c_libraries(target, Path(binary), Path(zig))
    sbom = make(target, Path(binary), libraries)
    text = json.dumps(sbom, indent=1, ensure_ascii=False) + "\n"
    if str(Path.home()) + "/" in text or str(Path.cwd()) in text:
        raise linked.Wrong("it names folders of this machine")
    check(text)
    Path(out).write_text(text)
    shown = ", ".join(f"{library.name} {library.version}" for library in libraries)
    print(f"{out}: {len(sbom['components'])} parts; in C: {shown}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except linked.Wrong as e:
        sys.exit(f"sbom: {e}")
