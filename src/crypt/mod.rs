//! The vault: keys, names, file contents, seals.

/// (in the making)
pub struct VaultKeys {}
