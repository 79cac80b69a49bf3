//! The agent's log: to standard error in the foreground, to a file of bounded size in the background.

use crate::clock::date::Date;
use crate::clock::system::System;
use crate::clock::{Clock, Time};
use log::{LevelFilter, Log, Metadata, Record};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A file that has grown to this size is put aside as `NAME.1`, in the place of the one before.
pub const ROTATE: u64 = 1 << 20;

/// Where lines go.
enum Target {
    Stderr,
    File { path: PathBuf, file: Option<File>, size: u64 },
}

/// See the module.
pub struct Journal {
    target: Mutex<Target>,
}

impl Journal {
    /// To standard error.
    pub fn stderr() -> Journal {
        Journal { target: Mutex::new(Target::Stderr) }
    }

    /// To a file, which only its owner may read: names of files stand in it.
    pub fn file(path: &Path) -> std::io::Result<Journal> {
        let file = open(path)?;
        let size = file.metadata()?.len();
        Ok(Journal { target: Mutex::new(Target::File { path: path.to_path_buf(), file: Some(file), size }) })
    }

    /// Makes this the program's log.
    pub fn install(self, level: LevelFilter) {
        if log::set_boxed_logger(Box::new(self)).is_ok() {
            log::set_max_level(level);
        }
    }

    fn line(&self, line: &str) {
        // A thread that died while it wrote leaves the target as it was.
        let mut target = self.target.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &mut *target {
            Target::Stderr => eprint!("{line}"),
            Target::File { path, file, size } => {
                if *size + line.len() as u64 > ROTATE {
                    let mut old = path.clone().into_os_string();
                    old.push(".1");
                    let _ = std::fs::rename(&*path, old);
                    *file = open(path).ok();
                    *size = 0;
                }
                // A log that cannot be written must not stop what it is about.
                if let Some(f) = file
                    && f.write_all(line.as_bytes()).is_ok()
                {
                    *size += line.len() as u64;
                }
            }
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

impl Log for Journal {
    fn enabled(&self, m: &Metadata<'_>) -> bool {
        m.target().starts_with("sharelock")
    }

    fn log(&self, r: &Record<'_>) {
        if self.enabled(r.metadata()) {
            let text = r.args().to_string();
            // One line an event, whatever a file's name holds.
            let text = crate::path::printable(text.replace('\n', "; ").as_bytes());
            self.line(&format!("{} {} {text}\n", stamp(System.now()), r.level().as_str().to_lowercase()));
        }
    }

    fn flush(&self) {}
}

/// `2026-03-01 14:02:33`, local.
fn stamp(t: Time) -> String {
    let d = Date::local(t, &System);
    format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", d.year, d.month, d.day, d.hour, d.minute, d.second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_put_aside_when_it_has_grown_and_only_its_owner_reads_it() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("agent.log");
        let j = Journal::file(&path).unwrap();
        let line = format!("{}\n", "x".repeat(1023));
        for _ in 0..2600 {
            j.line(&line);
        }
        let size = |p: &Path| std::fs::metadata(p).unwrap().len();
        assert!(size(&path) <= ROTATE && size(&tmp.path().join("agent.log.1")) <= ROTATE);
        assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 2);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // The next agent goes on where this one ended.
        let before = size(&path);
        Journal::file(&path).unwrap().line("more\n");
        assert_eq!(size(&path), before + 5);
    }

    #[test]
    fn a_stamp_has_the_time() {
        assert_eq!(stamp(Time { s: 0, ns: 0 }).len(), 19);
    }
}
