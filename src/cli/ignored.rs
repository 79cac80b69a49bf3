//! `ignored`: what is not followed, and which rule says so. It needs no password.

use super::args::Ignored;
use super::places::{self, Places};
use super::{names, open, voice};
use crate::config::{Config, ignore_lines};
use crate::error::{Error, Result};
use crate::files::real::Disk;
use crate::mirror::ignore::Reason;
use crate::mirror::left_out::{self, Answer, LeftOut, Why};
use crate::mirror::scan;
use crate::path::{RelPath, shell_word};
use crate::state::Table;
use crate::state::db::Db;
use serde_json::json;

/// What is said of one path.
struct Told {
    path: String,
    is_dir: bool,
    /// The file with the rule and its line.
    at: Option<String>,
    /// The rule.
    rule: Option<String>,
    /// In words.
    why: String,
    /// The command that makes it followed.
    remedy: Option<String>,
    /// The vault has it, from the time before it was ignored.
    in_vault: bool,
}

/// Runs it.
pub fn run(places: &Places, a: &Ignored) -> Result<u8> {
    let config = open::config(places)?;
    let path = a.path.as_ref().map(|p| names::in_share(&config, p)).transpose()?.unwrap_or_default();
    let share = Disk::open_unprobed(&config.share).map_err(|e| Error::from(e).at(format!("can't open {}", places.short(&config.share))))?;
    let state = Db::open(&places.state_dir.join("state.db"))?;
    let lines = config_lines(places);
    let told = |l: &LeftOut| tell(l, &config, places, &lines, &state);
    let answer = left_out::ask(&share, &config.ignore, &path)?;
    let (mut all, followed) = match &answer {
        Answer::LeftOut(l) => (vec![told(l)?], false),
        Answer::Missing => (Vec::new(), true),
        Answer::Followed(all) => (all.iter().filter(|l| !is_mark(&l.path)).map(told).collect::<Result<_>>()?, true),
    };
    if followed {
        let held = left_out::held(&share, &state)?;
        let inside = held.iter().filter(|l| path.is_root() || l.path == path || names::is_below(&l.path, &path));
        all.extend(inside.map(told).collect::<Result<Vec<_>>>()?);
    }
    if a.json {
        let row = |t: &Told| json!({"path": t.path, "folder": t.is_dir, "at": t.at, "rule": t.rule, "why": t.why, "remedy": t.remedy, "in_vault": t.in_vault});
        println!("{:#}", json!(all.iter().map(row).collect::<Vec<_>>()));
        return Ok(0);
    }
    let what = if path.is_root() { places.short(&config.share) } else { path.to_string() };
    print!("{}", text(&what, &answer, &all, &path));
    Ok(0)
}

fn text(what: &str, answer: &Answer, all: &[Told], path: &RelPath) -> String {
    let mut out = match (answer, all.len() as u64) {
        (Answer::LeftOut(l), _) if l.path == *path => format!("{what} is not followed\n"),
        (Answer::LeftOut(_), _) => format!("{what} is not followed, with the folder that it is in\n"),
        (Answer::Missing, _) => format!("{what} is not there, and no rule keeps it from being followed\n"),
        (Answer::Followed(_), 0) => format!("all of {what} is followed\n"),
        (Answer::Followed(_), 1) => format!("1 file or folder of {what} is not followed\n"),
        (Answer::Followed(_), n) => format!("{} files and folders of {what} are not followed\n", voice::count(n)),
    };
    let name = |t: &Told| format!("{}{}", t.path, if t.is_dir { "/" } else { "" });
    // One long name does not move all the others' reasons out of sight.
    let width = all.iter().map(|t| name(t).chars().count()).filter(|n| *n <= 40).max().unwrap_or(0);
    for t in all {
        let vault = if t.in_vault { "; the vault has it as it was before" } else { "" };
        let why = match (&t.at, &t.rule) {
            (Some(at), Some(rule)) => format!("{at}: {rule}"),
            _ => t.why.clone(),
        };
        out.push_str(&format!("  {:<width$}   {why}{vault}\n", name(t)));
        if let Some(r) = &t.remedy {
            out.push_str(&format!("    do: {r}\n"));
        }
    }
    out
}

fn tell(l: &LeftOut, config: &Config, places: &Places, lines: &[usize], state: &Db) -> Result<Told> {
    let mut t = Told {
        path: l.path.to_string(),
        is_dir: l.is_dir,
        at: None,
        rule: None,
        why: String::new(),
        remedy: None,
        in_vault: scan::row_at(state, Table::Head, &l.path)?.is_some(),
    };
    match &l.why {
        Why::Rule(Reason { source, line, pattern }) => {
            t.rule = (source != "sharelock").then(|| pattern.clone());
            (t.at, t.why) = match source.as_str() {
                "sharelock" => (None, "sharelock's own".into()),
                "defaults" => (None, format!("by default: {pattern}")),
                "config" => {
                    let line = lines.get(line - 1).map_or(String::new(), |line| format!(":{line}"));
                    (Some(format!("{}{line}", places.short(&places.config))), "a rule of the configuration (ignore)".into())
                }
                file => (Some(format!("{}/{file}:{line}", places.short(&config.share))), "a rule of the share".into()),
            };
        }
        Why::Special => t.why = "a socket, pipe or device".into(),
        Why::Unreadable(why) => {
            t.why = format!("can't be read: {why}");
            let file = format!("{}/{}", places.short(&config.share), l.path);
            // A shell knows `~` only where it is not quoted.
            let word = file.strip_prefix("~/").map_or_else(|| shell_word(&file), |rest| format!("~/{}", shell_word(rest)));
            t.remedy = why.contains("permission denied").then(|| format!("chmod u+r{} {word}", if l.is_dir { "x" } else { "" }));
        }
        Why::Held => t.why = "this disk takes its name for that of another file beside it".into(),
    }
    Ok(t)
}

/// The share's own mark, which is there by all rights.
fn is_mark(path: &RelPath) -> bool {
    path.as_bytes() == scan::ROOT_FILE
}

/// Where the patterns of `ignore` stand in the configuration; nothing if it was changed meanwhile.
fn config_lines(places: &Places) -> Vec<usize> {
    let text = places::read(&places.config, 1 << 20).ok().and_then(|b| String::from_utf8(b).ok());
    text.map_or(Vec::new(), |text| ignore_lines(&text))
}
