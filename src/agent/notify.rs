//! Tells a person what needs one: by a desktop notification, and in the log.

use crate::config::Notify;
use std::collections::BTreeSet;

/// How many lines one notification has at most.
const LINES: usize = 4;

/// What was told, so that it is not told again.
#[derive(Debug, Default)]
pub struct Notifier {
    told: BTreeSet<String>,
}

impl Notifier {
    /// Of the sentences that hold now, those that did not hold before. What holds no longer may be told again one day.
    pub fn news(&mut self, now: BTreeSet<String>) -> Vec<String> {
        let news = now.difference(&self.told).cloned().collect();
        self.told = now;
        news
    }
}

/// Shows sentences, all in one notification.
pub fn tell(sentences: &[String], ways: &[Notify], spawn: impl Fn(smol::future::Boxed<()>)) {
    if sentences.is_empty() || ways.contains(&Notify::None) {
        return;
    }
    for s in sentences {
        log::warn!("{s}");
    }
    if ways.contains(&Notify::Desktop) {
        let text = coalesced(sentences);
        spawn(Box::pin(async move {
            if let Err(e) = desktop(&text).await {
                log::debug!("no desktop notification: {e}");
            }
        }));
    }
}

/// The first sentences and how many more there are.
pub fn coalesced(sentences: &[String]) -> String {
    let mut lines: Vec<&str> = sentences.iter().take(LINES).map(String::as_str).collect();
    let more = format!("and {} more: sharelock status", sentences.len().saturating_sub(LINES));
    if sentences.len() > LINES {
        lines.push(&more);
    }
    lines.join("\n")
}

/// By the program that the desktop has for it. The text is an argument of its own: no shell reads it.
async fn desktop(text: &str) -> std::io::Result<()> {
    let mut command = if cfg!(target_os = "macos") {
        let mut c = smol::process::Command::new("osascript");
        c.args(["-e", "on run argv", "-e", "display notification (item 1 of argv) with title \"sharelock\"", "-e", "end run", text]);
        c
    } else {
        let mut c = smol::process::Command::new("notify-send");
        // `--`: a name that begins with a dash is no option. Markup is escaped, as the server may read it.
        c.args(["--app-name=sharelock", "--", "sharelock", &escaped(text)]);
        c
    };
    use std::process::Stdio;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await.map(|_| ())
}

/// The few characters that the notification servers' markup knows.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn what_holds_is_told_once_and_again_when_it_comes_back() {
        let mut n = Notifier::default();
        assert_eq!(n.news(set(&["a", "b"])), ["a", "b"]);
        assert_eq!(n.news(set(&["a", "b", "c"])), ["c"]);
        assert_eq!(n.news(set(&["a"])), [""; 0]);
        assert_eq!(n.news(set(&["a", "b"])), ["b"]);
    }

    #[test]
    fn many_are_one() {
        let all: Vec<String> = (0..9).map(|i| format!("sentence {i}")).collect();
        let text = coalesced(&all);
        assert_eq!(text.lines().count(), LINES + 1);
        assert!(text.ends_with("and 5 more: sharelock status"), "{text}");
        assert_eq!(coalesced(&all[..1]), "sentence 0");
        assert_eq!(escaped("a <b> & c"), "a &lt;b&gt; &amp; c");
    }
}
