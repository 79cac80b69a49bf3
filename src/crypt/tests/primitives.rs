//! The primitives as they are wired here, by the vectors of those who defined them.

use crate::crypt::backend::{Backend, Cipher, Mac};
use crate::crypt::siv;
use data_encoding::HEXLOWER_PERMISSIVE as HEX;

fn hex(text: &str) -> Vec<u8> {
    HEX.decode(text.as_bytes()).unwrap()
}

/// NIST SP 800-38A, F.5.5.
#[test]
fn aes_256_ctr_as_nist_has_it() {
    let key: [u8; 32] = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").try_into().unwrap();
    let iv: [u8; 16] = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
    let plain = hex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    let sealed = hex(
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    );
    // Repeated, too, so that every backend has its own way with it: of longer ones the first four blocks are known.
    for by in Backend::ALL {
        for times in [1, 2, 8, 16, 64] {
            let mut data = plain.repeat(times);
            Cipher::by(*by, &key).apply(&iv, &mut data);
            assert_eq!(data[..64], sealed, "{by:?}, {times} times");
        }
    }
}

/// RFC 4231, cases 1 to 3 (keys padded with zeros, which HMAC does to them anyway).
#[test]
fn hmac_sha_256_as_rfc_4231_has_it() {
    let key = |k: &[u8]| {
        let mut out = [0; 32];
        out[..k.len()].copy_from_slice(k);
        out
    };
    let cases: [(&[u8], Vec<u8>, &str); 3] = [
        (&[0x0b; 20], b"Hi There".to_vec(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?".to_vec(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (&[0xaa; 20], vec![0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    ];
    for (k, m, want) in cases {
        let (a, b) = m.split_at(m.len() / 2);
        for by in Backend::ALL {
            assert_eq!(Mac::by(*by, &key(k)).of(&[a, b]).to_vec(), hex(want), "{by:?}");
        }
    }
}

/// RFC 5869, A.1, through the crate that `keys` uses.
#[test]
fn hkdf_as_rfc_5869_has_it() {
    let prk = hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    let mut out = [0; 42];
    hkdf::Hkdf::<sha2::Sha256>::from_prk(&prk).unwrap().expand(&hex("f0f1f2f3f4f5f6f7f8f9"), &mut out).unwrap();
    assert_eq!(out.to_vec(), hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));
}

/// A counter whose low words are all ones carries as a number of 128 bits; under the mask it never has to.
#[test]
fn counters_at_their_edge() {
    let cipher = Cipher::new(&[1; 32]);
    let mut iv = [0xff; 16];
    iv[0] = 0;
    let mut two = [0u8; 32];
    cipher.apply(&iv, &mut two);
    let mut next = [0u8; 16];
    next[0] = 1;
    let mut one = [0u8; 16];
    cipher.apply(&next, &mut one);
    assert_eq!(two[16..], one);
    let masked = siv::iv(&[0xff; 16]);
    assert_eq!((masked[8], masked[12]), (0x7f, 0x7f));
    assert!(u32::from_be_bytes(masked[12..].try_into().unwrap()).checked_add(1 << 31).is_some());
}
