//! Rows that a restored dump lacks come back from what nodes found on their drives, and nothing newer goes for them.

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::recovery::ManifestKey;
use holdfast_common::wire::settled_ops::Verdict;
use holdfast_common::wire::work_request::What;
use holdfast_common::wire::{self, Hello, mutation::Op};
use holdfast_controlplane::app::recovery::Recovery;
use holdfast_controlplane::server::Running;
use uuid::Uuid;

use crate::node::{Node, delete, hello, now_ms, put_as};
use crate::rig::Db;
use crate::settle::settle;

/// A node with four drives, the key that it seals with, and what it has sealed.
struct Sealing {
    node: Node,
    hello: Hello,
    key: ManifestKey,
    backends: Vec<u32>,
    placement: u32,
    sealed: Vec<(OpId, Vec<u8>)>,
}

impl Sealing {
    async fn join(running: &Running, db: &Db) -> Self {
        let drive = |n: u8| wire::Drive {
            drive_id: vec![n; 16].into(),
            state: "active".into(),
            ..Default::default()
        };
        let hello = Hello { drives: (1..=4).map(drive).collect(), ..hello() };
        let node = Node::join_as(running.grpc_addr, hello.clone()).await.expect("a welcome");
        let rows =
            db.client().await.query("SELECT id FROM backend ORDER BY id", &[]).await.expect("backends");
        let backends: Vec<u32> =
            rows.iter().map(|row| u32::try_from(row.get::<_, i32>(0)).expect("an id")).collect();
        assert_eq!(backends.len(), 4);
        let placement = node.placement(backends.clone()).await;
        let node_id = Uuid::parse_str(&hello.node_id).expect("a node id");
        let key = ManifestKey::new(node_id, &node.welcome.manifest_key).expect("a key of 32 bytes");
        Self { node, hello, key, backends, placement, sealed: Vec::new() }
    }

    /// Commits an object whose op id was made at `ms`, and keeps its manifest as a drive would.
    async fn put(&mut self, (bucket, name): (u64, &str), key: &str, etag: &str, ms: u64) -> OpId {
        let op_id = self.node.op_at(ms);
        let mut mutation = put_as(op_id, bucket, key, etag);
        let Some(Op::Put(put)) = &mut mutation.op else { unreachable!("a put") };
        let manifest = put.manifest.as_mut().expect("a manifest");
        manifest.parts[0].blob.as_mut().expect("a blob").placement_id = self.placement;
        let sealed = wire::RecoveryManifest {
            bucket_id: bucket,
            bucket_name: name.into(),
            bucket_tenant_id: 1,
            key: mutation.key.clone(),
            tenant_id: 1,
            size: put.size,
            etag: put.etag.clone(),
            meta: put.meta.clone(),
            manifest: put.manifest.clone(),
            backends: self.backends.clone(),
            meta_cut: false,
        };
        self.sealed.push((op_id, self.key.seal(op_id, [0; 12], sealed).expect("it fits")));
        self.node.commit(mutation).await.expect("put");
        op_id
    }

    /// The database goes back to before all objects, and the node joins again, remembering one of an epoch that is not on record.
    async fn lose(&mut self, running: &Running, db: &Db) {
        db.client()
            .await
            .batch_execute("DELETE FROM head; DELETE FROM version; DELETE FROM changelog WHERE kind = 1")
            .await
            .expect("lost");
        let hello = Hello { acknowledged_seq_max: 1, ..self.hello.clone() };
        self.node = Node::join_as(running.grpc_addr, hello).await.expect("a welcome");
        assert!(self.node.welcome.history_lost);
    }

    fn proposal(&self, op_id: OpId, sealed: &[u8], fragments: u32) -> wire::Proposal {
        let found = |index: u32| wire::FoundFragment {
            index,
            backend_id: self.backends[index as usize],
            whole: true,
        };
        wire::Proposal {
            op_id: op_id.to_wire(),
            sealed: Bytes::copy_from_slice(sealed),
            fragments: (0..fragments).map(found).collect(),
        }
    }

    async fn propose(&self, items: Vec<wire::Proposal>, finished: bool) {
        self.node.work(What::Proposals(wire::Proposals { items, finished })).await;
    }

    async fn propose_all(&self) {
        let all = self.sealed.iter().map(|(op_id, sealed)| self.proposal(*op_id, sealed, 4));
        self.propose(all.collect(), true).await;
    }
}

fn counts(recovery: &Recovery) -> (u64, u64, u64, u64) {
    (recovery.proposed, recovery.recovered, recovery.skipped, recovery.refused)
}

#[tokio::test]
async fn lost_rows_come_back_as_they_were() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mut sealing = Sealing::join(&running, &db).await;
    let bucket = (sealing.node.bucket("b").await, "b");
    let began = now_ms() - 60_000;
    let mut asked = Vec::new();
    for n in 0..5 {
        asked.push(sealing.put(bucket, &format!("k{n}"), &format!("e{n}"), began + n).await.to_wire());
    }
    asked.push(sealing.put(bucket, "k1", "later", began + 10).await.to_wire());
    let kept = asked.clone();
    sealing.lose(&running, &db).await;
    assert_eq!(settle(&sealing.node, asked).await, [Verdict::Unknown; 6]);
    assert!(sealing.node.lookup(bucket.0, "k0").await.is_none());
    let nothing = running.authority.recovery().await.expect("a status");
    assert_eq!((counts(&nothing), nothing.nodes_walked), ((0, 0, 0, 0), 0));
    sealing.propose_all().await;
    sealing.propose_all().await;
    let shown = running.authority.recovery().await.expect("a status");
    assert_eq!((counts(&shown), shown.nodes, shown.nodes_walked), ((6, 0, 0, 0), 1, 1));
    assert_eq!((shown.objects[0].bucket.as_str(), shown.objects[0].key.as_str()), ("b", "k0"));

    let done = running.authority.recovery_apply(false).await.expect("applied");
    assert_eq!(counts(&done), (0, 6, 0, 0), "{:?}", done.objects);
    for n in 0..5 {
        let record = sealing.node.lookup(bucket.0, &format!("k{n}")).await.expect("it is back");
        let (etag, at) = if n == 1 { ("later".into(), 10) } else { (format!("e{n}"), n) };
        assert_eq!((record.etag, record.size, record.modified_ms), (etag, 100, began + at));
        assert_eq!(record.meta.expect("metadata").content_type, "text/plain");
        let blob = record.manifest.expect("a manifest").parts[0].blob.clone().expect("a blob");
        assert_eq!((blob.placement_id, blob.proven), (sealing.placement, 0b1111));
    }
    // What the later one replaced is garbage like any other, and everything has its row again.
    assert_eq!(db.number("SELECT count(*) FROM freed").await, 1);
    assert_eq!(settle(&sealing.node, kept).await, [Verdict::Keep; 6]);
    running.authority.accept_history().await.expect("accepted");
    while !running.authority.is_leading() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(db.count("recovery_proposal").await + db.count("recovery_walk").await, 0);
    assert!(!running.authority.recovery().await.expect("a status").history_lost);
    assert!(running.authority.recovery_apply(false).await.is_err(), "there is nothing to recover");
}

#[tokio::test]
async fn nothing_newer_goes_for_a_lost_row() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mut sealing = Sealing::join(&running, &db).await;
    let bucket = (sealing.node.bucket("b").await, "b");
    let began = now_ms() - 60_000;
    for key in ["written", "deleted", "same"] {
        sealing.put(bucket, key, "lost", began).await;
    }
    sealing.lose(&running, &db).await;
    sealing.propose_all().await;
    sealing.node.put(bucket.0, "written", "new").await.expect("put");
    sealing.node.put(bucket.0, "deleted", "new").await.expect("put");
    sealing.node.commit(delete(bucket.0, "deleted")).await.expect("deleted");
    let done = running.authority.recovery_apply(false).await.expect("applied");
    assert_eq!(counts(&done), (0, 1, 2, 0), "{:?}", done.objects);
    assert_eq!(sealing.node.lookup(bucket.0, "written").await.expect("there").etag, "new");
    assert!(sealing.node.lookup(bucket.0, "deleted").await.is_none());
    assert_eq!(sealing.node.lookup(bucket.0, "same").await.expect("back").etag, "lost");
    // The commit looks for itself, whoever asks and whatever the changelog says.
    db.client().await.batch_execute("DELETE FROM changelog WHERE kind = 1").await.expect("trimmed");
    db.client()
        .await
        .batch_execute("UPDATE recovery_proposal SET outcome = 3 WHERE outcome = 2")
        .await
        .expect("tried again");
    running.authority.recovery_apply(false).await.expect("applied");
    assert_eq!(sealing.node.lookup(bucket.0, "written").await.expect("there").etag, "new");
}

#[tokio::test]
async fn versions_come_back_in_their_order() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mut sealing = Sealing::join(&running, &db).await;
    let bucket = (sealing.node.bucket("v").await, "v");
    sealing.node.versioning(bucket.0, 1).await;
    let began = now_ms() - 60_000;
    let mut names = Vec::new();
    for n in 0..3 {
        let op_id = sealing.put(bucket, "k", &format!("e{n}"), began + n).await;
        names.push(op_id.uuid().simple().to_string());
    }
    sealing.lose(&running, &db).await;
    // Found in any order.
    sealing.sealed.reverse();
    sealing.propose_all().await;
    let done = running.authority.recovery_apply(false).await.expect("applied");
    assert_eq!(counts(&done), (0, 3, 0, 0), "{:?}", done.objects);
    assert_eq!(sealing.node.lookup(bucket.0, "k").await.expect("current").etag, "e2");
    for (n, name) in names.iter().enumerate() {
        let version = sealing.node.lookup_version(bucket.0, "k", name).await.expect("under its old name");
        assert_eq!(version.etag, format!("e{n}"));
    }
}

#[tokio::test]
async fn forged_manifests_are_dropped_and_too_few_fragments_refused() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mut sealing = Sealing::join(&running, &db).await;
    let bucket = (sealing.node.bucket("b").await, "b");
    let gone = (sealing.node.bucket("gone").await, "gone");
    let began = now_ms() - 60_000;
    sealing.put(bucket, "thin", "e", began).await;
    sealing.put(gone, "homeless", "e", began + 1).await;
    sealing.put(bucket, "stolen", "e", began + 2).await;
    sealing.lose(&running, &db).await;
    let lost = wire::DeleteBucket::default();
    sealing.node.commit(crate::node::mutation(gone.0, "", Op::DeleteBucket(lost))).await.expect("deleted");
    let [thin, homeless, stolen] = &sealing.sealed[..] else { panic!("three were put") };
    // Sealed by somebody who has no key of the cluster; for another blob; cut.
    let node_id = Uuid::parse_str(&sealing.hello.node_id).expect("a node id");
    let foreign = ManifestKey::new(node_id, &[9; 32]).expect("32 bytes");
    let said = sealing.key.open(stolen.0, &stolen.1).expect("opens");
    let forged = foreign.seal(stolen.0, [0; 12], said).expect("it fits");
    let items = vec![
        sealing.proposal(stolen.0, &forged, 4),
        sealing.proposal(stolen.0, &thin.1, 4),
        sealing.proposal(stolen.0, &stolen.1[..40], 4),
        sealing.proposal(thin.0, &thin.1, 1),
        sealing.proposal(homeless.0, &homeless.1, 4),
    ];
    sealing.propose(items, false).await;
    let done = running.authority.recovery_apply(false).await.expect("applied");
    assert_eq!((counts(&done), done.forged), ((0, 0, 0, 2), 3), "{:?}", done.objects);
    assert_eq!(done.nodes_walked, 0);
    let reason = |key: &str| done.objects.iter().find(|lost| lost.key == key).expect("shown").reason.clone();
    assert!(reason("thin").contains("1 of its fragments"), "{}", reason("thin"));
    assert!(reason("homeless").contains("the bucket gone"), "{}", reason("homeless"));
    assert!(sealing.node.lookup(bucket.0, "stolen").await.is_none());
    // The node that was away comes back with another fragment: enough for the code, and the rest is repaired.
    sealing.propose(vec![sealing.proposal(thin.0, &[], 2)], true).await;
    let done = running.authority.recovery_apply(false).await.expect("applied");
    assert_eq!(counts(&done), (0, 1, 0, 1), "{:?}", done.objects);
    assert!(sealing.node.lookup(bucket.0, "thin").await.is_some());
    assert_eq!(db.number("SELECT missing FROM job").await, 0b1100);
}

#[tokio::test]
async fn a_node_cannot_bring_rows_back_by_itself() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let mut mutation = crate::node::put(bucket, "k", "e");
    let Some(Op::Put(put)) = &mut mutation.op else { unreachable!("a put") };
    put.recovered = true;
    assert_eq!(node.commit(mutation).await, Err(wire::Refusal::Malformed));
    // And without a loss nothing is kept of what it proposes.
    let op_id = node.op_at(now_ms()).to_wire();
    let item = wire::Proposal { op_id, ..Default::default() };
    node.work(What::Proposals(wire::Proposals { items: vec![item], finished: true })).await;
    assert_eq!(db.count("recovery_walk").await, 0);
}

#[tokio::test]
async fn every_control_plane_gives_a_node_the_same_key_and_every_node_its_own() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mine = hello();
    let first = Node::join_as(running.grpc_addr, mine.clone()).await.expect("a welcome").welcome.manifest_key;
    let other = Node::join(running.grpc_addr).await.welcome.manifest_key;
    drop(running);
    let again = db.start().await;
    let second = Node::join_as(again.grpc_addr, mine).await.expect("a welcome").welcome.manifest_key;
    assert_eq!((first.len(), &first), (32, &second));
    assert_ne!(first, other);
}
