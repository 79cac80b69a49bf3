//! The state database: SQLite.
//!
//! One file, write-ahead log, `synchronous = FULL`: a commit is one append and one fsync (SD cards), and it is durable
//! when `commit` returns, for pushes and renames are built on it. Scratch tables are temporary ones, which never touch
//! the durable file. The page cache is small: memory does not grow with the vault.

use super::{Intent, Row, RowNode, Seen, State, Table};
use crate::clock::Time;
use crate::error::{Class, Error, Result};
use crate::id::{Id, Oid};
use crate::path::Name;
use crate::tree::{FileKind, Node, Place, Version, Writer};
use rusqlite::{Connection, OptionalExtension, Params, params};
use std::path::Path;

/// Version of the schema, in `user_version`.
const VERSION: i64 = 1;
/// 'SLKS', in `application_id`.
const APPLICATION: i64 = 0x534c_4b53;

/// The database of one vault on one device.
pub struct Db {
    c: Connection,
    open: std::cell::Cell<bool>,
}

fn sql(e: rusqlite::Error) -> Error {
    let kind = match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => crate::error::Kind::Full,
        _ => crate::error::Kind::Failed,
    };
    Error::new(kind, "state database").because(e)
}

const COLUMNS: &str = "dir BLOB NOT NULL, name BLOB NOT NULL, kind INTEGER NOT NULL, id BLOB, oid BLOB, size INTEGER, \
    meta BLOB, seen BLOB, ino INTEGER, PRIMARY KEY (dir, name)";

impl Db {
    /// Opens or makes the database.
    ///
    /// Errors: Integrity (`version`) for one of a newer program, (`form`) for a file that is no database of ours or is
    /// damaged.
    pub fn open(path: &Path) -> Result<Db> {
        let damaged = |e: rusqlite::Error| Error::integrity(Class::Form, format!("{} is damaged", path.display())).because(e);
        let c = Connection::open(path).map_err(damaged)?;
        c.set_prepared_statement_cache_capacity(64);
        c.busy_timeout(std::time::Duration::from_secs(10)).map_err(sql)?;
        let pragma = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024; \
             PRAGMA temp_store = FILE; PRAGMA locking_mode = EXCLUSIVE; PRAGMA wal_autocheckpoint = 256; PRAGMA mmap_size = 0;";
        c.execute_batch(pragma).map_err(damaged)?;
        let version: i64 = c.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(damaged)?;
        let application: i64 = c.query_row("PRAGMA application_id", [], |r| r.get(0)).map_err(damaged)?;
        let tables: i64 = c.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(damaged)?;
        if application != APPLICATION && tables > 0 {
            return Err(Error::integrity(Class::Form, format!("{} is no state database", path.display())));
        }
        if version > VERSION {
            return Err(Error::integrity(Class::Version, format!("{} was made by a newer sharelock", path.display())));
        }
        if version == 0 {
            let mut schema = format!("BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
            for t in ["anc", "head"] {
                schema += &format!("CREATE TABLE {t} ({COLUMNS}) WITHOUT ROWID; CREATE INDEX {t}_id ON {t} (id);");
            }
            schema += "CREATE INDEX anc_ino ON anc (ino) WHERE ino IS NOT NULL; CREATE INDEX anc_size ON anc (size) WHERE kind > 1; \
                 CREATE TABLE value (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID; \
                 CREATE TABLE intent (number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, tdir BLOB, tname BLOB, dir BLOB NOT NULL, \
                 name BLOB NOT NULL, nkind INTEGER, id BLOB, oid BLOB, size INTEGER, meta BLOB, seen BLOB); COMMIT;";
            c.execute_batch(&schema).map_err(sql)?;
        }
        for t in ["scan", "next"] {
            let scratch = format!(
                "CREATE TEMP TABLE {t} ({COLUMNS}) WITHOUT ROWID; CREATE INDEX temp.{t}_id ON {t} (id); \
                 CREATE INDEX temp.{t}_ino ON {t} (ino) WHERE ino IS NOT NULL; CREATE INDEX temp.{t}_size ON {t} (size) WHERE kind > 1;"
            );
            c.execute_batch(&scratch).map_err(damaged)?;
        }
        Ok(Db { c, open: std::cell::Cell::new(false) })
    }

    /// Opens the database; one that is damaged or foreign is put aside (never deleted), and an empty one takes its
    /// place. `true`: that happened.
    pub fn open_or_rebuild(path: &Path) -> Result<(Db, bool)> {
        let e = match Self::open(path) {
            Ok(db) => match db.check() {
                Ok(()) => return Ok((db, false)),
                Err(e) => e,
            },
            Err(e) => e,
        };
        if e.kind() != crate::error::Kind::Integrity(Class::Form) {
            return Err(e);
        }
        for suffix in ["", "-wal", "-shm"] {
            let from = path.with_file_name(format!("{}{suffix}", path.file_name().unwrap_or_default().to_string_lossy()));
            for n in 1..1000 {
                let to = path.with_file_name(format!("state.db{suffix}.damaged-{n}"));
                if from.exists() && !to.exists() {
                    std::fs::rename(&from, to)?;
                    break;
                }
            }
        }
        Ok((Self::open(path)?, true))
    }

    fn check(&self) -> Result<()> {
        let damaged = || Error::integrity(Class::Form, "the state database is damaged");
        let answer: String = self.c.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(|e| damaged().because(e))?;
        if answer == "ok" { Ok(()) } else { Err(damaged()) }
    }

    fn begin(&self) -> Result<()> {
        if !self.open.get() {
            self.c.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
            self.open.set(true);
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
}

fn name_of(table: Table) -> &'static str {
    match table {
        Table::Anc => "anc",
        Table::Head => "head",
        Table::Scan => "scan",
        Table::Next => "next",
    }
}

const GONE: i64 = 0;
const DIR: i64 = 1;
const FILE: i64 = 2;
const LINK: i64 = 3;

/// The columns of a node: kind, id, oid, size, meta.
struct Columns {
    kind: i64,
    id: Option<[u8; 16]>,
    oid: Option<[u8; 20]>,
    size: Option<i64>,
    meta: Option<Vec<u8>>,
}

fn columns(node: &RowNode) -> Columns {
    match node {
        RowNode::Gone => Columns { kind: GONE, id: None, oid: None, size: None, meta: None },
        RowNode::Here(Node::Dir { id, tree }) => Columns { kind: DIR, id: Some(id.0), oid: Some(tree.0), size: None, meta: None },
        RowNode::Here(Node::File(v)) => {
            let kind = if v.kind == FileKind::Link { LINK } else { FILE };
            let mut m = Vec::with_capacity(68 + v.writer.as_str().len());
            m.extend_from_slice(&v.mac);
            m.extend_from_slice(&v.epoch.to_be_bytes());
            m.push(v.segment);
            m.push(u8::from(v.exec) | u8::from(v.private) << 1);
            m.extend_from_slice(&v.mtime.s.to_be_bytes());
            m.extend_from_slice(&v.mtime.ns.to_be_bytes());
            m.extend_from_slice(&v.offset.to_be_bytes());
            m.extend_from_slice(&v.generation.to_be_bytes());
            m.extend_from_slice(v.writer.as_str().as_bytes());
            Columns { kind, id: Some(v.id.0), oid: Some(v.oid.0), size: Some(v.size as i64), meta: Some(m) }
        }
    }
}

/// Reads what [`columns`] wrote.
fn node_from(kind: i64, id: Option<Vec<u8>>, oid: Option<Vec<u8>>, size: Option<i64>, meta: Option<Vec<u8>>) -> Option<RowNode> {
    if kind == GONE {
        return Some(RowNode::Gone);
    }
    let id = Id(id?.try_into().ok()?);
    let oid = Oid(oid?.try_into().ok()?);
    if kind == DIR {
        return Some(RowNode::Here(Node::Dir { id, tree: oid }));
    }
    let m = meta?;
    let mut rest = &m[..];
    let mut take = |n: usize| -> Option<&[u8]> {
        let (a, b) = rest.split_at_checked(n)?;
        rest = b;
        Some(a)
    };
    let mac = take(32)?.try_into().ok()?;
    let epoch = u16::from_be_bytes(take(2)?.try_into().ok()?);
    let flags = take(2)?;
    let (segment, bits) = (flags[0], flags[1]);
    let s = i64::from_be_bytes(take(8)?.try_into().ok()?);
    let ns = u32::from_be_bytes(take(4)?.try_into().ok()?);
    let offset = i16::from_be_bytes(take(2)?.try_into().ok()?);
    let generation = u64::from_be_bytes(take(8)?.try_into().ok()?);
    let writer = Writer::new(std::str::from_utf8(rest).ok()?)?;
    Some(RowNode::Here(Node::File(Version {
        id,
        kind: if kind == LINK { FileKind::Link } else { FileKind::File },
        size: size? as u64,
        mac,
        epoch,
        segment,
        exec: bits & 1 != 0,
        private: bits & 2 != 0,
        mtime: Time { s, ns },
        offset,
        generation,
        writer,
        oid,
    })))
}

fn seen_bytes(s: &Seen) -> Vec<u8> {
    let mut b = Vec::with_capacity(64);
    b.push(u8::from(s.exec) | u8::from(s.private) << 1 | u8::from(s.birth.is_some()) << 2);
    b.extend_from_slice(&s.size.to_be_bytes());
    b.extend_from_slice(&s.ino.to_be_bytes());
    for t in [s.mtime, s.ctime, s.birth.unwrap_or_default()] {
        b.extend_from_slice(&t.s.to_be_bytes());
        b.extend_from_slice(&t.ns.to_be_bytes());
    }
    if let Some(n) = &s.name {
        b.extend_from_slice(n.as_bytes());
    }
    b
}

fn seen_from(b: &[u8]) -> Option<Seen> {
    let u64_at = |i: usize| Some(u64::from_be_bytes(b.get(i..i + 8)?.try_into().ok()?));
    let time = |i: usize| {
        Some(Time { s: u64_at(i)? as i64, ns: u32::from_be_bytes(b.get(i + 8..i + 12)?.try_into().ok()?) })
    };
    let flags = *b.first()?;
    let name = b.get(53..)?;
    Some(Seen {
        size: u64_at(1)?,
        ino: u64_at(9)?,
        mtime: time(17)?,
        ctime: time(29)?,
        birth: if flags & 4 != 0 { Some(time(41)?) } else { None },
        exec: flags & 1 != 0,
        private: flags & 2 != 0,
        name: if name.is_empty() { None } else { Some(Name::new(name)?) },
    })
}

const SELECT: &str = "SELECT dir, name, kind, id, oid, size, meta, seen FROM";

fn read_row(r: &rusqlite::Row<'_>, at: usize) -> Result<Row> {
    let damaged = || Error::integrity(Class::Form, "the state database is damaged: a row that nobody writes");
    let dir: Vec<u8> = r.get(at).map_err(sql)?;
    let name: Vec<u8> = r.get(at + 1).map_err(sql)?;
    let place = Place { dir: Id(dir.try_into().map_err(|_| damaged())?), name: Name::new(name).ok_or_else(damaged)? };
    let get = |i: usize| r.get::<_, Option<Vec<u8>>>(at + i).map_err(sql);
    let kind = r.get(at + 2).map_err(sql)?;
    let node = node_from(kind, get(3)?, get(4)?, r.get(at + 5).map_err(sql)?, get(6)?).ok_or_else(damaged)?;
    let seen = match get(7)? {
        Some(b) => Some(seen_from(&b).ok_or_else(damaged)?),
        None => None,
    };
    Ok(Row { place, node, seen })
}

impl State for Db {
    fn get(&self, table: Table, place: &Place) -> Result<Option<Row>> {
        let text = format!("{SELECT} {} WHERE dir = ? AND name = ?", name_of(table));
        Ok(self.query(&text, params![place.dir.0, place.name.as_bytes()])?.pop())
    }

    fn children(&self, table: Table, dir: Id, after: Option<&Name>, limit: usize) -> Result<Vec<Row>> {
        let text = format!("{SELECT} {} WHERE dir = ? AND name > ? ORDER BY name LIMIT ?", name_of(table));
        self.query(&text, params![dir.0, after.map_or(&[][..], Name::as_bytes), limit as i64])
    }

    fn by_id(&self, table: Table, id: Id) -> Result<Vec<Row>> {
        self.query(&format!("{SELECT} {} WHERE id = ? ORDER BY dir, name", name_of(table)), params![id.0])
    }

    fn by_ino(&self, table: Table, ino: u64) -> Result<Vec<Row>> {
        self.query(&format!("{SELECT} {} WHERE ino = ? ORDER BY dir, name", name_of(table)), params![ino as i64])
    }

    fn by_size(&self, table: Table, size: u64) -> Result<Vec<Row>> {
        let text = format!("{SELECT} {} WHERE size = ? AND kind > 1 ORDER BY dir, name", name_of(table));
        self.query(&text, params![size as i64])
    }

    fn rows(&self, table: Table, after: Option<&Place>, limit: usize) -> Result<Vec<Row>> {
        match after {
            None => self.query(&format!("{SELECT} {} ORDER BY dir, name LIMIT ?", name_of(table)), params![limit as i64]),
            Some(p) => self.query(
                &format!("{SELECT} {} WHERE (dir, name) > (?, ?) ORDER BY dir, name LIMIT ?", name_of(table)),
                params![p.dir.0, p.name.as_bytes(), limit as i64],
            ),
        }
    }

    fn differences(&self, a: Table, b: Table, after: Option<&Place>, limit: usize) -> Result<Vec<(Place, Option<Row>, Option<Row>)>> {
        let (ta, tb) = (name_of(a), name_of(b));
        // Left side with what it differs in, then what only the right side has; each in order, put together here.
        let bound = "(x.dir, x.name) > (?, ?)";
        let (dir, name) = after.map_or((&[][..], &[][..]), |p| (&p.dir.0[..], p.name.as_bytes()));
        let differ = format!(
            "SELECT x.dir, x.name, x.kind, x.id, x.oid, x.size, x.meta, x.seen, y.dir, y.name, y.kind, y.id, y.oid, y.size, y.meta, y.seen \
             FROM {ta} x LEFT JOIN {tb} y ON y.dir = x.dir AND y.name = x.name WHERE {bound} AND (y.dir IS NULL OR x.kind <> y.kind \
             OR x.id <> y.id OR (x.kind > 1 AND (x.oid <> y.oid OR x.size <> y.size OR x.meta <> y.meta))) ORDER BY x.dir, x.name LIMIT ?"
        );
        let only = format!(
            "{SELECT} {tb} x WHERE {bound} AND NOT EXISTS (SELECT 1 FROM {ta} y WHERE y.dir = x.dir AND y.name = x.name) \
             ORDER BY x.dir, x.name LIMIT ?"
        );
        let mut out: Vec<(Place, Option<Row>, Option<Row>)> = Vec::new();
        {
            let mut st = self.c.prepare_cached(&differ).map_err(sql)?;
            let mut rows = st.query(params![dir, name, limit as i64]).map_err(sql)?;
            while let Some(r) = rows.next().map_err(sql)? {
                let left = read_row(r, 0)?;
                let right = match r.get::<_, Option<Vec<u8>>>(8).map_err(sql)? {
                    Some(_) => Some(read_row(r, 8)?),
                    None => None,
                };
                out.push((left.place.clone(), Some(left), right));
            }
        }
        for row in self.query(&only, params![dir, name, limit as i64])? {
            out.push((row.place.clone(), None, Some(row)));
        }
        out.sort_by(|x, y| x.0.cmp(&y.0));
        out.truncate(limit);
        Ok(out)
    }

    fn count(&self, table: Table) -> Result<(u64, u64, u64)> {
        let text = format!("SELECT sum(kind > 1), sum(kind = 1), sum(size) FROM {}", name_of(table));
        let row = |r: &rusqlite::Row<'_>| {
            let get = |i| r.get::<_, Option<i64>>(i).map(|v| v.unwrap_or(0) as u64);
            Ok((get(0)?, get(1)?, get(2)?))
        };
        self.c.prepare_cached(&text).map_err(sql)?.query_row([], row).map_err(sql)
    }

    fn put(&mut self, table: Table, row: &Row) -> Result<()> {
        let c = columns(&row.node);
        let text = format!("INSERT OR REPLACE INTO {} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", name_of(table));
        let ino = row.seen.as_ref().map(|s| s.ino as i64);
        let seen = row.seen.as_ref().map(seen_bytes);
        let p = params![row.place.dir.0, row.place.name.as_bytes(), c.kind, c.id, c.oid, c.size, c.meta, seen, ino];
        self.execute(&text, p)?;
        Ok(())
    }

    fn remove(&mut self, table: Table, place: &Place) -> Result<()> {
        let text = format!("DELETE FROM {} WHERE dir = ? AND name = ?", name_of(table));
        self.execute(&text, params![place.dir.0, place.name.as_bytes()])?;
        Ok(())
    }

    fn clear(&mut self, table: Table) -> Result<()> {
        self.execute(&format!("DELETE FROM {}", name_of(table)), [])?;
        Ok(())
    }

    fn absorb(&mut self, scratch: Table, into: Table) -> Result<()> {
        let (from, to) = (name_of(scratch), name_of(into));
        self.execute(
            &format!("DELETE FROM {to} WHERE EXISTS (SELECT 1 FROM {from} s WHERE s.kind = 0 AND s.dir = {to}.dir AND s.name = {to}.name)"),
            [],
        )?;
        self.execute(&format!("INSERT OR REPLACE INTO {to} SELECT * FROM {from} WHERE kind > 0"), [])?;
        self.clear(scratch)
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
        let text = "SELECT key, value FROM value WHERE substr(key, 1, ?) = ? ORDER BY key";
        let mut st = self.c.prepare_cached(text).map_err(sql)?;
        let n = prefix.chars().count() as i64;
        let rows = st.query_map(params![n, prefix], |r| Ok((r.get(0)?, r.get(1)?))).map_err(sql)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql)
    }

    fn intents(&self) -> Result<Vec<(u64, Intent)>> {
        let damaged = || Error::integrity(Class::Form, "the state database is damaged: an intent that nobody writes");
        let text = "SELECT dir, name, coalesce(nkind, 0), id, oid, size, meta, seen, number, kind, tdir, tname FROM intent ORDER BY number";
        let mut st = self.c.prepare_cached(text).map_err(sql)?;
        let mut rows = st.query([]).map_err(sql)?;
        let mut out = Vec::new();
        while let Some(r) = rows.next().map_err(sql)? {
            let row = read_row(r, 0)?;
            let number: i64 = r.get(8).map_err(sql)?;
            let kind: i64 = r.get(9).map_err(sql)?;
            let intent = if kind == 0 {
                let dir: Vec<u8> = r.get(10).map_err(sql)?;
                let name: Vec<u8> = r.get(11).map_err(sql)?;
                let temporary =
                    Place { dir: Id(dir.try_into().map_err(|_| damaged())?), name: Name::new(name).ok_or_else(damaged)? };
                Intent::Put { temporary, row }
            } else {
                Intent::Delete { place: row.place, seen: row.seen.ok_or_else(damaged)? }
            };
            out.push((number as u64, intent));
        }
        Ok(out)
    }

    fn add_intent(&mut self, intent: &Intent) -> Result<u64> {
        const INSERT: &str = "INSERT INTO intent (kind, tdir, tname, dir, name, nkind, id, oid, size, meta, seen) \
                              VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        match intent {
            Intent::Put { temporary: t, row } => {
                let c = columns(&row.node);
                let seen = row.seen.as_ref().map(seen_bytes);
                let p = &row.place;
                self.execute(
                    INSERT,
                    params![0, t.dir.0, t.name.as_bytes(), p.dir.0, p.name.as_bytes(), c.kind, c.id, c.oid, c.size, c.meta, seen],
                )?;
            }
            Intent::Delete { place: p, seen } => {
                let none: Option<i64> = None;
                let blob: Option<Vec<u8>> = None;
                self.execute(
                    INSERT,
                    params![1, blob, blob, p.dir.0, p.name.as_bytes(), none, blob, blob, none, blob, seen_bytes(seen)],
                )?;
            }
        }
        Ok(self.c.last_insert_rowid() as u64)
    }

    fn remove_intent(&mut self, number: u64) -> Result<()> {
        self.execute("DELETE FROM intent WHERE number = ?", params![number as i64])?;
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if self.open.replace(false) {
            self.c.execute_batch("COMMIT").map_err(sql)?;
        }
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        if self.open.replace(false) {
            self.c.execute_batch("ROLLBACK").map_err(sql)?;
        }
        Ok(())
    }
}
