//! What tells of the command line (manual page, README's tables, `--help`) and its one source, the argument structs.
#![allow(clippy::unwrap_used)]

mod support;

use sharelock::cli::reference::{self, Takes, man, options, table, value, verbs};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Home, PROGRAM, ran};

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn each_argument_says_what_it_takes_and_each_verb_has_an_example() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let program = reference::program();
    let globals = options(&program).map(|f| ("an option before the verb".to_string(), value(f)));
    let mut names: Vec<(String, Option<&str>)> = globals.collect();
    for v in verbs() {
        names.extend(options(&v.info).map(|f| (format!("{} {}", v.words, f.long), value(f))));
        names.extend(v.info.positionals.iter().map(|p| (v.words.clone(), Some(p.name))));
        // One that can be typed: it is this verb's.
        let own = v.info.examples.iter().any(|e| e.starts_with(&format!("sharelock {}", v.words)));
        wrong.extend((!own).then(|| format!("{} has no example of its own", v.words)));
        wrong.extend(v.info.description.contains("example:").then(|| format!("{}: its example is a field, no text", v.words)));
    }
    for (place, name) in names {
        seen += 1;
        wrong.extend(
            name.filter(|n| Takes::named(n).is_none()).map(|n| format!("{place}: <{n}> says nothing (src/cli/reference/takes.rs)")),
        );
    }
    assert!(seen > 40, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn readme_has_every_verb_and_exit_code() {
    let table = table::of_verbs();
    assert!(table.lines().count() > 30 && table.contains("| `remote add [--create] "), "{table}");
    assert!(readme().contains(&table), "README's table of verbs is to be this one:\n{table}");
    let codes = table::of_exit_codes();
    let section = readme().split("## Exit codes\n").nth(1).unwrap().split("\n## ").next().unwrap().replace('\n', " ");
    assert_eq!(section.trim(), format!("{codes}."));
}

/// Each verb's `--help`, and what the table says of it.
#[test]
fn help_is_everywhere_with_an_example() {
    let h = Home::new();
    let all = h.ok(["--help"]);
    for v in verbs() {
        let words: Vec<&str> = v.words.split(' ').chain(["--help"]).collect();
        let help = h.ok(&words);
        let flat = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat(&help).contains(&flat(v.info.description)), "{help}");
        assert!(help.contains(&format!("Examples:\n  {}", v.info.examples[0])), "{help}");
        if !v.words.contains(' ') {
            assert!(flat(&all).contains(&format!("{} {}", v.words, flat(v.info.description))), "{all}");
        }
    }
    assert!(all.contains("\n  6 integrity (tampering, rollback, damage)"), "{all}");
}

/// Runs a program on the manual page.
fn on_page(program: &str, args: &[&str], page: &str) -> support::Ran {
    let mut c = Command::new(program);
    c.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = c.spawn().unwrap_or_else(|e| panic!("apt-get install {program}: {e}"));
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    ran(child.wait_with_output().unwrap())
}

#[test]
fn the_manual_page_is_clean_and_tells_everything() {
    let page = ran(Command::new(PROGRAM).arg("man").output().unwrap()).out;
    assert_eq!(page, man::page());
    let lint = on_page("mandoc", &["-Tlint", "-Wwarning"], &page);
    assert_eq!((lint.code, lint.out.as_str(), lint.err.as_str()), (0, "", ""));
    let text = on_page("mandoc", &["-Tutf8", "-Owidth=200"], &page).out;
    // Bold and underlined letters are typed over.
    let text: String = text.split_inclusive('\u{8}').fold(String::new(), |mut out, part| {
        out.push_str(part);
        if out.ends_with('\u{8}') {
            out.pop();
            out.pop();
        }
        out
    });
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for v in verbs() {
        assert!(flat.contains(&v.words), "{}", v.words);
        let told = v.info.description.trim_end_matches(['.', '?']);
        assert!(flat.contains(told.get(1..).unwrap()), "{told}: {flat}");
        for f in options(&v.info) {
            assert!(flat.contains(f.long), "{}", f.long);
        }
        assert!(flat.contains(v.info.examples[0]), "{}", v.info.examples[0]);
    }
}

#[test]
fn there_is_no_completion_for_another_shell() {
    let r = ran(Command::new(PROGRAM).args(["completions", "csh"]).env("HOME", "/nonexistent").output().unwrap());
    assert_eq!((r.code, r.err.as_str()), (2, "sharelock: there is no completion for \"csh\": bash, zsh or fish\n"));
}
