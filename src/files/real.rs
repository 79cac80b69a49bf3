//! The real disk, through rustix.
