//! FORMAT.md and what holds it: every rule that rejects has a vector or a test, and every vector stands for a rule.
#![allow(clippy::unwrap_used)]

use sharelock::clock::Time;
use sharelock::crypt::head::{FileHead, HeadKind};
use sharelock::crypt::name::{self, EntryKind};
use sharelock::crypt::{Master, VaultKeys, small};
use sharelock::error::{Class, Kind, Result};
use sharelock::files::Files;
use sharelock::files::real::Disk;
use sharelock::git::Type;
use sharelock::git::store::Store;
use sharelock::id::{Id, Oid};
use sharelock::mirror::sealed;
use sharelock::tree::Writer;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Rules about more than one object's bytes, and the tests that hold them.
const TESTS: [(&str, &str, &str); 14] = [
    ("vault:id", "tests/refusals.rs", "another_vault"),
    ("name:disk-kind", "tests/format_rules.rs", "a_tree_holds_entries_of_their_kinds"),
    ("name:other", "tests/format_rules.rs", "a_tree_holds_entries_of_their_kinds"),
    ("head:place", "tests/format_rules.rs", "a_keeper_stands_where_keepers_stand"),
    ("commit:before-parent", "src/mirror/history.rs", "each_child_of_a_parent_is_checked_against_it"),
    ("commit:height", "src/mirror/history.rs", "a_height_is_one_above_the_greatest_of_the_parents"),
    ("commit:old-key", "src/crypt/tests/seals.rs", "a_child_is_not_before_its_parent"),
    ("remote:sealed", "tests/refusals.rs", "an_unsealed_commit"),
    ("remote:staging", "tests/refusals.rs", "half_of_a_push"),
    ("remote:root", "tests/refusals.rs", "another_vault"),
    ("remote:rollback", "tests/refusals.rs", "rolled_back"),
    ("remote:tree", "tests/format_rules.rs", "a_tree_holds_entries_of_their_kinds"),
    ("unsealed:generation", "tests/refusals.rs", "old_and_altered_files_in_secure_are_not_taken_over"),
    ("unsealed:moved", "tests/unsealed.rs", "an_entry_of_before_a_rename_is_not_taken_over"),
];
/// The same for git's objects.
const GIT: [(&str, &str, &str); 2] =
    [("remote:modes", "src/git/object.rs", "trees_that_may_not_be"), ("pack:size", "tests/git_compat/ingest.rs", "refused_by_name")];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The rules of FORMAT.md, with the lines that name them.
fn rules() -> BTreeMap<String, Vec<String>> {
    let text = read("src/crypt/FORMAT.md");
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        for word in line.split('`').skip(1).step_by(2) {
            let parts: Vec<&str> = word.split(':').collect();
            let plain = |s: &str| !s.is_empty() && s.bytes().all(|c| c.is_ascii_lowercase() || c == b'-');
            if let [object, rule] = parts[..]
                && plain(object)
                && plain(rule)
                && word != "object:rule"
            {
                out.entry(word.to_string()).or_default().push(line.to_string());
            }
        }
    }
    out
}

#[test]
fn every_rule_is_held_and_every_vector_stands_for_one() {
    let rules = rules();
    assert!(rules.len() > 100, "{}", rules.len());
    let mut held = BTreeSet::new();
    for group in ["vault", "names", "small", "large", "keyfile", "recovery", "commits", "notices"] {
        let rows: serde_json::Value = serde_json::from_str(&read(&format!("tests/vectors/{group}.json"))).unwrap();
        for row in rows.as_array().unwrap() {
            let (what, class, rule) =
                if row.is_array() { (&row[0], &row[2], &row[3]) } else { (&row["what"], &row["reject"], &row["rule"]) };
            let Some(class) = class.as_str() else { continue };
            let rule = rule.as_str().unwrap_or_else(|| panic!("{group}: {what} stands for no rule"));
            let lines = rules.get(rule).unwrap_or_else(|| panic!("{group}: {what} stands for {rule}, which FORMAT.md does not have"));
            let said = ["auth", "form", "version", "limit", "absent", "stale", "secret"];
            // Between the names of rules: those are words, too.
            let says = |line: &String, class: &str| {
                line.split('`').step_by(2).collect::<String>().split(|c: char| !c.is_ascii_lowercase()).any(|w| w == class)
            };
            let silent = lines.iter().all(|l| !said.iter().any(|c| says(l, c)));
            assert!(silent || lines.iter().any(|l| says(l, class)), "{group}: {what}: {class} is not what FORMAT.md says of {rule}");
            held.insert(rule.to_string());
        }
    }
    for (rule, file, test) in TESTS.into_iter().chain(GIT) {
        assert!(rules.contains_key(rule), "{rule}");
        assert!(read(file).contains(&format!("fn {test}(")), "{rule}: {test} is not in {file}");
        held.insert(rule.to_string());
    }
    let open: Vec<&String> = rules.keys().filter(|r| !held.contains(*r)).collect();
    assert!(open.is_empty(), "rules that nothing holds: {open:?}");
}

struct Vault {
    keys: VaultKeys,
    git: Store<Disk>,
    _temp: tempfile::TempDir,
}

fn vault() -> Vault {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::open(temp.path()).unwrap();
    let git = Store::init(&disk, &disk.root(), true).unwrap();
    Vault { keys: VaultKeys::new(&Master::from_bytes(&[9; 32])), git, _temp: temp }
}

impl Vault {
    fn put(&self, kind: Type, content: &[u8]) -> Oid {
        let mut pack = self.git.pack_writer().unwrap();
        let oid = pack.add(kind, content).unwrap();
        pack.finish().unwrap();
        oid
    }

    fn list(&self, mode: &str, entry: &str) -> Result<Vec<sealed::Item>> {
        let tree = self.put(Type::Tree, &[mode.as_bytes(), b" ", entry.as_bytes(), b"\0", &[7; 20]].concat());
        sealed::list(&self.git, &self.keys, &Id::ROOT, &tree)
    }
}

fn class<T: std::fmt::Debug>(r: Result<T>) -> Class {
    match r.unwrap_err().kind() {
        Kind::Integrity(c) => c,
        k => panic!("{k:?} where an object must be refused"),
    }
}

#[test]
fn a_tree_holds_entries_of_their_kinds() {
    let v = vault();
    let (file, dir) = ("100644", "40000");
    let name = |kind, parent| name::seal(&v.keys, parent, kind, &Id([1; 16]), b"x").entry.to_string();
    for (kind, right, wrong) in [(EntryKind::Dir, dir, file), (EntryKind::Small, file, dir), (EntryKind::Large, dir, file)] {
        let entry = name(kind, &Id::ROOT);
        assert_eq!(v.list(right, &entry).unwrap()[0].kind, kind);
        assert_eq!(class(v.list(wrong, &entry)), Class::Form, "{kind:?}");
        assert_eq!(class(v.list("120000", &entry)), Class::Form, "{kind:?}");
        // Of another directory: planted or moved.
        assert_eq!(class(v.list(right, &name(kind, &Id([2; 16])))), Class::Auth, "{kind:?}");
    }
    assert!(v.list(file, "vault").unwrap().is_empty());
    for (mode, other) in [(file, ".bashrc"), (file, "vault2"), (dir, "vault"), (file, "x.new"), (file, "x.stray-1"), (dir, "head")] {
        assert_eq!(class(v.list(mode, other)), Class::Form, "{other}");
    }
}

#[test]
fn a_keeper_stands_where_keepers_stand() {
    let v = vault();
    let id = Id([1; 16]);
    let file = FileHead { mtime: Time { s: 1, ns: 0 }, ..FileHead::file(id, Writer::new("pi"), 0, 0) };
    for mut head in [FileHead::keeper(id), file] {
        let (keeper, mut object) = (head.kind == HeadKind::Keeper, Vec::new());
        small::seal(&v.keys, &mut head, b"", &mut object).unwrap();
        let oid = v.put(Type::Blob, &object);
        for kind in [EntryKind::Small, EntryKind::Keeper] {
            let item = sealed::Item { kind, id, name: None, oid };
            let got = sealed::version(&v.git, &v.keys, &item);
            match keeper == (kind == EntryKind::Keeper) {
                true => assert_eq!(got.unwrap().is_none(), keeper),
                false => assert_eq!(class(got), Class::Form, "{kind:?}"),
            }
        }
    }
}
