//! Simulation: how we know that nothing is lost.
//!
//! The five seams have twins here: a disk with power-cut semantics, a database whose last commit survives, storage
//! nodes whose lines break, a clock, and randomness, all from one seed and in one thread. A verb of a simulated seam is
//! where the scheduler acts ([`hook`]): before it returns, a user may edit, another device may run a whole round, a line
//! may be cut, the device may be killed or lose power. So no coroutines are needed, and the engine's code is the code
//! that ships.
//!
//! [`world`] plays a seed: 2 to 4 devices, random actions, then everything heals, the devices sync, and the checks of
//! [`check`] hold. A failing seed is repeated by `scripts/simulate --seed N`.

pub mod check;
pub mod clock;
pub mod coverage;
pub mod disk;
pub mod hook;
pub mod ledger;
pub mod remote;
pub mod state;
pub mod user;
pub mod world;
