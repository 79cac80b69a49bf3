//! Each rule of MERGE 3 by name, on the simulated disk and on the real one.

use super::*;
use crate::path::Name;
use crate::state::RowNode;
use crate::tree::{Node, Place};
use world::{World, real};

/// A test on both disks.
macro_rules! on_both {
    ($(#[$meta:meta])* fn $name:ident($w:ident) $body:block) => {
        mod $name {
            use super::*;
            #[allow(unused_mut)]
            fn run<F: Files + 'static, S: State>(mut $w: World<F, S>) $body
            #[test]
            fn real_disk() {
                run(real());
            }
            #[cfg(feature = "sim")]
            #[test]
            fn simulated() {
                run(super::world::sim());
            }
        }
    };
}

// Below the macro, which is seen from here on only.
mod directories;
mod files;
mod racing;
mod renames;
mod unseen;
pub(crate) mod world;

/// `d/` with two files and `d/s/` with one, `f`, all in the ancestor.
fn settled<F: Files, S: State>(w: &mut World<F, S>) {
    w.mkdir("d");
    w.mkdir("d/s");
    for (path, content) in [("d/a", "alpha"), ("d/b", "beta of d"), ("d/s/c", "gamma ray"), ("f", "final")] {
        w.write(path, content);
    }
    w.round();
}

on_both! {
    fn a_first_scan_takes_all_and_a_second_nothing(w) {
        settled(&mut w);
        w.link("l", "d/a");
        w.mkdir("empty");
        let scanned = w.seal();
        assert_eq!((scanned.files, scanned.stable), (5, true));
        let tree = w.scanned();
        assert_eq!(tree.keys().map(String::as_str).collect::<Vec<_>>(), ["d", "d/a", "d/b", "d/s", "d/s/c", "empty", "f", "l"]);
        assert_eq!(tree["l"].file().unwrap().kind, FileKind::Link);
        assert_eq!(tree["d"].id(), w.d.keys.dir_id(&Id::ROOT, &Name::new(*b"d").unwrap()), "derived");
        assert_eq!(tree["d/s"].id(), w.d.keys.dir_id(&tree["d"].id(), &Name::new(*b"s").unwrap()));
        let f = tree["f"].file().unwrap();
        assert_eq!((f.size, f.generation, f.writer.as_str(), f.offset, f.mtime), (5, 1, "laptop", 60, w.stat("f").mtime));
        w.take();
        w.seal();
        assert_eq!(w.rows(), []);
    }
}

on_both! {
    fn a_deep_tree_needs_no_stack(w) {
        let mut dir = w.disk.root();
        for _ in 0..300 {
            w.disk.mkdir(&dir, b"a-directory-with-quite-a-long-name", 0o755).unwrap();
            dir = w.disk.open_dir(&dir, b"a-directory-with-quite-a-long-name").unwrap();
        }
        w.disk.create(&dir, b"f", 0o644).unwrap();
        assert_eq!(w.scan().files, 1);
        assert_eq!(w.rows().len(), 301);
        w.round();
        w.scan();
        assert_eq!(w.rows(), []);
    }
}

/// Whatever is held, what is left of a scan is a tree.
#[cfg(feature = "sim")]
#[test]
fn what_is_held_leaves_a_tree() {
    use crate::sim::clock::SimRandom;
    for seed in 0..300 {
        let mut random = SimRandom::new(seed);
        let mut w = world::sim();
        settled(&mut w);
        w.mkdir("e");
        w.write("e/a", "in e");
        w.round();
        const PATHS: [&str; 12] = ["d", "d/a", "d/b", "d/s", "d/s/c", "e", "e/a", "e/d", "f", "g", "g/a", "d/s/e"];
        let user = crate::sim::user::User::new(&w.disk);
        for _ in 0..random.below(8) + 1 {
            let (a, b) = (*random.pick(&PATHS), *random.pick(&PATHS));
            let _ = match random.below(6) {
                0 => user.rm(a),
                1 => user.rmtree(a),
                2 => user.mkdir(a),
                3 => user.write(a, &format!("content {}", random.below(3))),
                _ => user.mv(a, b),
            };
        }
        w.seal();
        w.scanned();
        let places: Vec<Place> = w.rows().into_iter().map(|r| r.place).collect();
        for place in &places {
            if random.chance(25) {
                hold(&mut w.d.state, place).unwrap();
                assert_eq!(w.d.state.get(Table::Scan, place).unwrap(), None);
                w.scanned();
            }
        }
        for place in &places {
            hold(&mut w.d.state, place).unwrap();
        }
        assert_eq!(w.rows(), [], "seed {seed}");
    }
}

#[test]
fn a_file_that_is_held_where_a_directory_was_takes_the_directory_back() {
    let mut w = real();
    w.mkdir("e");
    w.write("e/a", "in e");
    w.round();
    w.mv("e", "moved");
    w.write("e", "a file now");
    w.scan();
    let place = Place { dir: Id::ROOT, name: Name::new(&b"e"[..]).unwrap() };
    hold(&mut w.d.state, &place).unwrap();
    assert_eq!(w.scanned().keys().collect::<Vec<_>>(), ["e", "e/a"]);
}

#[test]
fn what_is_unchanged_costs_one_look_for_each_name_and_one_listing_for_each_directory() {
    let mut w = real();
    for dir in 0..20 {
        w.mkdir(&format!("d{dir}"));
        for file in 0..30 {
            w.write(&format!("d{dir}/f{file}"), "content");
        }
    }
    w.round();
    w.d.share.lists.set(0);
    w.d.share.stats.set(0);
    w.scan();
    assert_eq!((w.d.share.lists.get(), w.d.share.stats.get()), (21, 20 * 31 + 1));
}
