//! How many commits a second, printed: `cargo test --release -p holdfast-controlplane --test authority -- --ignored --nocapture`.

use std::time::Instant;

use bytes::Bytes;
use holdfast_common::wire::{self, query::Query as Ask};

use crate::node::{Node, lookup, outcome, put};
use crate::rig::Db;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; run it alone"]
async fn commits_per_second() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    for (window, total) in [(1usize, 500usize), (32, 10_000), (256, 40_000), (2048, 80_000)] {
        let began = Instant::now();
        let mut waiting = std::collections::VecDeque::new();
        for n in 0..total {
            if waiting.len() == window {
                let wait: tokio::sync::oneshot::Receiver<_> = waiting.pop_front().expect("waiting");
                outcome(wait.await.expect("an answer")).expect("put");
            }
            waiting.extend(node.send(vec![put(
                bucket,
                &format!("w{window}/{n:08}"),
                "0123456789abcdef0123456789abcdef",
            )]));
        }
        for wait in waiting {
            outcome(wait.await.expect("an answer")).expect("put");
        }
        let seconds = began.elapsed().as_secs_f64();
        eprintln!(
            "window {window:5}: {:8.0} commits/s, {:6.3} ms each",
            total as f64 / seconds,
            seconds * 1e3 / total as f64 * window as f64
        );
    }
    let began = Instant::now();
    for n in 0..2000 {
        node.ask(lookup(bucket, &format!("w2048/{n:08}"))).await.expect("an answer");
    }
    eprintln!("lookups, one at a time: {:.0} us", began.elapsed().as_secs_f64() * 1e6 / 2000.0);
    let text = running.authority.metrics_text();
    for line in text
        .lines()
        .filter(|line| line.contains("batch_items_") && !line.contains("bucket") || line.contains("reruns"))
    {
        eprintln!("{line}");
    }
}

/// The median of several.
async fn timed(node: &Node, what: &str, ask: impl Fn() -> wire::query::Query) {
    let mut took = Vec::new();
    let mut found = (0, false);
    for _ in 0..9 {
        let began = Instant::now();
        found = match node.query(ask()).await {
            wire::answer::Answer::List(page) => (page.entries.len(), page.truncated),
            wire::answer::Answer::ListVersions(page) => (page.entries.len(), page.truncated),
            other => panic!("not a page: {other:?}"),
        };
        took.push(began.elapsed());
    }
    took.sort_unstable();
    eprintln!("{what}: {} entries, more: {}, {:?}", found.0, found.1, took[took.len() / 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; run it alone"]
async fn pages_of_a_million() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let [plain, grouped, marked, deep] = [
        node.bucket("plain").await,
        node.bucket("grouped").await,
        node.bucket("marked").await,
        node.bucket("deep").await,
    ];
    let heads = |bucket: u64, key: &str, rows: u32| {
        format!(
            "INSERT INTO head (bucket_id, key, seq, op_id, size, modified_ms, etag, tenant_id, manifest, meta)
             SELECT {bucket}, ({key})::bytea, n, gen_random_uuid(), 100, 0, md5(n::text), 1,
                 decode(repeat('00', 150), 'hex'), '' FROM generate_series(0, {rows} - 1) AS n;"
        )
    };
    // Of each key: a marker, an object, a marker; or 900,000 markers of one.
    let versions = |bucket: u64, key: &str, marker: &str, rows: u32| {
        format!(
            "INSERT INTO version (bucket_id, key, seq, op_id, version_id, delete_marker, size, modified_ms, etag, tenant_id,
                 manifest, meta)
             SELECT {bucket}, ({key})::bytea, n + 1, id, replace(id::text, '-', ''), {marker}, 100, 0, '', 1, '', ''
             FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(0, {rows} - 1) AS n) AS ids;"
        )
    };
    let key = |prefix: &str, number: &str| format!("'{prefix}' || lpad(({number})::text, 7, '0')");
    let fill = [
        heads(plain, &key("p/", "n"), 1_000_000),
        // One group of 900,000, and 100 of 1,000.
        heads(grouped, &key("g/", "n"), 900_000),
        heads(grouped, "'h' || lpad((n / 1000)::text, 4, '0') || '/' || n", 100_000),
        versions(marked, &key("k", "n / 3"), "n % 3 <> 1", 900_000),
        heads(marked, &key("z", "n"), 2_000),
        versions(deep, "'k'", "true", 900_000),
        versions(deep, "'l'", "true", 2_000),
        "VACUUM ANALYZE head; ".into(),
    ];
    for text in fill {
        for text in text.split_inclusive("; ") {
            db.client().await.batch_execute(text).await.expect("rows");
        }
    }
    db.client().await.batch_execute("VACUUM ANALYZE version").await.expect("analyzed");
    let list = |bucket_id, delimiter: &'static str, after: &str| {
        let after = Bytes::copy_from_slice(after.as_bytes());
        let delimiter = Bytes::from_static(delimiter.as_bytes());
        move || {
            Ask::List(wire::ListQuery {
                bucket_id,
                delimiter: delimiter.clone(),
                after: after.clone(),
                max_keys: 1000,
                ..Default::default()
            })
        }
    };
    timed(&node, "1,000,000 keys, start ", list(plain, "", "")).await;
    timed(&node, "1,000,000 keys, middle", list(plain, "", "p/0500000")).await;
    timed(&node, "1,000,000 keys, end   ", list(plain, "", "p/0998998")).await;
    timed(&node, "1,000,000 keys in one group", list(plain, "/", "")).await;
    timed(&node, "900,000 keys in one group, 100 groups of 1,000", list(grouped, "/", "")).await;
    timed(&node, "a delimiter that is in no key", list(plain, "#", "p/0500000")).await;
    timed(&node, "2,000 objects behind 300,000 deleted keys", list(marked, "", "")).await;
    let place = async |bucket: u64, offset: u32| {
        let row = format!(
            "SELECT convert_from(key, 'UTF8'), version_id FROM version WHERE bucket_id = {bucket}
             ORDER BY key, seq DESC LIMIT 1 OFFSET {offset}"
        );
        let row = db.client().await.query_one(&row, &[]).await.expect("a version");
        (row.get::<_, String>(0), row.get::<_, String>(1))
    };
    let pages = |bucket_id, delimiter: &'static str, (key, version_id_marker): (String, String)| {
        let key_marker = Bytes::from(key.into_bytes());
        move || {
            Ask::ListVersions(wire::ListVersionsQuery {
                bucket_id,
                delimiter: Bytes::from_static(delimiter.as_bytes()),
                key_marker: key_marker.clone(),
                version_id_marker: version_id_marker.clone(),
                max_keys: 1000,
                ..Default::default()
            })
        }
    };
    for (what, bucket) in [("300,000 keys of 3 versions", marked), ("a key of 900,000 markers", deep)] {
        timed(&node, &format!("{what}, start "), pages(bucket, "", Default::default())).await;
        timed(&node, &format!("{what}, middle"), pages(bucket, "", place(bucket, 450_000).await)).await;
        timed(&node, &format!("{what}, end   "), pages(bucket, "", place(bucket, 898_998).await)).await;
    }
    let behind = ("k".to_owned(), String::new());
    timed(&node, "behind a key of 900,000 markers", pages(deep, "", behind)).await;
    timed(&node, "versions by a delimiter of all", pages(marked, "0", Default::default())).await;
    timed(&node, "versions of 100 groups of 1,000", pages(grouped, "/", Default::default())).await;
}

#[tokio::test]
#[ignore = "prints figures; run it alone"]
async fn work_is_leased_from_long_queues() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = crate::work::with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let fill = format!(
        "INSERT INTO freed (op_id, seq, blob, freed_ms, placement_id, not_before)
             SELECT gen_random_uuid(), 0, '', 0, {placement}, clock_timestamp() + interval '1 hour'
             FROM generate_series(1, 300000);
         INSERT INTO job (job_id, kind, subject, payload, created_ms, missing, slack, placement_id, not_before)
             SELECT id, 'repair', id, '', 0, 1, n % 3, {placement},
                 CASE WHEN n % 2 = 0 THEN '-infinity' ELSE clock_timestamp() + interval '1 hour' END
             FROM (SELECT gen_random_uuid() AS id, n FROM generate_series(1, 300000) AS n) AS some_ids;
         ANALYZE;"
    );
    db.client().await.batch_execute(&fill).await.expect("rows");
    let timed = async |what: &str, deletes: u32, repairs: u32| {
        let began = Instant::now();
        let found = crate::work::lease(&node, deletes, repairs).await.len();
        eprintln!("{what}: {found} jobs in {:?}", began.elapsed());
    };
    for _ in 0..3 {
        timed("deletions, none of 300,000 due", 1000, 0).await;
        timed("repairs, half of 300,000 due", 0, 64).await;
    }
    db.client().await.batch_execute("UPDATE freed SET not_before = '-infinity'").await.expect("due");
    for _ in 0..3 {
        timed("deletions, all of 300,000 due", 1000, 0).await;
    }
    let began = Instant::now();
    running.authority.count_work().await.expect("counts");
    eprintln!("counted in {:?}", began.elapsed());
}
