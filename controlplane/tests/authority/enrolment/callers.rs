use std::time::Duration;

use holdfast_common::certificate::{Role, Subject};
use holdfast_common::wire::{self, Hello, work_request};
use holdfast_controlplane::api::client::{Target, request};
use holdfast_controlplane::api::{Api, Listener};
use holdfast_controlplane::app::enrol::InviteRequest;
use holdfast_controlplane::app::pki::Pki;
use holdfast_controlplane::config::{Config, hash_token};
use holdfast_controlplane::server;
use tonic::Code;
use uuid::Uuid;

use super::machine::{Machine, forger};
use super::operator::Operator;
use super::{fresh_id, joined, session, start, unix};
use crate::node::{hello, put};
use crate::rig::Db;

const HOUR: Duration = Duration::from_secs(3600);

async fn cluster(running: &holdfast_controlplane::server::Running) -> Uuid {
    running.authority.status().await.expect("a status").cluster_id.parse().expect("a UUID")
}

#[tokio::test]
async fn without_a_certificate_there_is_no_session() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let machine = Machine::new(&db, &running).await;
    let refused = machine.refused(hello()).await;
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("holdfast-dataplane join"), "{refused}");
    assert_eq!(machine.renew().await.expect_err("refused").code(), Code::Unauthenticated);
    // Nor by leaving TLS out.
    let plain = wire::node_client::NodeClient::connect(format!("http://{}", running.grpc_addr)).await;
    if let Ok(client) = plain {
        assert!(crate::node::Node::join_by(client, hello()).await.is_err());
    }
}

#[tokio::test]
async fn a_certificate_speaks_for_its_own_node_only() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let (one, two) = (joined(&db, &running).await, joined(&db, &running).await);
    let refused = one.refused(Hello { node_id: two.node_id.to_string(), ..hello() }).await;
    assert!(refused.message().contains(&two.node_id.to_string()), "{refused}");
    // A session's id, were it known, is of no use to another node.
    let (node, thief) = (session(&one).await, session(&two).await);
    let bucket = node.bucket("b").await;
    let stolen = wire::WorkRequest {
        session_id: node.welcome.session_id.clone(),
        what: Some(work_request::What::Lease(wire::LeaseJobs {
            deletes_max: 1,
            repairs_max: 1,
            ..Default::default()
        })),
    };
    let mut client = two.client().await.expect("a connection");
    assert_eq!(client.work(stolen.clone()).await.expect_err("refused").code(), Code::Unavailable);
    let mut owner = one.client().await.expect("a connection");
    owner.work(stolen).await.expect("its own node is answered");
    let mutation = put(bucket, "k", "e");
    let up = wire::CommitUp { session_id: node.welcome.session_id.clone(), items: vec![mutation] };
    let mut down = client.commit(tokio_stream::iter([up])).await.expect("a stream").into_inner();
    let result = down.message().await.expect("an answer").expect("an answer").results.remove(0);
    assert_eq!(crate::node::outcome(result), Err(wire::Refusal::Unavailable));
    assert!(thief.lookup(bucket, "k").await.is_none());
}

#[tokio::test]
async fn a_certificate_of_another_cluster_is_refused() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let mut machine = Machine::new(&db, &running).await;
    let node = Hello { node_id: fresh_id().to_string(), ..hello() };
    // Of another authority: the handshake fails.
    let elsewhere = Pki::fresh(cluster(&running).await, unix()).expect("an authority");
    let forged = elsewhere.node(node.node_id.parse().expect("a UUID"), &machine.request(), unix(), HOUR);
    machine.show(&forged.expect("a certificate").certificate);
    let refused = machine.refused(node).await;
    assert!(!matches!(refused.code(), Code::Ok | Code::Aborted), "{refused:?}");
    assert_eq!(db.count("session").await, 0);
}

#[tokio::test]
async fn the_control_planes_own_certificate_makes_no_node() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let pki = forger(&db, cluster(&running).await).await;
    let (chain, key) = pki.control(&["localhost".into()], unix(), HOUR).expect("a certificate");
    let mut machine = Machine::new(&db, &running).await;
    machine.show_pair(&chain[0], key);
    let refused = machine.refused(hello()).await;
    assert!(!matches!(refused.code(), Code::Ok | Code::Aborted), "{refused:?}");
    assert_eq!(db.count("session").await, 0);
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_good_for_renewing_alone() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let mut machine = joined(&db, &running).await;
    let pki = forger(&db, cluster(&running).await).await;
    let said = Hello { node_id: machine.node_id.to_string(), ..hello() };
    let ended = pki.node(machine.node_id, &machine.request(), unix() - 7200, HOUR).expect("a certificate");
    machine.show(&ended.certificate);
    let refused = machine.refused(said.clone()).await;
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("has ended"), "{refused}");
    let renewed = machine.renew().await.expect("renewed");
    // Too long ago is too long ago.
    let long_ago =
        pki.node(machine.node_id, &machine.request(), unix() - 40 * 86_400, HOUR).expect("a certificate");
    machine.show(&long_ago.certificate);
    machine.renew().await.expect_err("refused");
    machine.show(&renewed.certificate_der);
    session(&machine).await.bucket("b").await;
}

#[tokio::test]
async fn a_renewed_certificate_names_the_same_node_for_longer() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let mut machine = joined(&db, &running).await;
    db.client()
        .await
        .batch_execute("UPDATE enrolled_node SET certificate_until = 'epoch'")
        .await
        .expect("set back");
    let renewed = machine.renew().await.expect("renewed");
    assert_eq!(renewed.node_id, machine.node_id.to_string());
    let shown = running.authority.node_info(&renewed.node_id).await.expect("a node");
    assert_eq!(shown.certificate_until_ms, Some(renewed.not_after_ms));
    machine.show(&renewed.certificate_der);
    session(&machine).await.bucket("b").await;
}

#[tokio::test]
async fn nodes_of_the_version_before_are_served_and_older_ones_told_what_to_do() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let said = |version| Hello { protocol_version: version, ..hello() };
    crate::node::Node::join_as(running.grpc_addr, said(wire::PROTOCOL_VERSION - 1)).await.expect("a welcome");
    for (version, upgrade) in
        [(wire::PROTOCOL_VERSION - 2, "the node"), (wire::PROTOCOL_VERSION + 1, "the control plane")]
    {
        let bye =
            crate::node::Node::join_as(running.grpc_addr, said(version)).await.err().expect("turned away");
        assert!(bye.permanent && bye.reason.ends_with(&format!("upgrade {upgrade}")), "{bye:?}");
    }
}

#[tokio::test]
async fn a_node_administers_nothing() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let machine = joined(&db, &running).await;
    let text = "database_url = 'x'\nadmin_addr = '127.0.0.1:0'";
    let config = Config::parse(std::path::Path::new("/x/y.toml"), text, |_| None).expect("parses");
    let listener = Listener::bind(&config).await.expect("listens");
    let target = Target::plain(listener.addr().expect("an address"));
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let api = Api::new(running.authority.clone(), hash_token(b"the token"), None);
    tokio::spawn(listener.serve(api.router(), stopped));
    let node = format!("/v1/nodes/{}", machine.node_id);
    for token in [None, Some("wrong"), Some(machine.node_id.to_string().as_str())] {
        for (method, path) in
            [("GET", "/v1/nodes"), ("GET", &node), ("DELETE", &node), ("POST", "/v1/nodes/invitations")]
        {
            let answer = request(&target, method, path, token).await.expect("an answer");
            assert_eq!(answer.status, 401, "{method} {path} {token:?}");
        }
    }
    let answer = request(&target, "GET", &node, Some("the token")).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

/// An operator's own authority, whose certificates may be of several clusters and roles.
#[tokio::test]
async fn an_operators_own_pki_is_believed_as_far_as_its_certificates_name_this_cluster() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let ours = cluster(&running).await;
    running.stop().await;
    let own = Operator::new();
    let role = |cluster, role| Subject { cluster, role };
    let wrong = own.settings(&db, role(Uuid::from_u128(77), Role::ControlPlane));
    let refused = server::start(wrong).await.err().expect("refused").to_string();
    assert!(refused.contains(&format!("holdfast://{ours}/control")), "{refused}");
    let running = server::start(own.settings(&db, role(ours, Role::ControlPlane))).await.expect("starts");
    let refused = running.authority.invite(InviteRequest::default()).await.expect_err("refused").to_string();
    assert!(refused.contains(&format!("holdfast://{ours}/node/")), "{refused}");
    let mut machine = own.machine(&running);
    machine.node_id = fresh_id();
    for (subject, why) in [
        (role(Uuid::from_u128(77), Role::Node(machine.node_id)), "this is cluster"),
        (role(ours, Role::ControlPlane), "a node's is wanted"),
    ] {
        machine.show(&own.sign(subject, machine.key()));
        let refused = machine.refused(Hello { node_id: machine.node_id.to_string(), ..hello() }).await;
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains(why), "{refused}");
    }
    machine.show(&own.sign(role(ours, Role::Node(machine.node_id)), machine.key()));
    session(&machine).await.bucket("b").await;
    // It is the operator who renews these.
    machine.renew().await.expect_err("refused");
    let shown = running.authority.node_info(&machine.node_id.to_string()).await.expect("a node");
    assert_eq!((shown.state.as_str(), shown.certificate_until_ms), ("active", None));
}
