//! Ignore rules: `.sharelockignore` files in gitignore syntax, the configuration's list, and defaults (gitignore(5)).
//!
//! A path that is ignored counts as equal to the ancestor: it stays where it is, on every device, and is only no longer
//! followed. Later lists win: defaults, the configuration, then the files from the root down.

use super::Device;
use super::overlay::Overlay;
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::{Files, Traits};
use crate::git::store::read_small;
use crate::id::Id;
use crate::path::{RelPath, printable};
use crate::state::{State, Table};
use crate::tree::Place;
use bstr::ByteSlice;
use gix_glob::pattern::Case;
use gix_ignore::Search;
use gix_ignore::search::Ignore;
use std::collections::BTreeSet;
use std::path::PathBuf;
use unicode_normalization::UnicodeNormalization;

/// The file with rules, in any directory of the share; itself synced.
pub const FILE: &[u8] = b".sharelockignore";

/// What no device wants from another: editors' scratch files (vim, emacs, GNOME, LibreOffice, MS Office), and what file
/// managers leave behind.
const DEFAULTS: &str = ".sw[l-p]\n.*.sw[l-p]\n*~\n.#*\n\\#*\\#\n.goutputstream-*\n.~lock.*\\#\n~$*\n\
    .DS_Store\nThumbs.db\ndesktop.ini\n.Trash-*\n";

/// Longest file of rules that is read.
pub const LIMIT: u64 = 1 << 20;

/// Why a path is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The file (relative to the share), or `defaults`, `config`, or `sharelock` (its own files).
    pub source: String,
    /// Its line, from 1; 0 for sharelock's own.
    pub line: usize,
    /// The pattern as written there.
    pub pattern: String,
}

/// True for sharelock's own files in a share: the root's mark and temporary files. No rule makes them followed.
pub fn is_ours(name: &[u8]) -> bool {
    if name.starts_with(super::scan::ROOT_FILE) {
        return true;
    }
    let hex = |c: &u8| c.is_ascii_digit() || (b'a'..=b'f').contains(c);
    name.strip_prefix(b".sharelock-tmp-").is_some_and(|rest| rest.len() == 16 && rest.iter().all(hex))
}

/// The rules that apply to the directory that is being looked at.
pub struct Rules {
    search: Search,
    /// For each directory that was entered, whether it has rules.
    entered: Vec<bool>,
    /// The disk gives names back in another normal form: they are compared in NFC, in which people write rules.
    compose: bool,
}

const PARSE: Ignore = Ignore { support_precious: false };

impl Rules {
    /// The defaults and the configuration's list.
    pub fn new(config: &[String], disk: &Traits) -> Rules {
        let mut rules = Rules { search: Search::default(), entered: Vec::new(), compose: disk.folds_form };
        rules.add(DEFAULTS.as_bytes(), "defaults", None);
        rules.add(config.join("\n").as_bytes(), "config", None);
        rules
    }

    fn add(&mut self, bytes: &[u8], source: &str, base: Option<&RelPath>) {
        // The crate wants absolute paths to find a list's base; the share's root is `/` here.
        let root = base.map(|_| PathBuf::from("/"));
        let at = match base {
            Some(dir) => PathBuf::from(format!("/{dir}")).join(".sharelockignore"),
            None => PathBuf::from(source),
        };
        // `from_bytes` fails for no input; a list that it would not take has no rules.
        let _ = self.search.add_patterns_buffer(bytes, at, root.as_deref(), PARSE);
        if let Some(list) = self.search.patterns.last_mut() {
            if let Some(dir) = base.filter(|d| !d.is_root()) {
                let mut prefix = dir.as_bytes().to_vec();
                prefix.push(b'/');
                list.base = Some(prefix.into());
            } else {
                list.base = None;
            }
            list.source = Some(PathBuf::from(source));
        }
    }

    /// Enters a directory with the content of its rules' file, if it has one. Every `enter` has its [`Rules::leave`].
    pub fn enter(&mut self, dir: &RelPath, file: Option<&[u8]>) {
        self.entered.push(file.is_some());
        let Some(file) = file else { return };
        let source = match dir.is_root() {
            true => ".sharelockignore".to_string(),
            false => format!("{dir}/.sharelockignore"),
        };
        self.add(file, &source, Some(dir));
    }

    /// Leaves the directory last entered.
    pub fn leave(&mut self) {
        if self.entered.pop() == Some(true) {
            self.search.patterns.pop();
        }
    }

    /// Says whether a path is ignored, and by which rule. Its directories are not asked: who walks does not enter an
    /// ignored directory.
    pub fn matches(&self, path: &RelPath, is_dir: bool) -> Option<Reason> {
        let name = path.as_bytes().rsplit(|c| *c == b'/').next().unwrap_or_default();
        if is_ours(name) {
            return Some(Reason { source: "sharelock".into(), line: 0, pattern: printable(name) });
        }
        let composed = match std::str::from_utf8(path.as_bytes()) {
            Ok(text) if self.compose => Some(text.nfc().collect::<String>()),
            _ => None,
        };
        let path = composed.as_ref().map_or(path.as_bytes(), String::as_bytes);
        let m = self.search.pattern_matching_relative_path(path.as_bstr(), Some(is_dir), Case::Sensitive)?;
        (!m.pattern.is_negative()).then(|| Reason {
            source: m.source.map_or(String::new(), |s| s.display().to_string()),
            line: m.sequence_number,
            pattern: m.pattern.to_string(),
        })
    }
}

/// The rules' file of a directory. One that cannot be read, or is none, has no rules; the scan reports it as any file.
pub fn read_rules<F: Files>(share: &F, dir: &F::Dir) -> Result<Option<Vec<u8>>> {
    match read_small(share, dir, FILE, LIMIT) {
        Err(e) if e.is_stopped() => Err(e),
        other => Ok(other.unwrap_or(None)),
    }
}

/// The places at which ancestor and head differ and that this device does not follow: head's changes there are not
/// applied, and the ancestor stays (MERGE 3).
pub fn unfollowed<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>) -> Result<BTreeSet<Place>> {
    let mut out = BTreeSet::new();
    let mut dir: Option<(Id, Option<(RelPath, Rules)>)> = None;
    let mut after: Option<Place> = None;
    loop {
        let page = d.state.differences(Table::Anc, Table::Head, after.as_ref(), 256)?;
        let Some(last) = page.last() else { return Ok(out) };
        after = Some(last.0.clone());
        for (place, old, new) in page {
            if dir.as_ref().is_none_or(|(id, _)| *id != place.dir) {
                dir = Some((place.dir, rules_in(d, place.dir)?));
            }
            let is_dir = new.or(old).is_some_and(|row| row.here().is_some_and(|n| n.is_dir()));
            let ignored = match &dir {
                Some((_, Some((path, rules)))) => rules.matches(&path.join(&place.name), is_dir).is_some(),
                _ => true,
            };
            if ignored {
                out.insert(place);
            }
        }
    }
}

/// Path and rules of a directory of head, or of the ancestor where head has it no more; `None` if it is ignored, itself
/// or by one above.
fn rules_in<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, id: Id) -> Result<Option<(RelPath, Rules)>> {
    let way = match Overlay::HEAD.climb(&d.state, id)? {
        Some(way) => way,
        None => Overlay::ANC.climb(&d.state, id)?.unwrap_or_default(),
    };
    let mut rules = Rules::new(&d.settings.ignore, &d.share.traits());
    let mut path = RelPath::root();
    let mut at = Some(d.share.root());
    for row in way.iter().map(Some).chain([None]) {
        let file = match &at {
            Some(at) => read_rules(&d.share, at)?,
            None => None,
        };
        rules.enter(&path, file.as_deref());
        let Some(row) = row else { break };
        path = path.join(&row.place.name);
        if rules.matches(&path, true).is_some() {
            return Ok(None);
        }
        // A directory that is not there yet has no file of rules here.
        at = at.and_then(|at| d.share.open_dir(&at, row.place.name.as_bytes()).ok());
    }
    Ok(Some((path, rules)))
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::traits;
    use super::*;

    fn rules(config: &[&str]) -> Rules {
        let config: Vec<String> = config.iter().map(|p| p.to_string()).collect();
        Rules::new(&config, &traits(false, false))
    }

    fn path(p: &str) -> RelPath {
        RelPath::new(p.as_bytes()).unwrap()
    }

    #[test]
    fn defaults_config_and_files_in_order() {
        let mut r = rules(&["*.tmp"]);
        r.enter(&RelPath::root(), Some(b"build/\n!keep.tmp\n/only-here\n"));
        assert!(r.matches(&path("a~"), false).is_some());
        assert!(r.matches(&path("x/.DS_Store"), false).is_some());
        assert!(r.matches(&path("a.tmp"), false).is_some());
        assert!(r.matches(&path("keep.tmp"), false).is_none());
        assert!(r.matches(&path("build"), true).is_some());
        assert!(r.matches(&path("build"), false).is_none());
        assert!(r.matches(&path("only-here"), false).is_some());
        assert!(r.matches(&path("d/only-here"), false).is_none());
        r.enter(&path("d"), Some(b"/only-here\n*.log\n!build/\n"));
        assert!(r.matches(&path("d/only-here"), false).is_some());
        assert!(r.matches(&path("d/e/x.log"), false).is_some());
        assert!(r.matches(&path("d/build"), true).is_none());
        r.leave();
        assert!(r.matches(&path("d/e/x.log"), false).is_none());
        let reason = r.matches(&path("build"), true).unwrap();
        assert_eq!((reason.source.as_str(), reason.line, reason.pattern.as_str()), (".sharelockignore", 1, "build/"));
    }

    #[test]
    fn our_own_names_are_never_followed() {
        let mut r = rules(&[]);
        r.enter(&RelPath::root(), Some(b"!*\n"));
        assert!(r.matches(&path(".sharelock-root"), false).is_some());
        assert!(r.matches(&path("d/.sharelock-tmp-0123456789abcdef"), false).is_some());
        assert!(r.matches(&path("d/.sharelock-tmp-0123"), false).is_none());
        assert!(r.matches(&path("d/.sharelock-tmp-0123456789abcdeX"), false).is_none());
        assert!(r.matches(&path("a~"), false).is_none(), "but defaults can be taken back");
    }

    #[test]
    fn what_editors_and_file_managers_leave() {
        let r = rules(&[]);
        for name in [
            ".a.txt.swp",
            ".swp",
            "a.txt~",
            "#a.txt#",
            ".#a.txt",
            ".~lock.a.odt#",
            "~$a.docx",
            ".DS_Store",
            "Thumbs.db",
            "desktop.ini",
            ".Trash-1000",
        ] {
            assert!(r.matches(&path(name), false).is_some(), "{name}");
            assert!(r.matches(&path(&format!("d/{name}")), false).is_some(), "d/{name}");
        }
        for name in ["page.swp", "a~b", "#a", "4913", ".Trash", "~a", ".a.svg"] {
            assert!(r.matches(&path(name), false).is_none(), "{name}");
        }
    }

    #[test]
    fn a_disk_with_another_normal_form_fits_the_same_rules() {
        let mut r = Rules::new(&[], &traits(false, true));
        r.enter(&RelPath::root(), Some("caf\u{e9}\n".as_bytes()));
        assert!(r.matches(&path("cafe\u{301}"), false).is_some());
        assert!(r.matches(&path("cafe"), false).is_none());
    }

    /// Asks our rules as the walk does: a directory's own rules count below it, and nothing below an ignored one is
    /// looked at.
    fn ignored(files: &[(String, String)], asked: &str, is_dir: bool) -> bool {
        let mut r = Rules { search: Search::default(), entered: Vec::new(), compose: false };
        let file = |dir: &str| files.iter().find(|(d, _)| d == dir).map(|(_, text)| text.as_bytes());
        r.enter(&RelPath::root(), file(""));
        let mut at = String::new();
        let names: Vec<&str> = asked.split('/').collect();
        for (i, name) in names.iter().enumerate() {
            let last = i + 1 == names.len();
            at = if at.is_empty() { name.to_string() } else { format!("{at}/{name}") };
            if r.matches(&path(&at), !last || is_dir).is_some() {
                return true;
            }
            r.enter(&path(&at), file(&at));
        }
        false
    }

    /// `git check-ignore` is the oracle, over random rules and paths.
    #[test]
    fn as_git_ignores() {
        let tmp = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let mut c = std::process::Command::new("git");
            c.current_dir(tmp.path()).args(args).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", tmp.path());
            c
        };
        if !git(&["init", "-q"]).status().is_ok_and(|s| s.success()) {
            eprintln!("no git here: not compared");
            return;
        }
        const NAMES: [&str; 9] = ["a", "b", "ab", "a.o", "b.log", "foo", "foo bar", ".x", "A"];
        const PARTS: [&str; 20] = [
            "a",
            "b",
            "*",
            "**",
            "?",
            "[ab]",
            "[!a]",
            "*.o",
            "foo",
            "foo*",
            "\\a",
            "a b",
            ".x",
            "[a-",
            "**a",
            "A",
            "*.",
            "foo\\ bar",
            "!",
            "#",
        ];
        let mut state = 1u64;
        let mut random = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let dirs = ["", "a", "foo", "a/b", "a/foo"];
        for dir in dirs {
            std::fs::create_dir_all(tmp.path().join(dir)).unwrap();
        }
        let (mut compared, mut yes) = (0, 0);
        for round in 0..60 {
            let mut files = Vec::new();
            for dir in dirs {
                let mut text = String::new();
                for _ in 0..random(4) {
                    let parts: Vec<&str> = (0..1 + random(3)).map(|_| PARTS[random(PARTS.len())]).collect();
                    let slash = |yes: bool| if yes { "/" } else { "" };
                    let not = if random(4) == 0 { "!" } else { "" };
                    text += &format!("{not}{}{}{}", slash(random(4) == 0), parts.join("/"), slash(random(4) == 0));
                    text += ["\n", "\n", "\n", " \n", "\r\n", "\\ \n"][random(6)];
                }
                std::fs::write(tmp.path().join(dir).join(".gitignore"), &text).unwrap();
                if !text.is_empty() {
                    files.push((dir.to_string(), text));
                }
            }
            let asked: Vec<String> = (0..40)
                .map(|_| {
                    let dir = dirs[random(dirs.len())];
                    let name = NAMES[random(NAMES.len())];
                    if dir.is_empty() { name.to_string() } else { format!("{dir}/{name}") }
                })
                .collect();
            let mut child = git(&["check-ignore", "--no-index", "--verbose", "--non-matching", "-z", "--stdin"])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(child.stdin.as_mut().unwrap(), (asked.join("\0") + "\0").as_bytes()).unwrap();
            drop(child.stdin.take());
            let out = child.wait_with_output().unwrap().stdout;
            let fields: Vec<&[u8]> = out.split(|b| *b == 0).collect();
            for (i, asked) in asked.iter().enumerate() {
                let pattern = fields[i * 4 + 2];
                let git_says = !pattern.is_empty() && !pattern.starts_with(b"!");
                let is_dir = tmp.path().join(asked).is_dir();
                assert_eq!(ignored(&files, asked, is_dir), git_says, "round {round}: {asked:?} with {files:?}, git: {pattern:?}");
                compared += 1;
                yes += u32::from(git_says);
            }
        }
        assert!(compared == 60 * 40 && yes > 300, "{yes} of {compared}");
    }
}
