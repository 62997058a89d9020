//! Drives under administration: what is refused, what nodes are told, what no report undoes; over REST and the CLI too.

use std::process::Command;

use holdfast_common::wire::job_report::Outcome;
use holdfast_common::wire::{self, DriveWork, Hello, job::Kind, session_down::Message};
use holdfast_controlplane::api::{Api, Listener};
use holdfast_controlplane::app::AdminError;
use holdfast_controlplane::app::drives::{DrainRequest, ReplaceRequest};
use holdfast_controlplane::config::Config;
use holdfast_controlplane::server::Running;
use serde_json::Value;

use crate::node::Node;
use crate::rig::Db;
use crate::work::{deficit, lease, put_on, report, with_drives};

const DRAIN: DrainRequest = DrainRequest { cancel: false, force: false };
const FORCED: DrainRequest = DrainRequest { cancel: false, force: true };
const CANCEL: DrainRequest = DrainRequest { cancel: true, force: false };

fn sentence<T: std::fmt::Debug>(outcome: Result<T, AdminError>) -> String {
    match outcome {
        Err(AdminError::Conflict(text) | AdminError::NotFound(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

/// What the node was last told of a backend's state.
fn told(node: &Node, backend: u32) -> Option<String> {
    let heard = node.heard.lock();
    let states = heard.iter().filter_map(|down| match &down.message {
        Some(Message::Config(change)) => {
            let of = |row: &&wire::Backend| row.backend_id == backend;
            change.upsert.as_ref()?.backends.iter().find(of).map(|row| row.state.clone())
        }
        _ => None,
    });
    states.last()
}

/// A report of all drives, the first like this; waits until it is known.
async fn say(running: &Running, node: &Node, hello: &Hello, state: &str, work: DriveWork) {
    let mut drive = hello.drives[0].clone();
    drive.state = state.into();
    // A mark to wait for.
    drive.free_bytes -= work.errors;
    let free_bytes = drive.free_bytes;
    drive.work = Some(work);
    let rest = hello.drives[1..].iter().cloned();
    node.say_drives(std::iter::once(drive).chain(rest).collect());
    for _ in 0..400 {
        let drives = running.authority.list_drives().await.expect("drives");
        if drives.iter().any(|drive| drive.free_bytes == free_bytes && drive.errors == work.errors) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the report was not heard");
}

async fn state(running: &Running, backend: u32) -> String {
    running.authority.drive_status(&backend.to_string()).await.expect("a status").drive.state
}

#[tokio::test]
async fn a_drive_is_drained_until_nothing_is_on_it() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let authority = &running.authority;
    let (node, hello, backends) = with_drives(running.grpc_addr).await;
    let (first, name) = (backends[0], backends[0].to_string());
    node.placement(backends.clone()).await;
    let text = sentence(authority.drain_drive(&name, DRAIN).await);
    assert!(text.contains("spread over 4 drives and 3 would remain"), "{text}");
    assert!(sentence(authority.drain_drive("99", DRAIN).await).contains("drive list"));
    assert_eq!(authority.drain_drive(&name, FORCED).await.expect("drains").drive.state, "draining");
    assert_eq!(told(&node, first).as_deref(), Some("draining"));
    // Reports of the node change nothing about it: neither one that may not know yet, nor a failure, nor a return.
    say(&running, &node, &hello, "active", DriveWork { errors: 1, ..Default::default() }).await;
    assert_eq!(state(&running, first).await, "draining");
    let left = DriveWork {
        errors: 2,
        pieces: 9,
        drain_left_pieces: 9,
        drain_left_bytes: 900,
        drain_stuck_pieces: 2,
        bytes_per_second: 100,
        ..Default::default()
    };
    say(&running, &node, &hello, "failed: EIO", left).await;
    say(&running, &node, &hello, "active", DriveWork { errors: 3, ..left }).await;
    let shown = authority.drive_status(&name).await.expect("a status").drive;
    let drain = shown.drain.expect("it is draining");
    assert_eq!((drain.left_pieces, drain.stuck_pieces, drain.estimated_seconds), (9, 2, Some(9)));
    // Empty at last, long enough after the beginning.
    db.client().await.batch_execute("UPDATE backend SET intent_at = '-infinity'").await.expect("time passes");
    say(&running, &node, &hello, "active", DriveWork { errors: 4, ..Default::default() }).await;
    assert_eq!(state(&running, first).await, "drained");
    for _ in 0..400 {
        if told(&node, first).as_deref() == Some("drained") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(told(&node, first).as_deref(), Some("drained"), "nodes are told without being asked");
    // A write that was under way arrives: it is drained again.
    say(&running, &node, &hello, "active", DriveWork { errors: 5, pieces: 1, ..Default::default() }).await;
    assert_eq!(state(&running, first).await, "draining");
    assert_eq!(authority.drain_drive(&name, CANCEL).await.expect("cancels").drive.state, "active");
    assert_eq!(told(&node, first).as_deref(), Some("active"));
    // A fresh node is told by its welcome; the last drive of a node has nowhere to go.
    for backend in &backends[1..] {
        authority.drain_drive(&backend.to_string(), FORCED).await.expect("drains");
    }
    assert!(sentence(authority.drain_drive(&name, FORCED).await).contains("no active drive"));
    let again = Node::join_as(running.grpc_addr, hello).await.expect("a welcome");
    let states: Vec<String> =
        again.welcome.config.expect("a snapshot").backends.into_iter().map(|row| row.state).collect();
    assert_eq!(states, ["active", "draining", "draining", "draining"]);
}

#[tokio::test]
async fn a_drive_is_declared_gone_only_when_it_is() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let authority = &running.authority;
    let (node, hello, backends) = with_drives(running.grpc_addr).await;
    let gone = ReplaceRequest { force: false };
    let name = uuid::Uuid::from_slice(&hello.drives[0].drive_id).expect("an id").to_string();
    let text = sentence(authority.replace_drive(&name, gone).await);
    assert!(text.contains("drain it instead"), "{text}");
    say(&running, &node, &hello, "failed: gone", DriveWork { errors: 1, ..Default::default() }).await;
    assert_eq!(authority.replace_drive(&name, gone).await.expect("replaced").drive.state, "replaced");
    assert_eq!(told(&node, backends[0]).as_deref(), Some("replaced"));
    // It is back after all: too late.
    say(&running, &node, &hello, "active", DriveWork { errors: 2, ..Default::default() }).await;
    assert_eq!(state(&running, backends[0]).await, "replaced");
    assert!(sentence(authority.drain_drive(&name, CANCEL).await).contains("was replaced"));
    // One that its node no longer finds, once back and once gone for good.
    let mut fewer = hello.clone();
    fewer.drives.pop().expect("a drive");
    node.say_drives(fewer.drives.clone());
    db.until_count("backend WHERE state = 'missing'", 1).await;
    assert_eq!(state(&running, backends[3]).await, "missing");
    node.say_drives(hello.drives.clone());
    db.until_count("backend WHERE state = 'missing'", 0).await;
    node.say_drives(fewer.drives);
    db.until_count("backend WHERE state = 'missing'", 1).await;
    assert_eq!(
        authority.replace_drive(&backends[3].to_string(), gone).await.expect("replaced").drive.state,
        "replaced"
    );
    // Another, with force.
    let second = backends[1].to_string();
    assert!(authority.replace_drive(&second, gone).await.is_err());
    let forced = ReplaceRequest { force: true };
    assert_eq!(authority.replace_drive(&second, forced).await.expect("replaced").drive.state, "replaced");
}

#[tokio::test]
async fn an_object_is_as_safe_as_its_open_repairs_say() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let authority = &running.authority;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends.clone()).await;
    let bucket = node.bucket("b").await;
    let thin = put_on(placement, bucket, "a key/with ü", 0b0111);
    node.commit(thin.clone()).await.expect("put");
    let shown = authority.object_redundancy("b", "a key/with ü").await.expect("known");
    assert_eq!((shown.whole, shown.can_lose, shown.parts.len()), (false, Some(1), 1));
    let part = &shown.parts[0];
    assert_eq!((part.desired, part.needed, part.proven, part.missing.as_slice()), (4, 2, 3, &[3][..]));
    assert_eq!(part.repair.as_deref(), Some("waiting"));
    let on =
        |backend: u32| async move { authority.drive_status(&backend.to_string()).await.expect("a status") };
    let (third, first) = (on(backends[3]).await, on(backends[0]).await);
    assert_eq!((third.repairs_open, third.blobs_below_desired), (1, 1));
    assert_eq!((first.repairs_open, first.blobs_below_desired), (0, 1));
    let blob = lease(&node, 0, 1).await.remove(0).blob.expect("a blob");
    deficit(&node, &blob, 0b0110).await;
    let shown = authority.object_redundancy("b", "a key/with ü").await.expect("known");
    assert_eq!((shown.can_lose, shown.parts[0].repair.as_deref()), (Some(-1), Some("leased")));
    report(&node, Kind::Repair, &thin.op_id, Outcome::Lost, 0b1110).await;
    let status = authority.status().await.expect("a status");
    assert_eq!((status.repairs_open, status.repairs_failed), (0, 1));
    deficit(&node, &blob, 0b0010).await;
    assert_eq!(lease(&node, 0, 1).await.len(), 1);
    report(&node, Kind::Repair, &thin.op_id, Outcome::Done, 0).await;
    let shown = authority.object_redundancy("b", "a key/with ü").await.expect("known");
    assert_eq!((shown.whole, shown.can_lose, shown.parts[0].proven), (true, Some(2), 4));
    assert!(sentence(authority.object_redundancy("b", "none").await).contains("no object"));
    assert!(sentence(authority.object_redundancy("none", "k").await).contains("no bucket"));
}

#[tokio::test]
async fn the_command_line_does_all_of_it() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends.clone()).await;
    let bucket = node.bucket("b").await;
    node.commit(put_on(placement, bucket, "a b?", 0b1011)).await.expect("put");
    let text = "database_url = 'elsewhere'\nadmin_addr = '127.0.0.1:0'";
    let config = Config::parse(std::path::Path::new("c.toml"), text, |_| None).expect("a configuration");
    let listener = Listener::bind(&config).await.expect("listens");
    let url = format!("http://{}", listener.addr().expect("an address"));
    let hash: [u8; 32] =
        ring::digest::digest(&ring::digest::SHA256, b"token").as_ref().try_into().expect("32 bytes");
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let router = Api::new(running.authority.clone(), hash, None).router();
    tokio::spawn(listener.serve(router, stopped));
    let admin = async |line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.arg("admin").args(line).env("HOLDFAST_ADMIN_URL", &url).env("HOLDFAST_ADMIN_TOKEN", "token");
        let output =
            tokio::task::spawn_blocking(move || command.output()).await.expect("joins").expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    };
    let table = admin(&["drive", "list"]).await.expect("a table");
    assert!(table.contains("/drive0") && table.contains("active") && table.lines().count() == 5, "{table}");
    let drives: Value =
        serde_json::from_str(&admin(&["drive", "list", "--json"]).await.expect("JSON")).expect("JSON");
    let (id, number) = (drives[0]["drive_id"].as_str().expect("an id"), backends[0].to_string());
    let refused = admin(&["drive", "drain", "--drive", id]).await.expect_err("refused");
    assert!(refused.contains("add a drive first"), "{refused}");
    let drained = admin(&["drive", "drain", "--backend", &number, "--force"]).await.expect("drains");
    assert!(drained.contains("draining (node says active)") && drained.contains("0 pieces"), "{drained}");
    admin(&["drive", "drain", "--backend", &number, "--cancel"]).await.expect("cancels");
    assert!(admin(&["drive", "replace", "--backend", &number]).await.is_err());
    let replaced = admin(&["drive", "replace", "--backend", &number, "--force"]).await.expect("replaces");
    assert!(replaced.contains("replaced"), "{replaced}");
    let status = admin(&["drive", "status", "--drive", id]).await.expect("a status");
    assert!(status.contains("1 blobs below"), "{status}");
    let shown = admin(&["object-redundancy", "--bucket", "b", "--key", "a b?"]).await.expect("known");
    assert!(shown.contains("NOT WHOLE; can still lose 1"), "{shown}");
    let status = admin(&["status"]).await.expect("a status");
    assert!(status.contains("repairs_open    1"), "{status}");
}

#[tokio::test]
async fn a_drive_stays_with_its_node_until_that_misses_it_or_is_revoked() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (owner, said, backends) = with_drives(running.grpc_addr).await;
    let owner_id = said.node_id.clone();
    let owner_of = |backend: u32| {
        let db = &db;
        async move {
            let text = format!("SELECT node_id::text FROM backend WHERE id = {backend}");
            db.client().await.query_one(&text, &[]).await.expect("a row").get::<_, String>(0)
        }
    };
    // A thief names them all, one as failed.
    let mut stolen = said.drives.clone();
    stolen[1].state = "failed".into();
    let thief = Hello { drives: stolen.clone(), ..crate::node::hello() };
    let node = Node::join_as(running.grpc_addr, thief.clone()).await.expect("a welcome");
    for backend in &backends {
        assert_eq!(owner_of(*backend).await, owner_id);
        assert_eq!(state(&running, *backend).await, "active");
    }
    assert!(told(&owner, backends[1]).is_none(), "nobody hears of it");
    // The first is pulled and put into the other machine.
    owner.say_drives(said.drives[1..].to_vec());
    db.until_count("backend WHERE state = 'missing'", 1).await;
    node.say_drives(stolen.clone());
    db.until_count("backend WHERE state = 'missing'", 0).await;
    assert_eq!(owner_of(backends[0]).await, thief.node_id);
    assert_eq!(owner_of(backends[2]).await, owner_id);
    // The whole machine is given up.
    running.authority.revoke_node(&owner_id).await.expect("revoked");
    node.say_drives(stolen);
    db.until_count(&format!("backend WHERE node_id = '{}'", thief.node_id), 4).await;
}

#[tokio::test]
async fn a_node_has_no_more_drives_than_a_node_may_have_and_is_not_wordy() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let drive = |n: u32| wire::Drive {
        drive_id: uuid::Uuid::from_u128(0xd000 + u128::from(n)).as_bytes().to_vec().into(),
        label: "long\0".repeat(200),
        state: "active".into(),
        capacity_bytes: 1 << 30,
        free_bytes: 1 << 29,
        ..Default::default()
    };
    let node = Node::join(running.grpc_addr).await;
    node.say_drives((0..200).map(drive).collect());
    db.until_count("backend", 200).await;
    node.say_drives((200..400).map(drive).collect());
    db.until_count("backend WHERE state = 'missing'", 200).await;
    assert_eq!(db.count("backend").await, 256);
    assert_eq!(db.count("backend WHERE length(label) <> 512").await, 0);
}
