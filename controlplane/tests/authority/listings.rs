//! Listings against an obvious oracle, and the other reads.

use std::collections::BTreeSet;

use bytes::Bytes;
use holdfast_common::wire::{self, answer::Answer, query::Query as Ask};

use crate::node::{Node, outcome, put};
use crate::rig::Db;

/// Filters and folds everything, then cuts the page.
fn oracle(keys: &BTreeSet<Vec<u8>>, query: &wire::ListQuery) -> (Vec<(Vec<u8>, bool)>, bool) {
    let mut entries: Vec<(Vec<u8>, bool)> = Vec::new();
    let group = |key: &[u8]| {
        let rest = &key[query.prefix.len()..];
        (0..rest.len())
            .find(|at| !query.delimiter.is_empty() && rest[*at..].starts_with(&query.delimiter))
            .map(|at| key[..query.prefix.len() + at + query.delimiter.len()].to_vec())
    };
    for key in keys.iter().filter(|key| key.starts_with(&query.prefix)) {
        let in_skipped_group = group(key).is_some_and(|group| query.after.starts_with(&group));
        if key.as_slice() <= query.after.as_ref() || in_skipped_group {
            continue;
        }
        let entry = group(key).map_or((key.clone(), false), |group| (group, true));
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    let max = query.max_keys as usize;
    let truncated = entries.len() > max;
    entries.truncate(max);
    (entries, truncated)
}

async fn list(node: &Node, query: wire::ListQuery) -> wire::ListAnswer {
    match node.query(Ask::List(query)).await {
        Answer::List(list) => list,
        other => panic!("not a listing: {other:?}"),
    }
}

#[tokio::test]
async fn pages_agree_with_the_oracle() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let neighbour = node.bucket("c").await;
    let mut keys: BTreeSet<Vec<u8>> =
        ["a", "a/", "a/b", "a/b/c", "a/b/c/d", "b", "B", "é", "zz", "a0", "日本/1", "日本/2", "\u{10ffff}x"]
            .iter()
            .map(|key| key.as_bytes().to_vec())
            .collect();
    keys.extend((0..300).map(|n| format!("many/{}/{n:03}", n / 100).into_bytes()));
    let items: Vec<_> = keys
        .iter()
        .flat_map(|key| {
            let key = std::str::from_utf8(key).expect("utf-8");
            [put(bucket, key, "e"), put(neighbour, &format!("other{key}"), "e")]
        })
        .collect();
    for wait in node.send(items) {
        outcome(wait.await.expect("an answer")).expect("put");
    }
    for prefix in ["", "a", "a/", "many/", "many/1", "zzz", "日"] {
        for delimiter in ["", "/", "0", "/b"] {
            for max_keys in [1, 2, 7, 1000] {
                walk(&node, &keys, bucket, (prefix, delimiter, max_keys)).await;
            }
        }
    }
    let one = list(
        &node,
        wire::ListQuery {
            bucket_id: bucket,
            after: Bytes::from_static(b"a/b"),
            max_keys: 3,
            delimiter: Bytes::from_static(b"/"),
            ..Default::default()
        },
    )
    .await;
    assert_eq!(one.entries[0].key.as_ref(), b"a0", "start-after within a group skips all of it");
}

async fn walk(
    node: &Node,
    keys: &BTreeSet<Vec<u8>>,
    bucket: u64,
    (prefix, delimiter, max_keys): (&str, &str, u32),
) {
    let mut query = wire::ListQuery {
        bucket_id: bucket,
        prefix: Bytes::copy_from_slice(prefix.as_bytes()),
        delimiter: Bytes::copy_from_slice(delimiter.as_bytes()),
        after: Bytes::new(),
        max_keys,
    };
    for _ in 0..6 {
        let page = list(node, query.clone()).await;
        let entries: Vec<_> =
            page.entries.iter().map(|entry| (entry.key.to_vec(), entry.common_prefix)).collect();
        assert_eq!((entries, page.truncated), oracle(keys, &query), "{query:?}");
        if !page.truncated {
            return;
        }
        query.after = page.next_after;
    }
}

#[tokio::test]
async fn placements_are_interned() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let drives = (0..4).map(|n| wire::Drive {
        drive_id: vec![n; 16].into(),
        state: "active".into(),
        ..Default::default()
    });
    let hello = wire::Hello { drives: drives.collect(), ..crate::node::hello() };
    let node = Node::join_as(running.grpc_addr, hello.clone()).await.expect("a welcome");
    let backends: Vec<u32> =
        node.welcome.config.as_ref().expect("a snapshot").backends.iter().map(|row| row.backend_id).collect();
    assert_eq!(backends, [1, 2, 3, 4]);
    let ask = |backends: Vec<u32>| Ask::Placement(wire::PlacementQuery { backends });
    let id = |answer| match answer {
        Answer::Placement(placement) => placement.placement_id,
        other => panic!("not a placement: {other:?}"),
    };
    let first = id(node.query(ask(vec![1, 2, 3])).await);
    let second = id(node.query(ask(vec![3, 2, 1])).await);
    assert_ne!(first, second);
    assert_eq!(first, id(node.query(ask(vec![1, 2, 3])).await));
    assert!(matches!(node.query(ask(vec![1, 9])).await, Answer::Refused(_)));
    assert!(matches!(node.query(ask(vec![1, 1])).await, Answer::Refused(_)));
    // The same drives again have the same ids, on any node.
    let again =
        Node::join_as(running.grpc_addr, wire::Hello { node_id: crate::node::hello().node_id, ..hello })
            .await
            .expect("a welcome");
    let config = again.welcome.config.expect("a snapshot");
    assert_eq!((config.backends.len(), config.placements.len()), (4, 3), "and the one that is always there");
}
