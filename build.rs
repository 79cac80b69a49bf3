//! A static ARM binary starts in `src/entry.rs`, which says so where the processor is too old for it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(entry, values(\"armv6\", \"armv7\"))");
    let target = std::env::var("TARGET").unwrap_or_default();
    let entry = match target.as_str() {
        "armv7-unknown-linux-musleabihf" => "armv7",
        "arm-unknown-linux-musleabihf" => "armv6",
        _ => return,
    };
    println!("cargo::rustc-cfg=entry=\"{entry}\"");
    println!("cargo::rustc-link-arg-bins=-Wl,-e,sharelock_entry");
}
