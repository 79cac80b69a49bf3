//! What of the share is not followed, and why: for `ignored`, which has no key.

use super::ignore::{Reason, Rules, read_rules};
use super::names::{HeldBack, folds};
use super::overlay::{Overlay, Rows};
use crate::error::{Error, Result};
use crate::files::{Files, Kind};
use crate::path::{Name, RelPath};
use crate::state::{State, Table};

/// Why something is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A rule says so.
    Rule(Reason),
    /// It is a socket, a pipe or a device.
    Special,
    /// It cannot be read.
    Unreadable(String),
    /// The disk takes its name for that of another file.
    Held,
}

/// Something that is not followed, with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where.
    pub path: RelPath,
    /// It is a folder.
    pub is_dir: bool,
    /// Why.
    pub why: Why,
}

/// What is to be said of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is not followed: itself, or a folder above it.
    LeftOut(LeftOut),
    /// It would be followed, and is not there.
    Missing,
    /// It is followed, but for these in it.
    Followed(Vec<LeftOut>),
}

/// A folder that is being looked at, with the names in it that are still to come, the last first.
struct Level<D> {
    dir: D,
    path: RelPath,
    todo: Vec<Name>,
}

/// Looks at a path of the share, and at all below it.
///
/// # Errors
/// The share's root cannot be read.
pub fn ask<F: Files>(share: &F, config: &[String], path: &RelPath) -> Result<Answer> {
    let mut rules = Rules::new(config, &share.traits());
    let (mut dir, mut at) = (Some(share.root()), RelPath::root());
    let depth = path.depth();
    for (n, name) in path.names().enumerate() {
        let file = dir.as_ref().map(|dir| read_rules(share, dir)).transpose()?.flatten();
        rules.enter(&at, file.as_deref());
        at = at.join(&name);
        // What is not there is judged by its name, as folders above something are.
        let stat = dir.as_ref().map(|dir| share.stat(dir, name.as_bytes())).transpose().map_err(Error::from)?.flatten();
        let is_dir = stat.map_or(n + 1 < depth, |s| s.kind == Kind::Dir);
        if let Some(why) = why(&rules, &at, is_dir, stat.map(|s| s.kind)) {
            return Ok(Answer::LeftOut(LeftOut { path: at, is_dir, why }));
        }
        let Some(stat) = stat else {
            dir = None;
            continue;
        };
        if stat.kind != Kind::Dir {
            return Ok(if n + 1 == depth { Answer::Followed(Vec::new()) } else { Answer::Missing });
        }
        let Some(from) = &dir else { continue };
        match share.open_dir(from, name.as_bytes()) {
            Ok(next) => dir = Some(next),
            Err(e) => return Ok(Answer::LeftOut(LeftOut { path: at, is_dir, why: Why::Unreadable(Error::from(e).to_string()) })),
        }
    }
    match dir {
        Some(dir) => below(share, &mut rules, dir, at).map(Answer::Followed),
        None => Ok(Answer::Missing),
    }
}

/// The names of head that this disk cannot show beside others of the same folder.
///
/// # Errors
/// Those of the database.
pub fn held<F: Files, S: State>(share: &F, state: &S) -> Result<Vec<LeftOut>> {
    let (traits, mut out) = (share.traits(), Vec::new());
    if !folds(&traits) {
        return Ok(out);
    }
    let (mut held, mut rows) = (HeldBack::default(), Rows::of(Table::Head));
    while let Some(row) = rows.next(state)? {
        if held.is(state, &traits, &row.place)?
            && let Some(path) = Overlay::HEAD.path(state, &row.place)?
        {
            out.push(LeftOut { path, is_dir: row.here().is_some_and(|n| n.is_dir()), why: Why::Held });
        }
    }
    Ok(out)
}

fn why(rules: &Rules, path: &RelPath, is_dir: bool, kind: Option<Kind>) -> Option<Why> {
    match rules.matches(path, is_dir) {
        Some(reason) => Some(Why::Rule(reason)),
        None => (kind == Some(Kind::Other)).then_some(Why::Special),
    }
}

/// All that is not followed below a folder that is, in the order of paths.
fn below<F: Files>(share: &F, rules: &mut Rules, dir: F::Dir, path: RelPath) -> Result<Vec<LeftOut>> {
    let mut out = Vec::new();
    let mut stack = Vec::new();
    let mut next = Some((dir, path));
    loop {
        if let Some((dir, path)) = next.take() {
            let mut todo: Vec<Name> = Vec::new();
            match share.list(&dir) {
                Ok(names) => todo.extend(names.into_iter().filter_map(|(name, _)| Name::new(name))),
                Err(e) if stack.is_empty() => return Err(Error::from(e).at(&path)),
                Err(e) => {
                    let why = Why::Unreadable(unread(e)?);
                    out.push(LeftOut { path: path.clone(), is_dir: true, why });
                }
            }
            todo.sort_unstable_by(|a, b| b.cmp(a));
            rules.enter(&path, read_rules(share, &dir)?.as_deref());
            stack.push(Level { dir, path, todo });
        }
        let Some(level) = stack.last_mut() else { return Ok(out) };
        let Some(name) = level.todo.pop() else {
            rules.leave();
            stack.pop();
            continue;
        };
        let path = level.path.join(&name);
        let stat = match share.stat(&level.dir, name.as_bytes()) {
            Ok(Some(stat)) => stat,
            // It has just gone.
            Ok(None) => continue,
            Err(e) => {
                out.push(LeftOut { path, is_dir: false, why: Why::Unreadable(unread(e)?) });
                continue;
            }
        };
        let is_dir = stat.kind == Kind::Dir;
        if let Some(why) = why(rules, &path, is_dir, Some(stat.kind)) {
            out.push(LeftOut { path, is_dir, why });
        } else if is_dir {
            match share.open_dir(&level.dir, name.as_bytes()) {
                Ok(dir) => next = Some((dir, path)),
                Err(e) => out.push(LeftOut { path, is_dir, why: Why::Unreadable(unread(e)?) }),
            }
        } else if stat.kind == Kind::File
            && let Err(e) = share.open(&level.dir, name.as_bytes())
        {
            out.push(LeftOut { path, is_dir, why: Why::Unreadable(unread(e)?) });
        }
    }
}

/// What the disk says of it; only the end of this device is passed on.
fn unread(e: std::io::Error) -> Result<String> {
    let e = Error::from(e);
    if e.is_stopped() { Err(e) } else { Ok(e.to_string()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::files::real::Disk;

    fn share() -> (tempfile::TempDir, Disk) {
        let temp = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let at = temp.path().join(name);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, text).unwrap();
        };
        write("a", "followed");
        write("a~", "by default");
        write("x.tmp", "by the configuration");
        write("d/build/deep/file", "by a file");
        write("d/.sharelockignore", "# made anew\nbuild/\n");
        write("d/keep", "followed");
        std::os::unix::net::UnixListener::bind(temp.path().join("socket")).unwrap();
        let disk = Disk::open_unprobed(temp.path()).unwrap();
        (temp, disk)
    }

    fn told(answer: Answer) -> Vec<(String, String)> {
        let word = |l: LeftOut| match l.why {
            Why::Rule(r) => (l.path.to_string(), format!("{}:{}: {}", r.source, r.line, r.pattern)),
            why => (l.path.to_string(), format!("{why:?}")),
        };
        match answer {
            Answer::LeftOut(l) => vec![word(l)],
            Answer::Missing => vec![("missing".into(), String::new())],
            Answer::Followed(all) => all.into_iter().map(word).collect(),
        }
    }

    #[test]
    fn each_has_its_rule() {
        let (_temp, disk) = share();
        let ask = |path: &str| told(ask(&disk, &["*.tmp".into()], &RelPath::new(path.as_bytes()).unwrap()).unwrap());
        let row = |path: &str, why: &str| (path.to_string(), why.to_string());
        let build = row("d/build", "d/.sharelockignore:2: build/");
        assert_eq!(
            ask(""),
            [row("a~", "defaults:3: *~"), build.clone(), row("socket", "Special"), row("x.tmp", "config:1: *.tmp")],
            "what is in an ignored folder is not named"
        );
        assert_eq!(ask("d"), std::slice::from_ref(&build));
        assert_eq!(ask("d/build/deep/file"), std::slice::from_ref(&build), "a folder above it");
        assert_eq!(ask("d/build/nothing/there"), [build]);
        assert_eq!(ask("a"), []);
        for missing in ["nothing", "d/nothing", "a/b", "nothing/there"] {
            assert_eq!(ask(missing), [row("missing", "")], "{missing}");
        }
        assert_eq!(ask("nothing/there.tmp"), [row("nothing/there.tmp", "config:1: *.tmp")], "by its name alone");
    }
}
