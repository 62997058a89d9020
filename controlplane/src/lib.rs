//! The control plane: the truth in PostgreSQL, commits and sessions over gRPC, administration over REST and CLI.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod dev;
pub mod grpc;
pub mod leader;
pub mod limits;
pub mod metrics;
pub mod plan;
pub mod rotate;
pub mod server;
pub(crate) mod sources;
pub mod store;
pub mod tasks;

/// Bugs on purpose, for the simulations.
pub(crate) use holdfast_common::mutant;
