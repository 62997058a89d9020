//! Tenants and access keys: what nodes get of them, and when a revocation is done.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdfast_common::secret::Secret;
use holdfast_common::wire::{self, Refusal, session_down::Message};
use holdfast_controlplane::app::{AdminError, NewKey, Permission};

use crate::node::{Node, put};
use crate::rig::Db;

#[tokio::test]
async fn a_key_is_known_to_nodes_until_it_is_revoked() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let authority = &running.authority;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let new = NewKey { name: "n".into(), buckets: Some(vec!["b".into()]), ..Default::default() };
    let made = authority.create_key(new).await.expect("a key");
    assert_eq!(
        (made.key.bucket_ids.as_deref(), made.key.permissions.as_slice()),
        (Some(&[bucket][..]), &[Permission::Read, Permission::Write][..])
    );
    assert_eq!(made.secret_access_key.expose().len(), 40);
    let id = made.key.access_key_id.clone();
    let known = node.until(|down| matches!(&down.message, Some(Message::Config(change)) if change.upsert.as_ref().is_some_and(|upsert| !upsert.keys.is_empty()))).await;
    let Some(Message::Config(change)) = known.message else { unreachable!() };
    let key = &change.upsert.expect("an upsert").keys[0];
    assert_eq!((key.day_keys.len(), key.all_buckets, key.bucket_ids.as_slice()), (9, false, &[bucket][..]));
    // Nothing in the database, nor on the wire, holds the secret.
    let rows = db.client().await.query("SELECT secret_sealed FROM access_key", &[]).await.expect("rows");
    let secret = made.secret_access_key.expose();
    assert!(
        rows.iter().all(|row| !row.get::<_, &[u8]>(0).windows(secret.len()).any(|window| window == secret))
    );
    let as_key = |key: &str| wire::Mutation { access_key_id: id.clone(), ..put(bucket, key, "e") };
    node.commit(as_key("k")).await.expect("put");
    // A node that does not acknowledge holds the revocation until its lease is gone.
    node.acknowledging.store(false, Ordering::SeqCst);
    node.renewing.store(false, Ordering::SeqCst);
    let began = Instant::now();
    let revoked = authority.revoke_key(&id).await.expect("revokes");
    assert_eq!((revoked.acknowledged, revoked.expired), (0, 1));
    assert!(began.elapsed() > Duration::from_secs(1));
    assert_eq!(node.commit(as_key("k2")).await, Err(Refusal::AccessDenied));
    // It asks without a lease and still believes the key: nothing is answered until it has heard.
    let unanswered = node.query(crate::node::lookup(bucket, "k")).await;
    assert!(
        matches!(&unanswered, wire::answer::Answer::Refused(refused) if refused.retryable),
        "{unanswered:?}"
    );
    node.acknowledge();
    let mut asked = 0;
    while matches!(node.query(crate::node::lookup(bucket, "k")).await, wire::answer::Answer::Refused(_)) {
        asked += 1;
        assert!(asked < 500, "it has acknowledged");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let listed = authority.list_keys().await.expect("keys");
    assert!(listed[0].revoked_ms.is_some());
    let fresh = Node::join(running.grpc_addr).await;
    assert!(fresh.welcome.config.expect("a snapshot").keys.is_empty());
}

#[tokio::test]
async fn what_a_key_signed_is_ended_by_days_which_do_not_come_back() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let authority = &running.authority;
    let node = Node::join(running.grpc_addr).await;
    let id = authority.create_key(NewKey { name: "n".into(), ..Default::default() }).await.expect("a key");
    let id = id.key.access_key_id;
    let told = async |day: u32| {
        let says = |key: &wire::AccessKey| key.signed_not_before == day;
        node.until(|down| matches!(&down.message, Some(Message::Config(change)) if change.upsert.as_ref().is_some_and(|upsert| upsert.keys.iter().any(says)))).await
    };
    let done = authority.revoke_signatures(&id, "2026-01-02").await.expect("ended");
    assert_eq!((done.acknowledged, done.expired), (1, 0));
    told(20_260_102).await;
    authority.revoke_signatures(&id, "2026-01-01").await.expect("nothing new");
    let listed = authority.list_keys().await.expect("keys").remove(0);
    assert_eq!(listed.signed_not_before.as_deref(), Some("2026-01-02"), "the later day stands");
    // Who joins later is told as well.
    let fresh = Node::join(running.grpc_addr).await;
    assert_eq!(fresh.welcome.config.expect("a snapshot").keys[0].signed_not_before, 20_260_102);
    for wrong in ["2999-01-01", "yesterday"] {
        let refused = authority.revoke_signatures(&id, wrong).await;
        assert!(matches!(&refused, Err(AdminError::Invalid(text)) if text.contains(wrong)), "{refused:?}");
    }
    authority.revoke_key(&id).await.expect("revokes");
    for gone in [id.as_str(), "HFNONE"] {
        let refused = authority.revoke_signatures(gone, "2026-01-03").await;
        assert!(matches!(&refused, Err(AdminError::NotFound(text)) if text.contains(gone)), "{refused:?}");
    }
}

#[tokio::test]
async fn wrong_requests_are_sentences() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let authority = &running.authority;
    let key = |tenant: Option<&str>, buckets: Option<Vec<String>>| NewKey {
        name: "n".into(),
        tenant: tenant.map(Into::into),
        buckets,
        permissions: vec![],
    };
    let no_tenant = authority.create_key(key(Some("nobody"), None)).await;
    assert!(
        matches!(&no_tenant, Err(AdminError::NotFound(text)) if text.contains("nobody")),
        "{no_tenant:?}"
    );
    let no_bucket = authority.create_key(key(None, Some(vec!["gone".into()]))).await;
    assert!(matches!(&no_bucket, Err(AdminError::NotFound(text)) if text.contains("gone")), "{no_bucket:?}");
    authority.create_tenant("t").await.expect("a tenant");
    assert!(matches!(authority.create_tenant("t").await, Err(AdminError::Conflict(_))));
    assert!(matches!(authority.create_tenant("").await, Err(AdminError::Invalid(_))));
    assert!(matches!(authority.revoke_key("HFNONE").await, Err(AdminError::NotFound(_))));
    assert_eq!(authority.list_tenants().await.expect("tenants").len(), 2);
}

#[tokio::test]
async fn the_root_key_follows_its_secret() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let authority = &running.authority;
    let secret = |text: &str| Secret::from(text.to_owned());
    authority.ensure_root_key("ROOTKEY", &secret("first-secret")).await.expect("installs");
    authority.ensure_root_key("ROOTKEY", &secret("first-secret")).await.expect("twice");
    let day_key = async || {
        let node = Node::join(running.grpc_addr).await;
        let keys = node.welcome.config.expect("a snapshot").keys;
        assert_eq!((keys.len(), keys[0].all_buckets, keys[0].permissions.len()), (1, true, 3));
        keys[0].day_keys[0].key.clone()
    };
    let first = day_key().await;
    assert_eq!(first, day_key().await);
    authority.ensure_root_key("ROOTKEY", &secret("other-secret")).await.expect("changes");
    assert_ne!(first, day_key().await);
    assert!(authority.ensure_root_key("ROOTKEY", &secret("short")).await.is_err());
}

#[tokio::test]
async fn a_node_that_stalls_holds_up_no_other_configuration() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let authority = &running.authority;
    let (node, _, backends) = crate::work::with_drives(running.grpc_addr).await;
    let stalled = Node::join(running.grpc_addr).await;
    stalled.acknowledging.store(false, Ordering::SeqCst);
    // A new placement is given to nobody before everyone knows it, the second asker included; a key that is made
    // meanwhile gets as far as its own announcement.
    let ask = || wire::query::Query::Placement(wire::PlacementQuery { backends: backends.clone() });
    let (mut first, mut second) = (node.ask(ask()), node.ask(ask()));
    let made = tokio::spawn({
        let authority = authority.clone();
        async move { authority.create_key(NewKey { name: "n".into(), ..Default::default() }).await }
    });
    let announced = |down: &wire::SessionDown| {
        matches!(&down.message, Some(Message::Config(change))
            if change.upsert.as_ref().is_some_and(|upsert| !upsert.keys.is_empty()))
    };
    node.until(announced).await;
    assert!(first.try_recv().is_err() && second.try_recv().is_err() && !made.is_finished());
    stalled.until(announced).await;
    stalled.acknowledge();
    let placed = |answer: wire::Answer| match answer.answer {
        Some(wire::answer::Answer::Placement(placement)) => placement.placement_id,
        other => panic!("not a placement: {other:?}"),
    };
    assert_eq!(placed(first.await.expect("an answer")), placed(second.await.expect("an answer")));
    made.await.expect("joins").expect("a key");
}
