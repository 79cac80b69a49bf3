//! Who is told how far long work is: by default nobody, and then it costs nothing.

use std::fmt;
use std::sync::Arc;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The share is looked through.
    Looking,
    /// Files are encrypted into the repository.
    Encrypting,
    /// Encrypted files are written to secure.
    Writing,
    /// A pack goes to a storage node.
    Sending,
    /// A pack comes from one.
    Fetching,
    /// Files are decrypted into the share.
    Decrypting,
    /// Everything is read again.
    Verifying,
}

/// Somebody who is told.
pub trait Audience: Send + Sync {
    /// A step begins that will take so many files and bytes, 0 if that is not known.
    fn expect(&self, step: Step, files: u64, bytes: u64);
    /// So much more of a step is done. A step that was not announced begins by this.
    fn did(&self, step: Step, files: u64, bytes: u64);
    /// Nothing is under way any more, or somebody else has to be heard.
    fn end(&self);
}

/// The way to the audience. Clones share it.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Audience>>);

impl Progress {
    /// Tells this audience.
    pub fn new(audience: Arc<dyn Audience>) -> Progress {
        Progress(Some(audience))
    }

    /// Announces a step; its size (files and bytes) is found out only if somebody listens.
    pub fn expect<E>(&self, step: Step, size: impl FnOnce() -> Result<(u64, u64), E>) -> Result<(), E> {
        if let Some(audience) = &self.0 {
            let (files, bytes) = size()?;
            audience.expect(step, files, bytes);
        }
        Ok(())
    }

    /// So much more of a step is done.
    pub fn did(&self, step: Step, files: u64, bytes: u64) {
        if let Some(audience) = &self.0 {
            audience.did(step, files, bytes);
        }
    }

    /// Nothing is under way any more.
    pub fn end(&self) {
        if let Some(audience) = &self.0 {
            audience.end();
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress(heard)" } else { "Progress" })
    }
}
