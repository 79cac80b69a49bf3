//! README's tables: verbs, and exit codes.

use super::{program, usage, verbs};

/// Verbs and what they do, as a Markdown table. In a cell, `|` would end it.
pub fn of_verbs() -> String {
    let mut out = "| verb | does |\n|---|---|\n".to_string();
    for v in verbs() {
        let call = format!("{} {}", v.words, usage(&v.info));
        out.push_str(&format!("| `{}` | {} |\n", call.trim_end().replace('|', "\\|"), v.info.description));
    }
    out
}

/// Exit codes in a sentence: `0 done, 1 failed`.
pub fn of_exit_codes() -> String {
    program().error_codes.iter().map(|c| format!("{} {}", c.code, c.description)).collect::<Vec<_>>().join(", ")
}
