//! Mistakes planted on purpose (MERGE.md, 12): a checker is trusted when it finds them.
//!
//! Without the feature `sim`, [`is`] is `false` at compile time and none of this is in the program.

macro_rules! mistakes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mistake { $($(#[$doc])* $variant,)* }

        impl Mistake {
            /// All of them.
            pub const ALL: &'static [Mistake] = &[$(Mistake::$variant,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Mistake::$variant => $name,)* }
            }
        }
    };
}

mistakes! {
    /// No recheck before a replacement or deletion in the share.
    NoRecheck = "no-recheck",
    /// The ancestor saved before the commit is pending.
    AncestorFirst = "ancestor-first",
    /// The ancestor as 'where share and secure agree'.
    AncestorAsAgreement = "ancestor-as-agreement",
    /// Conflict names with the merging device's clock.
    NowNames = "now-names",
    /// One merge base of several.
    OneBase = "one-base",
    /// The remote's head always first.
    RemoteAlwaysFirst = "remote-always-first",
    /// Stat read back after the rename.
    LateStat = "late-stat",
    /// No intents.
    NoIntents = "no-intents",
    /// No rename in apply.
    NoApplyRename = "no-apply-rename",
    /// No generation raised.
    NoGeneration = "no-generation",
    /// A second directory with one id left in the ancestor.
    SecondDirectoryId = "second-directory-id",
    /// Cycles left.
    NoCycle = "no-cycle",
    /// A directory's rescue left out.
    NoRescue = "no-rescue",
    /// No renames recognised in the merge.
    NoRename = "no-rename",
}

impl std::str::FromStr for Mistake {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Mistake::ALL.iter().copied().find(|m| m.name() == s).ok_or_else(|| format!("no such mistake: {s}"))
    }
}

#[cfg(feature = "sim")]
mod on {
    use super::Mistake;
    use std::cell::Cell;

    thread_local!(static PLANTED: Cell<Option<Mistake>> = const { Cell::new(None) });

    /// Plants a mistake in this thread, or takes it out.
    pub fn plant(m: Option<Mistake>) {
        PLANTED.set(m);
    }

    /// True if this mistake is planted.
    pub fn is(m: Mistake) -> bool {
        PLANTED.get() == Some(m)
    }
}

#[cfg(feature = "sim")]
pub use on::{is, plant};

/// True if this mistake is planted: never, in a program without simulation.
#[cfg(not(feature = "sim"))]
pub const fn is(_: Mistake) -> bool {
    false
}
