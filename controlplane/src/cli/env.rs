//! `holdfast env`: a running `dev` as the variables that every S3 client reads.

use std::path::PathBuf;

use serde_json::Value;

use super::{CliError, print};

#[derive(Debug, clap::Args)]
pub(super) struct EnvArgs {
    /// Data directory of a running `holdfast dev`.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// Prints `export AWS_...` lines. They hold the root key's secret, as the file they are read from does.
pub(super) fn run(args: &EnvArgs) -> Result<(), CliError> {
    let ready = read(args, "ready.json")?;
    let keys = read(args, "root-credentials.json")?;
    for (name, value) in [
        ("AWS_ENDPOINT_URL", &ready["s3"]),
        ("AWS_DEFAULT_REGION", &ready["region"]),
        ("AWS_REGION", &ready["region"]),
        ("AWS_ACCESS_KEY_ID", &keys["access_key_id"]),
        ("AWS_SECRET_ACCESS_KEY", &keys["secret_access_key"]),
    ] {
        let value = value.as_str().unwrap_or_default().replace('\'', "'\\''");
        print(&format!("export {name}='{value}'\n"));
    }
    Ok(())
}

fn read(args: &EnvArgs, name: &str) -> Result<Value, CliError> {
    let path = args.data_dir.join(name);
    let text = std::fs::read_to_string(&path).map_err(|cause| {
        CliError::Sentence(format!(
            "{} cannot be read: {cause}; start the system first: holdfast dev --data-dir {}",
            path.display(),
            args.data_dir.display()
        ))
    })?;
    serde_json::from_str(&text).map_err(|cause| CliError::Sentence(format!("{}: {cause}", path.display())))
}
