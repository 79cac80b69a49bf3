//! What runs the mirror: one sync round ([`round`]), and the talk with storage nodes ([`exchange`]).
//!
//! A round is plain, blocking code over the seams: it names no executor, and the simulation runs it as it is.

pub mod exchange;
pub mod round;
