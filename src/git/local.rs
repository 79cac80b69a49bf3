//! A storage node at a local path: a directory or an external disk, read and written by this engine, without git.

use super::refs::Expect;
use super::store::Store;
use super::{PackSource, RefStatus, RefUpdate, Remote};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::id::Oid;
use std::collections::BTreeMap;
use std::io::Write;

/// A bare repository below a root.
pub struct LocalRemote<F: Files, O: Fn() -> Result<F> = Box<dyn Fn() -> Result<F> + Send>> {
    open: O,
    place: String,
}

impl<F: Files, O: Fn() -> Result<F>> LocalRemote<F, O> {
    /// `open` gives the bare repository's directory as a root, each time anew: an external disk comes and goes.
    /// `place` is how it is called in messages.
    pub fn new(place: impl Into<String>, open: O) -> Self {
        LocalRemote { open, place: place.into() }
    }

    fn store(&self) -> Result<Store<F>> {
        let away = |e: Error| match e.kind() {
            Kind::Stopped | Kind::Integrity(crate::error::Class::Version) => e,
            _ => Error::new(Kind::Unreachable, format!("{} is away", self.place)).because(e),
        };
        let files = (self.open)().map_err(away)?;
        Store::open(&files, &files.root()).map_err(away)
    }
}

impl<F: Files, O: Fn() -> Result<F>> Remote for LocalRemote<F, O> {
    fn refs(&mut self) -> Result<BTreeMap<String, Oid>> {
        self.store()?.refs("refs/")
    }

    fn fetch(&mut self, want: &[Oid], have: &[Oid], sink: &mut dyn Write) -> Result<()> {
        let store = self.store()?;
        let oids = store.closure(want, have)?;
        store.pack_source(oids)?.write_to(sink)
    }

    fn push(&mut self, updates: &[RefUpdate], atomic: bool, pack: &mut dyn PackSource) -> Result<Vec<RefStatus>> {
        let store = self.store()?;
        if pack.objects() > 0 {
            store.tidy_stale()?;
            let mut ingest = store.ingest()?;
            pack.write_to(&mut ingest)?;
            ingest.finish()?;
        }
        let refs = store.refs("refs/")?;
        let fits = |u: &RefUpdate| refs.get(&u.name).copied() == u.old;
        if atomic && !updates.iter().all(fits) {
            return Ok(updates.iter().map(|_| RefStatus::Refused("another ref has moved".into())).collect());
        }
        let mut out = Vec::new();
        for u in updates {
            if let Some(new) = u.new
                && !store.contains(&new)?
            {
                out.push(RefStatus::Refused(format!("{new} is missing")));
                continue;
            }
            let expect = u.old.map_or(Expect::Absent, Expect::Is);
            out.push(match store.set_ref(&u.name, expect, u.new) {
                Ok(()) => RefStatus::Ok,
                Err(e) if e.kind() == Kind::Raced => RefStatus::Refused(e.to_string()),
                Err(e) => return Err(e),
            });
        }
        // The refs stand: a full disk, or an old pack that is damaged, makes the push no failure.
        match store.consolidate() {
            Err(e) if e.is_stopped() => Err(e),
            _ => Ok(out),
        }
    }

    fn create(&mut self) -> Result<()> {
        let files = (self.open)()?;
        Store::init(&files, &files.root(), true)?;
        Ok(())
    }

    fn set_head(&mut self) -> Result<bool> {
        let store = self.store()?;
        if store.head()?.as_deref() != Some("refs/heads/main") {
            store.set_head("refs/heads/main")?;
        }
        Ok(true)
    }
}
