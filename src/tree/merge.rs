//! The merge (MERGE 3 to 5).
