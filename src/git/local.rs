//! A storage node at a local path: a directory or an external disk, read and written by this engine, without git.

use super::store::Store;
use super::{Choose, PackSource, RefStatus, RefUpdate, Remote};
use crate::error::{Class, Error, Kind, Result};
use crate::files::Files;
use crate::id::Oid;
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
            Kind::Stopped | Kind::Integrity(Class::Version) => e,
            _ => Error::new(Kind::Unreachable, format!("{} is away", self.place)).because(e),
        };
        let files = (self.open)().map_err(away)?;
        Store::open(&files, &files.root()).map_err(away)
    }
}

/// All of these or none; no ref ever names what is not there.
fn move_refs<F: Files>(store: &Store<F>, updates: &[RefUpdate]) -> Result<()> {
    for new in updates.iter().filter_map(|u| u.new) {
        if !store.contains(&new)? {
            return Err(Error::integrity(Class::Absent, format!("{new} is missing")));
        }
    }
    store.set_refs(updates)
}

impl<F: Files, O: Fn() -> Result<F>> Remote for LocalRemote<F, O> {
    fn fetch(&mut self, choose: Choose<'_>, have: &[Oid], sink: &mut dyn Write) -> Result<()> {
        let store = self.store()?;
        let want = choose(&store.refs("refs/")?)?;
        if want.is_empty() {
            return Ok(());
        }
        let oids = store.closure(&want, have)?;
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
        let mut out = Vec::new();
        for together in updates.chunks(if atomic { updates.len().max(1) } else { 1 }) {
            let status = match move_refs(&store, together) {
                Ok(()) => RefStatus::Ok,
                Err(e) if matches!(e.kind(), Kind::Raced | Kind::Integrity(Class::Absent)) => RefStatus::Refused(e.to_string()),
                Err(e) => return Err(e),
            };
            out.extend(together.iter().map(|_| status.clone()));
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
