//! What is kept in the database for `status`, which reads it without a key and without an agent.

use super::round::NodeOutcome;
use crate::clock::Time;
use crate::error::{Error, Result};
use crate::state::State;
use serde_json::{Value, json};

/// State value: what the last round found, as JSON.
pub const REPORT: &str = "report";
/// State value: what was last heard of a node, as JSON; followed by its name.
pub const NODE: &str = "node/";

/// Notes what a round found and heard. `times`: also when a node was last heard, if nothing else of it is new: an agent
/// that polls does without, for the sake of SD cards, and notes it when it ends.
pub fn note<S: State>(state: &mut S, nodes: &[NodeOutcome], report: &Value, now: Time, times: bool) -> Result<()> {
    for n in nodes {
        let name = format!("{NODE}{}", n.name);
        let before = of_node(state, &n.name)?;
        let success = match &n.error {
            None => Some(now.s),
            Some(_) => before["success"].as_i64(),
        };
        let new = heard(success, n.error.as_ref());
        if times || before["error"] != new["error"] || before["success"].is_null() {
            state.set_value(&name, Some(new.to_string().as_bytes()))?;
        }
    }
    if read(state, REPORT)? != *report {
        state.set_value(REPORT, Some(report.to_string().as_bytes()))?;
    }
    state.commit()
}

/// What was last heard of a node: `success` (seconds since 1970), `error` (text and exit code).
pub fn heard(success: Option<i64>, error: Option<&Error>) -> Value {
    json!({"success": success, "error": error.map(|e| (e.to_string(), e.exit_code()))})
}

/// [`heard`], as it was noted.
pub fn of_node<S: State>(state: &S, name: &str) -> Result<Value> {
    read(state, &format!("{NODE}{name}"))
}

/// A value; null if it is not there, or not ours.
pub fn read<S: State>(state: &S, key: &str) -> Result<Value> {
    Ok(state.value(key)?.and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or(Value::Null))
}
