//! The schema arrives once, whoever starts and how often.

use holdfast_controlplane::store::{Store, changelog, migrate};

use crate::node::{Node, now_ms};
use crate::rig::Db;

#[tokio::test]
async fn running_twice_is_harmless() {
    let db = Db::fresh().await;
    let store = Store::connect(&db.address()).await.expect("connects");
    assert_eq!(migrate::run(&store).await.expect("runs"), 14);
    assert_eq!(migrate::run(&store).await.expect("runs again"), 0);
}

#[tokio::test]
async fn two_concurrent_starts_migrate_once() {
    let db = Db::fresh().await;
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = Store::connect(&db.address()).await.expect("connects");
        runs.spawn(async move { migrate::run(&store).await.expect("runs") });
    }
    assert_eq!(runs.join_all().await.into_iter().sum::<usize>(), 14);
    assert_eq!(db.count("schema_migration").await, 14);
    assert_eq!(db.count("authority").await, 1);
}

/// A database of before versions, with a bucket and an object in it.
#[tokio::test]
async fn what_was_there_before_versions_is_the_null_version() {
    let db = Db::fresh().await;
    let store = Store::connect(&db.address()).await.expect("connects");
    migrate::run(&store).await.expect("runs");
    let back = "DROP INDEX version_newest_first;
        ALTER TABLE version DROP CONSTRAINT version_pkey, ADD PRIMARY KEY (bucket_id, key, seq);
        CREATE UNIQUE INDEX version_by_id ON version (bucket_id, key, version_id);
        DELETE FROM schema_migration WHERE name = '0008_versions';";
    db.client().await.batch_execute(back).await.expect("as it was");
    let running = db.start_with_delay(0).await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    node.put(bucket, "k", "old").await.expect("put");
    running.stop().await;
    db.client().await.batch_execute(back).await.expect("as it was");
    assert_eq!(migrate::run(&store).await.expect("runs"), 1);
    assert_eq!(migrate::run(&store).await.expect("runs again"), 0);
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    node.versioning(bucket, 1).await;
    node.put(bucket, "k", "new").await.expect("put");
    let old = node.lookup_version(bucket, "k", "null").await.expect("the null version");
    assert_eq!((old.etag.as_str(), old.version_id.as_str()), ("old", ""));
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let db = Db::fresh().await;
    let store = Store::connect(&db.address()).await.expect("connects");
    migrate::run(&store).await.expect("runs");
    db.client()
        .await
        .batch_execute("UPDATE schema_migration SET digest = 'x' WHERE name = '0002_places'")
        .await
        .expect("edits");
    let error = migrate::run(&store).await.expect_err("refused").to_string();
    assert!(error.contains("0002_places"), "{error}");
}

#[tokio::test]
async fn the_changelog_is_partitioned_ahead_and_trimmed() {
    let db = Db::fresh().await;
    let store = Store::connect(&db.address()).await.expect("connects");
    migrate::run(&store).await.expect("runs");
    let client = store.client().await.expect("a connection");
    let day = 86_400_000;
    let now = now_ms();
    // A clock two days ahead: the row is in the default partition until its day's is made.
    let ahead = holdfast_common::id::OpId::new(now + 2 * day, [1; 10]).uuid();
    let row = "INSERT INTO changelog (op_id, seq, epoch, bucket_id, key, kind, outcome) VALUES ($1, $2, 1, 1, '', 1, '')";
    client.execute(row, &[&ahead, &7i64]).await.expect("a row");
    assert_eq!(db.count("changelog_default").await, 1);
    assert_eq!(changelog::upkeep(&client, now).await.expect("upkeep"), (5, 0));
    assert_eq!(changelog::upkeep(&client, now).await.expect("upkeep again"), (0, 0));
    assert_eq!((db.count("changelog_default").await, db.count("changelog").await), (0, 1));
    // Three weeks later all of it is gone, and replays know from where they are complete.
    let (_, dropped) = changelog::upkeep(&client, now + 21 * day).await.expect("upkeep later");
    assert_eq!((dropped, db.count("changelog").await), (5, 0));
    assert!(changelog::since(&client, 6, 10).await.expect("reads").is_none());
    assert!(changelog::since(&client, 7, 10).await.expect("reads").is_some());
}
