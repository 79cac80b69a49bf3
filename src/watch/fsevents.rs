//! macOS: FSEvents. `stream` is the framework, and all that needs a Mac; what its events mean (`decode`) and how they come
//! to the watcher (`events`) is plain code, tested everywhere.
//!
//! Events are asked for by file, so that names that are no concern can be told from the rest and a directory that moved
//! in is looked at with all beneath. Their flags are gathered over a while (an entry may be `created` and `removed` at
//! once), so no flag is believed to say how things are: it only says where to look. Our own writes come back as events,
//! too, as they do from inotify: that costs a look which finds nothing.
//!
//! The history that the system keeps (event ids) is not used: a watcher begins with a look at everything.

mod decode;
mod events;
#[cfg(target_os = "macos")]
mod stream;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub(super) use events::Events;

/// Seconds that the system gathers events before it tells them; the first of a series comes at once (`NoDefer`).
#[cfg_attr(not(target_os = "macos"), allow(dead_code))]
const LATENCY: f64 = 0.05;
