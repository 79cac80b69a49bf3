//! Kills before every step, and users who act at every step or before the restart.

use super::*;

/// What a user may do between a crash and the restart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum User {
    Nothing,
    Edits(&'static str),
    Deletes(&'static str),
}

/// Kills before every step of going from `FIRST` to `SECOND`, lets the user act, and starts again.
pub(super) fn kills(user: User, exchange: bool) {
    for n in 1.. {
        let mut w = at(FIRST);
        w.head(SECOND);
        let traits = w.d().share.traits();
        w.hook.borrow_mut().traits = Some(crate::files::Traits { exchange, ..traits });
        w.hook.borrow_mut().kill_at = Some(n);
        let ended = match w.apply() {
            Ok(_) => true,
            Err(e) => {
                assert!(e.is_stopped(), "{e}");
                false
            }
        };
        let mut acted = false;
        match user {
            User::Nothing => {}
            User::Edits(path) => {
                acted = w.share().join(path).is_file();
                if acted {
                    fs::write(w.share().join(path), "the user's").unwrap();
                }
            }
            User::Deletes(path) => {
                acted = fs::remove_file(w.share().join(path)).is_ok();
            }
        }
        w.start();
        recover_intents(w.d()).unwrap();
        assert!(w.d().state.intents().unwrap().is_empty());
        assert!(!w.tree().keys().any(|p| p.contains(".sharelock-tmp-")), "litter after step {n}: {:?}", w.tree());
        if user == User::Nothing {
            w.scan();
            w.d().state.set_value(key::EVEN, None).unwrap();
        }
        let done = w.apply().unwrap();
        match user {
            User::Nothing => {
                assert_eq!((done.left, w.tree()), (0, shown(SECOND)), "step {n}: {:?}", w.d().report);
                assert!(w.even());
            }
            User::Edits(path) if acted => {
                let found = w.tree().into_iter().filter(|(_, c)| c == "the user's").count();
                assert_eq!(found, 1, "step {n}: the edit of {path} is lost: {:?}", w.tree());
            }
            User::Deletes(path) if acted => assert!(!w.share().join(path).exists(), "step {n}: {path} is back"),
            _ => {}
        }
        if ended {
            assert!(n > 20, "few steps: {n}");
            return;
        }
    }
}

#[test]
fn killed_before_any_step_it_ends_all_the_same() {
    kills(User::Nothing, true);
    kills(User::Nothing, false);
}

#[test]
fn killed_and_edited_before_the_restart() {
    for path in ["a", "d/b", "x/moved/renamed", "x/moved/new", "gone/deep/f", "dir-to-file", "file-to-dir", "n"] {
        kills(User::Edits(path), true);
    }
    kills(User::Edits("a"), false);
}

#[test]
fn killed_and_deleted_before_the_restart() {
    for path in ["a", "x/moved/renamed", "x/moved/new", "dir-to-file", "n", "l"] {
        kills(User::Deletes(path), true);
    }
}

#[test]
fn a_user_edits_before_any_step_and_keeps_it() {
    for path in ["a", "d/b", "gone/deep/f", "x/n"] {
        for n in 1..200 {
            let mut w = at(FIRST);
            w.head(SECOND);
            let file = w.share().join(path);
            let wrote = std::rc::Rc::new(std::cell::Cell::new(false));
            let (flag, mut count) = (wrote.clone(), 0);
            w.hook.borrow_mut().act = Some(Box::new(move |_| {
                count += 1;
                if count == n && file.is_file() {
                    fs::write(&file, "the user's").unwrap();
                    flag.set(true);
                }
            }));
            w.apply().unwrap();
            let steps = w.hook.borrow().steps;
            let found = w.tree().into_values().filter(|c| c == "the user's").count();
            assert_eq!(found, usize::from(wrote.get()), "{path}, step {n}: {:?}", w.tree());
            if n > steps {
                break;
            }
        }
    }
}

#[test]
fn what_a_lost_database_knew_of_temporaries_is_swept() {
    let mut w = at(FIRST);
    for path in [".sharelock-tmp-0123456789abcdef", "d/e/.sharelock-tmp-fedcba9876543210", ".sharelock-tmp-mine"] {
        fs::write(w.share().join(path), "litter").unwrap();
    }
    w.start();
    recover_intents(w.d()).unwrap();
    assert_eq!(w.tree().len(), FIRST.len() + 3, "all is well: nothing is searched for");
    w.d = None;
    fs::remove_file(w.tmp.path().join("state.db")).unwrap();
    w.start();
    recover_intents(w.d()).unwrap();
    let left: Vec<_> = w.tree().into_keys().filter(|p| p.contains("tmp")).collect();
    assert_eq!(left, [".sharelock-tmp-mine"]);
}
