//! Nodes that know each other: their numbers, who is told of whom, tickets, and what one may not abandon of another's.

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::ticket::{Leave, Ticket, TicketKey};
use holdfast_common::wire::answer::Answer as Body;
use holdfast_common::wire::job_report::Outcome;
use holdfast_common::wire::query::Query as Ask;
use holdfast_common::wire::settled_ops::Verdict;
use holdfast_common::wire::work_answer::What as Answer;
use holdfast_common::wire::work_request::What;
use holdfast_common::wire::{self, Hello, Refusal, SettleOps, TicketQuery, job::Kind, session_down::Message};
use holdfast_controlplane::app::drives::DrainRequest;
use uuid::Uuid;

use crate::node::{Node, delete, hello, mutation, now_ms, outcome, put, put_as, random};
use crate::rig::Db;
use crate::settle::settle;
use crate::work::{blob_of, deficit, lease, put_on, report, with_drives};

const HOUR: u64 = 3_600_000;

fn at(addr: &str) -> Hello {
    Hello { peer_addr: addr.into(), ..hello() }
}

/// What a node was told of another, the last first.
fn told_of(node: &Node, other: &Hello) -> Vec<wire::Peer> {
    let heard = node.heard.lock();
    let changes = heard.iter().rev().filter_map(|down| match &down.message {
        Some(Message::Config(change)) => change.upsert.clone(),
        _ => None,
    });
    changes.flat_map(|upsert| upsert.peers).filter(|peer| peer.node_id == other.node_id).collect()
}

async fn ticket(node: &Node, peer: &str, op_ids: &[OpId], leave: Leave) -> Result<wire::Ticket, Refusal> {
    let op_ids = op_ids.iter().map(|op_id| op_id.to_wire()).collect();
    match node.query(Ask::Ticket(TicketQuery { node_id: peer.into(), op_ids, leave: leave.into() })).await {
        Body::Ticket(ticket) => Ok(ticket),
        Body::Refused(refused) => {
            assert!(!refused.detail.is_empty());
            Err(refused.reason())
        }
        other => panic!("no ticket: {other:?}"),
    }
}

#[tokio::test]
async fn every_node_has_a_number_of_its_own_for_ever() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let hellos: Vec<Hello> = (0..12).map(|_| hello()).collect();
    let join = |hello: &Hello| Node::join_as(running.grpc_addr, hello.clone());
    let nodes: Vec<Node> = futures_util::future::join_all(hellos.iter().map(join))
        .await
        .into_iter()
        .map(|joined| joined.expect("a welcome"))
        .collect();
    let mut numbers: Vec<u32> = nodes.iter().map(|node| node.welcome.node_number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    let before = &nodes[5].welcome;
    let again = join(&hellos[5]).await.expect("a welcome").welcome;
    assert_eq!((again.node_number, &again.ticket_key), (before.node_number, &before.ticket_key));
    assert!(before.ticket_key.len() == 32 && before.ticket_key != nodes[6].welcome.ticket_key);
    assert!(again.now_ms.abs_diff(now_ms()) < HOUR);
    running.stop().await;
    let running = db.start().await;
    let node = Node::join_as(running.grpc_addr, hellos[5].clone()).await.expect("a welcome");
    assert_eq!(
        (node.welcome.node_number, node.welcome.ticket_key),
        (before.node_number, before.ticket_key.clone()),
        "another control plane gives the same"
    );
}

#[tokio::test]
async fn every_node_hears_of_the_others_and_of_what_changes() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (first, mut second) = (at("10.0.0.1:9"), at("10.0.0.2:9"));
    let one = Node::join_as(running.grpc_addr, first.clone()).await.expect("a welcome");
    let two = Node::join_as(running.grpc_addr, second.clone()).await.expect("a welcome");
    let mut peers = two.welcome.config.clone().expect("a snapshot").peers;
    peers.sort_by_key(|peer| peer.node_number);
    let shown: Vec<(&str, &str, u32)> =
        peers.iter().map(|peer| (&*peer.addr, &*peer.state, peer.node_number)).collect();
    assert_eq!(shown, [("10.0.0.1:9", "active", 1), ("10.0.0.2:9", "active", 2)]);
    assert_eq!(told_of(&one, &second), [peers[1].clone()], "it heard before the other had its welcome");
    // Nothing new, which is told all the same: who could not reach it tries again. Then another address.
    let _ = Node::join_as(running.grpc_addr, second.clone()).await.expect("a welcome");
    second.peer_addr = "10.0.0.3:9".into();
    let _ = Node::join_as(running.grpc_addr, second.clone()).await.expect("a welcome");
    let told: Vec<String> = told_of(&one, &second).into_iter().map(|peer| peer.addr).collect();
    assert_eq!(told, ["10.0.0.3:9", "10.0.0.2:9", "10.0.0.2:9"]);
    for (sql, state) in [("state = 'draining'", "draining"), ("revoked_at = clock_timestamp()", "revoked")] {
        let text = format!("UPDATE node SET {sql} WHERE number = 2");
        db.client().await.batch_execute(&text).await.expect("decided");
        let snapshot = Node::join(running.grpc_addr).await.welcome.config.expect("a snapshot");
        let peer = snapshot.peers.iter().find(|peer| peer.node_id == second.node_id).expect("a peer");
        assert_eq!(peer.state, state);
    }
    let bye = Node::join_as(running.grpc_addr, second).await.err().expect("a goodbye");
    assert!(bye.permanent && bye.reason.contains("revoked"), "{bye:?}");
    let bad = Hello { peer_addr: "x".repeat(300), ..hello() };
    assert!(Node::join_as(running.grpc_addr, bad).await.is_err());
}

#[tokio::test]
async fn a_ticket_is_for_what_a_node_has_to_do_with() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, mine, _) = with_drives(running.grpc_addr).await;
    let (other, others, _) = with_drives(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    // Its own: whatever it wants, also before it is committed.
    let own = node.op_at(now_ms());
    let given = ticket(&node, &others.node_id, &[own], Leave::Append).await.expect("a ticket");
    let key = TicketKey::new(&other.welcome.ticket_key).expect("a key");
    let opened = Ticket::open(&given.ticket, &key).expect("the other node can check it");
    assert_eq!(opened.expires_ms, given.expires_ms);
    let (peer, asker) = (others.node_id.parse::<Uuid>().unwrap(), mine.node_id.parse::<Uuid>().unwrap());
    assert_eq!(opened.admits(peer, asker, own, Leave::Append, now_ms()), Ok(()));
    assert!(opened.admits(peer, peer, own, Leave::Append, now_ms()).is_err(), "it is no use to anybody else");
    assert!(Ticket::open(&given.ticket, &TicketKey::new(&node.welcome.ticket_key).unwrap()).is_err());
    // Another's: once it is committed, and to read only.
    let theirs = other.op_at(now_ms());
    assert_eq!(ticket(&node, &others.node_id, &[theirs], Leave::Read).await, Err(Refusal::AccessDenied));
    other.commit(put_as(theirs, bucket, "k", "e")).await.expect("put");
    assert!(ticket(&node, &others.node_id, &[theirs, own], Leave::Read).await.is_ok());
    assert_eq!(
        ticket(&node, &others.node_id, &[theirs, own], Leave::Append).await,
        Err(Refusal::AccessDenied)
    );
    // What the changelog does not reach passes for committed.
    let old = other.op_at(now_ms() - 30 * 24 * HOUR);
    assert!(ticket(&node, &others.node_id, &[old], Leave::Read).await.is_ok());
    assert_eq!(ticket(&node, &others.node_id, &[old], Leave::Append).await, Err(Refusal::AccessDenied));
    // What came to nothing is nobody's.
    let dead = other.op_at(now_ms());
    assert_eq!(settle(&other, vec![dead.to_wire()]).await, [Verdict::Abandoned]);
    assert_eq!(ticket(&node, &others.node_id, &[dead], Leave::Read).await, Err(Refusal::AccessDenied));
    let text = running.authority.metrics_text();
    assert!(text.contains("holdfast_control_ticket_blobs_total 4\n"), "{text}");
    assert!(text.contains("holdfast_control_ticket_refusals_total 4\n"), "{text}");
}

#[tokio::test]
async fn what_a_node_wrote_is_its_own_until_it_is_committed() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, _) = with_drives(running.grpc_addr).await;
    let (_other, others, _) = with_drives(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let own = node.op_at(now_ms());
    let asked = async |leave| ticket(&node, &others.node_id, &[own], leave).await.map(|_| ());
    // An upload that goes on, one that is given up.
    assert_eq!((asked(Leave::Append).await, asked(Leave::Delete).await), (Ok(()), Ok(())));
    node.commit(put_as(own, bucket, "k", "e")).await.expect("put");
    assert_eq!(asked(Leave::Append).await, Err(Refusal::AccessDenied));
    assert_eq!(asked(Leave::Delete).await, Err(Refusal::AccessDenied));
    assert_eq!(asked(Leave::Read).await, Ok(()));
    // What the changelog does not reach passes for committed.
    let old = node.op_at(now_ms() - 30 * 24 * HOUR);
    for leave in [Leave::Append, Leave::Delete] {
        let given = ticket(&node, &others.node_id, &[old], leave).await;
        assert_eq!(given.map(|_| ()), Err(Refusal::AccessDenied));
    }
    // What came to nothing is still its own to sweep.
    let dead = node.op_at(now_ms());
    assert_eq!(settle(&node, vec![dead.to_wire()]).await, [Verdict::Abandoned]);
    assert!(ticket(&node, &others.node_id, &[dead], Leave::Delete).await.is_ok());
}

#[tokio::test]
async fn a_deficit_that_is_made_up_gives_no_leave_to_delete() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, mine, backends) = with_drives(running.grpc_addr).await;
    let (liar, _, _) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = node.bucket("b").await;
    let healthy = put_on(placement, bucket, "k", 0b1111);
    node.commit(healthy.clone()).await.expect("put");
    let op_id = OpId::from_wire(&healthy.op_id).expect("an op id");
    deficit(&liar, &wire::Blob { placement_id: 0, ..blob_of(&healthy) }, 0b0001).await;
    assert_eq!(lease(&liar, 10, 10).await.len(), 1, "what it says of fragments cannot be checked");
    assert_eq!(
        ticket(&liar, &mine.node_id, &[op_id], Leave::Delete).await.map(|_| ()),
        Err(Refusal::AccessDenied)
    );
    let given = ticket(&liar, &mine.node_id, &[op_id], Leave::Append).await.expect("a ticket");
    let key = TicketKey::new(&node.welcome.ticket_key).expect("a key");
    let opened = Ticket::open(&given.ticket, &key).expect("a ticket");
    assert_eq!(opened.leave, Leave::Append);
    assert!(opened.admits(opened.peer, opened.asker, op_id, Leave::Delete, now_ms()).is_err());
}

#[tokio::test]
async fn a_leased_job_gives_leave_to_write_until_it_is_reported() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let (other, others, more) = with_drives(running.grpc_addr).await;
    let placement = node.placement(vec![backends[0], more[0], backends[1], more[1]]).await;
    let bucket = other.bucket("b").await;
    let thin = other.op_at(now_ms());
    let mutation = put_on(placement, bucket, "k", 0b0111);
    let mutation = retitled(mutation, thin);
    other.commit(mutation).await.expect("put");
    let ask = async |leave| ticket(&node, &others.node_id, &[thin], leave).await;
    let asked = async || ask(Leave::Append).await;
    assert_eq!(asked().await, Err(Refusal::AccessDenied));
    // Either node may get it, and one does.
    assert_eq!(lease(&node, 0, 10).await.len(), 1);
    assert!(lease(&other, 0, 10).await.is_empty());
    let given = asked().await.expect("a ticket");
    assert!(given.expires_ms <= now_ms() + 120_000);
    assert_eq!(ask(Leave::Delete).await, Err(Refusal::AccessDenied), "a repair deletes nothing elsewhere");
    report(&node, Kind::Repair, &thin.to_wire(), Outcome::Done, 0).await;
    assert_eq!(asked().await, Err(Refusal::AccessDenied));
    other.commit(delete(bucket, "k")).await.expect("delete");
    assert_eq!(lease(&node, 10, 0).await.len(), 1);
    assert!(asked().await.is_ok() && ask(Leave::Delete).await.is_ok());
    // The lease runs out.
    db.client().await.batch_execute("UPDATE freed SET not_before = '-infinity'").await.expect("time passes");
    assert_eq!(ask(Leave::Delete).await, Err(Refusal::AccessDenied));
}

/// The same PUT under another op id.
fn retitled(mut mutation: wire::Mutation, op_id: OpId) -> wire::Mutation {
    mutation.op_id = op_id.to_wire();
    if let Some(wire::mutation::Op::Put(put)) = &mut mutation.op {
        let manifest = put.manifest.as_mut().expect("a manifest");
        manifest.parts[0].blob.as_mut().expect("a blob").op_id = op_id.to_wire();
    }
    mutation
}

#[tokio::test]
async fn nonsense_and_strangers_get_no_ticket() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mine = hello();
    let node = Node::join_as(running.grpc_addr, mine.clone()).await.expect("a welcome");
    let gone = hello();
    let _ = Node::join_as(running.grpc_addr, gone.clone()).await.expect("a welcome");
    let own = node.op_at(now_ms());
    let nobody = Uuid::from_bytes(random()).to_string();
    assert_eq!(ticket(&node, &nobody, &[own], Leave::Read).await, Err(Refusal::AccessDenied));
    assert_eq!(ticket(&node, "x", &[own], Leave::Read).await, Err(Refusal::AccessDenied));
    assert_eq!(ticket(&node, &gone.node_id, &[], Leave::Read).await, Err(Refusal::Malformed));
    assert_eq!(ticket(&node, &gone.node_id, &[own; 65], Leave::Read).await, Err(Refusal::Malformed));
    let query = TicketQuery {
        node_id: gone.node_id.clone(),
        op_ids: vec![Bytes::from_static(b"no op id")],
        leave: Leave::Read.into(),
    };
    let Body::Refused(refused) = node.query(Ask::Ticket(query)).await else { panic!("given") };
    assert_eq!(refused.reason(), Refusal::Malformed);
    let revoke = format!("UPDATE node SET revoked_at = clock_timestamp() WHERE node_id = '{}'", gone.node_id);
    db.client().await.batch_execute(&revoke).await.expect("revoked");
    assert_eq!(ticket(&node, &gone.node_id, &[own], Leave::Append).await, Err(Refusal::AccessDenied));
    assert!(ticket(&node, &mine.node_id, &[own], Leave::Append).await.is_ok());
    let one = TicketQuery { node_id: mine.node_id.clone(), op_ids: vec![own.to_wire(); 64], leave: 0 };
    let waits: Vec<_> = (0..2000).map(|_| node.ask(Ask::Ticket(one.clone()))).collect();
    let mut retry = 0;
    for wait in waits {
        if let Some(Body::Refused(refused)) = wait.await.expect("an answer").answer {
            assert!(refused.retryable, "{refused:?}");
            retry += 1;
        }
    }
    assert!(retry > 0, "128,000 blobs at once are too many");
}

#[tokio::test]
async fn nobody_abandons_what_another_node_may_still_commit() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let maker_hello = hello();
    let maker = Node::join_as(running.grpc_addr, maker_hello.clone()).await.expect("a welcome");
    let reaper_hello = hello();
    let reaper = Node::join_as(running.grpc_addr, reaper_hello.clone()).await.expect("a welcome");
    let bucket = maker.bucket("b").await;
    let (closed, open) = (maker.op_at(now_ms() - HOUR), maker.op_at(now_ms()));
    let nobodys = OpId::of_node(now_ms() - HOUR, random(), 0);
    let asked = || vec![closed.to_wire(), open.to_wire(), nobodys.to_wire()];
    assert_eq!(settle(&reaper, asked()).await, [Verdict::Open; 3], "the maker has not said anything yet");
    assert!(others_open_from(&reaper).await.is_empty());
    let bound = OpId::new(open.unix_ms() - 1, [0; 10]);
    maker.say_open(bound);
    db.until_count("node WHERE oldest_op IS NOT NULL", 1).await;
    assert_eq!(settle(&reaper, asked()).await, [Verdict::Abandoned, Verdict::Open, Verdict::Abandoned]);
    assert_eq!(others_open_from(&reaper).await, bound.to_wire());
    maker.commit(put_as(open, bucket, "k", "e")).await.expect("it was still open");
    assert_eq!(maker.commit(put_as(closed, bucket, "k", "e")).await, Err(Refusal::Abandoned));
    assert_eq!(settle(&reaper, asked()).await[1], Verdict::Committed);
    // Its own it may settle whatever others say.
    assert_eq!(settle(&reaper, vec![reaper.op_at(now_ms()).to_wire()]).await, [Verdict::Abandoned]);
    // Begun anew, the maker has to say again: its clock may have gone back.
    let late = maker.op_at(now_ms() - HOUR);
    let maker = Node::join_as(running.grpc_addr, maker_hello.clone()).await.expect("a welcome");
    assert_eq!(settle(&reaper, vec![late.to_wire()]).await, [Verdict::Open]);
    // It never comes back, and that is said: what it had open is nobody's.
    let revoke = "UPDATE node SET revoked_at = clock_timestamp() WHERE number = 1";
    db.client().await.batch_execute(revoke).await.expect("revoked");
    assert_eq!(settle(&reaper, vec![late.to_wire()]).await, [Verdict::Open], "its session is not over");
    drop(maker);
    running.stop().await;
    let running = db.start().await;
    let reaper = Node::join_as(running.grpc_addr, reaper_hello).await.expect("a welcome");
    assert_eq!(settle(&reaper, vec![late.to_wire()]).await, [Verdict::Abandoned]);
    assert_eq!(others_open_from(&reaper).await, vec![u8::MAX; 16]);
}

async fn others_open_from(node: &Node) -> Bytes {
    match node.work(What::Settle(SettleOps::default())).await {
        Answer::Settled(settled) => settled.others_open_from,
        other => panic!("not settled: {other:?}"),
    }
}

#[tokio::test]
async fn a_drive_may_be_emptied_whose_blobs_lie_on_other_nodes() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let (_other, _, more) = with_drives(running.grpc_addr).await;
    node.placement([&backends[..1], &more[..]].concat()).await;
    let drive = backends[0].to_string();
    let drained = running.authority.drain_drive(&drive, DrainRequest::default()).await.expect("decided");
    assert_eq!(drained.drive.state, "draining");
    // Of a blob over this node's drives each has a fragment.
    node.placement(backends[1..].to_vec()).await;
    let refused = running.authority.drain_drive(&backends[1].to_string(), DrainRequest::default()).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("spread over 3 drives")));
}

#[tokio::test]
async fn a_blob_on_a_placement_that_does_not_exist_is_not_committed() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, _, backends) = with_drives(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let placement = node.placement(backends).await;
    // Among others of its batch.
    let puts = [placement, placement + 1, 0, placement].map(|id| put_on(id, bucket, "k", 0b1111));
    let mut outcomes = Vec::new();
    for wait in node.send(puts.to_vec()) {
        outcomes.push(outcome(wait.await.expect("an answer")).map(|_| ()));
    }
    assert_eq!(outcomes, [Ok(()), Err(Refusal::Malformed), Err(Refusal::Malformed), Ok(())]);
    // Nothing of it is on record: with a placement that exists the same op id may come.
    let again = put_on(placement, bucket, "k", 0b1111);
    assert!(node.commit(retitled(again, OpId::from_wire(&puts[1].op_id).unwrap())).await.is_ok());
    // Parts too.
    let create = wire::mutation::Op::CreateUpload(wire::CreateUpload::default());
    let upload = node.commit(mutation(bucket, "m", create)).await.expect("an upload").upload_id;
    let whole = put(bucket, "m", "e");
    let Some(wire::mutation::Op::Put(body)) = &whole.op else { panic!("a put") };
    let mut part = body.manifest.as_ref().expect("a manifest").parts[0].clone();
    part.number = 1;
    part.blob.as_mut().expect("a blob").placement_id = 77;
    let put_part = wire::mutation::Op::PutPart(wire::PutPart { upload_id: upload, part: Some(part) });
    let refused = node.commit(wire::Mutation { op: Some(put_part), ..whole }).await;
    assert_eq!(refused, Err(Refusal::Malformed));
}
