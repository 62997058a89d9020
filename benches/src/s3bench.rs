//! `s3bench`: puts load on any S3 endpoint and says what it cost: operations, bytes, latencies, and the CPU and memory of
//! the server's processes.
//!
//! A run is: look at the target, make the bucket, put the keys that reads need, warm up, measure a window, remove what was
//! written. The client must never be the limit: bodies and their digests are made before, heads are signed with a cached day
//! key into reused buffers, answers are parsed in place, and everything runs on one thread unless asked otherwise.

mod answer;
mod capacity;
mod choice;
mod clean;
mod connection;
mod content;
pub mod cost;
pub(crate) mod failure;
pub(crate) mod growth;
pub(crate) mod idle;
mod metrics;
mod multipart;
mod operations;
pub mod options;
mod pacer;
pub(crate) mod plot;
mod progress;
mod record;
pub(crate) mod report;
pub(crate) mod rows;
pub(crate) mod run;
mod shared;
mod sign;
mod sizes;
mod stream;
mod suite;
mod target;
mod transport;
mod worker;

use options::{Cli, Command};
use std::io::Write;

/// Runs what the command line asks for and prints it.
///
/// # Errors
/// A sentence with the cause and what to do.
pub fn main(cli: Cli) -> Result<(), failure::Stop> {
    let text = match cli.command {
        Some(Command::Suite(options)) => suite::run(&options)?,
        Some(Command::Plot(options)) => plot::run(&options)?,
        Some(Command::Idle(options)) => {
            let idle = idle::run(&options)?;
            if options.json { idle.to_json() } else { idle.to_table() }
        }
        Some(Command::Growth(options)) => growth::run(&options)?,
        Some(Command::Capacity(options)) => capacity::run(&options)?,
        None => {
            let report = run::run(&cli.run)?;
            if cli.run.json { report.to_json() } else { report.to_table() }
        }
    };
    // A closed pipe (`| head`) is no reason to fail.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}
