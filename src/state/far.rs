//! The SQLite that is built in writes and reads beyond 4 GiB, also where a `long` has 32 bits.

use rusqlite::Connection;
use std::os::unix::fs::FileExt;

#[test]
fn a_database_beyond_four_gigabytes() {
    const PAGE: u64 = 65_536;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("far.db");
    let open = || Connection::open(&path).unwrap();
    open().execute_batch(&format!("PRAGMA page_size = {PAGE}; CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)")).unwrap();
    // As if so many pages were in use (the number stands at byte 28 of the header): a hole, so that the next one lies
    // behind 4 GiB.
    let pages = (1u32 << 16) + 16;
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(u64::from(pages) * PAGE).unwrap();
    file.write_all_at(&pages.to_be_bytes(), 28).unwrap();
    drop(file);
    let blob: Vec<u8> = (0..200_000u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    open().execute("INSERT INTO t VALUES (7, ?)", [&blob]).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() >= u64::from(pages + 3) * PAGE);
    let back: Vec<u8> = open().query_row("SELECT b FROM t WHERE n = 7", [], |r| r.get(0)).unwrap();
    assert!(back == blob);
}
