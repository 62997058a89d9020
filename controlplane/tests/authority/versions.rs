//! Versions over real rows: against a model, named, tagged, raced for.

mod pages;

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast_common::wire::{
    self, ListVersionsQuery, Precondition, Refusal, VersionEntry, mutation::Op, query::Query as Ask,
};

use crate::node::{Node, delete, delete_version, mutation, op, outcome, put_when, random};
use crate::rig::Db;

/// A version as the model has it.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    id: String,
    delete_marker: bool,
    etag: String,
    tag: String,
}

/// A bucket: of each key all versions, the newest first.
#[derive(Default)]
struct Model {
    keys: BTreeMap<String, Vec<Version>>,
    suspended: bool,
}

impl Model {
    fn write(&mut self, key: &str, version: Version) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        versions.retain(|other| other.id != version.id);
        versions.insert(0, version);
    }

    fn current(&self, key: &str) -> Option<&Version> {
        self.keys.get(key)?.first()
    }

    fn lines(&self) -> Vec<(String, Version, bool)> {
        let of_key = |(key, versions): (&String, &Vec<Version>)| {
            let line = |(place, version): (usize, &Version)| (key.clone(), version.clone(), place == 0);
            versions.iter().enumerate().map(line).collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(of_key).collect()
    }
}

/// All pages of this size, glued together.
async fn walk(node: &Node, mut query: ListVersionsQuery) -> Vec<VersionEntry> {
    let mut all = Vec::new();
    loop {
        let page = node.versions(query.clone()).await;
        assert!(page.entries.len() <= query.max_keys as usize);
        all.extend(page.entries);
        if !page.truncated {
            return all;
        }
        (query.key_marker, query.version_id_marker) = (page.next_key_marker, page.next_version_id_marker);
    }
}

fn query(bucket_id: u64, max_keys: u32) -> ListVersionsQuery {
    ListVersionsQuery { bucket_id, max_keys, ..Default::default() }
}

fn pick(below: usize) -> usize {
    usize::from(u16::from_be_bytes(random::<2>())) % below
}

fn tag(value: &str) -> Vec<wire::Pair> {
    vec![wire::Pair { name: "t".into(), value: value.into() }]
}

/// One random operation on both; what the authority answers is what the model says.
async fn step(node: &Node, bucket: u64, model: &mut Model, n: usize) {
    let key = ["a", "b/c", "d"][pick(3)];
    let etag = format!("e{n}");
    let versions = model.keys.get(key).cloned().unwrap_or_default();
    let some = versions.get(pick(4)).cloned();
    match (pick(10), some) {
        (0, _) => {
            model.suspended = !model.suspended;
            node.versioning(bucket, if model.suspended { 2 } else { 1 }).await;
        }
        (1..=3, _) => {
            let done = node.put(bucket, key, &etag).await.expect("put");
            let id = if model.suspended { "null".into() } else { done.version_id };
            model.write(key, Version { id, delete_marker: false, etag, tag: String::new() });
        }
        (4..=5, _) => {
            let done = node.commit(delete(bucket, key)).await.expect("marked");
            assert!(done.delete_marker);
            assert_eq!(done.version_id == "null", model.suspended);
            let (id, etag, tag) = (done.version_id, String::new(), String::new());
            model.write(key, Version { id, delete_marker: true, etag, tag });
        }
        (6..=7, Some(version)) => {
            let done = node.commit(delete_version(bucket, key, &version.id)).await.expect("deleted");
            assert_eq!((done.existed, done.delete_marker), (true, version.delete_marker));
            let left = model.keys.get_mut(key).expect("the key has versions");
            left.retain(|other| other.id != version.id);
            if left.is_empty() {
                model.keys.remove(key);
            }
        }
        (8, Some(version)) if !version.delete_marker => {
            let set = wire::SetTags { version_id: version.id.clone(), tags: tag(&etag) };
            node.commit(mutation(bucket, key, Op::SetTags(set))).await.expect("tagged");
            let versions = model.keys.get_mut(key).expect("the key has versions").iter_mut();
            versions.filter(|other| other.id == version.id).for_each(|other| other.tag.clone_from(&etag));
        }
        (_, Some(version)) if !version.delete_marker => {
            let copy = wire::CopyObject {
                source_bucket_id: bucket,
                source_key: Bytes::copy_from_slice(key.as_bytes()),
                source_version_id: version.id.clone(),
                ..Default::default()
            };
            let done = node.commit(mutation(bucket, "copy", Op::Copy(copy))).await.expect("copied");
            assert_eq!(done.copy_source_version_id, version.id);
            let id = if model.suspended { "null".into() } else { done.version_id };
            model.write("copy", Version { id, ..version });
        }
        _ => {}
    }
}

fn of_record(record: wire::ObjectRecord) -> Version {
    let tag = record.meta.unwrap_or_default().tags.first().map(|tag| tag.value.clone()).unwrap_or_default();
    let id = wire::version_shown(&record.version_id, 1).expect("a version").to_owned();
    Version { id, delete_marker: record.delete_marker, etag: record.etag, tag }
}

async fn agrees(node: &Node, bucket: u64, model: &Model) {
    let entries = walk(node, query(bucket, [1, 2, 3, 1000][pick(4)])).await;
    let seen = entries.into_iter().map(|entry| {
        let key = String::from_utf8(entry.key.to_vec()).expect("utf-8");
        (key, entry.version_id, entry.delete_marker, entry.etag, entry.latest)
    });
    let expected = model.lines().into_iter();
    let expected = expected.map(|(key, one, latest)| (key, one.id, one.delete_marker, one.etag, latest));
    assert_eq!(seen.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    for key in ["a", "b/c", "copy", "d"] {
        assert_eq!(node.lookup(bucket, key).await.map(of_record).as_ref(), model.current(key), "{key}");
    }
    for (key, version, _) in model.lines() {
        let found = node.lookup_version(bucket, &key, &version.id).await.map(of_record);
        assert_eq!(found, Some(version), "{key}");
    }
    let list = wire::ListQuery { bucket_id: bucket, max_keys: 1000, ..Default::default() };
    let wire::answer::Answer::List(page) = node.query(Ask::List(list)).await else { panic!("no listing") };
    let live: Vec<String> = model
        .lines()
        .into_iter()
        .filter(|(_, one, latest)| *latest && !one.delete_marker)
        .map(|l| l.0)
        .collect();
    assert_eq!(
        page.entries.iter().map(|entry| entry.key.to_vec()).collect::<Vec<_>>(),
        live.iter().map(|key| key.as_bytes().to_vec()).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn random_histories_agree_with_a_model() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let mut model = Model::default();
    node.put(bucket, "a", "first").await.expect("put");
    let (id, etag, tag) = ("null".to_owned(), "first".to_owned(), String::new());
    model.write("a", Version { id, delete_marker: false, etag, tag });
    node.versioning(bucket, 1).await;
    for n in 0..400 {
        step(&node, bucket, &mut model, n).await;
        agrees(&node, bucket, &model).await;
    }
    // With the last version its bytes are free: every blob once, and no counter is left.
    for (key, version, _) in model.lines() {
        node.commit(delete_version(bucket, &key, &version.id)).await.expect("deleted");
    }
    let blobs = db.number("SELECT count(*) FROM changelog WHERE kind = 1").await;
    assert_eq!((db.count("freed").await, db.count("blob").await), (blobs, 0));
    assert_eq!((db.count("head").await, db.count("version").await), (0, 0));
}

#[tokio::test]
async fn of_many_creators_of_a_version_one_wins() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    node.versioning(bucket, 1).await;
    for round in 0..3 {
        let absent = || Precondition { absent: true, ..Default::default() };
        let items = (0..50).map(|n| put_when(bucket, "k", &format!("{round}.{n}"), absent())).collect();
        let mut won = 0;
        for wait in node.send(items) {
            match outcome(wait.await.expect("an answer")) {
                Ok(_) => won += 1,
                Err(reason) => assert_eq!(reason, Refusal::PreconditionFailed),
            }
        }
        assert_eq!(won, 1);
        // A delete marker counts as absent.
        node.commit(delete(bucket, "k")).await.expect("marked");
    }
    assert_eq!((db.count("head").await, db.count("version").await), (0, 6));
}

#[tokio::test]
async fn others_hear_of_every_change_of_a_key() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, other) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    let bucket = node.bucket("b").await;
    node.versioning(bucket, 1).await;
    let version = node.put(bucket, "k", "e").await.expect("put").version_id;
    node.put(bucket, "k", "e2").await.expect("put");
    let set = |key: &str| {
        mutation(bucket, key, Op::SetTags(wire::SetTags { tags: tag("v"), ..Default::default() }))
    };
    let told = |node: &Node| {
        let heard = node.heard.lock();
        let keys = heard.iter().filter_map(|down| match &down.message {
            Some(wire::session_down::Message::Invalidate(all)) => Some(all.keys.len()),
            _ => None,
        });
        keys.sum::<usize>()
    };
    let before = told(&other);
    let tagged = node.commit(set("k")).await.expect("tagged");
    let acl = wire::SetAcl { acl: "public-read".into(), ..Default::default() };
    let shared = node.commit(mutation(bucket, "k", Op::SetAcl(acl))).await.expect("shared");
    assert_eq!((&shared.version_id, shared.modified_ms), (&tagged.version_id, tagged.modified_ms));
    node.commit(delete_version(bucket, "k", &version)).await.expect("deleted");
    for _ in 0..400 {
        if told(&other) == before + 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(told(&other), before + 3);
    let record = node.lookup(bucket, "k").await.expect("a record");
    assert_eq!((record.modified_ms, record.etag.as_str()), (tagged.modified_ms, "e2"));
    let meta = record.meta.expect("meta");
    assert_eq!((meta.tags, meta.acl.as_str()), (tag("v"), "public-read"));
    assert_eq!(node.commit(set("none")).await, Err(Refusal::NoSuchKey));
}

#[tokio::test]
async fn an_upload_is_completed_as_a_version() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    node.versioning(bucket, 1).await;
    node.put(bucket, "k", "old").await.expect("put");
    let create = mutation(bucket, "k", Op::CreateUpload(wire::CreateUpload::default()));
    let upload_id = node.commit(create).await.expect("an upload").upload_id;
    let op_id = op().to_wire();
    let part = wire::Part {
        number: 1,
        blob: Some(crate::node::blob(&op_id, 9)),
        md5: Bytes::from_static(&[1; 16]),
        ..Default::default()
    };
    let part = Op::PutPart(wire::PutPart { upload_id: upload_id.clone(), part: Some(part) });
    node.commit(wire::Mutation { op_id, ..mutation(bucket, "k", part) }).await.expect("a part");
    let parts = vec![wire::CompletedPart { number: 1, etag: "01".repeat(16), checksums: vec![] }];
    let complete = wire::CompleteUpload { upload_id, parts, ..Default::default() };
    let done = node.commit(mutation(bucket, "k", Op::CompleteUpload(complete))).await.expect("completed");
    let record = done.record.expect("a record");
    assert_eq!((record.version_id.len(), &record.version_id), (32, &done.version_id));
    let entries = node.versions(query(bucket, 10)).await.entries;
    assert_eq!((entries.len(), entries[0].version_id.as_str()), (2, done.version_id.as_str()));
    assert_eq!(db.count("freed").await, 0);
}
