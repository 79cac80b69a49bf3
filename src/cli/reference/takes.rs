//! What an argument takes, by its name in [`crate::cli::args`].

/// What stands in an argument's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A file of this machine.
    File,
    /// A folder of this machine, or what may be one (a storage node's URL).
    Folder,
    /// A vault of this user (`--vault`).
    Vault,
    /// A storage node of the vault.
    Node,
    /// A file or folder of the share.
    Path,
    /// One of secure.
    SecurePath,
    /// A file that two devices changed.
    Conflict,
    /// The name of this device.
    Device,
    /// The code that the brake showed.
    Code,
    /// One of these words, with `|` between them.
    Word(&'static str),
    /// What only the user knows.
    Anything,
}

impl Takes {
    /// By the argument's name; `None` if it says nothing.
    pub fn named(arg_name: &'static str) -> Option<Takes> {
        Some(match arg_name {
            "file" => Takes::File,
            "folder" | "url" => Takes::Folder,
            "vault" => Takes::Vault,
            "node" => Takes::Node,
            "path" => Takes::Path,
            "secure-path" => Takes::SecurePath,
            "conflict" => Takes::Conflict,
            "device" => Takes::Device,
            "code" => Takes::Code,
            words if words.contains('|') => Takes::Word(words),
            "name" | "fingerprint" | "keyline" | "duration" | "seconds" | "version" => Takes::Anything,
            _ => return None,
        })
    }
}
