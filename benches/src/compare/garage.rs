//! Garage: one node, one copy (`replication_factor = 1`), LMDB, everything else as it comes.
//!
//! Its `metadata_fsync` and `data_fsync` are off unless set: as it comes, an answered PUT may be lost at a power cut, and
//! its manual says that then the database may need repair.

use super::error::{CompareError, at};
use super::install;
use super::process::{free_ports, http_get, wait_until_up};
use super::session::Session;
use super::system::{At, Kind, Running};
use std::path::Path;
use std::process::Command;

pub(super) const SETUP: &str =
    "`garage server --single-node`: one copy, LMDB, blocks of 1 MiB with zstd 1, fsync off (its default)";
pub(super) const SETUP_FSYNC: &str = "the same with `metadata_fsync = true` and `data_fsync = true`";

/// Shapes that Garage wants: `GK` and 12 bytes, 32 bytes.
const ACCESS_KEY: &str = "GK0123456789abcdef01234567";
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const REGION: &str = "garage";

pub(super) fn start(session: &Session, dir: &Path, fsync: bool) -> Result<Running, CompareError> {
    let garage = install::garage(session, false)?;
    let name = Kind::Garage { fsync }.name();
    let [rpc, s3] = free_ports()?;
    let config = dir.join("garage.toml");
    at("write Garage's configuration", std::fs::write(&config, config_toml(dir, rpc, s3, fsync)))?;
    let mut command = Command::new(garage);
    command.arg("-c").arg(&config).args(["server", "--single-node", "--default-access-key"]);
    command.env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY).env("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY);
    // Its logs at the default level are a line per request.
    command.env("RUST_LOG", "warn");
    let log = dir.with_extension("log");
    let pid = session.children.start(&command, &log)?;
    wait_until_up(&session.children, &name, pid, &log, || {
        http_get(s3, "/").is_some_and(|answer| answer.starts_with("HTTP/1.1 403"))
    })?;
    Ok(Running {
        name,
        at: At::Url(format!("http://127.0.0.1:{s3}")),
        access_key: Some(ACCESS_KEY.to_owned()),
        secret_key: Some(SECRET_KEY.to_owned()),
        region: Some(REGION.to_owned()),
        roots: vec![("garage".to_owned(), pid)],
        started: Some(pid),
    })
}

fn config_toml(dir: &Path, rpc: u16, s3: u16, fsync: bool) -> String {
    let dir = dir.display();
    format!(
        "metadata_dir = \"{dir}/meta\"\n\
         data_dir = \"{dir}/data\"\n\
         db_engine = \"lmdb\"\n\
         metadata_fsync = {fsync}\n\
         data_fsync = {fsync}\n\
         replication_factor = 1\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_public_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_secret = \"{SECRET_KEY}\"\n\
         [s3_api]\n\
         s3_region = \"{REGION}\"\n\
         api_bind_addr = \"127.0.0.1:{s3}\"\n"
    )
}
