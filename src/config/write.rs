//! Writing the configuration: the file that `init` and `join` make, and storage nodes that come and go.

use super::Remote;
use zeroize::Zeroizing;

/// A TOML string.
pub(super) fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What a new file says beside the folders. By default it only explains, in comments, what could be said.
#[derive(Default)]
pub struct Wishes {
    /// Ignore patterns.
    pub ignore: Vec<String>,
    /// The end of a burst of changes, in seconds.
    pub quiet: Option<u64>,
    /// How a person is told, by its names in the file.
    pub notify: Vec<String>,
    /// The account for notices.
    pub xmpp: Option<Account>,
}

/// An XMPP account of somebody whose other devices may still run dvcs-autosync.
pub struct Account {
    /// The address.
    pub jid: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// Who is told by chat.
    pub alsonotify: Vec<String>,
}

/// What `init` and `join` know of a device.
pub struct First<'a> {
    /// The plain folder.
    pub share: &'a str,
    /// The encrypted one.
    pub secure: &'a str,
    /// The device's name.
    pub device: &'a str,
    /// Whatever else.
    pub wishes: &'a Wishes,
    /// Storage nodes.
    pub remotes: &'a [Remote],
}

/// The file that `init` and `join` write.
pub fn write(f: &First<'_>) -> Zeroizing<String> {
    let ignore = live(&f.wishes.ignore, "ignore", "[\"*.tmp\"]");
    let notify = live(&f.wishes.notify, "notify", "[\"desktop\"]");
    let quiet = f.wishes.quiet.map_or("# quiet = \"200ms\"".into(), |s| format!("quiet = \"{s}s\""));
    // A burst ends at `max_delay` at the latest.
    let most = f.wishes.quiet.filter(|s| *s > 10).map_or("# max_delay = \"10s\"".into(), |s| format!("max_delay = \"{s}s\""));
    let mut out = Zeroizing::new(format!(
        "# sharelock: one vault on this device. `sharelock doctor` looks whether all of it makes sense\n\n\
         share = {}      # the plain folder\n\
         secure = {}     # the encrypted one, a git work tree\n\
         device = {}     # this device's name, told to nobody outside the vault\n\n\
         # where the password comes from when nobody types it:\n\
         # password_command = \"secret-tool lookup sharelock vault\"\n\
         # password_file = \"~/.config/sharelock/password\"\n\n\
         # what this device does not follow, beside .sharelockignore (gitignore syntax)\n\
         {ignore}\n\n\
         # this much stays free on the disks\n\
         # min_free = \"64MB\"\n\n\
         # stop and ask before so many files, and more than this part of the vault, are deleted or overwritten\n\
         # brake = {{ files = 1000, fraction = 0.1 }}\n\n\
         # the agent: a burst of changes is over after so long without one; a file that is still written to waits so\n\
         # long at most; the storage nodes are asked so often even if nobody says that there is something new\n\
         {quiet}\n\
         {most}\n\
         # poll = \"60s\"\n\
         # how it sees changes (auto, inotify, fsevents, poll), and how it tells a person (desktop, xmpp, log, none)\n\
         # watch = \"auto\"\n\
         {notify}\n",
        quoted(f.share),
        quoted(f.secure),
        quoted(f.device)
    ));
    #[cfg(feature = "xmpp")]
    out.push_str(super::xmpp::COMMENT);
    if let Some(x) = &f.wishes.xmpp {
        let password = Zeroizing::new(quoted(&x.password));
        out.push_str(&format!("\n[xmpp]\njid = {}\npassword = ", quoted(&x.jid)));
        out.push_str(&password);
        if !x.alsonotify.is_empty() {
            out.push_str(&format!("\nalsonotify = {}", list(&x.alsonotify)));
        }
        out.push_str("\ncompat = true     # until no device runs dvcs-autosync any more\n");
    }
    for r in f.remotes {
        out.push_str(&block(r));
    }
    out
}

/// A list, or the comment that shows what one looks like.
fn live(items: &[String], key: &str, example: &str) -> String {
    if items.is_empty() { format!("# {key} = {example}") } else { format!("{key} = {}", list(items)) }
}

/// A TOML list of texts.
pub(super) fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|i| quoted(i)).collect::<Vec<_>>().join(", "))
}

fn block(r: &Remote) -> String {
    format!("\n[[remote]]\nname = {}\nurl = {}\n", quoted(&r.name), quoted(&r.url))
}

/// The text with one more storage node at its end.
pub fn with_remote(text: &str, r: &Remote) -> String {
    let mut out = text.trim_end().to_string();
    out.push('\n');
    out.push_str(&block(r));
    out
}

/// The text with another name for this device; everything else, comments too, stays.
pub fn with_device(text: &str, name: &str) -> String {
    let mut out = String::new();
    let mut above = true;
    for line in text.split_inclusive('\n') {
        above &= !line.trim_start().starts_with('[');
        let value = line.trim_start().strip_prefix("device").and_then(|r| r.trim_start().strip_prefix('='));
        let Some(old) = value.filter(|_| above).map(str::trim_start).filter(|v| v.starts_with(['"', '\''])) else {
            out.push_str(line);
            continue;
        };
        // A name holds no quotation mark of its own kind unless it is escaped, and then the caller sees that it failed.
        let quote = &old[..1];
        let behind = old[1..].split_once(quote).map_or("\n", |(_, rest)| rest);
        out.push_str(&line[..line.len() - old.len()]);
        out.push_str(&quoted(name));
        out.push_str(behind);
    }
    out
}

/// The text without the block of a storage node; everything else, comments too, stays.
pub fn without_remote(text: &str, name: &str) -> String {
    let mut out = String::new();
    let mut held = String::new();
    let (mut inside, mut found) = (false, false);
    for line in text.split_inclusive('\n') {
        let t = line.trim();
        if t.starts_with('[') {
            if !(inside && found) {
                out.push_str(&held);
            }
            held.clear();
            inside = t == "[[remote]]";
            found = false;
        }
        if inside {
            held.push_str(line);
            let value = t.strip_prefix("name").map(str::trim_start).and_then(|r| r.strip_prefix('=')).map(str::trim);
            found |= value.is_some_and(|v| v.trim_matches(['"', '\'']) == name);
        } else {
            out.push_str(line);
        }
    }
    if !(inside && found) {
        out.push_str(&held);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    #[test]
    fn what_init_writes_is_read_back() {
        let r = Remote { name: "origin".into(), url: "me@host:a \"b\"".into() };
        let first =
            First { share: "~/share", secure: "/s", device: "laptop", wishes: &Wishes::default(), remotes: std::slice::from_ref(&r) };
        let text = write(&first);
        let parse = |text: &str| Config::parse(text, "config.toml", Path::new("/home/me"));
        let c = parse(&text).unwrap();
        assert_eq!((c.share, c.secure, c.device.as_str()), ("/home/me/share".into(), "/s".into(), "laptop"));
        assert_eq!((c.remotes, c.quiet, c.max_delay, c.ignore.len()), (vec![r.clone()], 200, 10_000, 0));
        let two = with_remote(&text, &Remote { name: "usb".into(), url: "/media/x".into() });
        assert_eq!(parse(&two).unwrap().remotes.len(), 2);
        assert_eq!(parse(&without_remote(&two, "origin")).unwrap().remotes[0].name, "usb");
        assert_eq!(without_remote(&two, "usb").trim_end(), text.trim_end());
    }

    #[test]
    fn another_name_and_nothing_else() {
        for (text, want) in [
            ("device = \"a\"     # mine\n[xmpp]\ndevice = \"a\"\n", "device = \"b\"     # mine\n[xmpp]\ndevice = \"a\"\n"),
            ("# device = \"a\"\n device='a'", "# device = \"a\"\n device=\"b\""),
            ("devices = \"a\"\n", "devices = \"a\"\n"),
        ] {
            assert_eq!(with_device(text, "b"), want);
        }
    }

    #[test]
    fn wishes_stand_in_the_file() {
        let (ignore, notify) = (vec!["/.git".to_string(), "/a\"b\\".into()], vec!["log".to_string()]);
        let account = |password: &str| Account {
            jid: "me@example.org".into(),
            password: password.to_string().into(),
            alsonotify: vec!["friend@example.net".into()],
        };
        let password = "p # \" \\ ] ';\u{7f}";
        let wishes = Wishes { ignore: ignore.clone(), quiet: Some(30), notify, xmpp: Some(account(password)) };
        let text = write(&First { share: "/a", secure: "/s", device: "d", wishes: &wishes, remotes: &[] });
        let c = Config::parse(&text, "config.toml", Path::new("/home/me")).unwrap();
        assert_eq!((c.ignore, c.quiet, c.max_delay, c.notify), (ignore, 30_000, 30_000, vec![super::super::Notify::Log]));
        #[cfg(feature = "xmpp")]
        {
            let x = c.xmpp.unwrap();
            assert_eq!((x.jid().as_str(), x.password.as_ref().unwrap().as_str()), ("me@example.org", password));
            let x = x.account(Default::default(), String::new(), String::new()).unwrap();
            assert_eq!((x.alsonotify[0].as_str(), x.compat), ("friend@example.net", true));
        }
    }
}
