//! Ignore rules: `.sharelockignore` files in gitignore syntax, the configuration's list, and defaults (gitignore(5)).
//!
//! A path that is ignored counts as equal to the ancestor: it stays where it is, on every device, and is only no longer
//! followed. Later lists win: defaults, the configuration, then the files from the root down.

use crate::path::RelPath;
use bstr::ByteSlice;
use gix_glob::pattern::Case;
use gix_ignore::Search;
use gix_ignore::search::Ignore;
use std::path::PathBuf;

/// The file with rules, in any directory of the share; itself synced.
pub const FILE: &[u8] = b".sharelockignore";

/// What no device wants from another.
const DEFAULTS: &str = "*.swp\n*.swo\n*~\n.#*\n\\#*\\#\n4913\n.DS_Store\nThumbs.db\ndesktop.ini\n~$*\n.Trash-*\n\
    .goutputstream-*\n.sharelock-root\n.sharelock-tmp-????????????????\n";

/// Longest file of rules that is read.
pub const LIMIT: u64 = 1 << 20;

/// Why a path is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The file (relative to the share), or `defaults` or `config`.
    pub source: String,
    /// Its line, from 1.
    pub line: usize,
    /// The pattern as written there.
    pub pattern: String,
}

/// The rules that apply to the directory that is being looked at.
pub struct Rules {
    search: Search,
}

const PARSE: Ignore = Ignore { support_precious: false };

impl Rules {
    /// The defaults and the configuration's list.
    pub fn new(config: &[String]) -> Rules {
        let mut rules = Rules { search: Search::default() };
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
        let source = match dir.is_root() {
            true => ".sharelockignore".to_string(),
            false => format!("{dir}/.sharelockignore"),
        };
        self.add(file.unwrap_or_default(), &source, Some(dir));
    }

    /// Leaves the directory last entered.
    pub fn leave(&mut self) {
        self.search.patterns.pop();
    }

    /// Says whether a path is ignored, and by which rule. Its directories are not asked: who walks does not enter an
    /// ignored directory.
    pub fn matches(&self, path: &RelPath, is_dir: bool) -> Option<Reason> {
        let m = self.search.pattern_matching_relative_path(path.as_bytes().as_bstr(), Some(is_dir), Case::Sensitive)?;
        (!m.pattern.is_negative()).then(|| Reason {
            source: m.source.map_or(String::new(), |s| s.display().to_string()),
            line: m.sequence_number,
            pattern: m.pattern.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(p: &str) -> RelPath {
        RelPath::new(p.as_bytes()).unwrap()
    }

    #[test]
    fn defaults_config_and_files_in_order() {
        let mut r = Rules::new(&["*.tmp".into()]);
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
        let r = Rules::new(&[]);
        assert!(r.matches(&path(".sharelock-root"), false).is_some());
        assert!(r.matches(&path("d/.sharelock-tmp-0123456789abcdef"), false).is_some());
        assert!(r.matches(&path("d/.sharelock-tmp-0123"), false).is_none());
    }
}
