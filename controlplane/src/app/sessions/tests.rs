//! Two leases on one stream, on a clock that only moves when everybody waits.

use std::time::Duration;

use bytes::Bytes;
use holdfast_common::wire::{self, session_down::Message};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::access::{Lengths, Owed};
use super::wait::{self, Acknowledgement};
use super::{REPLAY_ORDINAL, Sessions};

const BUCKET: u64 = 7;
/// Within the term, and far beyond it.
const SHORT: Lengths = Lengths { lease_ms: 2_000, access_ms: 8_000 };
const LONG: Lengths = Lengths { lease_ms: 2_000, access_ms: 3_600_000 };

fn leading(lengths: Lengths, owed: Owed) -> Sessions {
    let sessions = Sessions::new(lengths);
    sessions.begin_epoch(1, Instant::now() + Duration::from_secs(36_000), owed);
    sessions
}

struct Node {
    id: Uuid,
    session: Uuid,
    queue: mpsc::UnboundedReceiver<wire::SessionDown>,
}

/// A node that caches from the bucket, and has acknowledged its replay.
fn join(sessions: &Sessions, number: u128) -> Node {
    let (id, session) = (Uuid::from_u128(number), Uuid::from_u128(number << 64));
    let admitted = sessions.admit(session, id, "n", "test", None, &[BUCKET]).expect("it leads");
    sessions.acknowledge(session, REPLAY_ORDINAL);
    Node { id, session, queue: admitted.queue }
}

impl Node {
    /// Record lease and access lease that it was granted just now; `None`: it got no answer.
    fn renew(&mut self, sessions: &Sessions) -> Option<(u64, u64)> {
        while self.queue.try_recv().is_ok() {}
        sessions.renew(self.session, 1);
        match self.queue.try_recv().ok()?.message {
            Some(Message::Lease(lease)) => Some((lease.lease_ms, lease.access_ms.expect("said"))),
            other => panic!("no lease: {other:?}"),
        }
    }
}

fn commit(sessions: &Sessions) -> Vec<Acknowledgement> {
    let key = Bytes::from_static(b"k");
    let writer = [Uuid::nil()].into_iter();
    let begun = sessions.begin(writer, vec![(BUCKET, key.clone())]).expect("it leads");
    let seq = begun.range.start;
    sessions.publish(&begun, &[wire::InvalidatedKey { bucket_id: BUCKET, key, seq }], Vec::new())
}

fn configure(sessions: &Sessions) -> Vec<Acknowledgement> {
    sessions.publish_config(wire::ConfigChange { removed_keys: vec!["K".into()], ..Default::default() })
}

/// How long these are waited for, whole seconds.
async fn seconds(waits: Vec<Acknowledgement>) -> u64 {
    let began = Instant::now();
    wait::all(waits).await;
    began.elapsed().as_secs()
}

fn spawn(waits: Vec<Acknowledgement>) -> JoinHandle<u64> {
    tokio::spawn(seconds(waits))
}

#[tokio::test(start_paused = true)]
async fn who_is_late_with_a_commit_loses_the_record_lease_alone() {
    let sessions = leading(SHORT, Owed::default());
    let mut node = join(&sessions, 1);
    assert_eq!(node.renew(&sessions), Some((2_000, 8_000)));
    commit(&sessions);
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(node.renew(&sessions), Some((0, 8_000)));
    sleep(Duration::from_millis(300)).await;
    let facts = sessions.facts().remove(0);
    assert!(facts.connected && !facts.lease_live && facts.access_live);
    assert_eq!(seconds(commit(&sessions)).await, 0, "it asks before it answers, so nobody waits for it");
    sessions.acknowledge(node.session, u64::MAX);
    assert_eq!(node.renew(&sessions), Some((2_000, 8_000)), "it has caught up");
}

#[tokio::test(start_paused = true)]
async fn who_is_late_with_a_change_of_configuration_loses_both() {
    let sessions = leading(SHORT, Owed::default());
    let mut node = join(&sessions, 1);
    node.renew(&sessions).expect("leases");
    commit(&sessions);
    configure(&sessions);
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(node.renew(&sessions), None);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_configuration_waits_for_the_access_lease_and_a_commit_for_the_other() {
    let sessions = leading(SHORT, Owed::default());
    let mut node = join(&sessions, 1);
    node.renew(&sessions).expect("leases");
    sessions.disconnect(node.session);
    let (changed, committed) = (spawn(configure(&sessions)), spawn(commit(&sessions)));
    let placed = spawn(sessions.publish_placement(wire::ConfigChange::default()));
    assert_eq!(
        (committed.await.expect("waits"), placed.await.expect("waits"), changed.await.expect("waits")),
        (2, 2, 8)
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_both_waits_for_each_by_its_own_rule() {
    let sessions = leading(SHORT, Owed::default());
    let mut node = join(&sessions, 1);
    node.renew(&sessions).expect("leases");
    sessions.disconnect(node.session);
    let key = Bytes::from_static(b"k");
    let begun = sessions.begin([Uuid::nil(); 2].into_iter(), vec![(BUCKET, key.clone())]).expect("it leads");
    let keys = [wire::InvalidatedKey { bucket_id: BUCKET, key, seq: begun.range.start }];
    let waits = sessions.publish(&begun, &keys, vec![wire::ConfigChange::default()]);
    let committed = spawn(waits.iter().map(Acknowledgement::of_records).collect());
    assert_eq!((committed.await.expect("waits"), seconds(waits).await), (2, 6), "one after the other");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_remembered_for_as_long_as_its_access_lease_runs_and_takes_no_room() {
    let sessions = leading(LONG, Owed::default());
    let mut node = join(&sessions, 1);
    node.renew(&sessions).expect("leases");
    sessions.disconnect(node.session);
    sleep(Duration::from_secs(3_500)).await;
    sessions.sweep();
    for _ in 0..100 {
        configure(&sessions);
    }
    assert_eq!(
        sessions.hub.lock().sessions[&node.session].unacknowledged.len(),
        0,
        "it will acknowledge nothing"
    );
    let waited = seconds(configure(&sessions)).await;
    assert!((100..=105).contains(&waited), "{waited}: with what clocks may be apart after an hour");
    sessions.sweep();
    assert!(sessions.facts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_revoked_node_is_waited_for_until_its_access_lease_has_run_out() {
    let sessions = leading(LONG, Owed::default());
    let mut node = join(&sessions, 1);
    node.renew(&sessions).expect("leases");
    sessions.revoke(node.id);
    assert!(sessions.facts()[0].access_live && !sessions.facts()[0].connected);
    assert!(seconds(configure(&sessions)).await >= 3_600);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_reign_waits_for_what_ends_with_the_term_and_says_that_leases_run_on() {
    for (lengths, secs) in [(SHORT, 8), (LONG, 2)] {
        let sessions = leading(lengths, Owed::default());
        let mut node = join(&sessions, 1);
        node.renew(&sessions).expect("leases");
        assert_eq!(sessions.end_epoch("it stops").as_secs(), secs);
        let Some(Message::Goodbye(bye)) = node.queue.try_recv().expect("a goodbye").message else {
            panic!("something else")
        };
        assert!(bye.lease_untouched);
        // A change that comes too late is not believed to be known before they have run out.
        assert_eq!(seconds(configure(&sessions)).await, if lengths.access_ms == 8_000 { 8 } else { 3_603 });
    }
}

#[tokio::test(start_paused = true)]
async fn what_earlier_leaders_granted_is_owed_until_all_have_joined_or_it_has_run_out() {
    let nodes = [Uuid::from_u128(1), Uuid::from_u128(2)].into();
    let owed = Owed { left: Duration::from_secs(600), nodes };
    let sessions = leading(LONG, owed.clone());
    assert_eq!(seconds(commit(&sessions)).await, 0, "commits do not wait for access leases");
    let changed = spawn(configure(&sessions));
    join(&sessions, 1);
    sleep(Duration::from_secs(30)).await;
    assert!(!changed.is_finished());
    join(&sessions, 2);
    assert_eq!(changed.await.expect("waits"), 30);
    let changed = configure(&sessions).into_iter().filter(|wait| wait.session.is_nil()).count();
    assert_eq!(changed, 0, "nothing is owed any more");
    let sessions = leading(LONG, owed);
    assert_eq!(seconds(configure(&sessions)).await, 600);
}

#[tokio::test(start_paused = true)]
async fn a_debt_outlives_the_reign_in_which_it_was_waited_for() {
    let owed = Owed { left: Duration::from_secs(600), nodes: [Uuid::from_u128(1)].into() };
    let sessions = leading(LONG, owed);
    let changed = spawn(configure(&sessions));
    sleep(Duration::from_secs(1)).await;
    sessions.end_epoch("another leads");
    sessions.begin_epoch(2, Instant::now() + Duration::from_secs(10), Owed::default());
    assert_eq!(changed.await.expect("waits"), 600);
}
