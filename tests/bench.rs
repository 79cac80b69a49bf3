//! `sharelock bench`: what it measures, with a vault and without one.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use sharelock::crypt::backend::{self, Backend};
use support::Home;

#[test]
fn without_a_vault() {
    let h = Home::new();
    let text = h.ok(["bench"]);
    assert!(text.starts_with("encrypting: ") && text.lines().next().unwrap().contains("/s on one core"), "{text}");
    for what in ["AES-256-CTR", "HMAC-SHA-256"] {
        let line = text.lines().find(|l| l.trim_start().starts_with(what)).unwrap_or_else(|| panic!("{what}: {text}"));
        assert_eq!((line.matches("(used)").count(), line.matches("/s (").count()), (1, Backend::ALL.len()), "{line}");
        assert!(line.len() <= 80, "{line}");
    }
    assert!(text.contains("a first import of 10 GB takes about "), "{text}");
    assert!(!h.path(".local").exists() && !h.path(".config").exists(), "it leaves nothing behind");
}

#[test]
fn with_a_vault_and_for_programs() {
    let h = Home::new();
    h.write("a", "four");
    h.write("b", "five!");
    h.ok(["init", "--device", "alpha", "--recovery-key-out", &h.path("rk").display().to_string()]);
    let text = h.ok(["bench"]);
    assert!(text.contains("this vault    2 files, 9 B: a first import takes about "), "{text}");
    let json: Value = serde_json::from_str(&h.ok(["bench", "--json"])).unwrap();
    assert_eq!((json["vault"]["files"].as_u64(), json["vault"]["bytes"].as_u64()), (Some(2), Some(9)));
    assert!(json["vault"]["seconds"].as_f64().unwrap() > 0.0);
    let all = json["backends"].as_array().unwrap();
    assert_eq!(all.len(), Backend::ALL.len());
    let choice = backend::choice();
    for (key, chosen) in [("aes_256_ctr", choice.cipher), ("hmac_sha_256", choice.mac)] {
        let used: Vec<&str> = all.iter().filter(|b| b[key]["used"] == true).map(|b| b["name"].as_str().unwrap()).collect();
        assert_eq!(used, [chosen.name()]);
        assert!(all.iter().all(|b| b[key]["bytes_per_second"].as_u64().unwrap() > 100_000), "{json}");
    }
    // Sealing is both, one after the other: never faster than either alone, nor a small part of them together.
    let of = |key: &str| all.iter().find(|b| b[key]["used"] == true).unwrap()[key]["bytes_per_second"].as_f64().unwrap();
    let (cipher, mac, seal) = (of("aes_256_ctr"), of("hmac_sha_256"), json["seal"]["one_core"].as_f64().unwrap());
    let limit = 1.0 / (1.0 / cipher + 1.0 / mac);
    assert!(seal > limit / 5.0 && seal < limit * 5.0, "{seal} where {limit} is the limit");
    assert_eq!(json["cpu"]["arch"].as_str(), Some(std::env::consts::ARCH));
}
