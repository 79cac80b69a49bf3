//! `status --watch`: shown again whenever something has changed.

use super::Standing;
use crate::cli::args::Status;
use crate::cli::places::Places;
use crate::cli::voice;
use crate::error::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// The shortest time between two looks. A look costs a walk through the share, so it is made the rarer the longer it takes.
const SOON: Duration = Duration::from_secs(1);
/// Part of the time that looking may take.
const SHARE: u32 = 20;

/// Shows how things stand until standard output is closed, or somebody presses Ctrl-C (which needs no care: nothing is held).
pub fn run(places: &Places, args: &Status) -> Result<u8> {
    let stdout = std::io::stdout();
    let mut screen = Screen { terminal: stdout.is_terminal(), shown: None, rows: 0 };
    loop {
        let start = Instant::now();
        let text = match Standing::read(places) {
            Ok(s) if args.json => format!("{}\n", s.json(args.files)),
            // Without a terminal only a change is told, so no age may stand in it.
            Ok(s) if screen.terminal => s.text(args.files, voice::ago),
            Ok(s) => s.text(args.files, voice::time),
            // A first look that fails is an error; later ones (an unplugged disk, say) may pass.
            Err(e) if screen.shown.is_none() => return Err(e),
            Err(e) => voice::error_text(&e),
        };
        if screen.show(&text, &mut stdout.lock()).is_err() {
            return Ok(0);
        }
        if is_closed(&stdout, SOON.max(start.elapsed() * SHARE)) {
            return Ok(0);
        }
    }
}

/// Waits; true as soon as nobody reads standard output any more.
fn is_closed(stdout: &std::io::Stdout, limit: Duration) -> bool {
    let Ok(limit) = Timespec::try_from(limit) else { return true };
    let mut fds = [PollFd::new(stdout, PollFlags::empty())];
    match poll(&mut fds, Some(&limit)) {
        Ok(_) => fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL),
        Err(rustix::io::Errno::INTR) => false,
        Err(_) => true,
    }
}

/// What is shown at present.
struct Screen {
    terminal: bool,
    shown: Option<String>,
    /// Rows of the terminal that it takes.
    rows: usize,
}

impl Screen {
    fn show(&mut self, text: &str, out: &mut impl Write) -> std::io::Result<()> {
        let (text, rows) = match self.terminal {
            true => fitted(text, voice::terminal_size(std::io::stdout())),
            false => (text.to_string(), 0),
        };
        if self.shown.as_ref() == Some(&text) {
            return Ok(());
        }
        match (self.terminal, self.rows) {
            (true, 0) => write!(out, "{text}")?,
            // Up to where the last one began, and nothing below it stays.
            (true, n) => write!(out, "\x1b[{n}A\r\x1b[J{text}")?,
            (false, _) => write!(out, "{}{text}", if self.shown.is_some() { "\n" } else { "" })?,
        }
        (self.shown, self.rows) = (Some(text), rows);
        out.flush()
    }
}

/// As much of a text as can be taken back from a terminal of this size, and its rows.
fn fitted(text: &str, (width, height): (usize, usize)) -> (String, usize) {
    let (mut out, mut rows) = (String::new(), 0);
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let needs = line.chars().count().div_ceil(width).max(1);
        if rows + needs + 2 > height && i + 1 < lines.len() {
            out.push_str(&format!("and {} more lines\n", lines.len() - i));
            return (out, rows + 1);
        }
        out.push_str(line);
        out.push('\n');
        rows += needs;
    }
    (out, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_taken_back_whole() {
        assert_eq!(fitted("a\nb\n", (80, 24)), ("a\nb\n".into(), 2));
        assert_eq!(fitted(&format!("{}\nb\n", "x".repeat(21)), (10, 24)).1, 4);
        let long: String = (0..50).map(|n| format!("{n}\n")).collect();
        let (text, rows) = fitted(&long, (80, 10));
        assert!(text.starts_with("0\n") && text.ends_with("and 42 more lines\n"), "{text}");
        assert_eq!((text.lines().count(), rows), (9, 9));
    }

    #[test]
    fn only_what_changes_is_shown_again() {
        for (terminal, want) in [(false, "a\n\nb\nc\n\nd\n"), (true, "a\n\x1b[1A\r\x1b[Jb\nc\n\x1b[2A\r\x1b[Jd\n")] {
            let (mut screen, mut out) = (Screen { terminal, shown: None, rows: 0 }, Vec::new());
            for text in ["a\n", "a\n", "b\nc\n", "b\nc\n", "d\n"] {
                screen.show(text, &mut out).unwrap();
            }
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
