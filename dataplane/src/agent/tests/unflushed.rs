//! Copies that were written and never flushed: they look whole, and may be gone after a crash.

use holdfast_common::id::FragmentId;
use holdfast_common::wire::job_report::Outcome;

use super::*;
use crate::drives::{Drives as _, Piece};

const BIG: usize = 3 * ROW + 5;

#[test]
fn a_fragment_that_was_never_flushed_is_not_there_after_all() {
    run(async {
        let rig = Rig::over_nodes(4, 1, 1);
        let unwell = Faults { flush_fails: true, ..Faults::default() };
        rig.drives.break_drive(11, unwell);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        let missing = 0b1111 & !blob.proven;
        assert_eq!((missing.count_ones(), rig.everywhere(&blob).await.missing()), (1, 0), "it looks whole");
        assert!(!rig.drives.is_durable(11));
        let report = rig.repair(&blob, missing).await;
        assert_eq!((report.outcome(), report.missing), (Outcome::Later, missing), "{report:?}");
        rig.drives.heal();
        assert_eq!(rig.repair(&blob, missing).await.outcome(), Outcome::Done);
        rig.drives.lose_power();
        assert_eq!(rig.everywhere(&blob).await.missing(), 0);
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn a_durable_copy_does_not_go_for_one_that_was_never_flushed() {
    run(async {
        let rig = Rig::over_nodes(3, 2, 1);
        let (blob, body) = rig.put(now() - 5000, BIG).await;
        let stock = rig.everywhere(&blob).await;
        let (home, held) = *stock.held.iter().find(|(at, _)| node_of(at.0) == NODE).unwrap();
        // A repair wrote it again, and its flush is still to come.
        let target = BackendId(3 - home.0);
        let id = FragmentId { attempt: 1, ..held.fragment };
        for row in 0..=held.last_row {
            let facts = rig.drives.facts(home, held.fragment, row).await.unwrap();
            let payload = rig.drives.read_here(home, held.fragment, row).await.unwrap().bytes;
            let (coding, class_id, blob_size) = (facts.coding, facts.class_id, facts.blob_size);
            let fields = bytes::Bytes::new();
            let piece = Piece { id, row, coding, class_id, blob_size, fields, payload };
            rig.drives.append(target, piece).await.unwrap();
        }
        rig.drives.break_drive(target.0, Faults { flush_fails: true, ..Faults::default() });
        let audit = async || {
            let agent = rig.agent_of(NODE);
            agent.reap().await.unwrap();
            agent.audit().await.unwrap();
            rig.everywhere(&blob).await.copies(id.index)
        };
        assert_eq!(audit().await.len(), 2, "the one that is durable stays");
        rig.drives.heal();
        let copies = audit().await;
        assert!(copies.len() == 1 && copies[0].0 == target, "{copies:?}");
        assert!(rig.drives.is_durable(target.0));
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}
