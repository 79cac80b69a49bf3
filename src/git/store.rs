//! An object store.

use crate::files::Files;

/// A repository.
pub struct Store<F: Files> {
    #[allow(dead_code)]
    files: F,
}
