//! Every backend in this binary gives the same bytes: by the vectors of those who defined the primitives
//! (`primitives.rs`), and here against each other.

use crate::crypt::backend::{self, Backend, Choice, Cipher, Cpu, Mac};
use crate::crypt::{Master, VaultKeys, small};
use proptest::prelude::*;

/// Lengths at which something changes: a block, eight of them (OpenSSL's bit-sliced code), where OpenSSL takes over, a
/// chunk.
const LENGTHS: [usize; 26] =
    [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 143, 144, 511, 512, 513, 527, 528, 1023, 1024, 4080, 4095, 4096, 4097, 8192, 65_537];

fn noise(len: usize, mut x: u64) -> Vec<u8> {
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn encrypted(by: Backend, key: &[u8; 32], iv: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    let mut out = plain.to_vec();
    Cipher::by(by, key).apply(iv, &mut out);
    out
}

/// Counter mode by its definition, one block at a time: what no backend's way of counting can hide from.
fn block_by_block(key: &[u8; 32], iv: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    use aes::cipher::{BlockCipherEncrypt, KeyInit};
    let aes = aes::Aes256::new(key.into());
    let mut out = plain.to_vec();
    for (n, piece) in out.chunks_mut(16).enumerate() {
        let mut block = u128::from_be_bytes(*iv).wrapping_add(n as u128).to_be_bytes().into();
        aes.encrypt_block(&mut block);
        piece.iter_mut().zip(block.iter()).for_each(|(p, k)| *p ^= k);
    }
    out
}

#[test]
fn counter_mode_of_every_backend_at_every_length() {
    for by in Backend::ALL {
        for len in LENGTHS {
            let (key, iv) = ([len as u8; 32], [7; 16]);
            let plain = noise(len, 1);
            let sealed = encrypted(*by, &key, &iv, &plain);
            assert_eq!(sealed, block_by_block(&key, &iv, &plain), "{by:?}, {len} bytes");
            assert_eq!(encrypted(*by, &key, &iv, &sealed), plain, "{by:?}, {len} bytes, back");
        }
    }
}

/// A counter carries out of its last byte, its low 32 bits, its low 64 bits, and out of its top.
#[test]
fn counters_of_every_backend_carry() {
    for carried in [1, 4, 8, 16] {
        for before in [0, 1, 7, 8, 9, 40] {
            let mut iv = [0x11; 16];
            iv[16 - carried..].fill(0xff);
            let iv = (u128::from_be_bytes(iv) - before).to_be_bytes();
            for len in [16, 64, 700, 4096, 4097] {
                let plain = noise(len, 2);
                let want = block_by_block(&[9; 32], &iv, &plain);
                for by in Backend::ALL {
                    assert_eq!(encrypted(*by, &[9; 32], &iv, &plain), want, "{by:?}, {len} bytes, {before} blocks before {carried} bytes");
                }
            }
        }
    }
}

#[test]
fn macs_of_every_backend_at_every_length() {
    for len in LENGTHS.into_iter().chain([55, 56, 119, 120]) {
        let (key, m) = ([len as u8; 32], noise(len, 3));
        // By its definition (RFC 2104).
        use sha2::{Digest, Sha256};
        let pad = |byte: u8| std::array::from_fn::<u8, 64, _>(|i| byte ^ key.get(i).unwrap_or(&0));
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(&m).finalize();
        let want: [u8; 32] = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into();
        for by in Backend::ALL {
            let mac = Mac::by(*by, &key);
            assert_eq!(mac.of(&[&m]), want, "{by:?}, {len} bytes");
            // One key serves many MACs, in pieces too, and a clone goes its own way.
            let (a, b) = m.split_at(len / 3);
            let mut stream = mac.stream();
            stream.update(a);
            let other = stream.clone();
            stream.update(b);
            assert_eq!(stream.finish(), want, "{by:?}, {len} bytes in pieces");
            assert_eq!(other.finish(), mac.of(&[a]), "{by:?}, {len} bytes, the clone");
        }
    }
}

/// One key serves many IVs, from many threads.
#[test]
fn a_key_is_used_from_several_threads() {
    for by in Backend::ALL {
        let cipher = Cipher::by(*by, &[5; 32]);
        std::thread::scope(|s| {
            for n in 0..4u8 {
                let cipher = &cipher;
                s.spawn(move || {
                    let own = cipher.clone();
                    for i in 0..50u8 {
                        let (iv, plain) = ([n ^ i; 16], noise(4096 + usize::from(i), 4));
                        let want = block_by_block(&[5; 32], &iv, &plain);
                        for c in [cipher, &own] {
                            let mut data = plain.clone();
                            c.apply(&iv, &mut data);
                            assert_eq!(data, want, "{by:?}");
                        }
                    }
                });
            }
        });
    }
}

/// Whole objects are the same bytes, whoever computes what.
#[test]
fn files_of_every_backend_are_the_same() {
    let master = Master::from_bytes(&[1; 32]);
    for len in [0, 1, 1000, 1025, 4095, 4096, 4097, 100_000] {
        let plain = noise(len, 5);
        let mut objects = Vec::new();
        for cipher in Backend::ALL {
            for mac in Backend::ALL {
                let keys = VaultKeys::by(Choice { cipher: *cipher, mac: *mac }, &master);
                let (mut head, mut object, mut back) = (super::head(len, 0), Vec::new(), Vec::new());
                small::seal(&keys, &mut head, &plain, &mut object).unwrap();
                small::open(&keys, &head.id, &object, &mut back).unwrap();
                assert_eq!(back, plain);
                objects.push(object);
            }
        }
        assert!(objects.windows(2).all(|o| o[0] == o[1]), "{len} bytes");
    }
}

/// The choice is by what was measured (src/crypt/backend/README.md).
#[test]
fn the_choice_by_cpu() {
    assert_eq!(backend::choice(), backend::best(backend::cpu()));
    let best = |arch, neon, aes, sha2| {
        let c = backend::best(Cpu { arch, neon, aes, sha2 });
        (c.cipher.name(), c.mac.name())
    };
    let (own, openssl) = ("RustCrypto", if cfg!(feature = "ssh") { "OpenSSL" } else { "RustCrypto" });
    // ARMv6 has no NEON: never OpenSSL's tables there.
    assert_eq!(best("arm", false, false, false), (own, openssl));
    assert_eq!(best("arm", true, false, false), (openssl, openssl));
    assert_eq!(best("arm", true, true, true), (openssl, openssl));
    assert_eq!(best("aarch64", true, false, false), (openssl, openssl));
    assert_eq!(best("aarch64", true, true, true), (openssl, own));
    assert_eq!(best("x86_64", false, true, true), (openssl, own));
    assert_eq!(best("x86_64", false, true, false), (openssl, openssl));
    assert_eq!(best("x86_64", false, false, false).0, own);
    assert_eq!(best("riscv64", false, false, false), (own, own));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn backends_agree(key: [u8; 32], iv: [u8; 16], len in 0usize..9000, cut in 0usize..9000, seed: u64) {
        let plain = noise(len, seed);
        let first = encrypted(Backend::ALL[0], &key, &iv, &plain);
        let mac = Mac::by(Backend::ALL[0], &key).of(&[&plain]);
        let (a, b) = plain.split_at(cut.min(len));
        for by in Backend::ALL {
            prop_assert_eq!(&encrypted(*by, &key, &iv, &plain), &first);
            prop_assert_eq!(Mac::by(*by, &key).of(&[a, b]), mac);
        }
    }
}
