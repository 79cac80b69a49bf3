//! Secure, changed by others: a `git pull` by hand, rsync, a USB stick (MERGE 2, step 2; FORMAT 10).

use super::worktree::{self, Difference};
use super::{Device, Problem};
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::Files;
use crate::path::printable;
use crate::state::State;

/// Looks whether secure is head's tree, and reports what is not.
pub fn look<F: Files, S: State, C: Clock, R: Random>(d: &mut Device<F, S, C, R>) -> Result<()> {
    for (path, difference) in worktree::compare(d)? {
        let how = match difference {
            Difference::Changed => "was changed by others",
            Difference::Missing => "is missing",
            Difference::Extra => "was put there by others",
        };
        d.report.problems.push(Problem {
            path: None,
            what: format!("~/secure: {} {how}", printable(&path)),
            remedy: None,
            note: false,
        });
    }
    Ok(())
}
