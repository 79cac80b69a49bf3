//! Conflict names (MERGE 6).
