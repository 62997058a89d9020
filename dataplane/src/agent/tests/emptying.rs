//! A node that is to be emptied: what goes where, what is stuck and why, and what is cut off in between.

use holdfast_common::wire::DrainWant;
use holdfast_common::wire::job::Kind;
use holdfast_common::wire::job_report::Outcome;

use super::nodes::{BIG, distinct};
use super::*;

const SIZES: [usize; 4] = [900, ROW, BIG, 9 * ROW];

impl Rig {
    /// Three nodes with `drives` drives each; blobs lie on the drives of this one.
    fn of_one_node(drives: u32, parity: usize) -> Self {
        let mut rig = Self::over_nodes(3, drives, parity);
        rig.class = Class::local(parity);
        rig
    }

    /// The authority says that this node shall be emptied, or no more.
    fn empties(&self, drives: u32, leaving: bool) {
        let state = if leaving { "draining" } else { "active" };
        self.state_of(NODE, 1, state);
        (1..=drives).for_each(|backend| self.administer(backend, state));
    }

    fn on_this_node(&self, drives: u32) -> usize {
        (1..=drives).map(|backend| self.drives.stored(Some(backend))).sum()
    }

    /// What this node says of the drain of a drive.
    fn drain_of(&self, backend: u32) -> wire::DriveWork {
        self.agent.progress.drive(BackendId(backend), true)
    }
}

fn on_one(nodes: &[&str]) -> bool {
    nodes.iter().all(|node| *node == nodes[0] && *node != NODE && !node.is_empty())
}

#[test]
fn blobs_of_a_node_that_is_emptied_go_whole_to_the_drives_of_another() {
    run(async {
        let rig = Rig::of_one_node(4, 1);
        let mut blobs = Vec::new();
        for (at, size) in SIZES.into_iter().enumerate() {
            blobs.push(rig.put(now() - 5000 + at as u64, size).await);
        }
        let stored = rig.drives.stored(None);
        rig.agent.reap().await.unwrap();
        rig.empties(4, true);
        rig.agent.drain().await.unwrap();
        assert_eq!(rig.on_this_node(4), stored, "a lease comes first");
        let deficits = rig.authority.deficits();
        assert_eq!(deficits.len(), SIZES.len(), "each blob once: {deficits:?}");
        for deficit in deficits {
            assert_eq!(deficit.missing.count_ones(), 1, "it is no less safe than it was");
            let report = rig.repair(&deficit.blob.unwrap(), deficit.missing).await;
            assert_eq!((report.outcome(), report.missing), (Outcome::Done, 0), "{report:?}");
        }
        rig.agent.drain().await.unwrap();
        assert_eq!((rig.on_this_node(4), rig.drives.stored(None)), (0, stored));
        assert_eq!((rig.drain_of(1).drain_left_pieces, rig.drain_of(1).drain_stuck_pieces), (0, 0));
        for (blob, body) in &blobs {
            let (stock, nodes) = (rig.everywhere(blob).await, rig.nodes_of(blob).await);
            assert!(on_one(&nodes), "{nodes:?}");
            let drives: std::collections::BTreeSet<u32> = stock.held.iter().map(|(at, _)| at.0).collect();
            assert_eq!(drives.len(), nodes.len(), "each on a drive of its own");
            assert_eq!(rig.read(blob).await.as_ref(), Some(body));
        }
        // Their new node finds nothing to do; and gone is gone, although rows still name this node's drives.
        for node in ["two", "three"] {
            let agent = rig.agent_of(node);
            agent.reap().await.unwrap();
            agent.audit().await.unwrap();
        }
        rig.drives.look_from(NODE);
        assert!(rig.authority.deficits().is_empty());
        rig.empties(4, false);
        for (blob, _) in &blobs {
            rig.authority.add_job(Kind::Delete, blob, 0);
        }
        rig.agent.delete_jobs().await.unwrap();
        assert!(rig.authority.reports().iter().all(|report| report.outcome() == Outcome::Done));
        assert_eq!(rig.drives.stored(None), 0);
    });
}

#[test]
fn what_no_other_node_has_drives_for_is_stuck_with_the_reason_until_one_has() {
    run(async {
        let rig = Rig::of_one_node(4, 1);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        rig.agent.reap().await.unwrap();
        for backend in [11, 21, 22] {
            rig.drives.set_state(backend, Some(DriveState::Full));
        }
        rig.empties(4, true);
        rig.agent.drain().await.unwrap();
        let work = rig.drain_of(1);
        assert_eq!(work.drain_stuck_pieces, work.drain_left_pieces);
        assert_eq!((work.drain_wants(), work.drain_wanted, work.drain_there), (DrainWant::DrivesOfOne, 4, 3));
        assert!(rig.authority.deficits().is_empty());
        // Nor does a repair take it apart, should one come.
        assert_eq!(rig.repair(&blob, 0b1).await.outcome(), Outcome::Done, "it is there after all");
        assert!(rig.nodes_of(&blob).await.iter().all(|node| *node == NODE));
        rig.drives.set_state(11, Some(DriveState::Active));
        rig.agent.drain().await.unwrap();
        rig.repair_deficits().await;
        assert!(rig.nodes_of(&blob).await.iter().all(|node| *node == "two"));
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn a_move_that_was_cut_off_lies_on_two_nodes_and_is_brought_together() {
    run(async {
        let rig = Rig::of_one_node(4, 1);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        rig.agent.reap().await.unwrap();
        rig.empties(4, true);
        // One drive of each other node fails late.
        for backend in [12, 22] {
            rig.drives.break_drive(backend, Faults { flush_fails: true, ..Faults::default() });
        }
        rig.agent.drain().await.unwrap();
        let reports = rig.repair_deficits().await;
        assert!(matches!(&reports[..], [report] if report.outcome() == Outcome::Later), "{reports:?}");
        let nodes = rig.nodes_of(&blob).await;
        // One fragment is whole on this node still, and begun on the other.
        assert_eq!(nodes.iter().filter(|node| node.is_empty()).count(), 1, "{nodes:?}");
        assert!(rig.on_this_node(4) > 0);
        assert_eq!(rig.read(&blob).await.as_ref(), Some(&body));
        rig.drives.heal();
        // Who got the others does not take what is not there for lost, and may finish it itself.
        let seat = *nodes.iter().find(|node| !node.is_empty()).unwrap();
        let agent = rig.agent_of(seat);
        agent.reap().await.unwrap();
        agent.audit().await.unwrap();
        let deficits = rig.authority.deficits();
        assert_eq!(deficits.iter().map(|d| d.missing.count_ones()).collect::<Vec<_>>(), [1], "{deficits:?}");
        let job =
            wire::Job { blob: deficits[0].blob.clone(), missing: deficits[0].missing, ..Default::default() };
        let report = agent.repair(&job).await.unwrap().unwrap();
        assert_eq!(report.outcome(), Outcome::Done, "{report:?}");
        rig.drives.look_from(NODE);
        assert!(rig.nodes_of(&blob).await.iter().all(|node| *node == seat));
        assert_eq!((rig.on_this_node(4), rig.read(&blob).await), (0, Some(body)));
    });
}

#[test]
fn what_was_written_twice_before_a_crash_is_dropped_where_it_was() {
    run(async {
        let rig = Rig::of_one_node(4, 1);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        let before = rig.drives.stored(None);
        rig.agent.reap().await.unwrap();
        rig.empties(4, true);
        // The old copies could not be deleted.
        for backend in 1..=4 {
            rig.drives.break_drive(backend, Faults { delete_fails: true, ..Faults::default() });
        }
        rig.agent.drain().await.unwrap();
        rig.repair_deficits().await;
        assert_eq!(rig.drives.stored(None), 2 * before);
        rig.drives.heal();
        let told: Vec<_> = rig.agent.told.borrow_mut().drain().collect();
        assert_eq!(told.len(), 1);
        rig.agent.drain().await.unwrap();
        let reports = rig.repair_deficits().await;
        assert!(matches!(&reports[..], [report] if report.outcome() == Outcome::Done), "{reports:?}");
        assert_eq!((rig.on_this_node(4), rig.drives.stored(None)), (0, before));
        assert!(on_one(&rig.nodes_of(&blob).await));
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn a_blob_over_nodes_leaves_the_node_once_another_holds_nothing_of_it() {
    run(async {
        let rig = Rig::over_nodes(4, 2, 1);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        rig.agent.reap().await.unwrap();
        rig.empties(2, true);
        rig.agent.drain().await.unwrap();
        let works = [rig.drain_of(1), rig.drain_of(2)];
        let stuck = works.iter().find(|work| work.drain_stuck_pieces > 0).expect("every other node has one");
        assert_eq!((stuck.drain_wants(), stuck.drain_wanted, stuck.drain_there), (DrainWant::Nodes, 4, 3));
        assert!(rig.authority.deficits().is_empty());
        rig.drives.set_node(41, "five");
        rig.add_drive(41);
        rig.state_of("five", 5, "active");
        rig.agent.drain().await.unwrap();
        let reports = rig.repair_deficits().await;
        assert!(matches!(&reports[..], [report] if report.outcome() == Outcome::Done), "{reports:?}");
        let nodes = rig.nodes_of(&blob).await;
        assert!(distinct(&nodes) && nodes.contains(&"five") && !nodes.contains(&NODE), "{nodes:?}");
        assert_eq!((rig.on_this_node(2), rig.read(&blob).await), (0, Some(body)));
    });
}
