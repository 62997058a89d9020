//! Pages of versions: against an obvious oracle, behind versions that are gone, and by which indexes.

use bytes::Bytes;
use holdfast_common::wire::{self, ListVersionsQuery, VersionEntry};
use holdfast_controlplane::store::{Store, migrate, version};

use super::query;
use crate::node::{Node, delete, delete_version, outcome, put};
use crate::rig::Db;

/// Filters and folds a complete listing, then cuts the page.
fn oracle(all: &[VersionEntry], query: &ListVersionsQuery) -> (Vec<VersionEntry>, bool) {
    let group = |key: &[u8]| {
        let rest = &key[query.prefix.len()..];
        (0..rest.len())
            .find(|at| !query.delimiter.is_empty() && rest[*at..].starts_with(&query.delimiter))
            .map(|at| Bytes::copy_from_slice(&key[..query.prefix.len() + at + query.delimiter.len()]))
    };
    let named =
        |entry: &&VersionEntry| entry.key == query.key_marker && entry.version_id == query.version_id_marker;
    let marked = all.iter().position(|entry| named(&entry));
    let mut entries: Vec<VersionEntry> = Vec::new();
    for (place, entry) in all.iter().enumerate().filter(|(_, entry)| entry.key.starts_with(&query.prefix)) {
        let behind = marked.map_or(entry.key > query.key_marker, |marked| place > marked);
        let skipped = group(&entry.key).is_some_and(|group| group == query.key_marker);
        if !behind || skipped {
            continue;
        }
        let line = match group(&entry.key) {
            Some(key) => VersionEntry { key, common_prefix: true, ..Default::default() },
            None => entry.clone(),
        };
        if entries.last() != Some(&line) {
            entries.push(line);
        }
    }
    let max = query.max_keys as usize;
    let truncated = entries.len() > max;
    entries.truncate(max);
    (entries, truncated)
}

#[tokio::test]
async fn pages_agree_with_the_oracle() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let keys = ["a", "a/", "a/b", "a/b/c", "b", "m/0/1", "m/0/2", "m/1/1", "z"];
    let everywhere = async |item: fn(u64, &str) -> wire::Mutation| {
        for wait in node.send(keys.iter().map(|key| item(bucket, key)).collect()) {
            outcome(wait.await.expect("an answer")).expect("done");
        }
    };
    everywhere(|bucket, key| put(bucket, key, "null")).await;
    node.versioning(bucket, 1).await;
    for _ in 0..3 {
        everywhere(|bucket, key| put(bucket, key, "e")).await;
        everywhere(delete).await;
    }
    for key in ["a/b", "z"] {
        node.put(bucket, key, "live").await.expect("put");
    }
    let all = node.versions(query(bucket, 1000)).await.entries;
    assert_eq!(all.len(), 9 * 7 + 2);
    for prefix in ["", "a", "a/", "m/", "zz"] {
        for delimiter in ["", "/", "b"] {
            for max_keys in [1, 2, 5, 1000] {
                let mut query = ListVersionsQuery {
                    prefix: Bytes::from_static(prefix.as_bytes()),
                    delimiter: Bytes::from_static(delimiter.as_bytes()),
                    ..query(bucket, max_keys)
                };
                loop {
                    let page = node.versions(query.clone()).await;
                    assert_eq!((page.entries, page.truncated), oracle(&all, &query), "{query:?}");
                    if !page.truncated {
                        break;
                    }
                    query.key_marker = page.next_key_marker;
                    query.version_id_marker = page.next_version_id_marker;
                }
            }
        }
    }
    // A key marker alone passes all of its versions.
    let after = ListVersionsQuery { key_marker: Bytes::from_static(b"m/1/1"), ..query(bucket, 3) };
    assert_eq!(node.versions(after).await.entries[0].key.as_ref(), b"z");
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_was_deleted() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    node.put(bucket, "k", "0").await.expect("put");
    node.versioning(bucket, 1).await;
    for n in 1..10 {
        node.put(bucket, "k", &n.to_string()).await.expect("put");
    }
    let etags = |page: &wire::ListVersionsAnswer| {
        page.entries.iter().map(|entry| (entry.etag.clone(), entry.latest)).collect::<Vec<_>>()
    };
    let etag = |text: &str, latest| (text.to_owned(), latest);
    let first = node.versions(query(bucket, 3)).await;
    assert_eq!(etags(&first), [etag("9", true), etag("8", false), etag("7", false)]);
    let next = ListVersionsQuery {
        key_marker: first.next_key_marker.clone(),
        version_id_marker: first.next_version_id_marker.clone(),
        ..query(bucket, 2)
    };
    // The marker alone is gone: no version comes twice.
    node.commit(delete_version(bucket, "k", &first.entries[2].version_id)).await.expect("deleted");
    assert_eq!(etags(&node.versions(next.clone()).await), [etag("6", false), etag("5", false)]);
    // All of the page is gone: what comes first now is what is current.
    for entry in &first.entries[..2] {
        node.commit(delete_version(bucket, "k", &entry.version_id)).await.expect("deleted");
    }
    assert_eq!(etags(&node.versions(next.clone()).await), [etag("6", true), etag("5", false)]);
    let marker = node.commit(delete(bucket, "k")).await.expect("marked").version_id;
    assert_eq!(etags(&node.versions(next).await), [etag("6", false), etag("5", false)]);
    // Where a null version stood nobody knows: all that is left comes.
    let behind = |version_id: &str| ListVersionsQuery {
        key_marker: Bytes::from_static(b"k"),
        version_id_marker: version_id.into(),
        ..query(bucket, 1000)
    };
    assert!(node.versions(behind("null")).await.entries.is_empty());
    node.commit(delete_version(bucket, "k", "null")).await.expect("deleted");
    assert_eq!(node.versions(behind("null")).await.entries.len(), 7);
    assert_eq!(node.versions(behind(&marker)).await.entries.len(), 6);
    for nonsense in ["nonsense", "no\0version", "'"] {
        assert_eq!(node.versions(behind(nonsense)).await.entries.len(), 7);
    }
}

/// Nothing is sorted and nothing is read through, even as planned while the tables are empty: pages walk an index in order,
/// and a version of a key that has a million is found by its name.
#[tokio::test]
async fn pages_and_lookups_are_index_scans() {
    let db = Db::fresh().await;
    let store = Store::connect(&db.address()).await.expect("connects");
    migrate::run(&store).await.expect("runs");
    let client = store.client().await.expect("a connection");
    for (types, text, values, indexes) in [
        (
            "bigint, bytea, bytea, bigint",
            version::RANGE,
            "1, 'a', 'b', 10",
            &["head_pkey", "version_newest_first"][..],
        ),
        (
            "bigint, bytea, bigint, bigint",
            version::REST,
            "1, 'a', 9, 10",
            &["head_pkey", "version_newest_first"],
        ),
        (
            "bigint[], bytea[]",
            &version::SELECT_CURRENT,
            "'{1}', '{a}'",
            &["head_pkey", "version_newest_first"],
        ),
        ("bigint[], bytea[]", &version::SELECT_NEWEST, "'{1}', '{a}'", &["version_newest_first"]),
        (
            "bigint[], bytea[], text[]",
            &version::SELECT_ANY_NAMED,
            "'{1}', '{a}', '{x}'",
            &["head_pkey", "version_pkey"],
        ),
        ("bigint[], bytea[], text[]", version::DELETE, "'{1}', '{a}', '{x}'", &["version_pkey"]),
        ("bigint, bytea, text, uuid", version::PLACE, "1, 'a', 'x', NULL", &["head_pkey", "version_pkey"]),
    ] {
        let prepare = format!("DEALLOCATE ALL; PREPARE asked ({types}) AS {text}");
        client.batch_execute(&prepare).await.expect("prepares");
        let rows = client.simple_query(&format!("EXPLAIN EXECUTE asked ({values})")).await.expect("explains");
        let line = |row: &tokio_postgres::SimpleQueryMessage| match row {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        let plan = rows.iter().filter_map(line).collect::<Vec<_>>().join("\n");
        assert!(!plan.contains("Sort") && !plan.contains("Seq Scan") && !plan.contains("Bitmap"), "{plan}");
        for index in indexes {
            assert!(plan.contains(&format!("using {index} on")), "{index} is not used:\n{plan}");
        }
    }
}
