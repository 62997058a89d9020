//! This system: `holdfast dev` with its own defaults, which are 4 drives of which 2 may be lost.

use super::error::CompareError;
use super::process::{free_ports, wait_until_up};
use super::session::Session;
use super::system::{At, Running};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "holdfast";

/// What a reader must know about it to read the figures.
pub(super) const SETUP: &str =
    "`holdfast dev`: 4 drives (directories), 2 of them parity, own PostgreSQL; fsync before every answer";

#[derive(Deserialize)]
struct Ready {
    pids: BTreeMap<String, u32>,
}

pub(super) fn version(session: &Session) -> Result<String, CompareError> {
    let program = session.bin_dir.join(PROGRAM);
    if !program.is_file() {
        return Err(CompareError::NotBuilt { program: PROGRAM, beside: session.bin_dir.clone() });
    }
    Ok(super::install::version_line(&program, &["--version"]))
}

pub(super) fn start(session: &Session, dir: &Path) -> Result<Running, CompareError> {
    let [s3, admin] = free_ports()?;
    let mut command = Command::new(session.bin_dir.join(PROGRAM));
    command.args(["dev", "--log", "warn", "--s3-addr", &format!("127.0.0.1:{s3}")]);
    command.args(["--admin-addr", &format!("127.0.0.1:{admin}"), "--data-dir"]).arg(dir);
    command.env_remove("HOLDFAST_DATABASE_URL");
    let log = dir.with_extension("log");
    let pid = session.children.start(&command, &log)?;
    let ready =
        || -> Option<Ready> { serde_json::from_slice(&std::fs::read(dir.join("ready.json")).ok()?).ok() };
    let mut found = None;
    wait_until_up(&session.children, PROGRAM, pid, &log, || {
        found = ready();
        found.is_some()
    })?;
    let roots = found.map(|ready| ready.pids.into_iter().collect()).unwrap_or_default();
    Ok(Running {
        name: PROGRAM.to_owned(),
        at: At::DataDir(dir.to_owned()),
        access_key: None,
        secret_key: None,
        region: None,
        roots,
        started: Some(pid),
    })
}
