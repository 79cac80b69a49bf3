//! How fast a node took what it got last: a batch is what may be lost when the line breaks, so a fast line gets larger ones.
//! (Each is a pack of its own at the node, which the other devices then fetch: fewer are faster for all.)

use super::super::round::StorageNode;
use crate::clock::{Clock, Random};
use crate::error::{Kind, Result};
use crate::files::Files;
use crate::git::{Objects, RefStatus, RefUpdate, Remote};
use crate::mirror::Device;
use crate::state::State;

/// Seconds of sending that a broken line may cost, on a line that has been fast.
const AT_RISK: u64 = 30;
/// However fast: at the node a batch is one file, and a temporary one first.
const LARGEST: u64 = 512 << 20;
/// Pushes from this size on tell something of the line; smaller ones are over before it is at its speed.
const TELLING: u64 = 1 << 20;

/// State value: bytes per second that a node took last, in decimal.
pub fn key(node: &str) -> String {
    format!("rate/{node}")
}

/// Bytes to send to a node in one go: [`Batch`](crate::mirror::Batch), and more if its line has been fast.
pub fn batch<F: Files, S: State, C: Clock, R: Random>(d: &Device<F, S, C, R>, node: &str) -> Result<u64> {
    let rate = d.state.value(&key(node))?.and_then(|v| std::str::from_utf8(&v).ok()?.parse::<u64>().ok());
    Ok(of(rate.unwrap_or(0), d.settings.batch.bytes))
}

/// The batch for a line of so many bytes per second; `unknown`: the one for a line that nothing is known of.
fn of(rate: u64, unknown: u64) -> u64 {
    rate.saturating_mul(AT_RISK).min(LARGEST).max(unknown)
}

/// Pushes a pack for one ref, and notes how fast that went. A line that breaks is one that nothing
/// is known of.
pub fn push<F: Files, S: State, C: Clock, R: Random, Rm: Remote>(
    d: &mut Device<F, S, C, R>,
    node: &mut StorageNode<Rm>,
    update: &RefUpdate,
    pack: &mut Objects<F>,
) -> Result<Vec<RefStatus>> {
    let began = d.clock.now();
    let pushed = node.remote.push(std::slice::from_ref(update), false, pack);
    match &pushed {
        Ok(_) if pack.sent() >= TELLING => {
            // A clock that was set meanwhile tells nothing of the line; what it says wrongly costs no more than a batch.
            let took = (d.clock.now().nanos() - began.nanos()).max(1_000_000);
            let rate = i128::from(pack.sent()) * 1_000_000_000 / took;
            d.state.set_value(&key(&node.name), Some(rate.to_string().as_bytes()))?;
        }
        Err(e) if e.kind() == Kind::Unreachable => d.state.set_value(&key(&node.name), None)?,
        _ => {}
    }
    pushed
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn only_a_fast_line_gets_larger_batches() {
        for (rate, batch) in [(0, 64 * MIB), (MIB, 64 * MIB), (4 * MIB, 120 * MIB), (100 * MIB, LARGEST), (u64::MAX, LARGEST)] {
            assert_eq!(of(rate, 64 * MIB), batch, "{rate} bytes/s");
        }
    }
}
