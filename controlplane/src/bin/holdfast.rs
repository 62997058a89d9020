//! `holdfast`: see `holdfast_controlplane::cli`.

use clap::Parser;
use holdfast_controlplane::cli::{Cli, run};

fn main() -> std::process::ExitCode {
    match run(Cli::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
