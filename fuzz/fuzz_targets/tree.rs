#![no_main]
//! Git trees, and the lines of a commit that are read unsealed.
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for entry in sharelock::git::object::entries(data) {
        if entry.is_err() {
            break;
        }
    }
    let _ = sharelock::git::object::commit_tree(data);
    let _ = sharelock::git::object::commit_parents(data);
});
