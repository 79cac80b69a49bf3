//! macOS: what the events of FSEvents mean. The stream itself is in `stream`; this part needs no framework.
//!
//! Events are asked for by file, so that names that are no concern can be told from the rest and a directory that moved
//! in is looked at with all beneath. Their flags are gathered over a while (an entry may be `created` and `removed` at
//! once), so no flag is believed to say how things are: it only says where to look.
//!
//! The history that the system keeps (event ids) is not used: a watcher begins with a look at everything.

#[cfg(target_os = "macos")]
pub(super) mod stream;

use super::Skip;
use super::pending::Pending;
use crate::path::{Name, RelPath};

/// FSEvents.h, `FSEventStreamEventFlags`.
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
    Elsewhere,
}

impl Decoder {
    pub(super) fn new(root: &[u8], skip: Skip) -> Decoder {
        Decoder { root: root.strip_suffix(b"/").unwrap_or(root).to_vec(), skip }
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
            Place::Elsewhere => {}
            Place::Above if any(flag::UNMOUNT) => out.gone(),
            Place::Above if any(flag::MUST_SCAN_SUB_DIRS | flag::MOUNT) => out.all(),
            Place::Above => out.dir(RelPath::root()),
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
        let path = path.strip_suffix(b"/").unwrap_or(path);
        match path.strip_prefix(self.root.as_slice()) {
            Some([]) => Place::Above,
            Some([b'/', rest @ ..]) => RelPath::new(rest).map_or(Place::Elsewhere, Place::Below),
            _ if path.is_empty() || self.root.strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/")) => Place::Above,
            _ => Place::Elsewhere,
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Change;
    use super::*;

    fn told(events: &[(&str, u32)]) -> Vec<Change> {
        let d = Decoder::new(b"/Users/me/share/", Box::new(|_, name| name == b".git" || name.ends_with(b"~")));
        let mut out = Pending::default();
        events.iter().for_each(|(path, flags)| d.take(path.as_bytes(), *flags, &mut out));
        std::iter::from_fn(|| out.pop()).collect()
    }

    fn p(s: &str) -> RelPath {
        RelPath::new(s.as_bytes()).unwrap()
    }

    #[test]
    fn where_to_look() {
        use flag::*;
        const FILE: u32 = 0x1_0000;
        let dir = |s: &str| Change::Dir(p(s));
        let tree = |s: &str| Change::Tree(p(s));
        let rows: &[(&str, u32, &[Change])] = &[
            ("a file", FILE | 0x1000, &[dir("a")]),
            ("a file at the root", FILE | 0x1000, &[dir("")]),
            ("a new folder", ITEM_IS_DIR | ITEM_CREATED, &[tree("a/b"), dir("a")]),
            ("a renamed folder", ITEM_IS_DIR | ITEM_RENAMED, &[tree("a/b"), dir("a")]),
            ("a folder's attribute", ITEM_IS_DIR | 0x8000, &[dir("a")]),
            ("merged events", MUST_SCAN_SUB_DIRS, &[tree("a/b"), dir("a")]),
            ("a mount", MOUNT, &[tree("a/b"), dir("a")]),
            ("an unmount", UNMOUNT, &[tree("a/b"), dir("a")]),
            ("dropped by the kernel", MUST_SCAN_SUB_DIRS | KERNEL_DROPPED, &[Change::All]),
            ("dropped by us", MUST_SCAN_SUB_DIRS | USER_DROPPED, &[Change::All]),
            ("wrapped ids", EVENT_IDS_WRAPPED, &[Change::All]),
            ("the end of history", HISTORY_DONE, &[]),
            ("the root", ROOT_CHANGED, &[Change::Gone]),
        ];
        for (what, flags, want) in rows {
            let path = match *what {
                "a file" => "/Users/me/share/a/f",
                "a file at the root" => "/Users/me/share/f",
                "the root" => "/Users/me/share",
                _ => "/Users/me/share/a/b/",
            };
            assert_eq!(told(&[(path, *flags)]), *want, "{what}");
        }
    }

    #[test]
    fn paths_that_are_not_below() {
        use flag::*;
        assert_eq!(told(&[("/Users/me", MUST_SCAN_SUB_DIRS)]), [Change::All]);
        assert_eq!(told(&[("/", MUST_SCAN_SUB_DIRS)]), [Change::All]);
        assert_eq!(told(&[("/Users", UNMOUNT)]), [Change::Gone]);
        assert_eq!(told(&[("/Users/me/share", UNMOUNT)]), [Change::Gone]);
        assert_eq!(told(&[("/Users/me/share2/x", ITEM_CREATED), ("/Users/me/shar", ITEM_CREATED)]), []);
        assert_eq!(told(&[("/Users/me/share", ITEM_IS_DIR | 0x8000)]), [Change::Dir(p(""))]);
    }

    #[test]
    fn names_that_are_no_concern() {
        use flag::*;
        for path in ["/Users/me/share/.git", "/Users/me/share/.git/objects/ab", "/Users/me/share/a/f~"] {
            assert_eq!(told(&[(path, ITEM_CREATED)]), [], "{path}");
        }
        assert_eq!(told(&[("/Users/me/share/.gitx/f", ITEM_CREATED)]), [Change::Dir(p(".gitx"))]);
    }
}
