//! The table that `Anc` and `Head` share, and the texts of its statements.
//!
//! One row is one place. `state` says who has it: 1 the ancestor, 2 head, 3 both and they differ, 7 both and they are
//! equal (then head's columns are empty).

use super::pack::{self, Side};
use super::{damaged, sql};
use crate::error::Result;
use crate::id::Id;
use crate::path::Name;
use crate::state::{Row, Table};
use crate::tree::Place;
use rusqlite::ToSql;

/// Durable tables. Rows are found by `n`, so that an index entry is a few bytes and not the whole place.
pub(super) const SCHEMA: &str = "
    CREATE TABLE tree (n INTEGER PRIMARY KEY, dir BLOB NOT NULL, name BLOB NOT NULL, state INTEGER NOT NULL,
        id BLOB, size INTEGER, node BLOB, tree BLOB, seen BLOB, ino INTEGER,
        hid BLOB, hsize INTEGER, hnode BLOB, htree BLOB);
    CREATE UNIQUE INDEX tree_place ON tree (dir, name);
    CREATE INDEX tree_id ON tree (id) WHERE id IS NOT NULL;
    CREATE INDEX tree_size ON tree (size) WHERE size IS NOT NULL;
    CREATE INDEX tree_ino ON tree (ino) WHERE ino IS NOT NULL;
    CREATE INDEX tree_hid ON tree (hid) WHERE hid IS NOT NULL;
    CREATE INDEX tree_differ ON tree (dir, name) WHERE state <> 7;
    CREATE TABLE value (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE intent (number INTEGER PRIMARY KEY, intent BLOB NOT NULL);";

/// Scratch tables, gone with the connection.
pub(super) const SCRATCH: &str = "
    CREATE TEMP TABLE scan (dir BLOB NOT NULL, name BLOB NOT NULL, id BLOB, size INTEGER, node BLOB, tree BLOB, seen BLOB,
        ino INTEGER, PRIMARY KEY (dir, name));
    CREATE INDEX temp.scan_id ON scan (id) WHERE id IS NOT NULL;
    CREATE INDEX temp.scan_size ON scan (size) WHERE size IS NOT NULL;
    CREATE INDEX temp.scan_ino ON scan (ino) WHERE ino IS NOT NULL;
    CREATE TEMP TABLE next (dir BLOB NOT NULL, name BLOB NOT NULL, id BLOB, size INTEGER, node BLOB, tree BLOB, seen BLOB,
        ino INTEGER, PRIMARY KEY (dir, name));
    CREATE INDEX temp.next_id ON next (id) WHERE id IS NOT NULL;";

pub(super) const FIND: &str = "SELECT n, state, id, size, node, tree, seen, ino, hid, hsize, hnode, htree FROM tree \
     WHERE dir = ? AND name = ?";

pub(super) const INSERT: &str = "INSERT INTO tree (node, tree, seen, hsize, hnode, htree, id, size, ino, hid, state, dir, name) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Where `Anc` and `Head` differ, in order: the eight columns of each for [`read_row`], and the state.
pub(super) const DIFFERENCES: &str = "SELECT dir, name, id, size, node, tree, seen, ino, \
     dir, name, hid, hsize, hnode, htree, NULL, NULL, state FROM tree INDEXED BY tree_differ \
     WHERE state <> 7 AND (dir, name) > (?, ?) ORDER BY dir, name LIMIT ?";

/// The name of a scratch table.
pub(super) fn name(t: Table) -> &'static str {
    match t {
        Table::Scan => "scan",
        Table::Next => "next",
        Table::Anc | Table::Head => "tree",
    }
}

/// The eight columns for [`read_row`], with a first condition; more follow behind `AND`.
pub(super) fn select(t: Table) -> &'static str {
    match t {
        Table::Anc => "SELECT dir, name, id, size, node, tree, seen, ino FROM tree WHERE state <> 2",
        Table::Head => {
            "SELECT dir, name, iif(state = 7, id, hid), iif(state = 7, size, hsize), iif(state = 7, node, hnode), htree, \
             NULL, NULL FROM tree WHERE state <> 1"
        }
        Table::Scan => "SELECT dir, name, id, size, node, tree, seen, ino FROM scan WHERE 1",
        Table::Next => "SELECT dir, name, id, size, node, tree, seen, ino FROM next WHERE 1",
    }
}

/// Files and links, all but tombstones, bytes.
pub(super) fn count(t: Table) -> String {
    let (id, size, from) = match t {
        Table::Anc => ("id", "size", "tree WHERE state <> 2"),
        Table::Head => ("iif(state = 7, id, hid)", "iif(state = 7, size, hsize)", "tree WHERE state <> 1"),
        Table::Scan | Table::Next => ("id", "size", name(t)),
    };
    format!("SELECT count({size}), count({id}), coalesce(sum({size}), 0) FROM {from}")
}

pub(super) fn clear(t: Table) -> &'static str {
    match t {
        Table::Anc => {
            "UPDATE tree SET hid = id, hsize = size, hnode = node WHERE state = 7; DELETE FROM tree WHERE state = 1; \
             UPDATE tree SET state = 2, id = NULL, size = NULL, node = NULL, tree = NULL, seen = NULL, ino = NULL WHERE state <> 2;"
        }
        Table::Head => {
            "DELETE FROM tree WHERE state = 2; \
             UPDATE tree SET state = 1, hid = NULL, hsize = NULL, hnode = NULL, htree = NULL WHERE state <> 1;"
        }
        Table::Scan => "DELETE FROM scan",
        Table::Next => "DELETE FROM next",
    }
}

/// A row of the table, less its number and place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns {
    state: i64,
    id: Option<Vec<u8>>,
    size: Option<i64>,
    node: Option<Vec<u8>>,
    tree: Option<Vec<u8>>,
    seen: Option<Vec<u8>>,
    ino: Option<i64>,
    hid: Option<Vec<u8>>,
    hsize: Option<i64>,
    hnode: Option<Vec<u8>>,
    htree: Option<Vec<u8>>,
}

impl Columns {
    /// Reads what [`FIND`] found: the number and the rest.
    pub(super) fn read(r: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Columns)> {
        let c = Columns {
            state: r.get(1)?,
            id: r.get(2)?,
            size: r.get(3)?,
            node: r.get(4)?,
            tree: r.get(5)?,
            seen: r.get(6)?,
            ino: r.get(7)?,
            hid: r.get(8)?,
            hsize: r.get(9)?,
            hnode: r.get(10)?,
            htree: r.get(11)?,
        };
        Ok((r.get(0)?, c))
    }

    /// Neither side has the place.
    pub(super) fn is_empty(&self) -> bool {
        self.state == 0
    }

    /// Sets or removes the ancestor's node.
    pub(super) fn set_anc(&mut self, row: Option<&Row>) {
        self.spread();
        let side = row.map(|r| pack::node(&r.node));
        self.tree = side.as_ref().and_then(|s| s.tree.clone());
        (self.id, self.size, self.node) = parts(side);
        let seen = row.and_then(|r| r.seen.as_ref());
        self.seen = seen.map(pack::seen);
        self.ino = seen.map(|s| s.ino as i64);
        self.fold();
    }

    /// Sets or removes head's node.
    pub(super) fn set_head(&mut self, row: Option<&Row>) {
        self.spread();
        let side = row.map(|r| pack::node(&r.node));
        self.htree = side.as_ref().and_then(|s| s.tree.clone());
        (self.hid, self.hsize, self.hnode) = parts(side);
        self.fold();
    }

    /// Gives head its own copy of an equal node.
    fn spread(&mut self) {
        if self.state == 7 {
            (self.hid, self.hsize, self.hnode) = (self.id.clone(), self.size, self.node.clone());
        }
    }

    /// Finds the state, and stores an equal node once.
    fn fold(&mut self) {
        self.state = match (&self.node, &self.hnode) {
            (None, None) => 0,
            (Some(_), None) => 1,
            (None, Some(_)) => 2,
            (Some(a), Some(b)) if a == b && self.id == self.hid && self.size == self.hsize => 7,
            _ => 3,
        };
        if self.state == 7 {
            (self.hid, self.hsize, self.hnode) = (None, None, None);
        }
    }

    /// The statement that makes `new` of this row: only changed columns that have an index are named, so that other
    /// indexes are not written. Its parameters are [`Columns::params`] of `new`.
    pub(super) fn update(&self, new: &Columns) -> String {
        let mut text = String::from("UPDATE tree SET node = ?1, tree = ?2, seen = ?3, hsize = ?4, hnode = ?5, htree = ?6");
        for (changed, set) in [
            (self.id != new.id, ", id = ?7"),
            (self.size != new.size, ", size = ?8"),
            (self.ino != new.ino, ", ino = ?9"),
            (self.hid != new.hid, ", hid = ?10"),
            (self.state != new.state, ", state = ?11"),
        ] {
            if changed {
                text.push_str(set);
            }
        }
        text.push_str(" WHERE n = ?12");
        text
    }

    pub(super) fn params<'p>(&'p self, n: &'p i64) -> [&'p dyn ToSql; 12] {
        let [a, b, c, d, e, f, g, h, i, j, k] = self.all();
        [a, b, c, d, e, f, g, h, i, j, k, n]
    }

    /// The parameters of [`INSERT`].
    pub(super) fn params_at<'p>(&'p self, dir: &'p [u8; 16], name: &'p &[u8]) -> [&'p dyn ToSql; 13] {
        let [a, b, c, d, e, f, g, h, i, j, k] = self.all();
        [a, b, c, d, e, f, g, h, i, j, k, dir, name]
    }

    fn all(&self) -> [&dyn ToSql; 11] {
        [&self.node, &self.tree, &self.seen, &self.hsize, &self.hnode, &self.htree, &self.id, &self.size, &self.ino, &self.hid, &self.state]
    }
}

/// A node's columns but its tree; without a node none is set.
type Parts = (Option<Vec<u8>>, Option<i64>, Option<Vec<u8>>);

fn parts(s: Option<Side>) -> Parts {
    s.map_or((None, None, None), |s| (s.id, s.size, Some(s.node)))
}

/// A row from eight columns, the first of which is column `at`.
pub(super) fn read_row(r: &rusqlite::Row<'_>, at: usize) -> Result<Row> {
    let bytes = |i: usize| r.get::<_, Option<Vec<u8>>>(at + i).map_err(sql);
    let dir = bytes(0)?.and_then(|b| b.try_into().ok()).ok_or_else(damaged)?;
    let name = bytes(1)?.and_then(Name::new).ok_or_else(damaged)?;
    let side = Side { id: bytes(2)?, size: r.get(at + 3).map_err(sql)?, node: bytes(4)?.ok_or_else(damaged)?, tree: bytes(5)? };
    let node = pack::read_node(&side).ok_or_else(damaged)?;
    let seen = match (bytes(6)?, r.get::<_, Option<i64>>(at + 7).map_err(sql)?) {
        (Some(b), Some(ino)) => Some(pack::read_seen(&b, ino).ok_or_else(damaged)?),
        _ => None,
    };
    Ok(Row { place: Place { dir: Id(dir), name }, node, seen })
}
