//! `holdfast-history FILE...`: checks histories of S3 operations (JSON lines, see `holdfast_proptests::history`).
//!
//! Ends with 0 when every key's history has an order, 1 when one has none (and shows it), 2 when a file cannot be read or a
//! key cannot be decided.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use holdfast_proptests::history::{self, Told};

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        println!(
            "usage: holdfast-history FILE...   (one JSON object per line and operation; - reads standard input)"
        );
        return ExitCode::from(2);
    }
    files.iter().map(|file| check(file)).max().map_or(ExitCode::SUCCESS, ExitCode::from)
}

fn check(file: &str) -> u8 {
    let text =
        if file == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let checked = text
        .map_err(|error| error.to_string())
        .and_then(|text| history::parse(&text).map_err(|error| error.to_string()))
        .and_then(|lines| {
            history::check(&lines).map(|report| (lines, report)).map_err(|error| error.to_string())
        });
    let (lines, report) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            println!("{file}: {error}");
            return 2;
        }
    };
    for offence in &report.offences {
        println!("{file}: {}", Told(offence, &lines));
    }
    for key in &report.undecided {
        println!(
            "{file}: {key} could not be decided: too many of its operations overlap or have an unknown outcome"
        );
    }
    println!(
        "{file}: {} operations on {} keys, {} offences",
        report.operations,
        report.keys,
        report.offences.len()
    );
    match (report.offences.is_empty(), report.undecided.is_empty()) {
        (false, _) => 1,
        (true, false) => 2,
        (true, true) => 0,
    }
}
