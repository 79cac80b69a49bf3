#![doc = include_str!("README.md")]

mod cpu;
#[cfg(feature = "ssh")]
mod openssl;
mod rustcrypto;

pub use cpu::{Cpu, best, cpu};
use std::sync::OnceLock;
#[cfg(feature = "ssh")]
use zeroize::Zeroizing;

/// Whose code computes a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The crates `aes`, `ctr`, `hmac` and `sha2`.
    RustCrypto,
    /// OpenSSL, which is linked in for SSH.
    #[cfg(feature = "ssh")]
    OpenSsl,
}

impl Backend {
    /// Every backend in this binary.
    pub const ALL: &'static [Backend] = &[
        Backend::RustCrypto,
        #[cfg(feature = "ssh")]
        Backend::OpenSsl,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Backend::RustCrypto => "RustCrypto",
            #[cfg(feature = "ssh")]
            Backend::OpenSsl => "OpenSSL",
        }
    }
}

/// Who computes what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// AES-256-CTR.
    pub cipher: Backend,
    /// HMAC-SHA-256.
    pub mac: Backend,
}

impl Choice {
    /// Everything by one backend.
    pub const fn all(backend: Backend) -> Choice {
        Choice { cipher: backend, mac: backend }
    }
}

/// What this machine uses.
pub fn choice() -> Choice {
    static CHOICE: OnceLock<Choice> = OnceLock::new();
    *CHOICE.get_or_init(|| best(cpu()))
}

/// HMAC-SHA-256 (RFC 2104, FIPS 180-4) under one key.
#[derive(Clone)]
pub struct Mac(MacStream);

impl Mac {
    /// Takes a key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Mac {
        Mac::by(choice().mac, key)
    }

    /// The same, computed by this backend.
    pub fn by(backend: Backend, key: &[u8; 32]) -> Mac {
        Mac(MacStream(match backend {
            Backend::RustCrypto => Hash::RustCrypto(rustcrypto::Mac::new(key)),
            #[cfg(feature = "ssh")]
            Backend::OpenSsl => Hash::OpenSsl(openssl::Mac::new(key)),
        }))
    }

    /// The MAC of the concatenation of `parts`.
    pub fn of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut m = self.stream();
        for p in parts {
            m.update(p);
        }
        m.finish()
    }

    /// Begins a MAC over a stream.
    pub fn stream(&self) -> MacStream {
        self.0.clone()
    }
}

/// A MAC under way.
#[derive(Clone)]
pub struct MacStream(Hash);

#[derive(Clone)]
enum Hash {
    RustCrypto(rustcrypto::Mac),
    #[cfg(feature = "ssh")]
    OpenSsl(openssl::Mac),
}

impl MacStream {
    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Hash::RustCrypto(m) => m.update(bytes),
            #[cfg(feature = "ssh")]
            Hash::OpenSsl(m) => m.update(bytes),
        }
    }

    /// The end.
    pub fn finish(self) -> [u8; 32] {
        match self.0 {
            Hash::RustCrypto(m) => m.finish(),
            #[cfg(feature = "ssh")]
            Hash::OpenSsl(m) => m.finish(),
        }
    }
}

/// AES-256 in counter mode (NIST SP 800-38A): the counter block begins as the IV and counts as one number of 128 bits.
#[derive(Clone)]
pub struct Cipher(Block);

#[derive(Clone)]
enum Block {
    RustCrypto(rustcrypto::Cipher),
    #[cfg(feature = "ssh")]
    OpenSsl(Bulk),
}

impl Cipher {
    /// Takes a key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Cipher {
        Cipher::by(choice().cipher, key)
    }

    /// The same, computed by this backend as far as it is one for the length at hand.
    pub fn by(backend: Backend, key: &[u8; 32]) -> Cipher {
        Cipher(match backend {
            Backend::RustCrypto => Block::RustCrypto(rustcrypto::Cipher::new(key)),
            #[cfg(feature = "ssh")]
            Backend::OpenSsl => Block::OpenSsl(Bulk::new(key)),
        })
    }

    /// Encrypts or decrypts in place.
    pub fn apply(&self, iv: &[u8; 16], data: &mut [u8]) {
        match &self.0 {
            Block::RustCrypto(c) => c.apply(iv, data),
            #[cfg(feature = "ssh")]
            Block::OpenSsl(c) => c.apply(iv, data),
        }
    }
}

/// What OpenSSL is asked for at least: eight blocks. Fewer it encrypts with tables on ARMv7.
#[cfg(feature = "ssh")]
const BULK: usize = 128;

/// A key for OpenSSL's cipher, and for the crates' where OpenSSL is not asked. What either makes of it is made when it is
/// needed first. A clone makes its own, so that threads do not wait for each other.
#[cfg(feature = "ssh")]
struct Bulk {
    key: Zeroizing<[u8; 32]>,
    context: OnceLock<Option<openssl::Cipher>>,
    own: OnceLock<rustcrypto::Cipher>,
}

#[cfg(feature = "ssh")]
impl Bulk {
    fn new(key: &[u8; 32]) -> Bulk {
        Bulk { key: Zeroizing::new(*key), context: OnceLock::new(), own: OnceLock::new() }
    }

    fn apply(&self, iv: &[u8; 16], data: &mut [u8]) {
        let own = || self.own.get_or_init(|| rustcrypto::Cipher::new(&self.key));
        if data.len() < BULK {
            return own().apply(iv, data);
        }
        // Without memory for a context the crates do the work.
        let Some(context) = self.context.get_or_init(|| openssl::Cipher::new(&self.key).ok()) else { return own().apply(iv, data) };
        let (blocks, rest) = data.split_at_mut(data.len() & !15);
        context.apply(iv, blocks).expect("a context with key and IV encrypts any number of bytes");
        if !rest.is_empty() {
            let next = u128::from_be_bytes(*iv).wrapping_add(blocks.len() as u128 / 16);
            own().apply(&next.to_be_bytes(), rest);
        }
    }
}

#[cfg(feature = "ssh")]
impl Clone for Bulk {
    fn clone(&self) -> Bulk {
        Bulk::new(&self.key)
    }
}
