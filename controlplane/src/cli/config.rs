//! `holdfast config reference` and `holdfast validate`: what a file may say, and whether one says it well.
//!
//! The data plane's part is asked of its own program beside this one (`holdfast-dataplane --config-reference`,
//! `--check`): the planes share no code, and what it prints is what it would do.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand};

use super::{CliError, print};
use crate::config::{Config, SettingRow, reference};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every key, its default and the environment variable that overrides it.
    Reference {
        /// Of one plane only; both unless said.
        #[arg(long)]
        plane: Option<Plane>,
    },
}

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// The file to check.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Whose file it is; told from its keys when absent.
    #[arg(long)]
    plane: Option<Plane>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Plane {
    Controlplane,
    Dataplane,
}

pub(super) fn run(command: &ConfigCommand) -> Result<(), CliError> {
    let ConfigCommand::Reference { plane } = command;
    if *plane != Some(Plane::Dataplane) {
        print(&format!("# Control plane: holdfast-controlplane --config FILE\n\n{}", render(&reference())));
    }
    if *plane != Some(Plane::Controlplane) {
        let text = dataplane(&["--config-reference"])?;
        let between = if plane.is_none() { "\n" } else { "" };
        print(&format!(
            "{between}# Data plane: holdfast-dataplane --config FILE\n\n{}",
            String::from_utf8_lossy(&text)
        ));
    }
    Ok(())
}

/// The reference as TOML that would parse: meanings and environment names as comments, keys without default commented.
pub(crate) fn render(rows: &[SettingRow]) -> String {
    let entry = |row: &SettingRow| {
        let line = match &row.default {
            Some(default) => format!("{} = {default}", row.key),
            None => format!("# {} =", row.key),
        };
        format!("# {}\n# environment: {}\n{line}\n", row.meaning, row.env)
    };
    rows.iter().map(entry).collect::<Vec<_>>().join("\n")
}

pub(super) fn validate(args: &ValidateArgs) -> Result<(), CliError> {
    let plane = args.plane.unwrap_or_else(|| plane_of(&args.config));
    let name = match plane {
        Plane::Controlplane => {
            let config = Config::load(&args.config)?;
            config.settings()?;
            config.admin_token_hash()?;
            config.root_credentials()?;
            "control plane"
        }
        Plane::Dataplane => {
            let path = args.config.to_string_lossy();
            dataplane(&["--check", "--config", &path])?;
            "data plane"
        }
    };
    print(&format!("{} is a good configuration of the {name}\n", args.config.display()));
    Ok(())
}

/// A file with the address of S3 is the data plane's.
fn plane_of(path: &Path) -> Plane {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let table: toml::Table = toml::from_str(&text).unwrap_or_default();
    let dataplane =
        ["s3_addr", "drives", "control_url", "data_dir"].iter().any(|key| table.contains_key(*key));
    if dataplane { Plane::Dataplane } else { Plane::Controlplane }
}

/// Runs the data plane's program beside this one and returns what it printed.
fn dataplane(args: &[&str]) -> Result<Vec<u8>, CliError> {
    let own = std::env::current_exe().map_err(|cause| CliError::Sentence(cause.to_string()))?;
    let program = own.with_file_name("holdfast-dataplane");
    let output = Command::new(&program).args(args).output().map_err(|cause| {
        CliError::Sentence(format!(
            "{} cannot be run: {cause}; install it beside {}",
            program.display(),
            own.display()
        ))
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(CliError::Sentence(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Config, render};
    use crate::config::reference;

    #[test]
    fn the_reference_is_itself_a_configuration() {
        let text = render(&reference()) + "database_url = 'host=/run/postgresql'\n";
        let parsed = Config::parse(std::path::Path::new("reference.toml"), &text, |_| None);
        assert!(parsed.is_ok(), "{parsed:?}");
    }
}
