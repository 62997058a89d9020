use holdfast_common::join_token::JoinToken;
use holdfast_common::secret::Secret;
use holdfast_controlplane::app::AdminError;
use holdfast_controlplane::app::enrol::InviteRequest;
use tonic::Code;

use super::machine::Machine;
use super::{invite, joined, session, start};
use crate::rig::Db;

#[tokio::test]
async fn an_invited_machine_joins_and_serves() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let machine = joined(&db, &running).await;
    let node = session(&machine).await;
    let bucket = node.bucket("b").await;
    node.put(bucket, "k", "e").await.expect("a put");
    let nodes = running.authority.list_nodes().await.expect("nodes");
    assert_eq!((nodes.len(), nodes[0].node_id.as_str()), (1, machine.node_id.to_string().as_str()));
    assert!(nodes[0].connected && nodes[0].state == "active" && nodes[0].certificate_until_ms.is_some());
}

#[tokio::test]
async fn a_machine_that_has_joined_is_listed_before_it_says_hello() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let asked = InviteRequest { name: "n7".into(), expires_seconds: Some(60) };
    let token = running.authority.invite(asked).await.expect("a token").token;
    let token = JoinToken::parse(token.expose_str().expect("text")).expect("a token");
    assert_eq!(
        token.control,
        [format!("https://{}", running.grpc_addr), format!("https://localhost:{}", running.grpc_addr.port())]
    );
    let mut machine = Machine::new(&db, &running).await;
    machine.join(&token).await.expect("let in");
    let shown = running.authority.node_info("n7").await.expect("a node");
    assert_eq!((shown.state.as_str(), shown.connected, shown.first_seen_ms), ("joined", false, None));
}

#[tokio::test]
async fn a_reused_token_is_refused() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let token = invite(&running).await;
    let mut first = Machine::new(&db, &running).await;
    first.join(&token).await.expect("let in");
    let refused = Machine::new(&db, &running).await.ask(&token).await.expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains(&format!("by node {}", first.node_id)), "{refused}");
    assert!(refused.message().contains("node invite"), "{refused}");
    assert_eq!(db.count("enrolled_node").await, 1);
}

#[tokio::test]
async fn of_many_who_spend_a_token_at_once_one_is_let_in() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let token = invite(&running).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (machine, token) = (Machine::new(&db, &running).await, token.clone());
        asking.spawn(async move { machine.ask(&token).await.is_ok() });
    }
    assert_eq!(asking.join_all().await.into_iter().filter(|let_in| *let_in).count(), 1);
    assert_eq!(db.count("enrolled_node").await, 1);
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let token = invite(&running).await;
    let over = "UPDATE join_token SET expires_at = clock_timestamp() - interval '1 second'";
    db.client().await.batch_execute(over).await.expect("made old");
    let machine = Machine::new(&db, &running).await;
    let refused = machine.ask(&token).await.expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("ended at") && refused.message().contains("node invite"), "{refused}");
    assert_eq!(db.count("enrolled_node").await, 0);
}

#[tokio::test]
async fn a_foreign_or_forged_token_is_refused_and_spends_nothing() {
    let (db, other) = (Db::fresh().await, Db::fresh().await);
    let (running, elsewhere) = (start(&db).await, start(&other).await);
    let (token, foreign) = (invite(&running).await, invite(&elsewhere).await);
    let machine = Machine::new(&db, &running).await;
    let forged = JoinToken { secret: Secret::new(vec![0; 32]), ..token.clone() };
    for bad in [foreign, forged] {
        let refused = machine.ask(&bad).await.expect_err("refused");
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("did not give this join token"), "{refused}");
    }
    machine.ask(&token).await.expect("the good one is as good as before");
}

#[tokio::test]
async fn a_malformed_request_spends_no_token() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let token = invite(&running).await;
    let asked = holdfast_common::wire::JoinRequest {
        token_id: bytes::Bytes::copy_from_slice(&token.token_id),
        token_secret: bytes::Bytes::copy_from_slice(token.secret.expose()),
        csr_der: bytes::Bytes::from_static(b"no request"),
        node_name: "n".into(),
    };
    assert!(running.authority.join(&asked).await.is_err());
    Machine::new(&db, &running).await.ask(&token).await.expect("let in");
}

#[tokio::test]
async fn the_database_keeps_no_secret_of_a_token() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let token = invite(&running).await;
    let rows = db.client().await.query("SELECT secret_hash FROM join_token", &[]).await.expect("rows");
    assert_eq!(rows.len(), 1);
    assert_ne!(rows[0].get::<_, &[u8]>(0), token.secret.expose());
}

#[tokio::test]
async fn there_is_no_token_where_nodes_have_no_certificates_and_none_for_ever() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let refused = running.authority.invite(InviteRequest::default()).await.expect_err("refused");
    assert!(matches!(&refused, AdminError::Conflict(why) if why.contains("grpc_tls")), "{refused}");
    running.stop().await;
    let running = start(&db).await;
    for seconds in [0, 8 * 86_400] {
        let asked = InviteRequest { name: String::new(), expires_seconds: Some(seconds) };
        assert!(matches!(running.authority.invite(asked).await, Err(AdminError::Invalid(_))), "{seconds}");
    }
}

#[tokio::test]
async fn the_authority_survives_a_restart_and_needs_the_master_key() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let pinned = invite(&running).await.ca_sha256;
    running.stop().await;
    let running = start(&db).await;
    assert_eq!(invite(&running).await.ca_sha256, pinned);
    let token = invite(&running).await;
    Machine::new(&db, &running).await.ask(&token).await.expect("let in");
    running.stop().await;
    let settings = holdfast_controlplane::server::Settings {
        master_key: Secret::new(vec![43; 32]),
        ..db.settings(true)
    };
    let refused = holdfast_controlplane::server::start(settings).await.err().expect("refused").to_string();
    assert!(refused.contains("master key"), "{refused}");
}
