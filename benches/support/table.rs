//! A short table of all backends, for a person on a small machine, and single things for whoever counts from outside.

use crate::counters::{Counter, What, ticks};
use sha1::{Digest, Sha1};
use sharelock::crypt::backend::{self, Backend, Cipher, Mac};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Names and heads; the smallest file; what a chunk is; a segment.
pub const SIZES: [usize; 4] = [128, 1024, 4096, 1 << 20];

const TIME: Duration = Duration::from_millis(200);

/// One thing that can be done, `times` times.
struct Task {
    what: &'static str,
    by: Option<Backend>,
    run: Box<dyn FnMut(&mut [u8], u64)>,
}

fn tasks() -> Vec<Task> {
    let mut all = Vec::new();
    for by in Backend::ALL.iter().copied() {
        let (cipher, mac) = (Cipher::by(by, &[1; 32]), Mac::by(by, &[2; 32]));
        let mut add = |what, run: Box<dyn FnMut(&mut [u8], u64)>| all.push(Task { what, by: Some(by), run });
        add("aes-256-ctr", Box::new(move |data, n| (0..n).for_each(|_| cipher.apply(&[7; 16], black_box(data)))));
        add("hmac-sha-256", Box::new(move |data, n| (0..n).for_each(|_| _ = black_box(mac.of(&[black_box(data)])))));
        // A file's first chunk: key schedules and contexts, too.
        add(
            "new-key-and-aes",
            Box::new(move |data, n| (0..n).for_each(|_| Cipher::by(by, black_box(&[1; 32])).apply(&[7; 16], black_box(data)))),
        );
    }
    let run = Box::new(|data: &mut [u8], n| (0..n).for_each(|_| _ = black_box(Sha1::digest(black_box(&*data)))));
    all.push(Task { what: "sha-1", by: None, run });
    all
}

fn name(by: Option<Backend>) -> &'static str {
    by.map_or("RustCrypto", Backend::name)
}

/// Prints the table.
pub fn print() {
    println!("{:?}; used: {:?}", backend::cpu(), backend::choice());
    println!("{:<16} {:<11} {:>8} {:>9} {:>12} {:>12}", "what", "by", "bytes", "MB/s", "cycles/byte", "instr/byte");
    let mut data = vec![0x5a; SIZES[3]];
    for mut task in tasks() {
        for size in SIZES {
            let data = &mut data[..size];
            let mut each = 1;
            // As many times as fill a tenth of the time, then again and again; the fastest counts.
            loop {
                let start = Instant::now();
                (task.run)(data, each);
                if start.elapsed() > TIME / 10 {
                    break;
                }
                each *= 2;
            }
            let bytes = each as f64 * size as f64;
            let (mut best, mut counted) = (f64::MAX, [None, None]);
            for _ in 0..10 {
                let mut counters = [Counter::start(What::Cycles), Counter::start(What::Instructions)];
                let (start, from) = (Instant::now(), ticks());
                (task.run)(data, each);
                let (took, to) = (start.elapsed().as_secs_f64(), ticks());
                if took < best {
                    best = took;
                    counted = counters.each_mut().map(|c| c.as_mut().and_then(Counter::read));
                    counted[0] = counted[0].or(from.zip(to).map(|(from, to)| to - from));
                }
            }
            let per_byte = |n: Option<u64>| n.map_or("-".to_string(), |n| format!("{:.2}", n as f64 / bytes));
            let [cycles, instructions] = counted.map(per_byte);
            let speed = bytes / best / 1e6;
            println!("{:<16} {:<11} {size:>8} {speed:>9.1} {cycles:>12} {instructions:>12}", task.what, name(task.by));
        }
    }
}

/// Does one thing so many times.
pub fn count(what: &str, by: &str, size: &str, times: &str) {
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no number"));
    let mut data = vec![0x5a; number(size) as usize];
    let task = tasks().into_iter().find(|t| t.what == what && name(t.by) == by);
    (task.unwrap_or_else(|| panic!("no {what} by {by} here")).run)(&mut data, number(times));
}
