//! The tests beside this can fail: with these mistakes they do.

use super::kills::{User, kills};
use super::*;
use crate::tree::planted::{Mistake, plant};

fn with(m: Mistake, test: fn()) {
    struct Out;
    impl Drop for Out {
        fn drop(&mut self) {
            plant(None);
        }
    }
    let _out = Out;
    plant(Some(m));
    test();
}

#[test]
#[should_panic]
fn no_recheck() {
    with(Mistake::NoRecheck, what_the_user_has_changed_is_left);
}

#[test]
#[should_panic]
fn no_intents() {
    with(Mistake::NoIntents, || kills(User::Deletes("x/moved/new"), true));
}

#[test]
#[should_panic]
fn no_rename() {
    with(Mistake::NoApplyRename, a_renamed_file_keeps_its_inode);
}

#[test]
#[should_panic]
fn a_second_directory_id() {
    with(Mistake::SecondDirectoryId, directories_swap_their_names);
}

#[test]
#[should_panic]
fn a_late_stat() {
    with(Mistake::LateStat, a_user_who_writes_after_the_rename_has_edited);
}
