//! How many commits a second, printed: `cargo test --release -p holdfast-controlplane --test authority -- --ignored --nocapture`.

use std::time::Instant;

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
