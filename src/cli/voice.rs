//! How sharelock speaks: sizes, times, counts, problems.

use super::places::Places;
use crate::clock::date::{DAY, Date};
use crate::clock::{Clock, Time, system::System};
use crate::error::{Error, Remedy};
use crate::mirror::{Brake, Full, Made, Problem};
use crate::path::{RelPath, shell_word};
pub use crate::units::{count, files, plural, size};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Months as [`time`] shows them.
pub const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Prints; that nobody reads is no error.
pub fn say(out: &mut dyn std::io::Write, words: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(words);
}

/// Columns and rows of a terminal; 80 and 24 where it does not know (a serial line, `script`).
pub fn terminal_size(fd: impl std::os::fd::AsFd) -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(fd).ok();
    let known = |n: u16, or: usize| if n == 0 { or } else { usize::from(n) };
    size.map_or((80, 24), |s| (known(s.ws_col, 80), known(s.ws_row, 24)))
}

/// `today 14:02`, `yesterday 09:12`, `12 Feb 18:40`, `12 Feb 2024`.
pub fn time(t: Time) -> String {
    time_at(t, System.now(), |t| System.offset_minutes(t))
}

fn time_at(t: Time, now: Time, offset: impl Fn(Time) -> i16) -> String {
    let local = |t: Time| t.s + i64::from(offset(t)) * 60;
    let (then, today) = (local(t), local(now));
    let Date { year, month, day, hour, minute, .. } = Date::of(then);
    let clock = format!("{hour:02}:{minute:02}");
    match today.div_euclid(DAY) - then.div_euclid(DAY) {
        0 => format!("today {clock}"),
        1 => format!("yesterday {clock}"),
        n => {
            let month = MONTHS[(month as usize - 1) % 12];
            if (0..330).contains(&n) { format!("{day} {month} {clock}") } else { format!("{day} {month} {year}") }
        }
    }
}

/// `12 s ago`, `2 min ago`, `3 days ago`.
pub fn ago(t: Time) -> String {
    let s = (System.now().s - t.s).max(0) as u64;
    match s {
        0..=90 => format!("{s} s ago"),
        91..=5400 => format!("{} min ago", s / 60),
        5401..=129_600 => format!("{} h ago", s / 3600),
        _ => format!("{} days ago", s / 86_400),
    }
}

/// UTC, ISO 8601, for `--json`.
pub fn iso(t: Time) -> String {
    let d = Date::of(t.s);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", d.year, d.month, d.day, d.hour, d.minute, d.second)
}

/// A path of the share as a command line takes it.
pub fn shell(path: &RelPath) -> String {
    shell_word(&path.to_string())
}

/// Prints an error: `sharelock: what`, details, remedies.
pub fn error(e: &Error) {
    eprint!("{}", error_text(e));
}

/// An error as [`error`] prints it.
pub fn error_text(e: &Error) -> String {
    let mut out = format!("sharelock: {e}\n");
    for line in e.details() {
        out.push_str(&format!("  {line}\n"));
    }
    out.push_str(&remedies(e.remedies(), "  "));
    out
}

/// Remedies with their commands in one column.
fn remedies(all: &[Remedy], indent: &str) -> String {
    let width = all.iter().map(|r| r.purpose.len() + 1).max().unwrap_or(0);
    all.iter().map(|r| format!("{indent}{:<width$} {}\n", format!("{}:", r.purpose), r.command)).collect()
}

/// The brake's stop as an error.
pub fn brake(b: &Brake, device: &str) -> Error {
    let what = if b.made == Made::Elsewhere { "on this device" } else { "on all devices" };
    let mut folders: Vec<String> = Vec::new();
    let mut rest = 0;
    for (i, (path, n)) in b.folders.iter().enumerate() {
        match path {
            Some(p) if i < 3 => folders.push(format!("{p}/ ({})", files(*n))),
            _ => rest += n,
        }
    }
    if rest > 0 {
        folders.push(format!("{} more", count(rest)));
    }
    let e = Error::new(
        crate::error::Kind::Decision,
        format!("stopped before deleting {} of {} ({}) {what}", count(b.files), files(b.of), size(b.bytes)),
    )
    .detail(folders.join(", "));
    let how = match (b.gone, b.files - b.gone) {
        (_, 0) => "gone",
        (0, _) => "overwritten",
        _ => "gone or overwritten",
    };
    let from = if how == "gone" { "from" } else { "in" };
    let since = b.since.map_or(String::new(), |t| format!(" since {}", time(t)));
    let e = match b.made {
        Made::InShare => e.detail(format!("they are {how} {from} ~/share on {device}{since}. nothing was sent;")),
        Made::InSecure => e.detail(format!("they are {how} {from} ~/secure on {device}, and sharelock did not do that. nothing was sent;")),
        Made::Elsewhere => e.detail("another device deleted or overwrote them; they are untouched in ~/share here"),
    };
    let (e, where_) = match b.made {
        Made::Elsewhere => (e, "everywhere"),
        _ => (e.detail("the other devices and the storage nodes still have them all"), "here"),
    };
    e.remedy(format!("to bring them back {where_}"), "sharelock undo")
        .remedy("if you wanted that, this change only", format!("sharelock allow {}", b.code))
}

/// A full disk as an error.
pub fn full(f: &Full, places: &Places, folder: &Path) -> Error {
    let (needs, free, kept) = (size(f.bytes), size(f.free), size(f.kept));
    let on = mount_point(folder).map_or(String::new(), |at| format!(" on {}", at.display()));
    let mut names: Vec<String> = f.named.iter().take(2).map(|(path, bytes)| format!("{path} ({})", size(*bytes))).collect();
    let more = f.files.saturating_sub(names.len() as u64);
    if more > 0 {
        names.push(format!("{} more", count(more)));
    }
    let wait = if f.files == 1 { "waits" } else { "wait" };
    Error::new(crate::error::Kind::Full, format!("{} needs {needs} more, {free} are free{on} ({kept} are kept)", places.short(folder)))
        .detail(format!("{} {wait}: {}", files(f.files), names.join(", ")))
        .detail("everything else, and deletions, go on; these follow when there is room")
        .remedy("to see what takes the space", "sharelock du")
}

/// The topmost directory of the file system that a folder lies on.
pub fn mount_point(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let disk = std::fs::metadata(&folder).ok()?.dev();
    folder.ancestors().take_while(|p| std::fs::metadata(p).is_ok_and(|m| m.dev() == disk)).last().map(Path::to_path_buf)
}

/// One problem as `status` shows it.
pub fn problem(p: &Problem) -> String {
    problem_lines(p.path.as_ref().map(ToString::to_string), &p.what, p.remedy.clone())
}

/// The lines of a problem, by its parts.
pub fn problem_lines(path: Option<String>, what: &str, remedy: Option<String>) -> String {
    let mut out = match path {
        Some(path) => format!("  {path}   {what}\n"),
        None => format!("  {what}\n"),
    };
    if let Some(r) = remedy {
        out.push_str(&format!("    do: {r}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now = Time { s: 1_772_374_512, ns: 0 }; // 2026-03-01 14:15:12 UTC
        let at = |s| time_at(Time { s, ns: 0 }, now, |_| 60);
        assert_eq!(at(now.s), "today 15:15");
        assert_eq!(at(now.s - 86_400), "yesterday 15:15");
        assert_eq!(at(now.s - 17 * 86_400), "12 Feb 15:15");
        assert_eq!(at(now.s - 700 * 86_400), "31 Mar 2024");
        assert_eq!(iso(now), "2026-03-01T14:15:12Z");
    }

    #[test]
    fn an_error_has_three_parts() {
        let e = Error::failed("what").because("why").detail("nothing was changed").remedy("do", "x y").remedy("if not", "z");
        assert_eq!(error_text(&e), "sharelock: what: why\n  nothing was changed\n  do:     x y\n  if not: z\n");
    }

    #[test]
    fn the_brake_says_what_is_gone_from_where_and_since_when() {
        let folder = |name: &str, n| (RelPath::new(name.as_bytes()), n);
        let folders = vec![folder("photos", 902), folder("taxes", 140), folder("notes", 88), folder("x", 12), (None, 8)];
        let b = Brake {
            made: Made::InShare,
            since: Some(System.now()),
            files: 1150,
            gone: 1150,
            bytes: 3_000_000_000,
            of: 1204,
            folders,
            code: "9f3c".into(),
        };
        let text = error_text(&brake(&b, "laptop"));
        let at = time(System.now());
        assert_eq!(
            text,
            format!(
                "sharelock: stopped before deleting 1,150 of 1,204 files (3.0 GB) on all devices
  photos/ (902 files), taxes/ (140 files), notes/ (88 files), 20 more
  they are gone from ~/share on laptop since {at}. nothing was sent;
  the other devices and the storage nodes still have them all
  to bring them back here:              sharelock undo
  if you wanted that, this change only: sharelock allow 9f3c
"
            )
        );
        let says = |b: Brake| error_text(&brake(&b, "laptop"));
        assert!(says(Brake { gone: 0, ..b.clone() }).contains("they are overwritten in ~/share on laptop since "));
        assert!(says(Brake { gone: 1, ..b.clone() }).contains("they are gone or overwritten in ~/share on laptop since "));
        let elsewhere = says(Brake { made: Made::Elsewhere, since: None, ..b.clone() });
        assert!(elsewhere.contains(" on this device\n") && elsewhere.contains("to bring them back everywhere: "), "{elsewhere}");
        assert!(says(Brake { made: Made::InSecure, since: None, ..b }).contains("gone from ~/secure on laptop, and sharelock did not"));
    }

    #[test]
    fn paths_for_the_shell() {
        let p = |s: &str| shell(&RelPath::new(s.as_bytes()).unwrap());
        assert_eq!((p("a/b.txt").as_str(), p("a b").as_str(), p("it's").as_str()), ("a/b.txt", "'a b'", "'it'\\''s'"));
    }
}
