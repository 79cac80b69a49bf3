//! What somebody puts into secure without a seal, by hand, where FORMAT 10 draws the line.
#![allow(clippy::unwrap_used)]

mod support;

use support::Home;

#[test]
fn an_entry_of_before_a_rename_is_not_taken_over() {
    let a = Home::new();
    a.write("x.txt", "one\n");
    a.write("y.txt", "two\n");
    a.init(&a.path("node.git").display().to_string());
    let entry = |name: &str| a.path("secure").join(a.ok(["name", "encrypt", name]).trim());
    let old = entry("x.txt");
    let bytes = std::fs::read(&old).unwrap();
    std::fs::rename(a.share("x.txt"), a.share("z.txt")).unwrap();
    a.ok(["sync"]);
    let new = entry("z.txt");
    assert!(!old.exists() && std::fs::read(&new).unwrap() == bytes, "a rename touches no content");
    // The old entry comes back, beside the new one: its id stands in its place, so this is no rename.
    std::fs::write(&old, &bytes).unwrap();
    for _ in 0..2 {
        let r = a.run(["sync"]);
        assert!(r.code == 1 && r.err.contains("not taken over"), "{}{}", r.out, r.err);
        assert!(!a.share("x.txt").exists() && a.read("z.txt") == "one\n");
        assert!(old.exists(), "what is refused is kept");
    }
    // With the other one gone it is one.
    std::fs::remove_file(&new).unwrap();
    a.ok(["sync"]);
    assert!(a.read("x.txt") == "one\n" && !a.share("z.txt").exists());
    a.ok(["verify"]);
}
