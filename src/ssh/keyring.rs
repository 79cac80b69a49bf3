//! A key that is let in no more: its line is taken out of an account's `authorized_keys`, by the means that the account
//! allows.

use super::session::Connection;
use super::setup::{DONE, by_command};
use crate::error::{Error, Result};
use ssh2::{OpenFlags, OpenType};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

const FILE: &str = ".ssh/authorized_keys";
/// Longer files are not looked at.
const LIMIT: u64 = 1 << 20;

/// Takes out the lines of keys whose comment `is` takes, but none that is in `keep` (keys in base64). Gives those lines.
///
/// By shell the file is written anew and put in place whole; by SFTP and `dd`, which could be cut in the middle of that, the
/// line becomes a remark by its first byte.
///
/// # Errors
/// The account lets nobody read or write the file.
pub(super) fn remove(c: &Connection, is: impl Fn(&str) -> bool, keep: &[String]) -> Result<Vec<String>> {
    let refused = || Error::failed(format!("{} lets nobody write authorized_keys by ssh", c.host));
    let text = read(c).ok_or_else(refused)?;
    let chosen = |line: &str| key_and_comment(line).is_some_and(|(key, comment)| is(comment) && !keep.iter().any(|k| k == key));
    let out: Vec<String> = lines(&text).map(|(_, line)| line).filter(|line| chosen(line)).map(str::to_string).collect();
    if out.is_empty() {
        return Ok(out);
    }
    let shell = format!(
        "exec sh -c 'umask 077; f=~/{FILE}; test ! -L $f || exit 1; grep -vxF -f - $f > $f.sharelock-tmp; \
         test $? -le 1 && mv $f.sharelock-tmp $f && echo {DONE}'"
    );
    let patterns = out.iter().map(|line| format!("{line}\n")).collect::<String>();
    by_command(c, &shell, patterns.as_bytes());
    // What the shell has left of them may stand elsewhere now: a byte in the wrong place would lock out somebody else.
    let left = read(c).ok_or_else(refused)?;
    for (at, _) in lines(&left).filter(|(_, line)| chosen(line)) {
        if !by_sftp(c, at as u64) {
            by_command(c, &format!("dd of={FILE} bs=1 seek={at} count=1 conv=notrunc"), b"#");
        }
    }
    let gone = read(c).is_some_and(|text| !lines(&text).any(|(_, line)| chosen(line)));
    gone.then_some(out).ok_or_else(refused)
}

/// Lines with the places where they begin.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let begins = at;
        at += line.len();
        (begins, line.trim_end_matches(['\n', '\r']))
    })
}

/// The key in base64, and what stands behind it; options may stand before its type.
fn key_and_comment(line: &str) -> Option<(&str, &str)> {
    if line.starts_with('#') {
        return None;
    }
    let types = ["ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-nistp256 ", "ecdsa-sha2-nistp384 ", "ecdsa-sha2-nistp521 "];
    let at = types.iter().filter_map(|t| {
        let at = line.find(&format!("{t}AAAA"))?;
        (at == 0 || line[..at].ends_with([' ', '\t'])).then_some(at + t.len())
    });
    let rest = &line[at.min()?..];
    Some(rest.split_once([' ', '\t']).map_or((rest, ""), |(key, comment)| (key, comment.trim())))
}

/// The file as it is.
fn read(c: &Connection) -> Option<String> {
    let shell = format!("exec sh -c 'cat ~/{FILE} && echo && echo {DONE}'");
    let told = |command: &str| {
        let mut channel = c.exec(command).ok()?;
        let (out, status, _) = channel.output(LIMIT);
        (status == 0).then(|| String::from_utf8(out).ok()).flatten()
    };
    if let Some(text) = told(&shell).and_then(|t| t.strip_suffix(&format!("\n{DONE}\n")).map(str::to_string)) {
        return Some(text);
    }
    if let Some(mut file) = c.sftp().and_then(|s| s.open(Path::new(FILE)).ok()) {
        let mut text = String::new();
        (&mut file).take(LIMIT).read_to_string(&mut text).ok()?;
        return Some(text);
    }
    told(&format!("dd if={FILE}"))
}

/// Makes a line a remark.
fn by_sftp(c: &Connection, at: u64) -> bool {
    let Some(sftp) = c.sftp() else { return false };
    let Ok(mut file) = sftp.open_mode(Path::new(FILE), OpenFlags::WRITE, 0o600, OpenType::File) else { return false };
    file.seek(SeekFrom::Start(at)).is_ok() && file.write_all(b"#").is_ok() && file.close().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_keys() {
        for (line, want) in [
            ("ssh-ed25519 AAAAx pi", Some(("AAAAx", "pi"))),
            ("ssh-ed25519 AAAAx  my pi ", Some(("AAAAx", "my pi"))),
            ("restrict,command=\"a b\" ssh-rsa AAAAy mac", Some(("AAAAy", "mac"))),
            ("ssh-rsa AAAAy", Some(("AAAAy", ""))),
            ("# ssh-rsa AAAAy mac", None),
            ("xssh-rsa AAAAy mac", None),
            ("", None),
        ] {
            assert_eq!(key_and_comment(line), want, "{line}");
        }
        assert_eq!(lines("a\nbc\r\n\nd").collect::<Vec<_>>(), [(0, "a"), (2, "bc"), (6, ""), (7, "d")]);
    }
}
