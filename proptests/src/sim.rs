//! A seeded world for the real engine and the real operations: one thread, virtual time, disks that lose what was not
//! flushed.
//!
//! Everything that happens is decided by one seed: which task runs next, how long an I/O takes, what a crash leaves of
//! the writes that were under way. A failure is therefore a number, and the same number shows it again. The method is
//! that of the ShardStore paper (SOSP 2021): the implementation against a small model, with crashes as operations.

pub mod authority;
pub mod client;
pub mod disk;
pub mod executor;
pub mod explore;
pub mod host;
pub mod model;
pub mod named;
pub mod node;
pub mod program;
pub mod rng;
pub mod run;
pub mod runtime;

mod file;
mod pipe;

pub use executor::{Crashed, World};
pub use rng::Rng;
pub use runtime::SimRt;
