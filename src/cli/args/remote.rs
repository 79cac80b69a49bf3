//! `remote`: storage nodes.

use argh::FromArgs;

/// storage nodes. example: sharelock remote add --create usb /media/usb/vault.git
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "remote")]
pub struct RemoteVerbs {
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: RemoteVerb,
}

/// What to do with storage nodes.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum RemoteVerb {
    Add(RemoteAdd),
    Remove(RemoteRemove),
    List(RemoteList),
    Heal(RemoteHeal),
    Trust(RemoteTrust),
    Authorize(RemoteAuthorize),
}

/// add a storage node. example: sharelock remote add backup me@host:vault.git
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "add")]
pub struct RemoteAdd {
    /// make the repository there
    #[argh(switch)]
    pub create: bool,
    /// the fingerprint (SHA256:...) of the server's host key, read off the server: it is not asked for
    #[argh(option)]
    pub host_key: Option<String>,
    /// its name here
    #[argh(positional)]
    pub name: String,
    /// where it is
    #[argh(positional)]
    pub url: String,
}

/// forget a storage node; what is stored there stays there. example: sharelock remote remove backup
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "remove")]
pub struct RemoteRemove {
    /// its name
    #[argh(positional)]
    pub name: String,
}

/// the storage nodes. example: sharelock remote list
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "list")]
pub struct RemoteList {
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// store the present state on a node that went back. example: sharelock remote heal origin
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "heal")]
pub struct RemoteHeal {
    /// its name
    #[argh(positional)]
    pub name: String,
}

/// trust a new host key. example: sharelock remote trust origin SHA256:...
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "trust")]
pub struct RemoteTrust {
    /// the storage node
    #[argh(positional)]
    pub name: String,
    /// what the server's own ssh-keygen -lf says
    #[argh(positional)]
    pub fingerprint: String,
}

/// let another device's SSH key in. example: sharelock remote authorize origin 'ssh-ed25519 AAAA... pi'
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "authorize")]
pub struct RemoteAuthorize {
    /// the storage node
    #[argh(positional)]
    pub name: String,
    /// the line for authorized_keys
    #[argh(positional)]
    pub keyline: String,
}
