//! Storage nodes by ssh: libssh2 with everything around it that libssh2 does not do right for us.
//!
//! - [`known_hosts`]: whether a server is who it was, by our own reading of the files.
//! - [`config`]: what `~/.ssh/config` says of a host, in the part that we understand; the rest is refused by line.
//! - `limit`: bounds for what has none of its own: the resolver, and ssh-agent.
//! - [`session`]: a connection, and channels as streams, with a time limit on every wait.
//! - [`remote`]: a storage node: git's protocol over channels, and the few commands beside it.

mod auth;
pub mod config;
mod hostkey;
pub mod key;
mod keyring;
pub mod known_hosts;
mod limit;
pub mod remote;
pub mod session;
mod setup;
pub mod url;
