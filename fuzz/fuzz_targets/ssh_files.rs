#![no_main]
//! known_hosts, ssh URLs and lines for authorized_keys.
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let file = std::env::temp_dir().join(format!("sharelock-fuzz-{}", std::process::id()));
    std::fs::write(&file, data).expect("written");
    let known = sharelock::ssh::known_hosts::KnownHosts::read(&[file.clone()]);
    let _ = known.ask("host", data);
    let _ = known.kinds("[host]:2222");
    let _ = sharelock::ssh::config::read(&file, "host", std::path::Path::new("/nonexistent"));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = sharelock::ssh::url::Url::parse(text);
        let _ = sharelock::ssh::key::check_line(text);
    }
});
