//! Blobs that spread over nodes: one is away, stays away, comes back; what is deleted, reaped, moved meanwhile.

use holdfast_common::wire::job::Kind;
use holdfast_common::wire::job_report::Outcome;
use holdfast_protocol::placement::CLASS_NODES;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const BIG: usize = 3 * ROW + 5;

impl Rig {
    /// `count` nodes with `drives` drives each; this one is the first.
    pub(super) fn over_nodes(count: u32, drives: u32, parity: usize) -> Self {
        let all: Vec<u32> = (0..count).flat_map(|node| (1..=drives).map(move |n| node * 10 + n)).collect();
        let rig = Self::empty(Class::nodes(parity), all.clone());
        rig.drives.look_from(NODE);
        for backend in all {
            rig.drives.set_node(backend, node_of(backend));
            rig.add_drive(backend);
        }
        for (at, node) in [NODE, "two", "three", "four", "five"].into_iter().take(count as usize).enumerate()
        {
            rig.state_of(node, at as u32 + 1, "active");
        }
        rig.state.change(|view| view.node_number = 1);
        rig
    }

    /// What the authority says of a node.
    pub(super) fn state_of(&self, node: &str, node_number: u32, state: &str) {
        let scattered = self.state.view().peers.get(node).is_some_and(|peer| peer.scattered);
        let peer = wire::Peer {
            scattered: scattered || state == "draining",
            node_id: node.to_owned(),
            addr: format!("{node}:1"),
            node_number,
            state: state.to_owned(),
            ..Default::default()
        };
        self.state
            .change(|view| view.upsert(wire::ConfigSnapshot { peers: vec![peer], ..Default::default() }));
    }

    /// Another node's agent over the same drives and authority, which looks at them from now on.
    pub(super) fn agent_of(&self, node: &'static str) -> Rc<Agent<World>> {
        self.drives.look_from(node);
        let progress = Arc::default();
        let (state, drives, coders) = (self.state.clone(), self.drives.clone(), self.coders.clone());
        Agent::new(settings(node), state, drives, coders, self.authority.clone(), progress)
    }

    pub(super) async fn everywhere(&self, blob: &wire::Blob) -> stock::Stock {
        let held = self.drives.find_everywhere(op_of(blob)).await.unwrap().held;
        stock::Stock::of(&*self.drives, op_of(blob), Some(blob), held).await.unwrap()
    }

    /// The node that holds each fragment, in order; a fragment with other than one copy has no name.
    pub(super) async fn nodes_of(&self, blob: &wire::Blob) -> Vec<&'static str> {
        let stock = self.everywhere(blob).await;
        let node = |index| match stock.copies(index)[..] {
            [(backend, held)] if stock.is_whole(&held) => node_of(backend.0),
            _ => "",
        };
        stock.indexes().map(node).collect()
    }

    /// Does what was found missing.
    pub(super) async fn repair_deficits(&self) -> Vec<wire::JobReport> {
        let mut reports = Vec::new();
        for deficit in self.authority.deficits() {
            reports.push(self.repair(&deficit.blob.unwrap(), deficit.missing).await);
        }
        reports
    }
}

pub(super) fn distinct(nodes: &[&str]) -> bool {
    nodes.iter().collect::<std::collections::BTreeSet<_>>().len() == nodes.len() && !nodes.contains(&"")
}

/// The fragment of a blob whose home is on a node.
fn index_on(rig: &Rig, blob: &wire::Blob, node: &str) -> u8 {
    (0..6).find(|index| node_of(rig.home(blob, usize::from(*index))) == node).unwrap()
}

#[test]
fn what_a_silent_node_did_not_take_waits_for_it() {
    run(async {
        let rig = Rig::over_nodes(4, 2, 1);
        rig.drives.silence("three", true);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        assert_eq!((blob.class_id, blob.proven.count_ones()), (CLASS_NODES, 3), "written on quorum");
        assert_eq!(rig.read(&blob).await.as_ref(), Some(&body));
        let missing = 0b1111 & !blob.proven;
        let report = rig.repair(&blob, missing).await;
        assert_eq!((report.outcome(), report.missing), (Outcome::Later, missing), "no two on one node yet");
        rig.drives.silence("three", false);
        let report = rig.repair(&blob, missing).await;
        assert_eq!((report.outcome(), report.missing), (Outcome::Done, 0), "{report:?}");
        assert!(distinct(&rig.nodes_of(&blob).await));
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn another_node_without_a_sibling_takes_it_at_once_but_never_one_that_is_to_be_emptied() {
    run(async {
        let rig = Rig::over_nodes(4, 2, 1);
        // Two copies, on two of the four nodes.
        let (blob, body) = rig.put(now() - 5000, 900).await;
        let nodes = rig.nodes_of(&blob).await;
        let spare: Vec<&str> =
            [NODE, "two", "three", "four"].into_iter().filter(|node| !nodes.contains(node)).collect();
        rig.drives.silence(if nodes[0] == NODE { nodes[1] } else { nodes[0] }, true);
        let lost = u8::from(nodes[0] == NODE);
        rig.drives.lose(|_, id, _| id.index == lost);
        rig.state_of(spare[0], 9, "draining");
        assert_eq!(rig.repair(&blob, 1 << lost).await.outcome(), Outcome::Done);
        assert_eq!(rig.nodes_of(&blob).await[usize::from(lost)], spare[1]);
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn a_node_that_stays_away_is_rebuilt_without_and_tidied_when_it_is_back() {
    run(async {
        let rig = Rig::over_nodes(3, 2, 1).with_grace(Duration::ZERO);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        rig.agent.reap().await.unwrap();
        rig.agent.audit().await.unwrap();
        assert!(rig.authority.deficits().is_empty(), "nothing is missing");
        rig.drives.silence("two", true);
        rig.agent.audit().await.unwrap();
        let reports = rig.repair_deficits().await;
        assert!(matches!(&reports[..], [report] if report.outcome() == Outcome::Done), "{reports:?}");
        assert!(!distinct(&rig.nodes_of(&blob).await), "three fragments on two nodes");
        assert_eq!(rig.read(&blob).await.as_ref(), Some(&body));
        // It is back with what it had. Its own agent drops that; who holds two of them has one moved there.
        rig.drives.silence("two", false);
        for node in ["two", NODE, "three"] {
            let agent = rig.agent_of(node);
            agent.reap().await.unwrap();
            agent.audit().await.unwrap();
        }
        rig.drives.look_from(NODE);
        let reports = rig.repair_deficits().await;
        assert!(matches!(&reports[..], [report] if report.outcome() == Outcome::Done), "{reports:?}");
        assert!(distinct(&rig.nodes_of(&blob).await), "{:?}", rig.nodes_of(&blob).await);
        assert_eq!(rig.read(&blob).await, Some(body));
        rig.agent.audit().await.unwrap();
        assert!(rig.authority.deficits().is_empty(), "and that is the end of it");
    });
}

#[test]
fn a_copy_that_another_node_has_made_again_goes_by_the_hand_of_its_own() {
    run(async {
        let rig = Rig::over_nodes(4, 2, 1);
        let (blob, body) = rig.put(now() - 5000, 900).await;
        let [holder, sibling] = rig.nodes_of(&blob).await[..] else { panic!("two copies") };
        let agent = rig.agent_of(holder);
        agent.reap().await.unwrap();
        agent.audit().await.unwrap();
        // Another node does not reach it, and makes its fragment again.
        let other = rig.agent_of(sibling);
        rig.drives.silence(holder, true);
        let job = wire::Job { blob: Some(blob.clone()), missing: 0b01, ..Default::default() };
        let report = other.repair(&job).await.unwrap().expect("nobody else has it");
        assert_eq!(report.outcome(), Outcome::Done, "{report:?}");
        rig.drives.silence(holder, false);
        rig.drives.look_from(holder);
        let copies = async || rig.everywhere(&blob).await.copies(0).len();
        agent.audit().await.unwrap();
        assert_eq!(copies().await, 2, "no pass is due");
        rig.state.superseded.push(op_of(&blob));
        agent.audit().await.unwrap();
        assert_eq!(copies().await, 1);
        assert!(rig.state.superseded.take().is_empty());
        assert_ne!(rig.nodes_of(&blob).await[0], holder);
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn a_later_copy_that_says_something_else_takes_nothings_place() {
    run(async {
        let rig = Rig::over_nodes(4, 2, 1);
        let (blob, body) = rig.put(now() - 5000, 900).await;
        rig.agent.reap().await.unwrap();
        let stock = rig.everywhere(&blob).await;
        let index = stock.indexes().next().unwrap();
        let (home, held) = stock.copies(index)[0];
        let spare =
            [1, 11, 21, 31].into_iter().find(|at| stock.held.iter().all(|(b, _)| b.0 / 10 != at / 10));
        let facts = rig.drives.facts(home, held.fragment, 0).await.unwrap();
        let mut forged = rig.drives.read_here(home, held.fragment, 0).await.unwrap().bytes.to_vec();
        forged[0] ^= 1;
        let piece = crate::drives::Piece {
            id: holdfast_common::id::FragmentId { attempt: held.fragment.attempt + 1, ..held.fragment },
            row: 0,
            coding: facts.coding,
            class_id: facts.class_id,
            blob_size: facts.blob_size,
            fields: Default::default(),
            payload: crate::rt::AlignedBuf::copy_of(&forged).into(),
        };
        rig.drives.append(BackendId(spare.unwrap()), piece).await.unwrap();
        let agent = rig.agent_of(node_of(home.0));
        agent.reap().await.unwrap();
        rig.state.superseded.push(op_of(&blob));
        agent.audit().await.unwrap();
        rig.drives.look_from(NODE);
        let copies = rig.everywhere(&blob).await.copies(index);
        assert!(copies.iter().any(|(at, kept)| (*at, kept.fragment) == (home, held.fragment)), "{copies:?}");
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn what_other_nodes_left_half_written_goes_but_for_the_latest_and_the_longest() {
    run(async {
        let rig = Rig::over_nodes(3, 1, 1);
        let (blob, body) = rig.put(now() - 5000, 5 * ROW).await;
        rig.agent.reap().await.unwrap();
        let stock = rig.everywhere(&blob).await;
        let index = stock.indexes().next().unwrap();
        let (home, held) = stock.copies(index)[0];
        // Three tries that broke off after one, two and one rows, and one that may be under way.
        let facts = rig.drives.facts(home, held.fragment, 0).await.unwrap();
        for (attempt, rows) in [(1, 1), (2, 2), (3, 1), (4, 1)] {
            for row in 0..rows {
                let bytes = rig.drives.read_here(home, held.fragment, row).await.unwrap().bytes.to_vec();
                let piece = crate::drives::Piece {
                    id: holdfast_common::id::FragmentId {
                        attempt: held.fragment.attempt + attempt,
                        ..held.fragment
                    },
                    row,
                    coding: facts.coding,
                    class_id: facts.class_id,
                    blob_size: facts.blob_size,
                    fields: Default::default(),
                    payload: crate::rt::AlignedBuf::copy_of(&bytes).into(),
                };
                rig.drives.append(home, piece).await.unwrap();
            }
        }
        let agent = rig.agent_of(node_of(home.0));
        agent.reap().await.unwrap();
        rig.state.superseded.push(op_of(&blob));
        agent.audit().await.unwrap();
        rig.drives.look_from(NODE);
        let left = rig.everywhere(&blob).await;
        let mut attempts: Vec<u8> = left
            .copies(index)
            .iter()
            .map(|(_, kept)| kept.fragment.attempt - held.fragment.attempt)
            .collect();
        attempts.sort_unstable();
        assert_eq!(attempts, [0, 2, 4]);
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn while_a_node_is_away_for_a_moment_nothing_it_may_hold_is_missed() {
    run(async {
        let rig = Rig::over_nodes(3, 1, 1);
        let (blob, _) = rig.put(now() - 5000, BIG).await;
        rig.agent.reap().await.unwrap();
        rig.drives.silence("two", true);
        rig.agent.audit().await.unwrap();
        assert!(rig.authority.deficits().is_empty());
        // Nor what a read missed there.
        let index = index_on(&rig, &blob, "two");
        let backend = BackendId(rig.home(&blob, index.into()));
        let fragments = vec![crate::blob::RepairNote { index, backend, row: 0, error: DriveError::NotFound }];
        rig.state.notes.push(Note { blob: blob.clone(), fragments: fragments.clone() });
        rig.agent.audit().await.unwrap();
        assert!(rig.authority.deficits().is_empty());
        // It comes back without its fragment.
        rig.drives.silence("two", false);
        rig.drives.wipe(backend.0);
        rig.agent.audit().await.unwrap();
        let deficits = rig.authority.deficits();
        assert_eq!(deficits.iter().map(|deficit| deficit.missing).collect::<Vec<_>>(), [1 << index]);
    });
}

#[test]
fn what_came_back_with_its_node_is_not_written_again() {
    run(async {
        let rig = Rig::over_nodes(4, 1, 1);
        let (blob, _) = rig.put(now() - 5000, BIG).await;
        let stored = rig.drives.stored(None);
        let report = rig.repair(&blob, 0b11).await;
        assert_eq!((report.outcome(), report.missing), (Outcome::Done, 0));
        assert!(rig.everywhere(&blob).await.held.iter().all(|(_, held)| held.fragment.attempt == 0));
        // Unless it is rotten.
        let home = rig.home(&blob, 0);
        rig.drives.break_drive(home, Faults { rotten: Some((4, 1)), ..Faults::default() });
        assert_eq!(rig.repair(&blob, 0b1).await.outcome(), Outcome::Later);
        rig.drives.heal();
        assert_eq!(rig.repair(&blob, 0b1).await.outcome(), Outcome::Done);
        let stock = rig.everywhere(&blob).await;
        assert_eq!(
            (stock.missing(), stock.copies(0)[0].1.fragment.attempt),
            (0, 0),
            "it was not rotten after all"
        );
        assert_eq!(rig.drives.stored(None), stored + 1, "one piece keeps its name from being given again");
    });
}

#[test]
fn too_few_pieces_are_no_loss_while_a_node_is_silent() {
    run(async {
        let rig = Rig::over_nodes(3, 1, 1).with_grace(Duration::ZERO);
        let (blob, _) = rig.put(now() - 5000, BIG).await;
        let index = index_on(&rig, &blob, "three");
        rig.drives.lose(|_, id, _| id.index == index);
        rig.drives.silence("two", true);
        assert_eq!(rig.repair(&blob, 0b111).await.outcome(), Outcome::Later);
        rig.state_of("two", 2, "revoked");
        assert_eq!(rig.repair(&blob, 0b111).await.outcome(), Outcome::Lost);
    });
}

#[test]
fn a_blob_is_deleted_once_every_node_has_said_so() {
    run(async {
        let rig = Rig::over_nodes(3, 2, 1);
        let (blob, _) = rig.put(now() - 1000, BIG).await;
        rig.authority.add_job(Kind::Delete, &blob, 0);
        rig.drives.silence("three", true);
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.authority.reports()[0].outcome(), Outcome::Later);
        assert!(rig.nodes_of_any(&blob).await.is_empty(), "the others have given their space back");
        rig.drives.silence("three", false);
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.authority.reports()[0].outcome(), Outcome::Done);
        assert_eq!(rig.drives.stored(None), 0);
        // A node that is revoked is waited for by nobody.
        let (blob, _) = rig.put(now() - 900, BIG).await;
        rig.authority.add_job(Kind::Delete, &blob, 0);
        rig.drives.silence("three", true);
        rig.state_of("three", 3, "revoked");
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.authority.reports()[0].outcome(), Outcome::Done);
    });
}

impl Rig {
    /// Nodes that answer and hold anything of it.
    pub(super) async fn nodes_of_any(&self, blob: &wire::Blob) -> Vec<&'static str> {
        let held = self.drives.find_everywhere(op_of(blob)).await.unwrap().held;
        held.into_iter().map(|(backend, _)| node_of(backend.0)).collect()
    }
}

#[test]
fn what_another_node_has_open_survives_the_reaper() {
    run(async {
        let rig = Rig::over_nodes(3, 1, 1);
        let began = now() - 60_000;
        let op = |ms, node| OpId::of_node(ms, [7; 10], node);
        // The second node has an upload open; its own orphan is newer, the second's other one is older.
        let (open, own, older) = (op(began, 2), op(began + 10, 1), op(began - 10, 2));
        for op in [open, own, older] {
            rig.write_as(op, BIG).await;
        }
        let held = async |op| !rig.drives.find(op).await.unwrap().is_empty();
        rig.authority.set_others_open_from(Some(OpId::new(began, [0; 10])));
        rig.agent.reap().await.unwrap();
        assert_eq!((held(open).await, held(own).await, held(older).await), (true, false, false));
        let settled = rig.authority.settled_to().unwrap();
        assert!(settled <= open, "a restart asks again from there");
        // Not committed, and not missed either: it may be on its way.
        rig.drives.lose(|backend, id, _| backend > 10 && id.blob == open);
        rig.agent.audit().await.unwrap();
        assert!(rig.authority.deficits().is_empty());
        // Its node has closed it, and says to be asked again all the same.
        rig.authority.set_others_open_from(None);
        rig.authority.set_open(open, true);
        rig.agent.reap().await.unwrap();
        assert!(held(open).await && rig.authority.settled_to().unwrap() <= open);
        rig.authority.set_open(open, false);
        rig.agent.reap().await.unwrap();
        assert!(!held(open).await && rig.authority.settled_to().unwrap() > open);
    });
}

#[test]
fn a_fragment_on_a_drive_to_be_emptied_stays_on_its_node_or_is_told_of() {
    run(async {
        let rig = Rig::over_nodes(4, 2, 1);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        rig.agent.reap().await.unwrap();
        let index = index_on(&rig, &blob, NODE);
        let home = rig.home(&blob, index.into());
        let other = 3 - home;
        rig.administer(home, "draining");
        rig.agent.drain().await.unwrap();
        assert_eq!((rig.drives.stored(Some(home)), rig.authority.deficits().len()), (0, 0));
        assert!(rig.drives.stored(Some(other)) > 0 && distinct(&rig.nodes_of(&blob).await));
        // Both: no drive of this node is left, and every other node has a fragment.
        rig.administer(other, "draining");
        rig.agent.drain().await.unwrap();
        assert!(rig.authority.deficits().is_empty() && rig.drives.stored(Some(other)) > 0);
        // A node joins.
        rig.drives.set_node(41, "five");
        rig.add_drive(41);
        rig.state_of("five", 5, "active");
        rig.agent.drain().await.unwrap();
        let reports = rig.repair_deficits().await;
        assert!(matches!(&reports[..], [report] if report.outcome() == Outcome::Done), "{reports:?}");
        assert_eq!(rig.drives.stored(Some(other)), 0);
        assert!(rig.nodes_of(&blob).await.contains(&"five") && distinct(&rig.nodes_of(&blob).await));
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn a_blob_of_one_node_is_nobody_elses_affair() {
    run(async {
        let mut rig = Rig::over_nodes(3, 4, 1);
        rig.class = Class::local(1);
        rig.drives.silence("two", true);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        rig.agent.reap().await.unwrap();
        rig.drives.lose(|_, id, _| id.index == 0);
        rig.agent.audit().await.unwrap();
        let reports = rig.repair_deficits().await;
        assert!(matches!(&reports[..], [report] if report.outcome() == Outcome::Done), "{reports:?}");
        assert!(rig.nodes_of_any(&blob).await.iter().all(|node| *node == NODE));
        assert_eq!(rig.read(&blob).await, Some(body));
        rig.authority.add_job(Kind::Delete, &blob, 0);
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.authority.reports().last().unwrap().outcome(), Outcome::Done);
    });
}

#[test]
fn how_long_a_node_has_been_silent_counts_from_when_it_was_last_heard() {
    let mut silence = fleet::Silence::default();
    let (began, grace) = (std::time::Instant::now(), Duration::from_secs(900));
    let view = crate::link::state::View::default();
    let mut in_grace = |at: u64, heard: Option<&[Arc<str>]>| {
        let now = began + Duration::from_secs(at);
        if let Some(silent) = heard {
            silence.heard(silent, now);
        }
        let fleet = silence.look(&view, &NODE.into(), &[], &[], grace, now);
        (fleet.silent_nodes.len(), fleet.nodes_in_grace.len())
    };
    let away: &[Arc<str>] = &["two".into()];
    assert_eq!(in_grace(0, Some(away)), (1, 1));
    for at in (30..=900).step_by(30) {
        in_grace(at, Some(away));
    }
    assert_eq!(in_grace(901, None), (1, 0));
    assert_eq!(in_grace(902, Some(&[])), (0, 0));
    assert_eq!(in_grace(903, Some(away)), (1, 1));
    // Nobody asked for a day.
    assert_eq!(in_grace(DAY.as_secs(), Some(away)), (1, 1));
}
