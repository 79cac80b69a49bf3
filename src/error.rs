//! One error type for the whole program: what failed, where, why, what is safe, and what to do next.
//!
//! The command line prints it as three parts (what, why, what to do); the exit code follows from [`Kind`].

use std::fmt;
use std::sync::Arc;

/// Shorthand used everywhere below the command line.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an object of the vault was refused (FORMAT, "Reject").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A MAC or a place is wrong.
    Auth,
    /// Bytes that no writer makes.
    Form,
    /// A version, epoch or feature that this program does not know.
    Version,
    /// A length or number beyond what the format allows.
    Limit,
    /// A part that must be there is missing.
    Absent,
    /// Older than what this device has already seen.
    Stale,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Auth => "auth",
            Class::Form => "form",
            Class::Version => "version",
            Class::Limit => "limit",
            Class::Absent => "absent",
            Class::Stale => "stale",
        })
    }
}

/// What sort of failure it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Anything that has no kind of its own. Exit code 1.
    Failed,
    /// A command line or a configuration that cannot be used. Exit code 2.
    Usage,
    /// A conflict or the brake waits for a person's decision. Exit code 3.
    Decision,
    /// A wrong password, key file or recovery key. Exit code 4.
    Secret,
    /// A storage node is not reachable (network, host key, login, hang). Exit code 5.
    Unreachable,
    /// Tampering, rollback or damage. Exit code 6.
    Integrity(Class),
    /// No space left (here or, with a peer named, at a storage node). Exit code 1.
    Full,
    /// Something changed under our hands; the next round looks again. Never reaches a person. Exit code 1.
    Raced,
    /// The simulation killed this device, or the process was told to stop. Exit code 1.
    Stopped,
}

/// One answer to a problem: a purpose, and the command alone, to be copied as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// For example `do` or `to bring them back here`; printed before a colon.
    pub purpose: String,
    /// The command, with nothing behind it.
    pub command: String,
}

/// A failure with everything that a person needs to act on it.
///
/// Texts are lower case, without a full stop, and name the file, device or server.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    what: String,
    details: Vec<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    remedies: Vec<Remedy>,
}

impl Error {
    /// A new error. `what` is the first line: what failed, with the name of the file or peer in it.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, what: what.into(), details: Vec::new(), source: None, remedies: Vec::new() }))
    }

    /// [`Kind::Failed`].
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Kind::Failed, what)
    }

    /// [`Kind::Integrity`] with its class.
    pub fn integrity(class: Class, what: impl Into<String>) -> Self {
        Self::new(Kind::Integrity(class), what)
    }

    /// Adds the cause; it is printed behind the first line.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// Adds an indented line below the first: what is known, and what is safe.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.0.details.push(line.into());
        self
    }

    /// Adds an answer.
    #[must_use]
    pub fn remedy(mut self, purpose: impl Into<String>, command: impl Into<String>) -> Self {
        self.0.remedies.push(Remedy { purpose: purpose.into(), command: command.into() });
        self
    }

    /// Puts a place before the first line (`place: what`), keeping kind, cause and answers.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.what = format!("{place}: {}", self.0.what);
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The first line, without the cause.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The indented lines.
    pub fn details(&self) -> &[String] {
        &self.0.details
    }

    /// The answers, in order.
    pub fn remedies(&self) -> &[Remedy] {
        &self.0.remedies
    }

    /// The documented, stable exit code.
    pub fn exit_code(&self) -> u8 {
        match self.0.kind {
            Kind::Failed | Kind::Full | Kind::Raced | Kind::Stopped => 1,
            Kind::Usage => 2,
            Kind::Decision => 3,
            Kind::Secret => 4,
            Kind::Unreachable => 5,
            Kind::Integrity(_) => 6,
        }
    }

    /// True if the simulation killed the device (or the process is stopping): nothing may be tidied up after it.
    pub fn is_stopped(&self) -> bool {
        self.0.kind == Kind::Stopped
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        if let Some(source) = &self.0.source {
            write!(f, ": {}", plain(&source.to_string()))?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|s| &**s as _)
    }
}

/// Marks an `io::Error` that stands for the death of a simulated device.
#[derive(Debug)]
pub struct Killed;

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Killed {}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        let e = match e.downcast::<Error>() {
            Ok(inner) => return inner,
            Err(e) => e,
        };
        let kind = match e.get_ref() {
            Some(inner) if inner.is::<Killed>() => Kind::Stopped,
            _ if e.kind() == std::io::ErrorKind::StorageFull || e.kind() == std::io::ErrorKind::QuotaExceeded => Kind::Full,
            _ => Kind::Failed,
        };
        Error::new(kind, plain(&e.to_string()))
    }
}

/// What the system says of an error, as a person reads it: `No such file or directory (os error 2)` without its number
/// and its capital.
fn plain(text: &str) -> String {
    let Some((words, _)) = text.rsplit_once(" (os error ").filter(|(_, number)| number.ends_with(')')) else { return text.into() };
    match words.rsplit_once(": ") {
        // What stands before it is ours already.
        Some((before, last)) => format!("{before}: {}", small(last)),
        None => small(words),
    }
}

fn small(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

impl From<Error> for std::io::Error {
    /// So that an [`Error`] can pass through `Read` and `Write`; it comes out again whole.
    fn from(e: Error) -> Self {
        std::io::Error::other(e)
    }
}
