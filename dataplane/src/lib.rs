//! The data plane: thin edges around `holdfast_protocol`.
//!
//! One thread per core runs everything of a connection; the one thing of the data path that cores share is [`hash`]: bodies
//! of several cores are hashed in one pass.

pub mod agent;
pub mod blob;
pub mod cache;
pub mod config;
pub mod drives;
pub mod enrol;
pub mod env;
pub mod hash;
pub mod index;
pub mod limits;
pub mod link;
pub mod metrics;
pub mod node;
pub mod ops;
pub mod ops_listener;
pub mod peer;
mod rocks;
pub mod rt;
pub mod server;
mod sync;

/// Bugs on purpose, for the simulations.
pub(crate) use holdfast_common::mutant;
