//! What is kept in the database for `status`, which reads it without a key and without an agent.

use super::round::NodeOutcome;
use super::told::{Heard, Report};
use crate::clock::Time;
use crate::error::Result;
use crate::state::State;
use serde_json::Value;

/// State value: what the last round found, as JSON.
pub const REPORT: &str = "report";
/// State value: what was last heard of a node, as JSON; followed by its name.
pub const NODE: &str = "node/";

/// Notes what a round found and heard. That a node is well is noted without the time if it was well before: an agent that
/// polls does without, for the sake of SD cards, and notes it ([`met`]) when it ends.
pub fn note<S: State>(state: &mut S, nodes: &[NodeOutcome], report: &Value, now: Time) -> Result<()> {
    for n in nodes.iter().filter(|n| n.met) {
        let before = of_node(state, &n.name)?;
        if before.error != Heard::now(None, n.error.as_ref()).error || before.success.is_none() {
            met(state, n, now)?;
        }
    }
    if read(state, REPORT)? != *report {
        state.set_value(REPORT, Some(report.to_string().as_bytes()))?;
    }
    state.commit()
}

/// Notes what was heard of a node, and when.
pub fn met<S: State>(state: &mut S, n: &NodeOutcome, at: Time) -> Result<()> {
    let success = match &n.error {
        None => Some(at),
        Some(_) => of_node(state, &n.name)?.success,
    };
    state.set_value(&format!("{NODE}{}", n.name), Some(Heard::now(success, n.error.as_ref()).json().to_string().as_bytes()))
}

/// What was last heard of a node.
pub fn of_node<S: State>(state: &S, name: &str) -> Result<Heard> {
    Ok(Heard::read(&read(state, &format!("{NODE}{name}"))?))
}

/// What the last round found.
pub fn report<S: State>(state: &S) -> Result<Report> {
    Ok(Report::read(&read(state, REPORT)?))
}

/// A value; null if it is not there, or not ours.
pub fn read<S: State>(state: &S, key: &str) -> Result<Value> {
    Ok(state.value(key)?.and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or(Value::Null))
}
