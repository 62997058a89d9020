//! The two planes' configurations, as `dev` writes them: the same files a deployment writes by hand.
//!
//! The keys of the data plane are its own (`dataplane/src/config.rs`); unknown ones are refused there, so a drift
//! shows at the first start, in a sentence.

use std::path::Path;

use toml::{Table, Value};

use super::ports::Addresses;
use super::ready::admin_tls;
use super::{DataDir, DevError, DevOptions};
use crate::config::write_owner_only;

/// Space comes back while one looks; nobody reads for minutes here.
const DELETE_DELAY_MS: i64 = 10_000;

/// Writes `run/controlplane.toml`; the database's address goes to a file of its own, as it may hold a password.
pub(super) fn controlplane(
    directory: &DataDir,
    options: &DevOptions,
    addresses: &Addresses,
    database_url: &str,
) -> Result<(), DevError> {
    let address = directory.path("run/database-url");
    write_owner_only(&address, database_url.as_bytes())?;
    let mut table = Table::new();
    let mut set = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
    set("database_url_file", path(&address));
    set("grpc_addr", text(addresses.grpc));
    set("admin_addr", text(addresses.admin));
    if let (true, Some(cert), Some(key)) = (admin_tls(addresses.admin), &options.tls_cert, &options.tls_key) {
        set("admin_tls_cert_file", path(&absolute(cert)?));
        set("admin_tls_key_file", path(&absolute(key)?));
    }
    set("admin_token_file", path(&directory.path("secrets/admin-token")));
    set("master_key_file", path(&directory.path("secrets/master-key")));
    set("root_credentials_file", path(&directory.path("root-credentials.json")));
    set("region", text(&options.region));
    set("dev", Value::Boolean(true));
    set("delete_delay_ms", Value::Integer(DELETE_DELAY_MS));
    set("dataplane_ops_addr", text(addresses.ops));
    set("log", text(&options.log));
    write(directory, "controlplane", &table)
}

/// Writes `run/dataplane.toml`; the cluster is the one whose truth the database holds, so that drives of another are refused.
pub(super) fn dataplane(
    directory: &DataDir,
    options: &DevOptions,
    addresses: &Addresses,
    cluster_id: &str,
) -> Result<(), DevError> {
    let mut table = Table::new();
    let mut set = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
    set("s3_addr", text(addresses.s3));
    set("ops_addr", text(addresses.ops));
    set("data_dir", path(&directory.path("node")));
    set("drives", Value::Array(directory.drives().iter().map(|drive| path(drive)).collect()));
    set("parity", Value::Integer(options.parity.into()));
    set("control_url", Value::Array(vec![text(format!("http://{}", addresses.grpc))]));
    set("cluster_id", text(cluster_id));
    set("region", text(&options.region));
    if let Some(cores) = options.cores {
        set("cores", Value::Integer(i64::try_from(cores).expect("checked against this machine's")));
    }
    if !options.domain.is_empty() {
        set("domains", Value::Array(options.domain.iter().map(text).collect()));
    }
    if let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) {
        set("tls_cert_file", path(&absolute(cert)?));
        set("tls_key_file", path(&absolute(key)?));
    }
    if options.degraded {
        set("degraded_start", Value::Boolean(true));
    }
    if let Some(runtime) = &options.runtime {
        set("runtime", text(runtime));
    }
    if options.require_io_uring {
        set("require_io_uring", Value::Boolean(true));
    }
    set("log", text(&options.log));
    write(directory, "dataplane", &table)
}

fn write(directory: &DataDir, plane: &str, table: &Table) -> Result<(), DevError> {
    let text = format!("# Written by `holdfast dev` at each start; changes are lost.\n{table}");
    Ok(write_owner_only(&directory.path(&format!("run/{plane}.toml")), text.as_bytes())?)
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

fn path(value: &Path) -> Value {
    Value::String(value.to_string_lossy().into_owned())
}

/// The children stand in `/`, so what the command line says must not be relative.
fn absolute(path: &Path) -> Result<std::path::PathBuf, DevError> {
    path.canonicalize().map_err(|cause| DevError::Option(format!("{}: {cause}", path.display())))
}
