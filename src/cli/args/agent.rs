//! The verbs of the resident agent.

use argh::FromArgs;

/// the agent: watches both folders and syncs. a second one says so and exits 0. example: sharelock run --daemon
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "run")]
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

/// end the running agent. example: sharelock stop
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "stop")]
pub struct Stop {}

/// sync nothing for a while; changes are noted and sent then. example: sharelock pause --for 2h
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "pause")]
pub struct Pause {
    /// how long (30s, 20m, 2h); without it until `sharelock resume`
    #[argh(option, long = "for")]
    pub period: Option<String>,
}

/// end a pause. example: sharelock resume
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "resume")]
pub struct Resume {}

/// return when everything of this device is stored on a storage node: safe to close the lid. example: sharelock wait
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "wait")]
pub struct Wait {
    /// give up after so many seconds (exit code 5)
    #[argh(option)]
    pub timeout: Option<u64>,
}
