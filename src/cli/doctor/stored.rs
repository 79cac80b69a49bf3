//! What `doctor` says of storage nodes: whether they answer and to which key, their clock, and what a plain clone would get.

use super::{Findings, Grade};
use crate::cli::nodes;
use crate::cli::places::Places;
use crate::config::Remote as Configured;
use crate::error::{Error, Result};
use crate::git::{Refs, Remote};
use crate::mirror::progress::Progress;
use crate::mirror::secure::MAIN;
use crate::path::shell_word;

/// Seconds by which two clocks may differ: conflicts are told by times, and so is who was first.
const APART: u64 = 60;

/// What was seen of a node.
struct Seen {
    refs: Refs,
    /// The ref that HEAD names, if it may be another one than a plain clone needs.
    head: Option<String>,
    /// The command that points HEAD at the right branch.
    mend: String,
    key: Option<String>,
    ahead: Option<i64>,
}

/// Looks at a node, and at nothing but the node.
pub fn look(r: &Configured, places: &Places, f: &mut Findings) {
    match see(r, places) {
        Ok((place, seen)) => tell(&r.name, &place, &seen, f),
        Err(e) => f.bad(Grade::Fail, format!("{}: {e}", r.name), e.remedies().first().map_or(String::new(), |r| r.command.clone())),
    }
}

fn see(r: &Configured, places: &Places) -> Result<(String, Seen)> {
    let mut node = nodes::open(r, places, &Progress::default())?;
    #[cfg(feature = "ssh")]
    if let Some(server) = node.remote.server() {
        use crate::clock::{Clock, system::System};
        let seen = server.look(|| System.now())?;
        let key = seen.key.map(|key| places.short(std::path::Path::new(&key)));
        let mend = by_hand(&r.url)?;
        return Ok((node.place, Seen { refs: seen.refs, head: seen.head, mend, key, ahead: seen.ahead }));
    }
    let refs = node.remote.refs()?;
    let path = node.remote.local().ok_or_else(|| Error::failed(format!("{} is no place", r.url)))?;
    let head = std::fs::read_to_string(path.join("HEAD")).ok();
    let head = head.map(|text| text.trim().trim_start_matches("ref: ").to_string()).filter(|name| !name.is_empty());
    let mend = format!("git --git-dir={} symbolic-ref HEAD {MAIN}", shell_word(&path.display().to_string()));
    Ok((node.place, Seen { refs, head, mend, key: None, ahead: None }))
}

/// How one points HEAD at the right branch at a server.
#[cfg(feature = "ssh")]
fn by_hand(url: &str) -> Result<String> {
    let url = crate::ssh::url::Url::parse(url)?;
    let port = url.port.map_or(String::new(), |port| format!(" -p {port}"));
    let user = url.user.map_or(String::new(), |user| format!("{user}@"));
    let login = shell_word(&format!("{user}{}", url.host));
    // Commands begin in the home, and two shells read the path: this one and the server's.
    let path = url.path.strip_prefix("~/").unwrap_or(&url.path);
    let word = shell_word(path);
    let path = if word == path { word } else { shell_word(&word) };
    Ok(format!("ssh{port} {login} git --git-dir {path} symbolic-ref HEAD {MAIN}"))
}

fn tell(name: &str, place: &str, seen: &Seen, f: &mut Findings) {
    if !seen.refs.contains_key(MAIN) {
        return f.bad(Grade::Warn, format!("{name}: {place} is empty"), "sharelock sync");
    }
    let answers = seen.key.as_ref().map_or("answers".to_string(), |key| format!("takes {key}"));
    match seen.ahead {
        Some(s) if s.unsigned_abs() > APART => {
            let which = if s > 0 { "behind" } else { "ahead of" };
            f.ok(format!("{name}: {place} {answers}"));
            f.bad(Grade::Warn, format!("{name}: this device's clock is {} s {which} the one of {place}", s.unsigned_abs()), "timedatectl");
        }
        Some(s) => f.ok(format!("{name}: {place} {answers}, clocks {} s apart", s.unsigned_abs())),
        None => f.ok(format!("{name}: {place} {answers}")),
    }
    if let Some(head) = seen.head.as_ref().filter(|head| *head != MAIN) {
        let branch = head.rsplit('/').next().unwrap_or(head);
        let what = match seen.refs.contains_key(head) {
            true => format!("{name}: a plain `git clone` would come out with another branch (its HEAD names {branch})"),
            false => format!("{name}: a plain `git clone` would come out empty (its HEAD names {branch})"),
        };
        f.bad(Grade::Warn, what, &seen.mend);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Oid;

    fn said(seen: &Seen) -> Vec<(bool, String)> {
        let mut f = Findings::default();
        tell("origin", "sync.example.org", seen, &mut f);
        f.0.into_iter().map(|x| (x.grade == Grade::Ok, x.what)).collect()
    }

    fn seen() -> Seen {
        let refs = Refs::from([(MAIN.to_string(), Oid([1; 20]))]);
        Seen { refs, head: Some(MAIN.into()), mend: "mend".into(), key: Some("~/.ssh/id_ed25519".into()), ahead: Some(-1) }
    }

    #[test]
    fn what_is_well_stands_on_one_line() {
        let well = "origin: sync.example.org takes ~/.ssh/id_ed25519, clocks 1 s apart";
        assert_eq!(said(&seen()), [(true, well.into())]);
        let bare = Seen { key: None, ahead: None, head: None, ..seen() };
        assert_eq!(said(&bare), [(true, "origin: sync.example.org answers".into())]);
    }

    #[test]
    fn a_head_that_names_another_branch() {
        let empty = "origin: a plain `git clone` would come out empty (its HEAD names master)";
        assert_eq!(said(&Seen { head: Some("refs/heads/master".into()), ..seen() })[1], (false, empty.into()));
        let mut both = Seen { head: Some("refs/heads/master".into()), ..seen() };
        both.refs.insert("refs/heads/master".into(), Oid([2; 20]));
        assert!(said(&both)[1].1.contains("with another branch"));
    }

    #[test]
    #[cfg(feature = "ssh")]
    fn the_command_for_a_server() {
        for (url, want) in [
            ("ssh://me@h:2222/srv/v.git", "ssh -p 2222 me@h git --git-dir /srv/v.git symbolic-ref HEAD refs/heads/main"),
            ("h:v.git", "ssh h git --git-dir v.git symbolic-ref HEAD refs/heads/main"),
            ("h:a b.git", r"ssh h git --git-dir ''\''a b.git'\''' symbolic-ref HEAD refs/heads/main"),
        ] {
            assert_eq!(by_hand(url).unwrap(), want);
        }
    }

    #[test]
    fn clocks_that_are_apart() {
        for (ahead, want) in [(61, "61 s behind"), (-3600, "3600 s ahead of")] {
            let all = said(&Seen { ahead: Some(ahead), ..seen() });
            assert_eq!(all[1], (false, format!("origin: this device's clock is {want} the one of sync.example.org")));
        }
    }

    #[test]
    fn a_node_without_a_vault() {
        assert_eq!(said(&Seen { refs: Refs::new(), ..seen() }), [(false, "origin: sync.example.org is empty".into())]);
    }
}
