//! A person at a terminal: script(1) makes one, without a line of unsafe code here.

use super::{Home, PROGRAM, wait_for};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A program at a terminal of its own.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
    seen: usize,
}

impl Terminal {
    /// Starts the program in a home, without `--password-file`.
    pub fn start(home: &Home, args: &[&str]) -> Terminal {
        let quoted = |w: &str| format!("'{}'", w.replace('\'', "'\\''"));
        let line: Vec<String> = [PROGRAM].iter().chain(args).map(|w| quoted(w)).collect();
        Terminal::of(home, &line.join(" "))
    }

    /// Starts a shell's command line.
    pub fn of(home: &Home, line: &str) -> Terminal {
        let mut child = Command::new("script")
            .args(["-qefc", line, "/dev/null"])
            .env_clear()
            .env("HOME", home.dir.path())
            .env("USER", super::user())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script: apt-get install bsdutils");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut out, all) = (child.stdout.take().expect("its screen"), shown.clone());
        std::thread::spawn(move || {
            let mut buffer = [0u8; 4096];
            while let Ok(n @ 1..) = out.read(&mut buffer) {
                all.lock().expect("the screen").extend_from_slice(&buffer[..n]);
            }
        });
        let keys = child.stdin.take().expect("its keyboard");
        Terminal { child, keys, shown, seen: 0 }
    }

    /// All that was shown.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("the screen")).into_owned()
    }

    /// Waits until a text is shown, after what was waited for before.
    pub fn wait(&mut self, text: &str) -> &mut Terminal {
        let start = self.seen;
        let mut end = None;
        let shown = self.shown.clone();
        wait_for(text, || {
            let all = shown.lock().expect("the screen");
            end = all[start..].windows(text.len()).position(|w| w == text.as_bytes()).map(|at| start + at + text.len());
            end.is_some()
        });
        self.seen = end.expect("it was found");
        self
    }

    /// Types a line.
    pub fn line(&mut self, text: &str) -> &mut Terminal {
        self.keys.write_all(format!("{text}\n").as_bytes()).and_then(|()| self.keys.flush()).expect("a key");
        self
    }

    /// Presses keys.
    pub fn keys(&mut self, keys: &str) -> &mut Terminal {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("a key");
        self
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&mut self) {
        self.keys("\x03");
    }

    /// Its exit code.
    pub fn end(&mut self) -> i32 {
        let mut status = None;
        wait_for("the program's end", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.and_then(|s| s.code()).unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
