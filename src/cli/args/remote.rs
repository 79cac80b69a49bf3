//! `remote`: storage nodes.

use argh::{ArgsInfo, FromArgs};

/// storage nodes
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "remote", example = "sharelock remote add --create usb /media/usb/vault.git")]
pub struct RemoteVerbs {
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: RemoteVerb,
}

/// What to do with storage nodes.
#[derive(FromArgs, ArgsInfo, Debug)]
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

/// add a storage node
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "add", example = "sharelock remote add backup me@host:vault.git")]
pub struct RemoteAdd {
    /// make the repository there
    #[argh(switch)]
    pub create: bool,
    /// the fingerprint (SHA256:...) of the server's host key, read off the server: it is not asked for
    #[argh(option, arg_name = "fingerprint")]
    pub host_key: Option<String>,
    /// its name here
    #[argh(positional, arg_name = "name")]
    pub name: String,
    /// where it is
    #[argh(positional, arg_name = "url")]
    pub url: String,
}

/// forget a storage node; what is stored there stays there
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "remove", example = "sharelock remote remove backup")]
pub struct RemoteRemove {
    /// its name
    #[argh(positional, arg_name = "node")]
    pub name: String,
}

/// the storage nodes
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "list", example = "sharelock remote list")]
pub struct RemoteList {
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// store the present state on a node that went back, or lost its repository
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "heal", example = "sharelock remote heal origin")]
pub struct RemoteHeal {
    /// its name
    #[argh(positional, arg_name = "node")]
    pub name: String,
}

/// trust a new host key
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "trust", example = "sharelock remote trust origin SHA256:...")]
pub struct RemoteTrust {
    /// the storage node
    #[argh(positional, arg_name = "node")]
    pub name: String,
    /// what the server's own ssh-keygen -lf says
    #[argh(positional, arg_name = "fingerprint")]
    pub fingerprint: String,
}

/// let another device's SSH key in
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "authorize", example = "sharelock remote authorize origin 'ssh-ed25519 AAAA... pi'")]
pub struct RemoteAuthorize {
    /// the storage node
    #[argh(positional, arg_name = "node")]
    pub name: String,
    /// the line for authorized_keys
    #[argh(positional, arg_name = "keyline")]
    pub keyline: String,
}
