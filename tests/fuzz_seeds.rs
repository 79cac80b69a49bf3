//! The seeds of the fuzz targets, and the inputs of crashes that were mended, through the same functions that the fuzzer
//! calls: none of them panics.

#[path = "../fuzz/parsers/mod.rs"]
mod parsers;

use std::path::Path;

#[test]
fn every_seed_is_taken_or_refused() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut bytes = 0;
    for (name, target) in parsers::TARGETS {
        let seeds: Vec<_> =
            std::fs::read_dir(dir.join(name)).expect("seeds for each target").map(|e| e.expect("an entry").path()).collect();
        assert!(seeds.len() >= 2, "{name}");
        let mut accepted = 0;
        for seed in seeds {
            let data = std::fs::read(&seed).expect("a seed");
            bytes += data.len();
            eprintln!("{}", seed.display());
            accepted += usize::from(target(&data));
            // And cut short, for the lengths.
            target(&data[..data.len() / 2]);
            target(&data[..data.len().saturating_sub(1)]);
        }
        assert!(accepted > 0, "{name}: no seed gets behind what stops the others");
    }
    assert!(bytes < 200_000, "seeds stay small: {bytes} bytes");
    let listed = std::fs::read_dir(&dir).expect("seeds").count();
    assert_eq!(listed, parsers::TARGETS.len(), "a directory of seeds without its target");
}
