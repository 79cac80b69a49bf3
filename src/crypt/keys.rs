//! The master key and everything that is derived from it (FORMAT 3).

use super::backend::{Backend, Choice, Mac, choice};
use super::header::{self, HEADER};
use super::lock;
use super::siv::Siv;
use crate::clock::Random;
use crate::error::{Class, Error, Result};
use crate::id::Id;
use crate::path::Name;
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The 32 random bytes that everything hangs on. Zeroized when dropped; never printed; kept out of swap where the
/// system lets us (they stand on the heap so that the place that was locked stays theirs).
pub struct Master(Box<Zeroizing<[u8; 32]>>);

impl Clone for Master {
    fn clone(&self) -> Self {
        Master::from_bytes(self.as_bytes())
    }
}

impl Master {
    /// A new one.
    pub fn random(random: &mut impl Random) -> Result<Master> {
        let mut master = Master::from_bytes(&[0; 32]);
        random.fill(&mut **master.0)?;
        Ok(master)
    }

    /// From its bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Master {
        let mut own = Box::new(Zeroizing::new([0; 32]));
        lock::keep_from_swap(&*own);
        own.copy_from_slice(bytes);
        Master(own)
    }

    /// The bytes. Whoever copies them zeroizes the copy.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Master(..)")
    }
}

/// The keys of a vault, derived once. On the heap, so that the place that was locked against swap stays theirs; wiped by
/// the crates that hold them (each with its `zeroize` feature).
pub struct VaultKeys(Box<Derived>);

/// See [`VaultKeys`], which alone hands it out, to this module.
pub struct Derived {
    choice: Choice,
    vault: Mac,
    pub(super) head: Siv,
    pub(super) name: Siv,
    pub(super) details: Siv,
    pub(super) notice: Siv,
    content: Zeroizing<[u8; 32]>,
    dirid: Mac,
    pub(super) seal: Mac,
    pep: [u8; 16],
}

impl fmt::Debug for VaultKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKeys(..)")
    }
}

impl std::ops::Deref for VaultKeys {
    type Target = Derived;

    fn deref(&self) -> &Derived {
        &self.0
    }
}

/// The keys of one file (FORMAT 3, last row).
#[derive(Clone)]
pub struct FileKeys {
    /// For chunks.
    pub(super) chunk: Siv,
    /// For the MACs over tags and lists.
    pub(super) list: Mac,
}

/// `HKDF-Expand(k, "sharelock/v1/" | label | 00 | ctx)` (RFC 5869).
fn expand(prk: &[u8; 32], label: &str, ctx: &[u8], out: &mut [u8]) {
    let info = [b"sharelock/v1/", label.as_bytes(), b"\0", ctx].concat();
    Hkdf::<Sha256>::from_prk(prk).expect("32 bytes are enough for SHA-256").expand(&info, out).expect("at most 96 bytes");
}

impl VaultKeys {
    /// Derives all keys of epoch 0, the only one of version 1.
    pub fn new(master: &Master) -> VaultKeys {
        VaultKeys::by(choice(), master)
    }

    /// The same, all that is done with them computed by these backends.
    pub fn by(choice: Choice, master: &Master) -> VaultKeys {
        let mac = |key: &[u8; 32]| Mac::by(choice.mac, key);
        // These keys live as long as the vault is open: their schedules stay in the place that is locked, and encrypt at most
        // a few hundred bytes at a time.
        let own = Choice { cipher: Backend::RustCrypto, ..choice };
        let prk = Zeroizing::new(mac(b"sharelock/v1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").of(&[master.as_bytes()]));
        let mut key = Zeroizing::new([0u8; 32]);
        let mut pair = Zeroizing::new([0u8; 64]);
        expand(&prk, "vault", b"", &mut *key);
        let vault = mac(&key);
        let mut epoch = Zeroizing::new([0u8; 32]);
        expand(&prk, "epoch", &0u16.to_be_bytes(), &mut *epoch);
        let mut siv = |label: &str| {
            expand(&epoch, label, b"", &mut *pair);
            Siv::by(own, &pair)
        };
        let (head, name, details, notice) = (siv("head"), siv("name"), siv("details"), siv("notice"));
        let mut content = Zeroizing::new([0u8; 32]);
        expand(&epoch, "content", b"", &mut *content);
        expand(&epoch, "dir-id", b"", &mut *key);
        let dirid = mac(&key);
        expand(&epoch, "seal", b"", &mut *key);
        let seal = mac(&key);
        let mut pep = [0u8; 16];
        expand(&epoch, "pep", b"", &mut pep);
        key.zeroize();
        let keys = VaultKeys(Box::new(Derived { choice, vault, head, name, details, notice, content, dirid, seal, pep }));
        lock::keep_from_swap(&*keys.0);
        keys
    }

    /// The newest key epoch, in which new objects are sealed.
    pub fn epoch(&self) -> u16 {
        0
    }

    /// The name of the XMPP node for notices; says nothing about the vault id.
    pub fn pep_node(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.pep)
    }

    /// The keys of a file.
    pub(super) fn file(&self, id: &Id) -> FileKeys {
        let mut k = Zeroizing::new([0u8; 96]);
        expand(&self.content, "file", &id.0, &mut *k);
        let (pair, list) = k.split_at(64);
        FileKeys {
            chunk: Siv::by(self.choice, pair.try_into().expect("64 of 96 bytes")),
            list: Mac::by(self.choice.mac, list.try_into().expect("32 of 96 bytes")),
        }
    }

    /// The id that a new directory has unless it is taken (FORMAT 7). All zeros is possible in principle; the caller
    /// then takes a random one.
    pub fn dir_id(&self, parent: &Id, name: &Name) -> Id {
        let mac = self.dirid.of(&[&parent.0, name.as_bytes()]);
        let mut id = [0; 16];
        id.copy_from_slice(&mac[..16]);
        Id(id)
    }

    /// The file `vault` in the root of secure (FORMAT 4): 64 bytes.
    pub fn vault_file(&self, vault: &Id) -> [u8; 64] {
        let mut out = [0; 64];
        out[..HEADER].copy_from_slice(&header::bytes(header::Type::Vault, 0));
        out[8..24].copy_from_slice(&vault.0);
        let mac = self.vault.of(&[&out[..32]]);
        out[32..].copy_from_slice(&mac);
        out
    }

    /// Checks a `vault` file and gives the vault's id. A wrong MAC (`auth`) means: another vault's key.
    pub fn open_vault_file(&self, bytes: &[u8]) -> Result<Id> {
        if bytes.len() != 64 {
            return Err(Error::integrity(Class::Form, "the file `vault` has not 64 bytes"));
        }
        header::check(bytes, header::Type::Vault)?;
        if bytes[24..28] != [0; 4] {
            return Err(Error::integrity(Class::Version, "this vault uses features that this version does not know"));
        }
        if bytes[28..32] != [0; 4] {
            return Err(Error::integrity(Class::Form, "the file `vault` has bytes that must be zero"));
        }
        if !bool::from(self.vault.of(&[&bytes[..32]]).ct_eq(&bytes[32..])) {
            return Err(Error::integrity(Class::Auth, "the file `vault` belongs to another vault or key"));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[8..24]);
        Ok(Id(id))
    }
}
