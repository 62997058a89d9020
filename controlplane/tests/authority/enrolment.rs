//! How machines become nodes and stop being some, over real TLS: whom a token lets in, what a certificate is good for, and that
//! nothing is left to one who was thrown out.

mod callers;
mod machine;
mod operator;
mod revocation;
mod tokens;

use std::time::Duration;

use holdfast_common::join_token::JoinToken;
use holdfast_controlplane::app::enrol::InviteRequest;
use holdfast_controlplane::server::{GrpcTls, Running, Settings};
use uuid::Uuid;

use crate::node::{Node, hello};
use crate::rig::Db;
use machine::Machine;

/// An authority that serves nodes by TLS.
async fn start(db: &Db) -> Running {
    let hour = Duration::from_secs(3600);
    let tls = GrpcTls { own: None, names: vec!["localhost".into()], node_certificate: hour };
    let settings = Settings { grpc_tls: Some(tls), ..db.settings(true) };
    db.start_as(settings).await
}

async fn invite(running: &Running) -> JoinToken {
    let invitation = running.authority.invite(InviteRequest::default()).await.expect("a token");
    JoinToken::parse(invitation.token.expose_str().expect("text")).expect("a token")
}

/// A machine that was let in.
async fn joined(db: &Db, running: &Running) -> Machine {
    let mut machine = Machine::new(db, running).await;
    machine.join(&invite(running).await).await.expect("let in");
    machine
}

/// Its session.
async fn session(machine: &Machine) -> Node {
    let hello = holdfast_common::wire::Hello { node_id: machine.node_id.to_string(), ..hello() };
    let client = machine.client().await.expect("a connection");
    Node::join_by(client, hello).await.expect("a session").expect("a welcome")
}

fn unix() -> u64 {
    crate::node::now_ms() / 1000
}

fn fresh_id() -> Uuid {
    Uuid::from_bytes(crate::node::random())
}
