//! Sealing a large file segment by segment. Segments that the repository has already (an edit inside the file) are not
//! written again.

use super::belt::{self, Work};
use super::{Buffers, Reading, unchanged};
use crate::clock::{Clock, Random};
use crate::crypt::head::FileHead;
use crate::crypt::large::{Part, Writer};
use crate::error::{Error, Result};
use crate::files::{Files, Open};
use crate::git::Type;
use crate::git::object::TreeBuilder;
use crate::mirror::Device;
use crate::mirror::packs::Packs;
use crate::mirror::progress::{Progress, Step};
use crate::state::{Seen, State};
use crate::tree::Version;
use std::io::{ErrorKind, Read};

/// Where the segments come from and where they go.
struct Parts<'a, F: Files> {
    file: &'a mut F::File,
    packs: &'a mut Packs<F>,
    progress: &'a Progress,
    top: TreeBuilder,
    group: TreeBuilder,
    /// Why it ended early.
    ended: Option<Reading>,
}

impl<F: Files> Work for Parts<'_, F> {
    fn fill(&mut self, place: &mut [u8]) -> Result<bool> {
        if let Err(e) = self.file.read_exact(place) {
            self.ended = Some(match e.kind() {
                ErrorKind::UnexpectedEof => Reading::Changed,
                _ => Reading::Unreadable(e.into()),
            });
            return Ok(false);
        }
        self.progress.did(Step::Encrypting, 0, place.len() as u64);
        Ok(true)
    }

    fn sealed(&mut self, writer: &mut Writer<'_>, object: &[u8], mac: &[u8; 32]) -> Result<()> {
        let (dir, leaf) = writer.take(mac)?.path();
        let oid = self.packs.add(Type::Blob, object)?;
        match dir {
            None => self.top.add_blob(leaf.as_bytes(), oid)?,
            Some(_) => self.group.add_blob(leaf.as_bytes(), oid)?,
        }
        if let Some((index, bytes)) = writer.take_index() {
            let oid = self.packs.add(Type::Blob, &bytes)?;
            let (dir, leaf) = index.path();
            self.group.add_blob(leaf.as_bytes(), oid)?;
            let tree = self.packs.add(Type::Tree, &std::mem::take(&mut self.group).finish()?)?;
            self.top.add_tree(dir.unwrap_or_default().as_bytes(), tree)?;
        }
        Ok(())
    }
}

/// Seals a file that is open and as it was seen.
pub(super) fn seal<F: Files, S: State, C: Clock, R: Random>(
    d: &mut Device<F, S, C, R>,
    packs: &mut Packs<F>,
    buffers: &mut Buffers,
    mut file: F::File,
    mut v: Version,
    seen: &Seen,
) -> Result<Reading> {
    let mut head = FileHead::from_version(&v);
    head.generation = head.generation.max(1);
    let mut writer = Writer::new(&d.keys, head)?;
    let mut parts = Parts::<F> {
        file: &mut file,
        packs,
        progress: &d.settings.progress,
        top: TreeBuilder::default(),
        group: TreeBuilder::default(),
        ended: None,
    };
    let whole = belt::seal(&mut writer, &mut buffers.object, d.settings.threads, &mut parts)?;
    let Parts { mut top, ended, .. } = parts;
    if !whole {
        return Ok(ended.unwrap_or(Reading::Changed));
    }
    match file.read(&mut [0u8; 1]) {
        Ok(0) if unchanged(&file.stat()?, seen) => {}
        Ok(_) => return Ok(Reading::Changed),
        Err(e) => return Ok(Reading::Unreadable(Error::from(e))),
    }
    let head = writer.finish(&mut buffers.object)?;
    v.mac = head.mac;
    let oid = packs.add(Type::Blob, &buffers.object)?;
    top.add_blob(Part::Head.path().1.as_bytes(), oid)?;
    v.oid = packs.add(Type::Tree, &top.finish()?)?;
    Ok(Reading::Sealed(v))
}
