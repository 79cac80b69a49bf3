//! The boundary to the primitives: AES-256-CTR and HMAC-SHA-256, and nothing else.
//!
//! Everything above speaks of [`Mac`] and [`Cipher`]. Who computes them is chosen once, by the CPU that the program runs on
//! ([`choice`]); the bytes are the same. Key schedules are computed once per key, so a chunk costs no allocation and no
//! schedule.

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

/// From this many bytes on OpenSSL is asked: below, its context costs more than it gains, and fewer than 128 it encrypts
/// with tables on ARMv7.
#[cfg(feature = "ssh")]
const BULK: usize = 512;

/// AES-256 in counter mode (NIST SP 800-38A): the counter block begins as the IV and counts as one number of 128 bits.
#[derive(Clone)]
pub struct Cipher {
    own: rustcrypto::Cipher,
    #[cfg(feature = "ssh")]
    bulk: Option<Bulk>,
}

impl Cipher {
    /// Takes a key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Cipher {
        Cipher::by(choice().cipher, key)
    }

    /// The same, computed by this backend as far as it is one for the length at hand.
    pub fn by(backend: Backend, key: &[u8; 32]) -> Cipher {
        #[cfg(not(feature = "ssh"))]
        let Backend::RustCrypto = backend;
        Cipher {
            own: rustcrypto::Cipher::new(key),
            #[cfg(feature = "ssh")]
            bulk: (backend == Backend::OpenSsl).then(|| Bulk::new(key)),
        }
    }

    /// Encrypts or decrypts in place.
    pub fn apply(&self, iv: &[u8; 16], data: &mut [u8]) {
        #[cfg(feature = "ssh")]
        if data.len() >= BULK
            && let Some(context) = self.bulk.as_ref().and_then(Bulk::context)
        {
            let (blocks, rest) = data.split_at_mut(data.len() & !15);
            context.apply(iv, blocks).expect("a context with key and IV encrypts any number of bytes");
            if !rest.is_empty() {
                let next = u128::from_be_bytes(*iv).wrapping_add(blocks.len() as u128 / 16);
                self.own.apply(&next.to_be_bytes(), rest);
            }
            return;
        }
        self.own.apply(iv, data);
    }
}

/// OpenSSL's context for a key, made when there is something to be done with it: most keys of a vault of small files, and
/// those for names and heads, never need one. A clone makes its own, so that threads do not wait for each other.
#[cfg(feature = "ssh")]
struct Bulk {
    key: Zeroizing<[u8; 32]>,
    context: OnceLock<Option<openssl::Cipher>>,
}

#[cfg(feature = "ssh")]
impl Bulk {
    fn new(key: &[u8; 32]) -> Bulk {
        Bulk { key: Zeroizing::new(*key), context: OnceLock::new() }
    }

    /// `None` if there is no memory for it: then the other backend does the work.
    fn context(&self) -> Option<&openssl::Cipher> {
        self.context.get_or_init(|| openssl::Cipher::new(&self.key).ok()).as_ref()
    }
}

#[cfg(feature = "ssh")]
impl Clone for Bulk {
    fn clone(&self) -> Bulk {
        Bulk::new(&self.key)
    }
}
