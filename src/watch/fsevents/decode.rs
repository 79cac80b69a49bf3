//! What one event means: a path and flags, as FSEvents.h has them.

use super::super::Skip;
use super::super::pending::Pending;
use crate::path::{Name, RelPath};
use unicode_normalization::UnicodeNormalization;

/// FSEvents.h, `FSEventStreamEventFlags`; `stream` holds them against the framework's.
pub(super) mod flag {
    pub const MUST_SCAN_SUB_DIRS: u32 = 0x1;
    pub const USER_DROPPED: u32 = 0x2;
    pub const KERNEL_DROPPED: u32 = 0x4;
    pub const EVENT_IDS_WRAPPED: u32 = 0x8;
    pub const HISTORY_DONE: u32 = 0x10;
    pub const ROOT_CHANGED: u32 = 0x20;
    pub const MOUNT: u32 = 0x40;
    pub const UNMOUNT: u32 = 0x80;
    pub const ITEM_CREATED: u32 = 0x100;
    pub const ITEM_INODE_META_MOD: u32 = 0x400;
    pub const ITEM_RENAMED: u32 = 0x800;
    pub const ITEM_CHANGE_OWNER: u32 = 0x4000;
    pub const ITEM_IS_DIR: u32 = 0x2_0000;
}

/// Since macOS 10.15 the user's files lie on a volume of its own, and are seen in two places (firmlinks): an event names
/// the short one as a rule, and may name the other.
const DATA: &[u8] = b"/System/Volumes/Data";

/// Reads events below one root.
pub(super) struct Decoder {
    /// Absolute, with all links resolved, as the events name it; without a `/` at its end.
    root: Vec<u8>,
    skip: Skip,
}

/// Where an event's path lies.
enum Place {
    /// The root, or something above it.
    Above,
    Below(RelPath),
    /// It names no place that is known here.
    Unknown,
}

impl Decoder {
    pub(super) fn new(root: &[u8], skip: Skip) -> Decoder {
        let root = short(root.strip_suffix(b"/").unwrap_or(root));
        Decoder { root: root.to_vec(), skip }
    }

    /// One event.
    pub(super) fn take(&self, path: &[u8], flags: u32, out: &mut Pending) {
        let any = |f: u32| flags & f != 0;
        if any(flag::ROOT_CHANGED) {
            return out.gone();
        }
        if any(flag::HISTORY_DONE) {
            return;
        }
        // What was dropped may have been anywhere, whatever the path says.
        if any(flag::USER_DROPPED | flag::KERNEL_DROPPED | flag::EVENT_IDS_WRAPPED) {
            return out.all();
        }
        match self.place(path) {
            Place::Above if any(flag::UNMOUNT) => out.gone(),
            Place::Above if any(flag::MUST_SCAN_SUB_DIRS | flag::MOUNT) => out.all(),
            Place::Above => out.dir(RelPath::root()),
            // The framework tells only what lies below the root, so this does, too, under a name that is not understood.
            Place::Unknown => out.all(),
            Place::Below(path) if self.skips(&path) => {}
            Place::Below(path) => {
                let deep = flag::ITEM_CREATED | flag::ITEM_RENAMED | flag::ITEM_INODE_META_MOD | flag::ITEM_CHANGE_OWNER;
                if any(flag::MUST_SCAN_SUB_DIRS | flag::MOUNT | flag::UNMOUNT) || any(flag::ITEM_IS_DIR) && any(deep) {
                    out.tree(path.clone());
                }
                if let Some((above, _)) = path.split() {
                    out.dir(above);
                }
            }
        }
    }

    fn place(&self, path: &[u8]) -> Place {
        let path = short(path.strip_suffix(b"/").unwrap_or(path));
        let rest = match path.strip_prefix(self.root.as_slice()) {
            Some([]) => return Place::Above,
            Some([b'/', rest @ ..]) => Some(rest),
            _ if path.is_empty() || self.root.strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/")) => return Place::Above,
            // Rarely, and then only on the way to the root: another case, or another normal form, of the same names.
            _ => behind(&self.root, path),
        };
        match rest {
            Some([]) => Place::Above,
            Some(rest) => RelPath::new(rest).map_or(Place::Unknown, Place::Below),
            None => Place::Unknown,
        }
    }

    /// True if the entry, or a directory on the way to it, is no concern.
    fn skips(&self, path: &RelPath) -> bool {
        let mut at = RelPath::root();
        path.names().any(|name: Name| {
            let skipped = (self.skip)(&at, name.as_bytes());
            at = at.join(&name);
            skipped
        })
    }
}

/// The path without the volume that holds the user's files.
fn short(path: &[u8]) -> &[u8] {
    path.strip_prefix(DATA).filter(|rest| rest.starts_with(b"/")).unwrap_or(path)
}

/// What follows the root in a path that names it by other letters; `None` if it does not.
fn behind<'a>(root: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let depth = root.iter().filter(|c| **c == b'/').count();
    // One `/` before each name of the root, and one behind its last.
    let end = path.iter().enumerate().filter(|(_, c)| **c == b'/').nth(depth).map_or(path.len(), |(at, _)| at);
    let rest = path[end..].strip_prefix(b"/").unwrap_or_default();
    (fold(&path[..end])? == fold(root)?).then_some(rest)
}

/// As a disk compares that keeps, and does not tell apart, case and normal forms (APFS as it is sold).
fn fold(path: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    Some(text.nfd().flat_map(char::to_lowercase).nfc().collect())
}
