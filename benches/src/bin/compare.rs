//! The command `compare`; all of it is in `holdfast_benches::compare`.

use clap::Parser;
use holdfast_benches::compare::{Cli, main as run};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}
