//! The state database: SQLite. FORMAT.md beside this module has its tables.
//!
//! One file, write-ahead log, `synchronous = FULL`: a commit is one append and one fsync, and it is durable when
//! [`State::commit`] returns, for pushes and renames are built on it. A rollback journal would need three fsyncs and
//! write each page twice at once; the log writes a page that many commits touch into the database only once, at a
//! checkpoint. That spares SD cards. The page cache is small: memory does not grow with the vault.
//!
//! `Anc` and `Head` share one table, because nearly always they are equal: an equal node is stored once, and where they
//! differ is an index of its own. Scratch tables are temporary ones, which never touch the durable file.

mod pack;
mod table;

use super::{Intent, Row, State, Table};
use crate::error::{Class, Error, Kind, Result};
use crate::id::Id;
use crate::path::Name;
use crate::tree::Place;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, params};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use table::{Columns, read_row};

/// Version of the schema, in `user_version`.
const VERSION: i64 = 1;
/// 'SLKS', in `application_id`.
const APPLICATION: i64 = 0x534c_4b53;
/// Rows that are held in memory at once while a scratch table is absorbed.
const PAGE: usize = 256;

/// The database of one vault on one device.
pub struct Db {
    c: Connection,
    /// We have begun a transaction. (SQLite may have ended it, after an error.)
    open: Cell<bool>,
}

impl Db {
    /// Opens or makes the database. It is for its owner only: names of files stand in it.
    ///
    /// # Errors
    /// Integrity (`version`) for one of a newer program, (`form`) for a file that is no database of ours or is damaged.
    pub fn open(path: &Path) -> Result<Db> {
        let damaged = |e: rusqlite::Error| match e.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Error::integrity(Class::Form, format!("{} is damaged", path.display())).because(e)
            }
            _ => sql(e).at(path.display()),
        };
        private(path).map_err(|e| Error::from(e).at(path.display()))?;
        let c = Connection::open(path).map_err(damaged)?;
        c.set_prepared_statement_cache_capacity(96);
        c.busy_timeout(std::time::Duration::from_secs(10)).map_err(damaged)?;
        // A log that has grown in a large import is cut at the next checkpoint.
        c.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024; PRAGMA temp_store = FILE;
             PRAGMA wal_autocheckpoint = 256; PRAGMA journal_size_limit = 1048576; PRAGMA mmap_size = 0;",
        )
        .map_err(damaged)?;
        let number = |text: &str| c.query_row(text, [], |r| r.get::<_, i64>(0)).map_err(damaged);
        let version = number("PRAGMA user_version")?;
        let application = number("PRAGMA application_id")?;
        if application != APPLICATION && (version != 0 || number("SELECT count(*) FROM sqlite_schema")? > 0) {
            return Err(Error::integrity(Class::Form, format!("{} is no state database", path.display())));
        }
        if version > VERSION {
            return Err(Error::integrity(Class::Version, format!("{} was made by a newer sharelock", path.display())));
        }
        if version == 0 {
            let stamp = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
            c.execute_batch(&format!("BEGIN; {stamp} {} COMMIT;", table::SCHEMA)).map_err(damaged)?;
        }
        c.execute_batch(table::SCRATCH).map_err(damaged)?;
        Ok(Db { c, open: Cell::new(false) })
    }

    /// Opens the database; one that is damaged or foreign is put aside as `NAME.damaged-N` (never deleted), and an
    /// empty one takes its place. `true`: that happened.
    ///
    /// # Errors
    /// As [`Db::open`], less what it puts aside.
    pub fn open_or_rebuild(path: &Path) -> Result<(Db, bool)> {
        match Self::open(path).and_then(|db| db.check().map(|()| db)) {
            Ok(db) => Ok((db, false)),
            Err(e) if e.kind() == Kind::Integrity(Class::Form) => {
                put_aside(path).map_err(|e| Error::from(e).at(path.display()))?;
                Ok((Self::open(path)?, true))
            }
            Err(e) => Err(e),
        }
    }

    /// Reads the whole file and its indexes' shape.
    ///
    /// # Errors
    /// Integrity (`form`) if it is damaged.
    pub fn check(&self) -> Result<()> {
        let answer: String = self.c.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(sql)?;
        if answer == "ok" { Ok(()) } else { Err(damaged().because(answer)) }
    }

    /// How SQLite answers what [`State`] asks often, step by step: for the test that no table is read whole.
    #[cfg(test)]
    pub(super) fn plans(&self) -> Result<Vec<(String, Vec<String>)>> {
        let mut texts = vec![table::DIFFERENCES.to_string(), table::FIND.to_string()];
        for t in [Table::Anc, Table::Head, Table::Scan, Table::Next] {
            let select = table::select(t);
            texts.push(format!("{select} AND dir = ? AND name = ?"));
            texts.push(format!("{select} AND dir = ? AND name > ? ORDER BY dir, name LIMIT ?"));
            texts.push(format!("{select} AND (dir, name) > (?, ?) ORDER BY dir, name LIMIT ?"));
            texts.push(by_id(t));
            if matches!(t, Table::Anc | Table::Scan) {
                texts.push(format!("{select} AND ino = ?"));
                texts.push(format!("{select} AND size = ?"));
            }
        }
        let mut out = Vec::new();
        for text in texts {
            let mut st = self.c.prepare(&format!("EXPLAIN QUERY PLAN {text}")).map_err(sql)?;
            let mut rows = st.raw_query();
            let mut steps = Vec::new();
            while let Some(r) = rows.next().map_err(sql)? {
                steps.push(r.get(3).map_err(sql)?);
            }
            out.push((text, steps));
        }
        Ok(out)
    }

    fn begin(&self) -> Result<()> {
        if !self.open.get() {
            self.c.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
            self.open.set(true);
        } else if self.c.is_autocommit() {
            // SQLite gave up the transaction after an error; going on would commit the second half alone.
            return Err(Error::failed("the state database: the transaction was given up after an error"));
        }
        Ok(())
    }

    fn query<P: Params>(&self, text: &str, p: P) -> Result<Vec<Row>> {
        let mut st = self.c.prepare_cached(text).map_err(sql)?;
        let mut rows = st.query(p).map_err(sql)?;
        let mut out = Vec::new();
        while let Some(r) = rows.next().map_err(sql)? {
            out.push(read_row(r, 0)?);
        }
        Ok(out)
    }

    fn execute<P: Params>(&self, text: &str, p: P) -> Result<usize> {
        self.begin()?;
        self.c.prepare_cached(text).map_err(sql)?.execute(p).map_err(sql)
    }

    /// Sets or removes one of the two nodes of a place in the durable table.
    fn set(&self, table: Table, place: &Place, row: Option<&Row>) -> Result<()> {
        self.begin()?;
        let key = params![place.dir.0, place.name.as_bytes()];
        let mut find = self.c.prepare_cached(table::FIND).map_err(sql)?;
        let old = find.query_row(key, Columns::read).optional().map_err(sql)?;
        drop(find);
        let mut new = old.as_ref().map_or_else(Columns::default, |(_, c)| c.clone());
        match table {
            Table::Anc => new.set_anc(row),
            _ => new.set_head(row),
        }
        match old {
            Some((_, c)) if c == new => {}
            Some((n, _)) if new.is_empty() => {
                self.execute("DELETE FROM tree WHERE n = ?", [n])?;
            }
            Some((n, c)) => {
                self.execute(&c.update(&new), new.params(&n))?;
            }
            None if new.is_empty() => {}
            None => {
                self.execute(table::INSERT, new.params_at(&place.dir.0, &place.name.as_bytes()))?;
            }
        }
        Ok(())
    }
}

/// What SQLite says, as our error.
fn sql(e: rusqlite::Error) -> Error {
    match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::new(Kind::Full, "the state database can't be written")
            .because(e)
            .detail("nothing is lost: when there is room, the next sync goes on"),
        Some(ErrorCode::SystemIoFailure) => Error::failed("the state database can't be used")
            .because(e)
            .detail("a full disk looks like this, and a failing one. nothing is lost: the next sync goes on when that is mended"),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged().because(e),
        Some(ErrorCode::DatabaseBusy) => Error::failed("the state database is in use by another sharelock").because(e),
        _ => Error::failed("the state database can't be used").because(e),
    }
}

fn damaged() -> Error {
    Error::integrity(Class::Form, "the state database is damaged")
}

/// Makes the file, readable by its owner only, if it is not there. SQLite gives its log the same mode.
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(|_| ())
}

/// Renames the database, with its log, to the first free `NAME.damaged-N`.
fn put_aside(path: &Path) -> std::io::Result<()> {
    let with = |suffix: &str| {
        let mut s = path.as_os_str().to_owned();
        s.push(suffix);
        PathBuf::from(s)
    };
    let n = (1u32..).find(|n| !with(&format!(".damaged-{n}")).exists()).unwrap_or(u32::MAX);
    // The database first: if this stops in between, SQLite drops a log that stands beside an empty database, but would
    // take a database without its log for whole, and be behind.
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::rename(with(suffix), with(&format!(".damaged-{n}{suffix}"))) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

impl State for Db {
    fn get(&self, table: Table, place: &Place) -> Result<Option<Row>> {
        let text = format!("{} AND dir = ? AND name = ?", table::select(table));
        Ok(self.query(&text, params![place.dir.0, place.name.as_bytes()])?.pop())
    }

    fn children(&self, table: Table, dir: Id, after: Option<&Name>, limit: usize) -> Result<Vec<Row>> {
        let text = format!("{} AND dir = ? AND name > ? ORDER BY dir, name LIMIT ?", table::select(table));
        self.query(&text, params![dir.0, after.map_or(&[][..], Name::as_bytes), count(limit)])
    }

    fn by_id(&self, table: Table, id: Id) -> Result<Vec<Row>> {
        Ok(sorted(self.query(&by_id(table), [id.0])?))
    }

    fn by_ino(&self, table: Table, ino: u64) -> Result<Vec<Row>> {
        if table == Table::Head {
            return Ok(Vec::new());
        }
        Ok(sorted(self.query(&format!("{} AND ino = ?", table::select(table)), [ino as i64])?))
    }

    fn by_size(&self, table: Table, size: u64) -> Result<Vec<Row>> {
        let text = match table {
            // Nobody asks this of `Head`; without an index it is slow, and right.
            Table::Head => format!("{} AND iif(state = 7, size, hsize) = ?", table::select(table)),
            _ => format!("{} AND size = ?", table::select(table)),
        };
        let mut rows = sorted(self.query(&text, [size as i64])?);
        rows.retain(|r| r.here().is_some_and(|n| n.file().is_some()));
        Ok(rows)
    }

    fn rows(&self, table: Table, after: Option<&Place>, limit: usize) -> Result<Vec<Row>> {
        let (dir, name) = behind(after);
        let text = format!("{} AND (dir, name) > (?, ?) ORDER BY dir, name LIMIT ?", table::select(table));
        self.query(&text, params![dir, name, count(limit)])
    }

    fn differences(&self, a: Table, b: Table, after: Option<&Place>, limit: usize) -> Result<Vec<(Place, Option<Row>, Option<Row>)>> {
        let swapped = match (a, b) {
            (Table::Anc, Table::Head) => false,
            (Table::Head, Table::Anc) => true,
            _ if a == b => return Ok(Vec::new()),
            _ => return Err(Error::failed("only the ancestor and head are compared")),
        };
        let (dir, name) = behind(after);
        let mut st = self.c.prepare_cached(table::DIFFERENCES).map_err(sql)?;
        let mut rows = st.query(params![dir, name, count(limit)]).map_err(sql)?;
        let mut out = Vec::new();
        while let Some(r) = rows.next().map_err(sql)? {
            let state: i64 = r.get(16).map_err(sql)?;
            let anc = if state & 1 != 0 { Some(read_row(r, 0)?) } else { None };
            let head = if state & 2 != 0 { Some(read_row(r, 8)?) } else { None };
            let place = anc.as_ref().or(head.as_ref()).ok_or_else(damaged)?.place.clone();
            out.push(if swapped { (place, head, anc) } else { (place, anc, head) });
        }
        Ok(out)
    }

    fn count(&self, table: Table) -> Result<(u64, u64, u64)> {
        let row = |r: &rusqlite::Row<'_>| {
            let (files, all, bytes): (i64, i64, i64) = (r.get(0)?, r.get(1)?, r.get(2)?);
            Ok((files as u64, (all - files) as u64, bytes as u64))
        };
        self.c.prepare_cached(&table::count(table)).map_err(sql)?.query_row([], row).map_err(sql)
    }

    fn put(&mut self, table: Table, row: &Row) -> Result<()> {
        if matches!(table, Table::Anc | Table::Head) {
            return self.set(table, &row.place, Some(row));
        }
        let s = pack::node(&row.node);
        let seen = row.seen.as_ref().map(pack::seen);
        let ino = row.seen.as_ref().map(|s| s.ino as i64);
        let p = params![row.place.dir.0, row.place.name.as_bytes(), s.id, s.size, s.node, s.tree, seen, ino];
        self.execute(&format!("INSERT OR REPLACE INTO {} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", table::name(table)), p)?;
        Ok(())
    }

    fn remove(&mut self, table: Table, place: &Place) -> Result<()> {
        if matches!(table, Table::Anc | Table::Head) {
            return self.set(table, place, None);
        }
        let text = format!("DELETE FROM {} WHERE dir = ? AND name = ?", table::name(table));
        self.execute(&text, params![place.dir.0, place.name.as_bytes()])?;
        Ok(())
    }

    fn clear(&mut self, table: Table) -> Result<()> {
        self.begin()?;
        self.c.execute_batch(table::clear(table)).map_err(sql)
    }

    fn absorb(&mut self, scratch: Table, into: Table) -> Result<()> {
        let mut after: Option<Place> = None;
        loop {
            let page = self.rows(scratch, after.as_ref(), PAGE)?;
            for row in &page {
                self.set(into, &row.place, row.here().is_some().then_some(row))?;
            }
            match page.last() {
                Some(last) => after = Some(last.place.clone()),
                None => return self.clear(scratch),
            }
        }
    }

    fn value(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut st = self.c.prepare_cached("SELECT value FROM value WHERE key = ?").map_err(sql)?;
        st.query_row([key], |r| r.get(0)).optional().map_err(sql)
    }

    fn set_value(&mut self, key: &str, value: Option<&[u8]>) -> Result<()> {
        if self.value(key)?.as_deref() == value {
            return Ok(());
        }
        match value {
            Some(v) => self.execute("INSERT OR REPLACE INTO value VALUES (?, ?)", params![key, v])?,
            None => self.execute("DELETE FROM value WHERE key = ?", params![key])?,
        };
        Ok(())
    }

    fn values(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let text = "SELECT key, value FROM value WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key";
        let mut st = self.c.prepare_cached(text).map_err(sql)?;
        let rows = st.query_map([prefix], |r| Ok((r.get(0)?, r.get(1)?))).map_err(sql)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql)
    }

    fn intents(&self) -> Result<Vec<(u64, Intent)>> {
        let mut st = self.c.prepare_cached("SELECT number, intent FROM intent ORDER BY number").map_err(sql)?;
        let mut rows = st.query([]).map_err(sql)?;
        let mut out = Vec::new();
        while let Some(r) = rows.next().map_err(sql)? {
            let number: i64 = r.get(0).map_err(sql)?;
            let bytes: Vec<u8> = r.get(1).map_err(sql)?;
            out.push((number as u64, pack::read_intent(&bytes).ok_or_else(damaged)?));
        }
        Ok(out)
    }

    fn add_intent(&mut self, intent: &Intent) -> Result<u64> {
        self.execute("INSERT INTO intent (intent) VALUES (?)", [pack::intent(intent)])?;
        Ok(self.c.last_insert_rowid() as u64)
    }

    fn remove_intent(&mut self, number: u64) -> Result<()> {
        self.execute("DELETE FROM intent WHERE number = ?", [number as i64])?;
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if self.open.get() {
            self.begin()?;
            if let Err(e) = self.c.execute_batch("COMMIT") {
                self.rollback()?;
                return Err(sql(e));
            }
            self.open.set(false);
        }
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        if self.open.replace(false) && !self.c.is_autocommit() {
            self.c.execute_batch("ROLLBACK").map_err(sql)?;
        }
        Ok(())
    }
}

fn by_id(table: Table) -> String {
    match table {
        // A node that both sides have stands in the ancestor's columns.
        Table::Head => format!("{0} AND state = 7 AND id = ?1 UNION ALL {0} AND hid = ?1", table::select(table)),
        _ => format!("{} AND id = ?1", table::select(table)),
    }
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| a.place.cmp(&b.place));
    rows
}

fn behind(after: Option<&Place>) -> (&[u8], &[u8]) {
    after.map_or((&[], &[]), |p| (&p.dir.0, p.name.as_bytes()))
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
