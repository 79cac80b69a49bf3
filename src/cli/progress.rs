//! How far long work is, on standard error: one line that is drawn over at a terminal, a line now and then elsewhere.
//!
//! `indicatif` would do this in 92 kB of a binary that has 560 left, and with a thread that ticks.

use super::voice;
use crate::mirror::progress::{Audience, Progress, Step};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is over sooner is not announced.
const PATIENCE: Duration = Duration::from_millis(500);
/// A line is drawn over five times a second at most.
const REDRAW: Duration = Duration::from_millis(200);
/// Without a terminal a line is written this often.
const PLAIN: Duration = Duration::from_secs(10);
/// Width of the bar.
const BAR: u64 = 20;

/// Progress that is shown to whoever reads standard error.
pub fn on_standard_error() -> Progress {
    let terminal = std::io::stderr().is_terminal();
    Progress::new(Arc::new(Line(Mutex::new(State { terminal, drawn: false, last: None, work: None }))))
}

struct Line(Mutex<State>);

struct State {
    terminal: bool,
    /// A line stands on the terminal.
    drawn: bool,
    last: Option<Instant>,
    work: Option<Work>,
}

/// A step under way.
struct Work {
    step: Step,
    start: Instant,
    files: u64,
    of_files: u64,
    bytes: u64,
    of_bytes: u64,
}

impl Work {
    fn new(step: Step, of_files: u64, of_bytes: u64) -> Work {
        Work { step, start: Instant::now(), files: 0, of_files, bytes: 0, of_bytes }
    }

    /// The line as far as it fits `width` columns, without a bar where it would not.
    fn text(&self, taken: Duration, width: usize) -> String {
        let word = match self.step {
            Step::Looking => "looking",
            Step::Encrypting => "encrypting",
            Step::Writing => "writing",
            Step::Sending => "sending",
            Step::Fetching => "fetching",
            Step::Decrypting => "decrypting",
            Step::Verifying => "verifying",
        };
        let files = self.step != Step::Sending && self.step != Step::Fetching;
        let mut parts = vec![match (files, self.of_files, self.of_bytes) {
            (true, 0, _) => voice::files(self.files),
            (true, of, _) => format!("{} of {}", voice::count(self.files.min(of)), voice::files(of)),
            (false, _, 0) => voice::size(self.bytes),
            (false, _, of) => format!("{} of {}", voice::size(self.bytes.min(of)), voice::size(of)),
        }];
        let seconds = taken.as_secs_f64();
        // A fraction by bytes where they are known: one large file may be most of the work.
        let fraction = match (self.of_bytes, self.of_files) {
            (0, 0) => None,
            (0, of) => Some(self.files as f64 / of as f64),
            (of, _) => Some(self.bytes as f64 / of as f64),
        };
        if self.bytes > 0 && seconds >= 1.0 {
            parts.push(format!("{}/s", voice::size((self.bytes as f64 / seconds) as u64)));
        }
        if let Some(f) = fraction.filter(|f| *f > 0.01 && *f < 1.0 && seconds >= 2.0) {
            parts.push(left((seconds / f - seconds) as u64));
        }
        let rest = parts.join("   ");
        if let Some(f) = fraction {
            let full = ((f.min(1.0) * BAR as f64) as u64).min(BAR - 1) as usize;
            let with_bar = format!("{word:<11} [{:<20}]  {rest}", format!("{}>", "=".repeat(full)));
            if with_bar.len() < width {
                return with_bar;
            }
        }
        let mut line = format!("{word:<11} {rest}");
        line.truncate(width.saturating_sub(1)); // ASCII throughout.
        line
    }
}

/// `27 s left`, `4 min left`, `2 h left`.
fn left(seconds: u64) -> String {
    lasts(seconds) + " left"
}

/// `27 s`, `4 min`, `2 h`.
pub fn lasts(seconds: u64) -> String {
    match seconds {
        0..=90 => format!("{seconds} s"),
        91..=5400 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

impl Line {
    fn with(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Audience for Line {
    fn expect(&self, step: Step, files: u64, bytes: u64) {
        self.with(|s| s.work = Some(Work::new(step, files, bytes)));
    }

    fn did(&self, step: Step, files: u64, bytes: u64) {
        self.with(|s| {
            if s.work.as_ref().is_none_or(|w| w.step != step) {
                s.work = Some(Work::new(step, 0, 0));
            }
            let Some(work) = &mut s.work else { return };
            work.files = work.files.saturating_add(files);
            work.bytes = work.bytes.saturating_add(bytes);
            s.draw(Instant::now(), &mut std::io::stderr());
        });
    }

    fn end(&self) {
        self.with(|s| {
            s.work = None;
            s.erase(&mut std::io::stderr());
        });
    }
}

impl State {
    fn draw(&mut self, now: Instant, out: &mut dyn Write) {
        let Some(work) = &self.work else { return };
        let taken = now.saturating_duration_since(work.start);
        let (first, again) = if self.terminal { (PATIENCE, REDRAW) } else { (PLAIN, PLAIN) };
        // What stands there already is replaced by the next step's at once.
        let early = taken < first && !self.drawn;
        if early || self.last.is_some_and(|last| now.saturating_duration_since(last) < again) {
            return;
        }
        self.last = Some(now);
        // Nobody may be reading: work goes on.
        let _ = match self.terminal {
            true => write!(out, "\r\x1b[K{}", work.text(taken, voice::terminal_size(std::io::stderr()).0)),
            false => writeln!(out, "{}", work.text(taken, usize::MAX)),
        };
        let _ = out.flush();
        self.drawn = self.terminal;
    }

    fn erase(&mut self, out: &mut dyn Write) {
        if self.drawn {
            let _ = write!(out, "\r\x1b[K");
            let _ = out.flush();
            self.drawn = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(step: Step, files: u64, of_files: u64, bytes: u64, of_bytes: u64) -> Work {
        Work { files, bytes, ..Work::new(step, of_files, of_bytes) }
    }

    #[test]
    fn lines_as_people_read_them() {
        let text = |w: Work, s: u64| w.text(Duration::from_secs(s), 80);
        assert_eq!(
            text(work(Step::Encrypting, 812, 1204, 2_214_000_000, 3_100_000_000), 54),
            "encrypting  [==============>     ]  812 of 1,204 files   41 MB/s   21 s left"
        );
        assert_eq!(
            text(work(Step::Sending, 0, 0, 1_400_000_000, 3_100_000_000), 226),
            "sending     [=========>          ]  1.4 GB of 3.1 GB   6.2 MB/s   5 min left"
        );
        assert_eq!(text(work(Step::Fetching, 0, 0, 600_000_000, 0), 100), "fetching    600 MB   6.0 MB/s");
        assert_eq!(text(work(Step::Looking, 12_304, 0, 0, 0), 3), "looking     12,304 files");
        assert_eq!(text(work(Step::Decrypting, 3, 3, 9, 0), 0), "decrypting  [===================>]  3 of 3 files");
        // More came than was expected (somebody wrote to the share meanwhile).
        assert!(text(work(Step::Encrypting, 9, 3, 9, 3), 9).contains("3 of 3 files"));
        let narrow = work(Step::Sending, 0, 0, 1, 3).text(Duration::ZERO, 30);
        assert_eq!(narrow, "sending     1 B of 3 B");
    }

    #[test]
    fn a_line_is_drawn_over_at_most_so_often_and_erased() {
        for (terminal, lines, limit) in [(true, 0, 50), (false, 1, 1)] {
            let start = Instant::now();
            let w = Work { start, ..work(Step::Looking, 1, 0, 0, 0) };
            let mut s = State { terminal, drawn: false, last: None, work: Some(w) };
            let mut out = Vec::new();
            for ms in 0..10_100 {
                s.draw(start + Duration::from_millis(ms), &mut out);
            }
            s.erase(&mut out);
            let text = String::from_utf8(out).unwrap();
            let drawn = text.matches("looking").count();
            assert!((1..=limit).contains(&drawn), "{drawn}");
            assert_eq!(text.lines().filter(|l| !l.contains('\r')).count(), lines);
            assert_eq!(text.ends_with("\r\x1b[K"), terminal);
        }
        // Short work leaves no trace.
        let mut s = State { terminal: true, drawn: false, last: None, work: Some(work(Step::Looking, 1, 0, 0, 0)) };
        let mut out = Vec::new();
        s.draw(Instant::now(), &mut out);
        s.erase(&mut out);
        assert!(out.is_empty());
    }
}
