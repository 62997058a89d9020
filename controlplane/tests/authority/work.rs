//! Deletions and repairs: who gets them, what their reports do, what nodes find missing.

use bytes::Bytes;
use holdfast_common::wire::job_report::Outcome;
use holdfast_common::wire::work_answer::What as Answer;
use holdfast_common::wire::work_request::What;
use holdfast_common::wire::{
    self, Deficit, Deficits, Hello, JobReport, JobReports, LeaseJobs, Refusal, WorkRequest, job::Kind,
    mutation::Op,
};

use crate::node::{Node, blob, delete, hello, op, put, random};
use crate::rig::Db;

/// A node with four drives, and their backends.
pub(crate) async fn with_drives(addr: std::net::SocketAddr) -> (Node, Hello, Vec<u32>) {
    let drive = |n: u8| wire::Drive {
        drive_id: Bytes::copy_from_slice(&random::<16>()),
        label: format!("/drive{n}"),
        capacity_bytes: 1 << 30,
        free_bytes: 1 << 29,
        state: "active".into(),
        work: None,
    };
    let hello = Hello { drives: (0..4).map(drive).collect(), ..hello() };
    let node = Node::join_as(addr, hello.clone()).await.expect("a welcome");
    let config = node.welcome.config.clone().expect("a snapshot");
    let mine = config.backends.iter().filter(|backend| backend.node_id == hello.node_id);
    let backends = mine.map(|backend| backend.backend_id).collect();
    (node, hello, backends)
}

pub(crate) async fn lease(node: &Node, deletes_max: u32, repairs_max: u32) -> Vec<wire::Job> {
    jobs(node, LeaseJobs { deletes_max, repairs_max, ..Default::default() }).await.items
}

async fn jobs(node: &Node, asked: LeaseJobs) -> wire::Jobs {
    match node.work(What::Lease(asked)).await {
        Answer::Jobs(jobs) => {
            assert!(jobs.lease_ms > 0);
            jobs
        }
        other => panic!("no jobs: {other:?}"),
    }
}

/// Which of these leases the node still has, prolonged.
async fn renew(node: &Node, op_ids: &[&Bytes]) -> Vec<Bytes> {
    let renew = op_ids.iter().map(|op_id| (*op_id).clone()).collect();
    jobs(node, LeaseJobs { renew, ..Default::default() }).await.renewed
}

pub(crate) async fn report(node: &Node, kind: Kind, op_id: &Bytes, outcome: Outcome, missing: u64) {
    let (kind, outcome) = (kind.into(), outcome.into());
    let report = JobReport { kind, op_id: op_id.clone(), outcome, missing, detail: "said so".into() };
    let answer = node.work(What::Reports(JobReports { items: vec![report] })).await;
    assert!(matches!(answer, Answer::Noted(_)), "{answer:?}");
}

pub(crate) async fn deficit(node: &Node, blob: &wire::Blob, missing: u64) {
    let item = Deficit { blob: Some(blob.clone()), missing, reason: "scrub".into() };
    let answer = node.work(What::Deficits(Deficits { items: vec![item] })).await;
    assert!(matches!(answer, Answer::Noted(_)), "{answer:?}");
}

/// A PUT on this placement, with these fragments durable.
pub(crate) fn put_on(placement_id: u32, bucket: u64, key: &str, proven: u64) -> wire::Mutation {
    let mut put = put(bucket, key, "e");
    if let Some(Op::Put(put)) = &mut put.op {
        let blob = put.manifest.as_mut().expect("a manifest").parts[0].blob.as_mut().expect("a blob");
        (blob.placement_id, blob.proven) = (placement_id, proven);
    }
    put
}

pub(crate) fn blob_of(put: &wire::Mutation) -> wire::Blob {
    let Some(Op::Put(put)) = &put.op else { panic!("not a put") };
    put.manifest.as_ref().expect("a manifest").parts[0].blob.clone().expect("a blob")
}

/// Lets the lease or the pause of everything run out.
pub(crate) async fn time_passes(db: &Db) {
    let text = "UPDATE freed SET not_before = '-infinity'; UPDATE job SET not_before = '-infinity'";
    db.client().await.batch_execute(text).await.expect("time passes");
}

#[tokio::test]
async fn what_is_freed_is_deleted_once_by_the_node_that_holds_it() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let (other, _, _) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = node.bucket("b").await;
    let kept = put_on(placement, bucket, "kept", 0b1111);
    node.commit(kept).await.expect("put");
    let gone = put_on(placement, bucket, "k", 0b1111);
    node.commit(gone.clone()).await.expect("put");
    assert!(lease(&node, 10, 10).await.is_empty(), "nothing is free yet");
    node.commit(delete(bucket, "k")).await.expect("delete");
    assert!(lease(&other, 10, 10).await.is_empty(), "another's");
    let jobs = lease(&node, 10, 10).await;
    assert_eq!((jobs.len(), jobs[0].kind(), jobs[0].attempts), (1, Kind::Delete, 1));
    assert_eq!(jobs[0].blob, Some(blob_of(&gone)));
    assert!(lease(&node, 10, 10).await.is_empty(), "it is leased");
    // The node died; or it could not, and says so.
    time_passes(&db).await;
    assert_eq!(lease(&node, 10, 10).await[0].attempts, 2);
    report(&node, Kind::Delete, &gone.op_id, Outcome::Later, 0).await;
    assert!(lease(&node, 10, 10).await.is_empty(), "there is a pause first");
    time_passes(&db).await;
    assert_eq!(lease(&node, 10, 10).await[0].attempts, 3);
    report(&other, Kind::Delete, &gone.op_id, Outcome::Done, 0).await;
    assert_eq!(db.count("freed").await, 1, "who has not leased it has no say");
    report(&node, Kind::Delete, &gone.op_id, Outcome::Done, 0).await;
    report(&node, Kind::Delete, &gone.op_id, Outcome::Done, 0).await;
    assert_eq!(db.count("freed").await, 0);
}

#[tokio::test]
async fn a_lease_is_renewed_by_who_has_it_and_by_nobody_else() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let (other, _, more) = with_drives(running.grpc_addr).await;
    let placement = node.placement(vec![backends[0], more[0], backends[1], more[1]]).await;
    let bucket = node.bucket("b").await;
    let (thin, gone) = (put_on(placement, bucket, "thin", 0b0111), put_on(placement, bucket, "k", 0b1111));
    node.commit(thin.clone()).await.expect("put");
    node.commit(gone.clone()).await.expect("put");
    node.commit(delete(bucket, "k")).await.expect("delete");
    let both = [&thin.op_id, &gone.op_id];
    assert!(renew(&node, &both).await.is_empty(), "nothing is leased yet");
    assert_eq!(lease(&node, 10, 10).await.len(), 2);
    // Half a minute is left.
    let soon = "clock_timestamp() + interval '30 seconds'";
    let text = format!("UPDATE freed SET not_before = {soon}; UPDATE job SET not_before = {soon}");
    db.client().await.batch_execute(&text).await.expect("time passes");
    let later = "(SELECT not_before FROM freed UNION ALL SELECT not_before FROM job) AS leases
         WHERE not_before > clock_timestamp() + interval '60 seconds'";
    let prolonged = async || db.number(&format!("SELECT count(*) FROM {later}")).await;
    assert!(renew(&other, &both).await.is_empty());
    assert_eq!(prolonged().await, 0, "another's");
    let mut renewed = renew(&node, &both).await;
    renewed.sort();
    let mut expected = both.map(Bytes::clone);
    expected.sort();
    assert_eq!((renewed, prolonged().await), (expected.to_vec(), 2));
    // It ran out: until another has it, it may be had back.
    time_passes(&db).await;
    assert_eq!(renew(&node, &both).await.len(), 2);
    time_passes(&db).await;
    assert_eq!(lease(&other, 10, 10).await.len(), 2);
    assert!(renew(&node, &both).await.is_empty());
    // What is done or put off is nobody's.
    report(&other, Kind::Repair, &thin.op_id, Outcome::Done, 0).await;
    report(&other, Kind::Delete, &gone.op_id, Outcome::Later, 0).await;
    assert!(renew(&other, &both).await.is_empty());
}

#[tokio::test]
async fn what_lay_on_nodes_that_are_all_gone_is_anybodys() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, one, backends) = with_drives(running.grpc_addr).await;
    let (_second, two, more) = with_drives(running.grpc_addr).await;
    let (other, _, _) = with_drives(running.grpc_addr).await;
    let placement = node.placement(vec![backends[0], more[0], backends[1], more[1]]).await;
    let bucket = node.bucket("b").await;
    let (thin, gone) = (put_on(placement, bucket, "thin", 0b0111), put_on(placement, bucket, "k", 0b1111));
    node.commit(thin.clone()).await.expect("put");
    node.commit(gone.clone()).await.expect("put");
    node.commit(delete(bucket, "k")).await.expect("delete");
    let revoke = async |hello: &Hello| {
        let node_id = &hello.node_id;
        let text = format!("UPDATE node SET revoked_at = clock_timestamp() WHERE node_id = '{node_id}'");
        db.client().await.batch_execute(&text).await.expect("revoked");
    };
    revoke(&one).await;
    assert!(lease(&other, 10, 10).await.is_empty(), "one of its nodes is left");
    revoke(&two).await;
    let jobs = lease(&other, 10, 10).await;
    let mut leased: Vec<Bytes> = jobs.iter().map(|job| job.blob.clone().expect("a blob").op_id).collect();
    leased.sort();
    let mut expected = [thin.op_id.clone(), gone.op_id.clone()];
    expected.sort();
    assert_eq!(leased, expected);
    report(&other, Kind::Delete, &gone.op_id, Outcome::Done, 0).await;
    report(&other, Kind::Repair, &thin.op_id, Outcome::Done, 0).await;
    assert_eq!((db.count("freed").await, db.count("job").await), (0, 0));
}

#[tokio::test]
async fn deletion_waits_for_its_delay() {
    let db = Db::fresh().await;
    let running = db.start_with_delay(3_600_000).await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = node.bucket("b").await;
    node.commit(put_on(placement, bucket, "k", 0b1111)).await.expect("put");
    node.commit(delete(bucket, "k")).await.expect("delete");
    assert!(lease(&node, 10, 0).await.is_empty());
    time_passes(&db).await;
    assert_eq!(lease(&node, 10, 0).await.len(), 1);
}

#[tokio::test]
async fn many_askers_get_each_job_once() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = node.bucket("b").await;
    let puts: Vec<_> = (0..300).map(|n| put_on(placement, bucket, &format!("k{n}"), 0b1111)).collect();
    for wait in node.send(puts) {
        crate::node::outcome(wait.await.expect("an answer")).expect("put");
    }
    for wait in node.send((0..300).map(|n| delete(bucket, &format!("k{n}"))).collect()) {
        crate::node::outcome(wait.await.expect("an answer")).expect("delete");
    }
    let asked = futures_util::future::join_all((0..20).map(|_| lease(&node, 20, 0))).await;
    let mut names: Vec<Bytes> =
        asked.into_iter().flatten().map(|job| job.blob.expect("a blob").op_id).collect();
    names.extend(lease(&node, 300, 0).await.into_iter().map(|job| job.blob.expect("a blob").op_id));
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!((all, names.len()), (300, 300));
}

#[tokio::test]
async fn a_thin_blob_is_repaired_and_said_to_be_so_only_then() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = node.bucket("b").await;
    let thin = put_on(placement, bucket, "k", 0b1011);
    node.commit(thin.clone()).await.expect("put");
    let thinner = put_on(placement, bucket, "k2", 0b0011);
    node.commit(thinner.clone()).await.expect("put");
    let jobs = lease(&node, 10, 10).await;
    let missing: Vec<_> = jobs.iter().map(|job| (job.kind(), job.missing)).collect();
    assert!(missing.contains(&(Kind::Repair, 0b0100)) && missing.contains(&(Kind::Repair, 0b1100)));
    // While it is repaired, the scrubber finds another one.
    deficit(&node, &blob_of(&thin), 0b0001).await;
    report(&node, Kind::Repair, &thin.op_id, Outcome::Done, 0).await;
    assert_eq!(db.number("SELECT missing FROM job ORDER BY subject LIMIT 1").await, 0b0001);
    time_passes(&db).await;
    let again = lease(&node, 10, 1).await;
    // The one that can lose least comes first.
    assert_eq!((again.len(), again[0].missing), (1, 0b1100));
    report(&node, Kind::Repair, &thinner.op_id, Outcome::Later, 0).await;
    assert_eq!(db.number("SELECT missing FROM job ORDER BY subject DESC LIMIT 1").await, 0b1100);
    time_passes(&db).await;
    assert_eq!(lease(&node, 10, 10).await.len(), 2);
    report(&node, Kind::Repair, &thin.op_id, Outcome::Done, 0).await;
    report(&node, Kind::Repair, &thinner.op_id, Outcome::Done, 0b1000).await;
    assert_eq!((db.count("job").await, db.number("SELECT missing FROM job").await), (1, 0b1000));
    time_passes(&db).await;
    assert_eq!(lease(&node, 10, 10).await[0].missing, 0b1000);
    report(&node, Kind::Repair, &thinner.op_id, Outcome::Done, 0).await;
    assert_eq!(db.count("job").await, 0);
}

#[tokio::test]
async fn what_cannot_be_repaired_is_an_alarm_and_waits_for_its_drive() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, mine, backends) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = node.bucket("b").await;
    let thin = put_on(placement, bucket, "k", 0b0001);
    node.commit(thin.clone()).await.expect("put");
    assert_eq!(lease(&node, 0, 10).await.len(), 1);
    report(&node, Kind::Repair, &thin.op_id, Outcome::Lost, 0b1110).await;
    time_passes(&db).await;
    assert!(lease(&node, 0, 10).await.is_empty());
    let shown = async || {
        running.authority.count_work().await.expect("counts");
        running.authority.metrics_text()
    };
    let text = shown().await;
    for line in ["repairs_lost_total 1", "repairs_failed 1", "repairs_leased 0", "freed_backlog 0"] {
        assert!(text.contains(&format!("holdfast_control_{line}\n")), "{line} in {text}");
    }
    // The drive goes and comes back.
    let state = |state: &str| {
        let mut said = mine.clone();
        said.drives[3].state = state.into();
        said
    };
    let _ = Node::join_as(running.grpc_addr, state("failed: gone")).await.expect("a welcome");
    let node = Node::join_as(running.grpc_addr, state("active")).await.expect("a welcome");
    assert_eq!(lease(&node, 0, 10).await.len(), 1, "it is tried again");
    report(&node, Kind::Repair, &thin.op_id, Outcome::Lost, 0b1110).await;
    // A node finds the same again: its pause, which grows, is waited for.
    deficit(&node, &blob_of(&thin), 0b0010).await;
    assert!(lease(&node, 0, 10).await.is_empty());
    time_passes(&db).await;
    assert_eq!(lease(&node, 0, 10).await[0].attempts, 2, "it goes on from where it was");
    report(&node, Kind::Repair, &thin.op_id, Outcome::Lost, 0b1110).await;
    // Or a node finds more.
    deficit(&node, &blob_of(&thin), 0b0001).await;
    assert_eq!(lease(&node, 0, 10).await.len(), 1);
    node.commit(delete(bucket, "k")).await.expect("delete");
    let text = shown().await;
    for line in ["repairs_failed 0", "repairs_waiting 0", "freed_backlog 1"] {
        assert!(text.contains(&format!("holdfast_control_{line}\n")), "{line} in {text}");
    }
}

#[tokio::test]
async fn what_is_found_missing_is_repaired_unless_nobody_wants_it() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let (other, _, _) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = node.bucket("b").await;
    let fine = put_on(placement, bucket, "k", 0b1111);
    node.commit(fine.clone()).await.expect("put");
    // The finder knows only what its drives say: no placement.
    let found = wire::Blob { placement_id: 0, ..blob_of(&fine) };
    deficit(&node, &found, 0b0010).await;
    deficit(&node, &found, 0b1000).await;
    deficit(&node, &found, 1 << 40).await;
    assert!(lease(&other, 0, 10).await.is_empty(), "only the finder knows where it is");
    let jobs = lease(&node, 0, 10).await;
    assert_eq!((jobs.len(), jobs[0].missing), (1, 0b1010));
    // Freed meanwhile: no repair any more, and none comes back.
    node.commit(delete(bucket, "k")).await.expect("delete");
    deficit(&node, &found, 0b0001).await;
    assert_eq!(db.count("job").await, 0);
    report(&node, Kind::Repair, &fine.op_id, Outcome::Done, 0).await;
    assert_eq!((db.count("job").await, lease(&node, 10, 10).await.len()), (0, 1));
}

#[tokio::test]
async fn who_says_that_it_deleted_what_it_had_not_leased_is_not_heard() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let (liar, _, _) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = node.bucket("b").await;
    let thin = put_on(placement, bucket, "k", 0b0111);
    node.commit(thin.clone()).await.expect("put");
    for who in [&liar, &node] {
        report(who, Kind::Delete, &thin.op_id, Outcome::Done, 0).await;
        assert_eq!(db.count("job").await, 1, "it still misses a fragment");
    }
    assert_eq!(lease(&node, 0, 10).await.len(), 1);
}

#[tokio::test]
async fn nothing_is_deleted_while_history_is_lost() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, mine, backends) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = node.bucket("b").await;
    node.commit(put_on(placement, bucket, "k", 0b0111)).await.expect("put");
    node.commit(put_on(placement, bucket, "gone", 0b1111)).await.expect("put");
    node.commit(delete(bucket, "gone")).await.expect("delete");
    let remembers = Hello { acknowledged_seq_max: node.welcome.watermark + 1000, ..mine };
    let node = Node::join_at_last(running.grpc_addr, remembers).await;
    assert!(node.welcome.history_lost);
    let kinds: Vec<Kind> = lease(&node, 10, 10).await.iter().map(wire::Job::kind).collect();
    assert_eq!(kinds, [Kind::Repair]);
}

#[tokio::test]
async fn strangers_and_nonsense_are_refused() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, _) = with_drives(running.grpc_addr).await;
    let refused = async |node: &Node, what| match node.work(what).await {
        Answer::Refused(refused) => refused.reason(),
        other => panic!("not refused: {other:?}"),
    };
    let items = vec![JobReport::default(); 5000];
    assert_eq!(refused(&node, What::Reports(JobReports { items })).await, Refusal::Malformed);
    let renew = vec![op().to_wire(); 5000];
    let asked = LeaseJobs { renew, ..Default::default() };
    assert_eq!(refused(&node, What::Lease(asked)).await, Refusal::Malformed);
    report(&node, Kind::Unspecified, &op().to_wire(), Outcome::Done, 0).await;
    report(&node, Kind::Repair, &Bytes::from_static(b"x"), Outcome::Done, 0).await;
    deficit(&node, &blob(&Bytes::from_static(b"x"), 1), 1).await;
    let asked = What::Lease(LeaseJobs { deletes_max: 1, repairs_max: 1, ..Default::default() });
    let session_id = Bytes::copy_from_slice(&random::<16>());
    let stranger = WorkRequest { session_id, what: Some(asked) };
    let status = node.client.clone().work(stranger).await.expect_err("nobody's session");
    assert_eq!(status.code(), tonic::Code::Unavailable);
}
