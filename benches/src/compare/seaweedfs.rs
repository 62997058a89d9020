//! SeaweedFS: `weed server` with master, volume server, filer and S3 gateway in one process, one copy of each object.
//!
//! With fsync every chunk is flushed before it is acknowledged (`fs.configure -fsync` on the path that holds buckets, its documented
//! way; `strace` shows an fsync per PUT). The filer's own store is LevelDB, written without sync: the name of an object that
//! was answered may be lost at a power cut although its bytes are there.

use super::error::{CompareError, at};
use super::install;
use super::process::{free_ports, http_get, wait_until_up};
use super::session::Session;
use super::system::{At, Kind, Running};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

pub(super) const SETUP: &str = "`weed server -s3`: one process, 1 volume server, one copy, LevelDB filer";
pub(super) const SETUP_FSYNC: &str = "the same with `fs.configure -locationPrefix=/buckets/ -fsync`: chunks are flushed before the answer, the filer's names are not";

const ACCESS_KEY: &str = "compare";
const SECRET_KEY: &str = "compare-secret";

pub(super) fn start(session: &Session, dir: &Path, fsync: bool) -> Result<Running, CompareError> {
    let weed = install::weed(session, false)?;
    let name = Kind::Seaweedfs { fsync }.name();
    let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = free_ports()?;
    let identities = dir.join("s3.json");
    at("write SeaweedFS's keys", std::fs::write(&identities, identities_json()))?;
    let mut command = Command::new(&weed);
    command.arg(format!("-logdir={}", dir.display())).args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
    command.arg(format!("-dir={}", dir.display()));
    for (option, port) in [
        ("master.port", master),
        ("master.port.grpc", master_grpc),
        ("volume.port", volume),
        ("volume.port.grpc", volume_grpc),
        ("filer.port", filer),
        ("filer.port.grpc", filer_grpc),
        ("s3.port", s3),
        ("s3.port.grpc", s3_grpc),
        ("s3.port.iceberg", 0),
        ("s3.port.lance", 0),
    ] {
        command.arg(format!("-{option}={port}"));
    }
    // Its own sockets would land in /tmp under names that a second one shares.
    command.arg(format!("-filer.localSocket={}", dir.join("filer.sock").display()));
    command.arg(format!("-s3.localSocket={}", dir.join("s3.sock").display()));
    command.arg(format!("-s3.config={}", identities.display()));
    // As many volumes of 1 GiB as the disk has room for: the default of 8 is used up by the first bucket.
    command.args(["-filer", "-s3", "-volume.max=0", "-master.volumeSizeLimitMB=1024"]);
    command.args(["-master.telemetry=false", "-volume.preStopSeconds=0"]);
    command.current_dir(dir);
    let log = dir.with_extension("log");
    let pid = session.children.start(&command, &log)?;
    wait_until_up(&session.children, &name, pid, &log, || {
        // a volume server has reported to the master, and the gateway answers
        http_get(master, "/dir/status").is_some_and(|answer| answer.contains("\"DataNodes\""))
            && http_get(s3, "/").is_some_and(|answer| answer.starts_with("HTTP/1.1 403"))
    })?;
    if fsync {
        flush_before_answers(&weed, (master, master_grpc), (filer, filer_grpc))?;
    }
    Ok(Running {
        name,
        at: At::Url(format!("http://127.0.0.1:{s3}")),
        access_key: Some(ACCESS_KEY.to_owned()),
        secret_key: Some(SECRET_KEY.to_owned()),
        region: None,
        roots: vec![("weed".to_owned(), pid)],
        started: Some(pid),
    })
}

fn identities_json() -> String {
    let credentials = serde_json::json!({ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY });
    let identity = serde_json::json!({
        "name": "compare", "credentials": [credentials], "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    });
    serde_json::json!({ "identities": [identity] }).to_string()
}

/// Sets fsync for all buckets, and believes only what the shell shows back.
fn flush_before_answers(weed: &Path, master: (u16, u16), filer: (u16, u16)) -> Result<(), CompareError> {
    let not_set = |cause: String| CompareError::NotHad { name: "seaweedfs-fsync", cause };
    let mut shell = Command::new(weed);
    shell.arg("shell").arg(format!("-master=127.0.0.1:{}.{}", master.0, master.1));
    shell.arg(format!("-filer=127.0.0.1:{}.{}", filer.0, filer.1));
    let spawned = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = at("start `weed shell`", spawned)?;
    if let Some(mut input) = child.stdin.take() {
        at(
            "speak to `weed shell`",
            input.write_all(b"fs.configure -locationPrefix=/buckets/ -fsync -apply\n"),
        )?;
    }
    let output = at("hear `weed shell`", child.wait_with_output())?;
    let said: String = String::from_utf8_lossy(&output.stdout).split_whitespace().collect();
    if said.contains("\"fsync\":true") {
        Ok(())
    } else {
        Err(not_set(format!("`fs.configure -fsync` was not taken: {said}")))
    }
}
