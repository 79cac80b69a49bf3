//! The three trees of a merge of the share: ancestor, head, and the share as scanned, from the state database.

use super::Trees;
use super::sift::Trio;
use crate::clock::{Clock, Random};
use crate::error::Result;
use crate::files::Files;
use crate::id::Id;
use crate::mirror::Device;
use crate::mirror::overlay::{Overlay, Within};
use crate::path::Name;
use crate::state::{Row, RowNode, State};
use crate::tree::Node;

/// Base, first and second.
pub const VIEWS: [Overlay; 3] = [Overlay::ANC, Overlay::HEAD, Overlay::SCANNED];
/// Which of them is head.
pub const HEAD: usize = 1;

/// The trees of [`VIEWS`].
pub struct Share;

/// One directory of all three: what follows in each, and the row that it has come to.
pub struct Listing {
    rows: [Within; 3],
    next: Option<[Option<Row>; 3]>,
}

impl<F: Files, S: State, C: Clock, R: Random> Trees<F, S, C, R> for Share {
    type Entry = Node;
    type Listing = Listing;

    fn listing(&mut self, _: &Device<F, S, C, R>, dir: Id, _: bool) -> Result<Listing> {
        Ok(Listing { rows: VIEWS.map(|v| v.within(dir)), next: None })
    }

    fn next(&mut self, d: &Device<F, S, C, R>, at: &mut Listing) -> Result<Option<(Name, Trio<Node>)>> {
        let Listing { rows: [a, b, c], next } = at;
        if next.is_none() {
            *next = Some([a.next(&d.state)?, b.next(&d.state)?, c.next(&d.state)?]);
        }
        let Some(next) = next else { return Ok(None) };
        let Some(name) = next.iter().flatten().map(|r| &r.place.name).min().cloned() else { return Ok(None) };
        let mut trio: Trio<Node> = [None, None, None];
        for ((rows, next), node) in [a, b, c].into_iter().zip(next).zip(&mut trio) {
            if next.as_ref().is_some_and(|r| r.place.name == name)
                && let Some(Row { node: RowNode::Here(here), .. }) = std::mem::replace(next, rows.next(&d.state)?)
            {
                *node = Some(here);
            }
        }
        Ok(Some((name, trio)))
    }

    fn node(&mut self, _: &Device<F, S, C, R>, entry: &Node) -> Result<Node> {
        Ok(entry.clone())
    }
}
