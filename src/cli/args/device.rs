//! `device`: who has the vault.

use argh::{ArgsInfo, FromArgs};

/// who has the vault
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "device", example = "sharelock device list")]
pub struct DeviceVerbs {
    #[argh(subcommand)]
    #[allow(missing_docs)]
    pub verb: DeviceVerb,
}

/// What to do with devices.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(missing_docs)]
pub enum DeviceVerb {
    List(DeviceList),
    Rename(DeviceRename),
    Forget(DeviceForget),
}

/// the devices of the vault, when they were last seen, and what they may lack
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "list", example = "sharelock device list")]
pub struct DeviceList {
    /// for programs
    #[argh(switch)]
    pub json: bool,
}

/// give this device another name
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "rename", example = "sharelock device rename laptop")]
pub struct DeviceRename {
    /// its new name
    #[argh(positional, arg_name = "name")]
    pub name: String,
}

/// take a device off the list, and its SSH key off the storage nodes
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "forget", example = "sharelock device forget mac")]
pub struct DeviceForget {
    /// its name, or its id
    #[argh(positional, arg_name = "name")]
    pub name: String,
}
