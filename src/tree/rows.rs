//! Which rows of the table (MERGE 5) merges have come to: counted in simulations, so that a row that no schedule exercises
//! shows.
//!
//! Without the feature `sim`, [`hit`] is nothing.

macro_rules! rows {
    ($($variant:ident = $name:literal,)*) => {
        /// A row of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Row { $($variant,)* }

        impl Row {
            /// All of them, in the table's order.
            pub const ALL: &'static [Row] = &[$(Row::$variant,)*];

            /// Its name in the table.
            pub fn name(self) -> &'static str {
                match self { $(Row::$variant => $name,)* }
            }
        }
    };
}

rows! {
    Same = "R-same, R-touch",
    Edit = "R-edit",
    EditEdit = "R-edit-edit",
    Exec = "R-exec",
    BothDeleted = "R-both-deleted",
    Delete = "R-delete",
    DirDelete = "R-dir-delete",
    EditDelete = "R-edit-delete",
    RenameDelete = "R-rename-delete",
    DirRenameDelete = "R-dir-rename-delete",
    Add = "R-add",
    DirAdd = "R-dir-add",
    Rename = "R-rename",
    DirRename = "R-dir-rename",
    RenameRename = "R-rename-rename",
    Cycle = "R-cycle",
    DirDir = "R-dir-dir",
    FileDir = "R-file-dir",
    AddAddSame = "R-add-add-same",
    AddAdd = "R-add-add, R-rename-onto",
    CopyExists = "R-copy-exists",
    Generation = "R-generation",
}

#[cfg(feature = "sim")]
mod on {
    use super::Row;
    use std::cell::Cell;

    thread_local!(static HITS: [Cell<u64>; Row::ALL.len()] = const { [const { Cell::new(0) }; Row::ALL.len()] });

    /// A merge has come to this row.
    pub fn hit(row: Row) {
        HITS.with(|hits| hits[row as usize].set(hits[row as usize].get() + 1));
    }

    /// How often this thread's merges have come to each row.
    pub fn hits() -> Vec<(Row, u64)> {
        HITS.with(|hits| Row::ALL.iter().map(|row| (*row, hits[*row as usize].get())).collect())
    }
}

#[cfg(feature = "sim")]
pub use on::{hit, hits};

/// A merge has come to this row.
#[cfg(not(feature = "sim"))]
pub const fn hit(_: Row) {}
