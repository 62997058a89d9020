//! The command `s3bench`; all of it is in `holdfast_benches::s3bench`.

use clap::Parser;
use holdfast_benches::s3bench::{main as run, options::Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("s3bench: {stop}");
            ExitCode::FAILURE
        }
    }
}
