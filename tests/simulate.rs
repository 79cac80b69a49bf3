//! Seeds of the simulation. `SHARELOCK_SEEDS` and `SHARELOCK_SEED` (see `scripts/simulate`) play more, or one.
#![allow(clippy::unwrap_used)]

use sharelock::sim::world::play;
use sharelock::tree::planted;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn seeds() {
    if let Ok(name) = std::env::var("SHARELOCK_PLANT") {
        planted::plant(Some(name.parse().expect("a mistake of src/tree/planted.rs")));
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
    let mut verbs = 0;
    for seed in from..from + n {
        match play(seed, false) {
            Ok(p) => verbs += p.verbs,
            Err(e) => {
                eprintln!("seed {seed}: {e}\n  repeat: scripts/simulate --seed {seed}");
                failed.push(seed);
                if failed.len() >= 10 {
                    break;
                }
            }
        }
    }
    eprintln!("{n} seeds, {verbs} verbs, {:.1} s, {} failed: {failed:?}", started.elapsed().as_secs_f64(), failed.len());
    assert!(failed.is_empty());
}
