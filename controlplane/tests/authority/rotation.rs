//! The master key is exchanged for another without anybody noticing, and not under a control plane that leads.

use holdfast_common::join_token::JoinToken;
use holdfast_common::secret::Secret;
use holdfast_controlplane::app::NewKey;
use holdfast_controlplane::app::enrol::InviteRequest;
use holdfast_controlplane::rotate::{RotateError, Rotated, rotate};
use holdfast_controlplane::server::{self, GrpcTls, Settings};

use crate::node::Node;
use crate::rig::Db;

fn old() -> Secret {
    Secret::new(vec![42; 32])
}

fn new() -> Secret {
    Secret::new(vec![7; 32])
}

/// Stopped, and its last lease over.
async fn stopped(db: &Db, running: server::Running) {
    running.stop().await;
    db.client()
        .await
        .batch_execute("UPDATE authority SET expires_at = '-infinity'")
        .await
        .expect("given back");
}

#[tokio::test]
async fn keys_and_the_authority_survive_a_rotation() {
    let db = Db::fresh().await;
    let tls = GrpcTls { own: None, names: vec![], node_certificate: std::time::Duration::from_secs(3600) };
    let with_tls = || Settings { grpc_tls: Some(tls.clone()), ..db.settings(true) };
    let pinned = |running: &server::Running| {
        let authority = running.authority.clone();
        async move {
            let token = authority.invite(InviteRequest::default()).await.expect("a token").token;
            JoinToken::parse(token.expose_str().expect("text")).expect("a token").ca_sha256
        }
    };
    let running = server::start(with_tls()).await.expect("starts");
    let created =
        running.authority.create_key(NewKey { name: "k".into(), ..NewKey::default() }).await.expect("a key");
    let before = pinned(&running).await;
    stopped(&db, running).await;
    let day_keys = |node: &Node| {
        let keys = &node.welcome.config.as_ref().expect("a snapshot").keys;
        keys.iter()
            .find(|key| key.access_key_id == created.key.access_key_id)
            .expect("the key")
            .day_keys
            .clone()
    };
    let running = db.start().await;
    let known = day_keys(&Node::join(running.grpc_addr).await);
    stopped(&db, running).await;
    let rotated = rotate(&db.address(), &old(), &new()).await.expect("rotated");
    assert_eq!(rotated, Rotated { access_keys: 1, authority: true });
    // The old one opens nothing any more.
    assert!(server::start(db.settings(true)).await.is_err());
    assert!(matches!(
        rotate(&db.address(), &old(), &Secret::new(vec![9; 32])).await,
        Err(RotateError::DoesNotOpen(_))
    ));
    let running = server::start(Settings { master_key: new(), ..db.settings(true) }).await.expect("starts");
    assert_eq!(day_keys(&Node::join(running.grpc_addr).await), known);
    stopped(&db, running).await;
    let running = server::start(Settings { master_key: new(), ..with_tls() }).await.expect("starts");
    assert_eq!(pinned(&running).await, before);
}

#[tokio::test]
async fn a_rotation_under_a_leader_and_with_a_wrong_key_changes_nothing() {
    let db = Db::fresh().await;
    let running = db.start().await;
    running.authority.create_key(NewKey { name: "k".into(), ..NewKey::default() }).await.expect("a key");
    let refused = rotate(&db.address(), &old(), &new()).await.expect_err("refused");
    assert!(matches!(&refused, RotateError::Leads(holder) if holder.starts_with("http")), "{refused}");
    stopped(&db, running).await;
    let sealed = "SELECT sum(hashtext(encode(secret_sealed, 'hex')))::bigint FROM access_key";
    let before = db.number(sealed).await;
    assert!(matches!(rotate(&db.address(), &new(), &old()).await, Err(RotateError::DoesNotOpen(_))));
    assert!(matches!(rotate(&db.address(), &old(), &old()).await, Err(RotateError::Same)));
    assert!(matches!(rotate(&db.address(), &old(), &Secret::new(vec![1])).await, Err(RotateError::Length)));
    assert_eq!(db.number(sealed).await, before);
    rotate(&db.address(), &old(), &new()).await.expect("rotated");
    assert_ne!(db.number(sealed).await, before);
}
