//! The database in memory: what was committed survives a kill or a power cut, the rest does not.

use super::hook::{Life, Seam};
use crate::error::Result;
use crate::id::Id;
use crate::path::Name;
use crate::state::{Intent, Row, RowNode, State, Table};
use crate::tree::{Node, Place};
use std::collections::BTreeMap;

type Rows = BTreeMap<Place, Row>;

#[derive(Clone, Default)]
struct Image {
    anc: Rows,
    head: Rows,
    values: BTreeMap<String, Vec<u8>>,
    intents: BTreeMap<u64, Intent>,
    last_intent: u64,
}

/// See the module.
pub struct SimState {
    life: Life,
    now: Image,
    durable: Image,
    dirty: bool,
    scan: Rows,
    next: Rows,
}

impl SimState {
    /// An empty database of a device.
    pub fn new(life: Life) -> SimState {
        SimState { life, now: Image::default(), durable: Image::default(), dirty: false, scan: Rows::new(), next: Rows::new() }
    }

    /// What a restart finds after a kill or power cut.
    pub fn restart(&mut self) {
        self.now = self.durable.clone();
        self.scan.clear();
        self.next.clear();
        self.dirty = false;
    }

    /// The database is lost.
    pub fn lose(&mut self) {
        self.durable = Image::default();
        self.restart();
    }

    fn rows_of(&self, t: Table) -> &Rows {
        match t {
            Table::Anc => &self.now.anc,
            Table::Head => &self.now.head,
            Table::Scan => &self.scan,
            Table::Next => &self.next,
        }
    }

    fn rows_mut(&mut self, t: Table) -> &mut Rows {
        match t {
            Table::Anc => &mut self.now.anc,
            Table::Head => &mut self.now.head,
            Table::Scan => &mut self.scan,
            Table::Next => &mut self.next,
        }
    }

    fn filter(&self, t: Table, f: impl Fn(&Row) -> bool) -> Result<Vec<Row>> {
        self.life.alive()?;
        Ok(self.rows_of(t).values().filter(|r| f(r)).cloned().collect())
    }
}

/// Equal for the question 'do these tables differ': a directory's git tree does not count.
fn alike(a: &RowNode, b: &RowNode) -> bool {
    match (a, b) {
        (RowNode::Here(Node::Dir { id: a, .. }), RowNode::Here(Node::Dir { id: b, .. })) => a == b,
        (a, b) => a == b,
    }
}

impl State for SimState {
    fn get(&self, table: Table, place: &Place) -> Result<Option<Row>> {
        self.life.alive()?;
        Ok(self.rows_of(table).get(place).cloned())
    }

    fn children(&self, table: Table, dir: Id, after: Option<&Name>, limit: usize) -> Result<Vec<Row>> {
        self.life.alive()?;
        let from = Place { dir, name: after.cloned().unwrap_or_else(Name::lowest) };
        let rows = self.rows_of(table).range(from..).take_while(|(p, _)| p.dir == dir);
        Ok(rows.filter(|(p, _)| after != Some(&p.name)).take(limit).map(|(_, r)| r.clone()).collect())
    }

    fn by_id(&self, table: Table, id: Id) -> Result<Vec<Row>> {
        self.filter(table, |r| r.here().is_some_and(|n| n.id() == id))
    }

    fn by_ino(&self, table: Table, ino: u64) -> Result<Vec<Row>> {
        self.filter(table, |r| r.seen.as_ref().is_some_and(|s| s.ino == ino))
    }

    fn by_size(&self, table: Table, size: u64) -> Result<Vec<Row>> {
        self.filter(table, |r| r.here().and_then(|n| n.file()).is_some_and(|v| v.size == size))
    }

    fn rows(&self, table: Table, after: Option<&Place>, limit: usize) -> Result<Vec<Row>> {
        self.life.alive()?;
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        Ok(self.rows_of(table).range((from, Unbounded)).take(limit).map(|(_, r)| r.clone()).collect())
    }

    fn differences(&self, a: Table, b: Table, after: Option<&Place>, limit: usize) -> Result<Vec<(Place, Option<Row>, Option<Row>)>> {
        self.life.alive()?;
        let (ra, rb) = (self.rows_of(a), self.rows_of(b));
        let places: std::collections::BTreeSet<&Place> = ra.keys().chain(rb.keys()).collect();
        let mut out = Vec::new();
        for p in places.into_iter().filter(|p| after.is_none_or(|a| *p > a)) {
            let (x, y) = (ra.get(p), rb.get(p));
            let same = match (x, y) {
                (Some(x), Some(y)) => alike(&x.node, &y.node),
                _ => false,
            };
            if out.len() == limit {
                break;
            }
            if !same {
                out.push((p.clone(), x.cloned(), y.cloned()));
            }
        }
        Ok(out)
    }

    fn count(&self, table: Table) -> Result<(u64, u64, u64)> {
        self.life.alive()?;
        let mut n = (0, 0, 0);
        for row in self.rows_of(table).values() {
            match row.here() {
                Some(Node::File(v)) => {
                    n.0 += 1;
                    n.2 += v.size;
                }
                Some(Node::Dir { .. }) => n.1 += 1,
                None => {}
            }
        }
        Ok(n)
    }

    fn put(&mut self, table: Table, row: &Row) -> Result<()> {
        self.life.alive()?;
        self.dirty |= matches!(table, Table::Anc | Table::Head);
        self.rows_mut(table).insert(row.place.clone(), row.clone());
        Ok(())
    }

    fn remove(&mut self, table: Table, place: &Place) -> Result<()> {
        self.life.alive()?;
        self.dirty |= matches!(table, Table::Anc | Table::Head);
        self.rows_mut(table).remove(place);
        Ok(())
    }

    fn clear(&mut self, table: Table) -> Result<()> {
        self.life.alive()?;
        self.dirty |= matches!(table, Table::Anc | Table::Head);
        self.rows_mut(table).clear();
        Ok(())
    }

    fn absorb(&mut self, scratch: Table, into: Table) -> Result<()> {
        self.life.alive()?;
        self.dirty = true;
        let rows = std::mem::take(self.rows_mut(scratch));
        let to = self.rows_mut(into);
        for (place, row) in rows {
            match row.node {
                RowNode::Gone => to.remove(&place),
                RowNode::Here(_) => to.insert(place, row),
            };
        }
        Ok(())
    }

    fn value(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.life.alive()?;
        Ok(self.now.values.get(key).cloned())
    }

    fn set_value(&mut self, key: &str, value: Option<&[u8]>) -> Result<()> {
        self.life.alive()?;
        self.dirty = true;
        match value {
            Some(v) => self.now.values.insert(key.into(), v.to_vec()),
            None => self.now.values.remove(key),
        };
        Ok(())
    }

    fn values(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.life.alive()?;
        Ok(self.now.values.iter().filter(|(k, _)| k.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn intents(&self) -> Result<Vec<(u64, Intent)>> {
        self.life.alive()?;
        Ok(self.now.intents.iter().map(|(n, i)| (*n, i.clone())).collect())
    }

    fn add_intent(&mut self, intent: &Intent) -> Result<u64> {
        self.life.alive()?;
        self.dirty = true;
        self.now.last_intent += 1;
        self.now.intents.insert(self.now.last_intent, intent.clone());
        Ok(self.now.last_intent)
    }

    fn remove_intent(&mut self, number: u64) -> Result<()> {
        self.life.alive()?;
        self.dirty = true;
        self.now.intents.remove(&number);
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.life.alive()?;
        if self.dirty {
            self.durable = self.now.clone();
            self.dirty = false;
            self.life.at(Seam::State, "commit")?;
        }
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        self.life.alive()?;
        self.now = self.durable.clone();
        self.dirty = false;
        Ok(())
    }
}
