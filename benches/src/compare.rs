//! `compare`: this system beside its peers, in one command: what each does per second and per CPU-second of its own.
//!
//! Every system gets fresh directories on one file system, the same client, the same warm-up and the same turns: A B C A B C.
//! All are up during a row, and only one is asked. Before a turn the file system is synced and the others must have come to rest;
//! what CPU they use all the same is measured and shown. Starting them one at a time instead would cost more than the turns
//! themselves, would empty their caches before each, and would hide what a system does after it has answered.

mod error;
mod figures;
mod garage;
mod holdfast;
mod install;
mod machine;
mod options;
mod picture;
mod process;
mod ratio;
mod rows;
mod saved;
mod seaweedfs;
mod session;
mod system;
mod table;
mod turns;

pub use error::CompareError;
pub use options::Cli;

/// Does what the command line asks for; the table goes to standard output.
///
/// # Errors
/// A sentence with the cause and what to do. A peer that cannot be had, and a turn that fails, are results, not errors.
pub fn main(cli: &Cli) -> Result<(), CompareError> {
    turns::run(cli)
}
