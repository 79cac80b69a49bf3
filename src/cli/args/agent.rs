//! The verbs of the resident agent, and of this machine.

use argh::{ArgsInfo, FromArgs};

/// the agent: watches both folders and syncs. a second one says so and exits 0
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "run", example = "sharelock run --daemon")]
pub struct Run {
    /// go into the background once the vault is open
    #[argh(switch)]
    pub daemon: bool,
    /// log what only engineers want to know, too
    #[argh(switch)]
    pub verbose: bool,
    /// what `--daemon` starts
    #[argh(switch, hidden_help)]
    pub detached: bool,
}

/// end the running agent
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "stop", example = "sharelock stop")]
pub struct Stop {}

/// sync nothing for a while; changes are noted and sent then
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "pause", example = "sharelock pause --for 2h")]
pub struct Pause {
    /// how long (30s, 20m, 2h); without it until `sharelock resume`
    #[argh(option, long = "for", arg_name = "duration")]
    pub period: Option<String>,
}

/// end a pause
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "resume", example = "sharelock resume")]
pub struct Resume {}

/// return when everything of this device is stored on a storage node: safe to close the lid
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "wait", example = "sharelock wait")]
pub struct Wait {
    /// give up after so many seconds (exit code 5)
    #[argh(option, arg_name = "seconds")]
    pub timeout: Option<u64>,
}

/// cipher speeds on this machine, and what they mean for this vault
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "bench", example = "sharelock bench")]
pub struct Bench {
    /// for programs
    #[argh(switch)]
    pub json: bool,
}
