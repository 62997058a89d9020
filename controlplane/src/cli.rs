//! `holdfast`, the operator's tool: run everything, administer, check a configuration.

mod admin;
mod config;
mod drive;
mod env;
mod error;
mod node;
mod table;

use clap::{CommandFactory, Parser, Subcommand};

use crate::dev::{self, DevOptions, LaunchArgs};
use holdfast_common::telemetry::{self, LogFormat};

pub use error::CliError;

/// Holdfast: a zero-trust, S3-compatible object store.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole system in the foreground: private PostgreSQL, control plane, data plane.
    #[command(
        after_help = "The root key comes from HOLDFAST_ROOT_ACCESS_KEY and HOLDFAST_ROOT_SECRET_KEY, else it is made at the\n\
        first start and kept in DIR/root-credentials.json. When everything answers, one line is printed:\n\
        `ready s3=http://... admin=http://...`, and DIR/ready.json is written. SIGINT or SIGTERM stops; a second one kills."
    )]
    Dev(Box<DevOptions>),
    /// Tenants, access keys and state of a running system.
    Admin(admin::AdminArgs),
    /// Print a running `dev` as AWS_* variables: `. <(holdfast env --data-dir DIR)`.
    Env(env::EnvArgs),
    /// Check a configuration file of either plane without starting anything.
    Validate(config::ValidateArgs),
    /// What a configuration may say.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print completions for a shell, such as `holdfast completions bash`.
    Completions { shell: clap_complete::Shell },
    /// Start a program that does not outlive its parent; `dev` uses it.
    #[command(hide = true)]
    Launch(LaunchArgs),
}

/// Does what the command line says; what is wrong comes back as a sentence.
///
/// # Errors
/// The sentence to print; the exit code is 1.
pub fn run(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        // First and without threads: it drops privileges and becomes another program.
        Command::Launch(args) => match dev::launch(&args) {
            Ok(never) => match never {},
            Err(sentence) => Err(CliError::Sentence(sentence)),
        },
        Command::Dev(options) => {
            telemetry::init(LogFormat::Pretty, "info").map_err(CliError::Sentence)?;
            Ok(runtime()?.block_on(dev::run(*options))?)
        }
        Command::Admin(args) => runtime()?.block_on(admin::run(args)),
        Command::Env(args) => env::run(&args),
        Command::Validate(args) => config::validate(&args),
        Command::Config(command) => config::run(&command),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "holdfast", &mut text);
            print(&String::from_utf8_lossy(&text));
            Ok(())
        }
    }
}

/// One thread: children of `dev` are tied to the thread that starts them, and nothing here needs a second.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| CliError::Sentence(format!("no runtime: {cause}")))
}

/// To standard output; a reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ =
        std::io::Write::write_all(&mut out, text.as_bytes()).and_then(|()| std::io::Write::flush(&mut out));
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_as_the_manual_has_them() {
        for line in [
            "holdfast dev --data-dir d --drives 6 --parity 2 --s3-addr 127.0.0.1:1 --admin-addr [::1]:2 --cores 1 --domain a.test --require-io-uring",
            "holdfast admin create-tenant --name T --data-dir d",
            "holdfast admin --data-dir d create-key --name N --tenant T --bucket a --bucket b --permission read --permission write --json",
            "holdfast admin revoke-key --access-key-id ID --json",
            "holdfast admin revoke-signatures --access-key-id ID --before 2026-11-24",
            "holdfast admin drive list --data-dir d",
            "holdfast admin drive status --backend 3 --json",
            "holdfast admin drive drain --drive 0b2e2a9e-0000-4000-8000-000000000000 --force",
            "holdfast admin drive drain --backend 3 --cancel",
            "holdfast admin drive replace --backend 3 --force",
            "holdfast admin node invite --name n1 --expires 30m --data-dir d",
            "holdfast admin node list --json",
            "holdfast admin node show n1",
            "holdfast admin node drain n1 --cancel",
            "holdfast admin node revoke 0b2e2a9e-0000-4000-8000-000000000000",
            "holdfast admin object-redundancy --bucket b --key a/b",
            "holdfast admin stale-reads --bucket b --for 1h",
            "holdfast admin stale-reads --bucket b --for 0s --json",
            "holdfast env --data-dir d",
            "holdfast validate --config f",
            "holdfast config reference",
            "holdfast completions bash",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        assert!(Cli::try_parse_from("holdfast admin drive drain".split(' ')).is_err());
        assert!(Cli::try_parse_from("holdfast admin node invite --expires 1w".split(' ')).is_err());
        assert!(Cli::try_parse_from("holdfast admin drive status --backend 1 --drive x".split(' ')).is_err());
        assert!(Cli::try_parse_from("holdfast dev --data-dir d --tls-cert c".split(' ')).is_err());
        assert!(
            Cli::try_parse_from("holdfast admin create-key --name N --permission all".split(' ')).is_err()
        );
    }
}
