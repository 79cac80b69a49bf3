//! What is done on a server once: a repository, its HEAD, a key that is let in. Each by the means that an account allows.
//!
//! A command that ends with success proves little: an account that is bound to one program (`ForceCommand
//! internal-sftp`, a forge) says so of anything. What counts is an answer that only the command itself gives.

use super::session::Connection;
use super::url::quote;
use crate::error::{Error, Result};
use ssh2::{OpenFlags, OpenType, Sftp};
use std::io::Write;
use std::path::{Path, PathBuf};

/// HEAD of a node.
const HEAD: &[u8] = b"ref: refs/heads/main\n";
/// A longer one is none, and this is less than a block of `dd`.
const LONGEST_HEAD: usize = 500;
/// The word that a shell says when it has done everything before.
pub(super) const DONE: &str = "sharelock-done";

/// Appends a line to `authorized_keys`: by shell, else by SFTP, else by the `dd` that restricted providers allow.
pub(super) fn append_key(c: &Connection, line: &str) -> Result<()> {
    // An old last line may lack its end: the shell looks, the others begin with one.
    let file = "~/.ssh/authorized_keys";
    let shell = format!(
        "exec sh -c 'umask 077; mkdir -p ~/.ssh && {{ test ! -s {file} || test -z \"$(tail -c 1 {file})\" || echo >> {file}; }} && cat >> {file} && echo {DONE}'"
    );
    if by_command(c, &shell, format!("{line}\n").as_bytes()).is_some_and(|(out, _)| out.contains(DONE)) {
        return Ok(());
    }
    let text = format!("\n{line}\n");
    if let Some(sftp) = c.sftp() {
        let _ = sftp.mkdir(Path::new(".ssh"), 0o700);
        let flags = OpenFlags::WRITE | OpenFlags::APPEND | OpenFlags::CREATE;
        if write(&sftp, Path::new(".ssh/authorized_keys"), flags, 0o600, text.as_bytes()) {
            return Ok(());
        }
    }
    if dd(c, "of=.ssh/authorized_keys oflag=append conv=notrunc", text.as_bytes()) {
        return Ok(());
    }
    Err(Error::failed(format!("{} lets nobody write authorized_keys by ssh", c.host))
        .detail("add this line there by the provider's own page:")
        .detail(line.to_string()))
}

/// Points HEAD of the repository at `refs/heads/main` without git's help: by SFTP, else by `dd`.
///
/// Neither of them replaces a file by another everywhere (SFTP's rename takes no name that is taken, and an account that is
/// let `dd` is not let `mv`). So what stands there is written over by one piece, with as many line ends behind it as
/// cover all of it, and is never cut: a line that breaks before leaves it as it was. git passes over white space there.
pub(super) fn write_head(c: &Connection, path: &str) -> bool {
    let file = format!("{}/HEAD", from_home(path));
    let over = |len: usize| [HEAD, &vec![b'\n'; len.saturating_sub(HEAD.len())]].concat();
    let by_sftp = c.sftp().is_some_and(|s| {
        let size = s.stat(Path::new(&file)).ok().and_then(|f| usize::try_from(f.size?).ok());
        size.is_some_and(|n| n <= LONGEST_HEAD && write(&s, Path::new(&file), OpenFlags::WRITE, 0o644, &over(n)))
    });
    by_sftp || dd(c, &format!("of={} conv=notrunc", quote(&file)), &over(LONGEST_HEAD))
}

/// Makes a bare repository by SFTP (gitrepository-layout(5)); what is there already stays. `false` if that is not allowed.
pub(super) fn create_by_sftp(c: &Connection, path: &str) -> bool {
    let Some(sftp) = c.sftp() else { return false };
    let root = PathBuf::from(from_home(path));
    for dir in ["", "objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags"] {
        let _ = sftp.mkdir(&root.join(dir), 0o755);
    }
    let new = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let config = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";
    let had = |name: &str| sftp.stat(&root.join(name)).is_ok();
    // HEAD comes last: half a repository is none.
    (had("config") || write(&sftp, &root.join("config"), new, 0o644, config))
        && (had("HEAD") || write(&sftp, &root.join("HEAD"), new, 0o644, HEAD))
}

/// A path as SFTP and `dd` know it: they start in the home and do not expand `~`.
fn from_home(path: &str) -> &str {
    path.strip_prefix("~/").unwrap_or(path)
}

fn write(sftp: &Sftp, file: &Path, flags: OpenFlags, mode: i32, bytes: &[u8]) -> bool {
    sftp.open_mode(file, flags, mode, OpenType::File).is_ok_and(|mut f| f.write_all(bytes).is_ok() && f.close().is_ok())
}

/// Standard output and error of a command that ended with success.
pub(super) fn by_command(c: &Connection, command: &str, input: &[u8]) -> Option<(String, String)> {
    let mut channel = c.exec(command).ok()?;
    channel.write_all(input).and_then(|()| channel.flush()).ok()?;
    let (out, status, err) = channel.output(4096);
    (status == 0).then(|| (String::from_utf8_lossy(&out).into_owned(), err))
}

/// `dd`, which always says on standard error how many blocks it has copied (`0+1`), in whatever language.
fn dd(c: &Connection, operands: &str, input: &[u8]) -> bool {
    by_command(c, &format!("dd {operands}"), input).is_some_and(|(_, err)| err.contains("0+1"))
}
