"""The SBOM of a binary (CycloneDX 1.5): what `cargo cyclonedx` says, without what only builds, with the C libraries, Rust's own
library and libc. It is checked against CycloneDX's schema.

    python3 -m releasing.sbom TARGET BINARY ZIG OF_CARGO OUT
"""

import hashlib
import json
import sys
import uuid
from pathlib import Path

from . import linked


def generic(library: linked.Library) -> dict:
    out = {
        "type": "library",
        "bom-ref": f"pkg:generic/{library.name}@{library.version}",
        "name": library.name,
        "version": library.version,
        "licenses": [{"license": {"id": library.licence}}],
        "purl": f"pkg:generic/{library.name}@{library.version}",
        "properties": [{"name": "sharelock:source", "value": library.source}],
    }
    if library.cpe:
        out["cpe"] = f"cpe:2.3:a:{library.cpe}:{library.version.split('_')[0]}:*:*:*:*:*:*:*"
    return out


def make(target: str, binary: Path, zig: Path, of_cargo: dict) -> dict:
    crates = linked.crates(target)
    components = [c for c in of_cargo["components"] if (c["name"], c["version"]) in crates]
    missing = crates - {(c["name"], c["version"]) for c in components}
    if missing:
        raise linked.Wrong(f"cargo cyclonedx does not know what cargo tree shows: {sorted(missing)}")
    libraries = linked.c_libraries(target, binary, zig)
    components += [generic(library) for library in libraries]
    version, commit = linked.rust()
    rust = f"pkg:generic/rust-std@{version}"
    components.append(
        {
            "type": "library",
            "bom-ref": rust,
            "name": "rust-std",
            "version": version,
            "licenses": [{"expression": "MIT OR Apache-2.0"}],
            "purl": rust,
            "properties": [{"name": "sharelock:source", "value": f"rust-lang/rust {commit}"}],
        }
    )

    program = of_cargo["metadata"]["component"]
    # What cargo calls it names a folder of the machine that built it.
    ref = f"pkg:generic/sharelock@{program['version']}"
    program = {k: v for k, v in program.items() if k not in ("components", "purl", "bom-ref")} | {
        "type": "application",
        "bom-ref": ref,
        "purl": ref,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(binary.read_bytes()).hexdigest()}],
        "properties": [{"name": "sharelock:target", "value": target}],
    }
    old = of_cargo["metadata"]["component"]["bom-ref"]
    known = {c["bom-ref"] for c in components} | {ref}
    dependencies = {}
    for d in of_cargo["dependencies"]:
        of = ref if d["ref"] == old else d["ref"]
        if of in known:
            dependencies[of] = sorted(on for on in d.get("dependsOn", []) if on in known)
    by_name = {c["name"]: c["bom-ref"] for c in components}
    for library in libraries:
        dependencies[by_name[library.name]] = []
        caller = by_name[library.crate] if library.crate else rust
        dependencies[caller] = sorted([*dependencies.get(caller, []), by_name[library.name]])
    dependencies[ref] = sorted([*dependencies.get(ref, []), rust])

    out = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": of_cargo["metadata"] | {"component": program},
        "components": sorted(components, key=lambda c: (c["name"], c["version"])),
        "dependencies": [{"ref": r, "dependsOn": on} if on else {"ref": r} for r, on in sorted(dependencies.items())],
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


def main(target: str, binary: str, zig: str, of_cargo: str, out: str) -> None:
    sbom = make(target, Path(binary), Path(zig), json.loads(Path(of_cargo).read_text()))
    text = json.dumps(sbom, indent=1, ensure_ascii=False) + "\n"
    here = str(Path.home())
    if here in text or str(Path.cwd()) in text:
        raise linked.Wrong("it names folders of this machine")
    check(text)
    Path(out).write_text(text)
    shown = ", ".join(f"{library.name} {library.version}" for library in linked.c_libraries(target, Path(binary), Path(zig)))
    print(f"{out}: {len(sbom['components'])} components; in C: {shown}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except linked.Wrong as e:
        sys.exit(f"sbom: {e}")
