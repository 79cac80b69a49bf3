//! Seeds of the simulation. `SHARELOCK_SEEDS` and `SHARELOCK_SEED` (see `scripts/simulate`) play more, or one.
#![allow(clippy::unwrap_used)]

use sharelock::files::Traits;
use sharelock::sim::coverage::Coverage;
use sharelock::sim::world::{World, play};
use sharelock::tree::planted;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn seeds() {
    // A planted mistake has to be found once.
    let mut enough = 10;
    if let Ok(name) = std::env::var("SHARELOCK_PLANT") {
        planted::plant(Some(name.parse().expect("a mistake of src/tree/planted.rs")));
        enough = 1;
    }
    if let Ok(seed) = std::env::var("SHARELOCK_SEED") {
        let seed = seed.parse().expect("SHARELOCK_SEED is a number");
        if let Err(e) = play(seed, true) {
            panic!("seed {seed}: {e}");
        }
        return;
    }
    let (from, n) = (number("SHARELOCK_FROM", 1), number("SHARELOCK_SEEDS", 300));
    let started = std::time::Instant::now();
    let mut failed = Vec::new();
    let (mut covered, mut played) = (Coverage::default(), 0);
    for seed in from..from + n {
        played += 1;
        match play(seed, false) {
            Ok(p) => covered.add(&p.covered),
            Err(e) => {
                eprintln!("seed {seed}: {e}\n  repeat: scripts/simulate --seed {seed}");
                failed.push(seed);
                if failed.len() >= enough {
                    break;
                }
            }
        }
    }
    let verbs = covered.total();
    if std::env::var_os("SHARELOCK_TABLE").is_some() {
        println!("{covered}");
        println!("never: {}", covered.missed().join(", "));
    }
    eprintln!("{played} seeds, {verbs} verbs, {:.1} s, {} failed: {failed:?}", started.elapsed().as_secs_f64(), failed.len());
    assert!(failed.is_empty());
}

/// A device is killed at every verb of a sync that moves and edits files, and then its database is lost: what was half
/// brought to secure is brought there, or is as if it had never been.
#[test]
fn a_database_lost_after_a_kill_anywhere() {
    for verb in 1.. {
        let world = World::scripted(&[Traits::ALL; 2], 1).unwrap();
        let (a, b) = (world.user(0), world.user(1));
        for (path, text) in [("a", "one"), ("d/b", "two"), ("d/c", "three")] {
            assert!(a.parents(path));
            a.write(path, text).unwrap();
        }
        (0..2).for_each(|i| world.sync(i).unwrap());
        a.mv("a", "d/a").and_then(|()| a.write("d/a", "one, edited")).unwrap();
        a.mv("d", "e").and_then(|()| a.rm("e/b")).and_then(|()| a.write("n", "four")).unwrap();
        b.write("d/c", "three, edited").unwrap();
        world.sync(1).unwrap();
        let killed = world.killed_sync(0, verb).unwrap();
        world.lose_database(0);
        (0..3).for_each(|_| (0..2).for_each(|i| world.sync(i).unwrap()));
        if let Err(e) = world.check() {
            panic!("killed at verb {verb}: {e}");
        }
        if !killed {
            assert!(verb > 100, "a round has more than {verb} verbs");
            break;
        }
    }
}

/// A device is killed where it puts files in their places, and killed again where it finds that out: what was not put
/// there counts as not put there, however often that is.
#[test]
fn killed_while_applying_and_while_recovering() {
    for first in 1.. {
        let mut killed = false;
        for second in 1..6 {
            let world = World::scripted(&[Traits::ALL; 2], 1).unwrap();
            let a = world.user(0);
            for (path, text) in [("a", "one"), ("b", "two")] {
                a.write(path, text).unwrap();
            }
            (0..2).for_each(|i| world.sync(i).unwrap());
            for (path, text) in [("a", "one, edited"), ("b", "two, edited"), ("c", "three"), ("d", "four"), ("e", "five")] {
                a.write(path, text).unwrap();
            }
            world.sync(0).unwrap();
            let want = a.tree();
            killed = world.killed_in_share(1, first).unwrap();
            world.killed_in_share(1, second).unwrap();
            (0..2).for_each(|_| (0..2).for_each(|i| world.sync(i).unwrap()));
            for i in 0..2 {
                assert_eq!(world.user(i).tree(), want, "killed at {first}, then at {second}");
            }
            world.check().unwrap();
        }
        if !killed {
            assert!(first > 5, "few steps: {first}");
            break;
        }
    }
}

/// B is killed when it has put `d/x` in its place and has not noted that; its user removes the file, and then does
/// something else. Gives what the check says once all have synced, and whether the file is back.
fn removed_after_a_kill(then: fn(&World)) -> (Result<(), String>, bool) {
    let world = World::scripted(&[Traits::ALL; 2], 1).unwrap();
    let (a, b) = (world.user(0), world.user(1));
    assert!(a.parents("d/x"));
    a.write("d/x", "one").unwrap();
    world.sync(0).unwrap();
    assert!(world.killed_in_share(1, 1).unwrap());
    world.removes(1, "d/x");
    then(&world);
    (0..3).for_each(|_| (0..2).for_each(|i| world.sync(i).unwrap()));
    (world.check(), b.tree().contains_key("d/x") || b.tree().contains_key("e/x"))
}

/// Nobody can tell whether a file was put in its place if its directory has gone before the next start: it comes back, and
/// the check does not ask for it (MERGE.md, 13). Where it can be told, the deletion holds; and if it did not, the check
/// would say so.
#[test]
fn removed_after_a_kill_with_and_without_its_directory() {
    let (check, back) = removed_after_a_kill(|w| w.user(1).rmtree("d").unwrap());
    assert!(back && check.is_ok(), "{check:?}");
    for then in [|_: &World| (), |w: &World| w.user(1).mv("d", "e").unwrap()] {
        let (check, back) = removed_after_a_kill(then);
        assert!(!back && check.is_ok(), "{check:?}");
    }
    planted::plant(Some(planted::Mistake::NoIntents));
    let (check, back) = removed_after_a_kill(|_| ());
    assert!(back && check.unwrap_err().contains("back from the dead: one"));
    planted::plant(None);
}

/// B is killed anywhere while it removes `d/x`, which A has removed; its user moves the directory before it starts again.
#[test]
fn killed_while_removing_from_a_directory_that_is_moved_then() {
    for verb in 1.. {
        let world = World::scripted(&[Traits::ALL; 2], 1).unwrap();
        let (a, b) = (world.user(0), world.user(1));
        assert!(a.parents("d/x"));
        a.write("d/x", "one").and_then(|()| a.write("d/y", "two")).unwrap();
        (0..2).for_each(|i| world.sync(i).unwrap());
        world.removes(0, "d/x");
        world.sync(0).unwrap();
        let killed = world.killed_sync(1, verb).unwrap();
        b.mv("d", "e").unwrap();
        (0..3).for_each(|_| (0..2).for_each(|i| world.sync(i).unwrap()));
        assert_eq!(b.tree().into_keys().collect::<Vec<_>>(), ["e", "e/y"], "killed at verb {verb}");
        world.check().unwrap();
        if !killed {
            assert!(verb > 20, "a round has more than {verb} verbs");
            break;
        }
    }
}

/// Two directories become one in a merge of heads, while other files in them are edited: what was the same on all sides,
/// and so took no part until then, stays.
#[test]
fn directories_that_become_one_keep_what_nobody_touched() {
    let world = World::scripted(&[Traits::ALL; 2], 1).unwrap();
    let (a, b) = (world.user(0), world.user(1));
    for path in ["p/edited", "p/same", "q/edited too", "q/same too"] {
        assert!(a.parents(path));
        a.write(path, path).unwrap();
    }
    (0..2).for_each(|i| world.sync(i).unwrap());
    a.mv("p", "r").and_then(|()| a.write("q/edited too", "by a")).unwrap();
    b.mv("q", "r").and_then(|()| b.write("p/edited", "by b")).unwrap();
    (0..4).for_each(|i| world.sync(i % 2).unwrap());
    for user in [a, b] {
        let files: Vec<String> = user.tree().keys().filter(|p| p.contains('/')).map(|p| p.to_string()).collect();
        assert_eq!(files, ["r/edited", "r/edited too", "r/same", "r/same too"]);
    }
    world.check().unwrap();
}
