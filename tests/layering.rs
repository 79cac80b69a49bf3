//! Who may import whom (the arrows of `src/lib.rs` point one way).
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// Rooms, from the top down: a room may use those of later rows, and itself.
const ROWS: &[&[&str]] = &[
    &["main", "entry"],
    &["cli"],
    &["agent"],
    &["mirror", "state", "watch", "git", "ssh", "xmpp", "config", "report"],
    &["crypt", "tree"],
    &["files", "clock", "path", "id", "error", "units"],
];

fn row(room: &str) -> Option<usize> {
    ROWS.iter().position(|r| r.contains(&room))
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for e in std::fs::read_dir(dir).unwrap() {
        let p = e.unwrap().path();
        if p.is_dir() {
            sources(&p, out);
        } else if p.extension().is_some_and(|e| e == "rs") {
            out.push(p);
        }
    }
}

/// Rooms that a source names behind `crate::`.
fn imports(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + 7..];
            if let Some(group) = rest.strip_prefix('{') {
                out.extend(group.split(',').map(|p| p.trim().split("::").next().unwrap_or_default().trim_end_matches('}').to_string()));
            } else {
                out.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            }
        }
    }
    out
}

#[test]
fn imports_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in &files {
        let rel = file.strip_prefix(&src).unwrap();
        let room = rel.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_string();
        if room == "lib" || room == "sim" {
            continue;
        }
        let here = row(&room).unwrap_or_else(|| panic!("{room} has no row"));
        for used in imports(&std::fs::read_to_string(file).unwrap()) {
            seen += 1;
            if used == "sim" {
                // Unit tests may stand on the seams' twins; nothing that ships may.
                if rel.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs") {
                    continue;
                }
                wrong.push(format!("{}: nothing imports sim", rel.display()));
            } else if let Some(there) = row(&used) {
                let pure = ["crypt", "tree"].contains(&room.as_str());
                let io = used == "files" && pure;
                let git_knows = room == "git" && ["ssh", "crypt", "mirror", "state", "tree"].contains(&used.as_str());
                if there < here || io || git_knows {
                    wrong.push(format!("{} uses {used}", rel.display()));
                }
            }
        }
    }
    assert!(seen > 200, "the test reads imports: {seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_round_names_no_executor_and_unsafe_stays_in_its_leaves() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let rel = file.strip_prefix(&src).unwrap().display().to_string();
        let code: String = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
        let waits = ["watch/", "ssh/", "xmpp/client"].iter().any(|room| rel.starts_with(room));
        let loops = rel.starts_with("agent/") && !["round", "exchange", "schedule"].iter().any(|f| rel == format!("agent/{f}.rs"));
        if !waits && !loops {
            assert!(!code.contains("smol") && !code.contains("async "), "{rel}");
        }
        assert!(!code.contains("asm!") || rel == "entry.rs", "assembly in {rel}");
        if code.contains("unsafe {") {
            assert!(
                ["agent/heap.rs", "clock/zone.rs", "crypt/lock.rs", "watch/fsevents/stream.rs"].contains(&rel.as_str()),
                "unsafe in {rel}"
            );
        }
    }
}

/// On 32-bit ARM with musl, std's clock ends the program from 2038 on.
#[test]
fn the_time_is_asked_of_the_clock() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut asked = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        // Tests at the end of a file, and files of tests, run today.
        let ships = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let rel = file.strip_prefix(&src).unwrap().display().to_string();
        if !rel.contains("tests") && ["SystemTime", "UNIX_EPOCH", "UnixTime::now", "libc::time("].iter().any(|now| ships.contains(now)) {
            asked.push(rel);
        }
    }
    assert!(asked.is_empty(), "{asked:?}");
}
