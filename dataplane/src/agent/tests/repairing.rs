//! Repairing, scrubbing, auditing, draining: what is missing comes back, and is said to be back only then.

use holdfast_common::wire::job::Kind;
use holdfast_common::wire::job_report::Outcome;

use super::*;

/// Sizes with every shape of last row on 4+2 and 2+2: copies, one byte, less than a piece, empty data pieces, full rows.
const SIZES: [usize; 8] = [1, 9_000, 20_000, 16_385, 65_600, 2 * ROW, 4 * ROW + 1, 5 * ROW + 300_001];

#[test]
fn every_subset_that_the_code_survives_comes_back() {
    run(async {
        for (drives, parity) in [(6, 2), (4, 2), (3, 1), (2, 1)] {
            for (at, size) in SIZES.into_iter().enumerate() {
                let rig = Rig::new(drives, parity);
                let (blob, body) = rig.put(now() - 5000 + at as u64, size).await;
                let stock = rig.stock(&blob).await;
                let fragments = stock.coding().fragments();
                for missing in (1u64..1 << fragments).filter(|bits| bits.count_ones() as usize <= parity) {
                    let lost = |index: u8| missing >> index & 1 == 1;
                    rig.drives.lose(|_, id, _| lost(id.index));
                    let report = rig.repair(&blob, missing).await;
                    assert_eq!((report.outcome(), report.missing), (Outcome::Done, 0), "{report:?}");
                    let stock = rig.stock(&blob).await;
                    assert_eq!(stock.missing(), 0, "{size} bytes on {drives} drives without {missing:#b}");
                    for index in stock.indexes().filter(|index| lost(*index)) {
                        let copies = stock.copies(index);
                        assert_eq!(copies.len(), 1);
                        assert_eq!(copies[0].0.0, rig.home(&blob, index.into()), "back on its own drive");
                    }
                    assert_eq!(rig.read(&blob).await.as_ref(), Some(&body));
                    assert!(rig.drives.is_durable(1));
                }
            }
        }
    });
}

#[test]
fn repaired_fragments_alone_give_the_blob_back() {
    run(async {
        for size in SIZES {
            let rig = Rig::new(4, 2);
            let (blob, body) = rig.put(now() - 5000, size).await;
            for missing in [0b0011u64, 0b1100] {
                rig.drives.lose(|_, id, _| missing >> id.index & 1 == 1);
                assert_eq!(rig.repair(&blob, missing).await.outcome(), Outcome::Done);
            }
            assert_eq!(rig.read(&blob).await, Some(body));
        }
    });
}

#[test]
fn rot_in_a_row_is_replaced_and_the_rotten_copy_goes() {
    run(async {
        let rig = Rig::new(4, 2);
        let (blob, body) = rig.put(now() - 5000, 7 * ROW).await;
        let home = rig.home(&blob, 1);
        rig.drives.break_drive(home, Faults { rotten: Some((3, 1)), ..Faults::default() });
        rig.agent.scrub().await.unwrap();
        let found = rig.authority.deficits();
        assert_eq!(found.iter().map(|deficit| deficit.missing).collect::<Vec<_>>(), [0b10]);
        // The rot stands in what the old attempt wrote: another drive takes the fragment.
        rig.administer(home, "full");
        assert_eq!(rig.repair(found[0].blob.as_ref().unwrap(), 0b10).await.outcome(), Outcome::Done);
        let copies = rig.stock(&blob).await.copies(1);
        assert!(
            copies.len() == 1 && copies[0].0.0 != home && copies[0].1.fragment.attempt == 1,
            "{copies:?}"
        );
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn what_cannot_be_read_back_is_not_said_to_be_repaired() {
    run(async {
        let rig = Rig::new(4, 2);
        let (blob, body) = rig.put(now() - 5000, 3 * ROW).await;
        let before = rig.drives.stored(None);
        // Fragment 0 is there after all; what a failed repair writes must not cost it.
        let faults = Faults { rotten_from_attempt: Some(1), ..Faults::default() };
        rig.drives.break_drive(rig.home(&blob, 0), faults);
        let report = rig.repair(&blob, 0b1).await;
        assert_eq!((report.outcome(), report.missing), (Outcome::Later, 0b1), "{report:?}");
        assert_eq!(rig.drives.stored(None), before + 1, "one piece keeps its name from being given again");
        rig.drives.break_drive(rig.home(&blob, 0), Faults { flush_fails: true, ..Faults::default() });
        assert_eq!(rig.repair(&blob, 0b1).await.outcome(), Outcome::Later);
        assert_eq!(rig.read(&blob).await.as_ref(), Some(&body));
        rig.drives.heal();
        assert_eq!(rig.repair(&blob, 0b1).await.outcome(), Outcome::Done);
        assert_eq!((rig.drives.stored(None), rig.read(&blob).await), (before, Some(body)));
    });
}

#[test]
fn what_was_proven_is_kept_when_another_fragment_fails() {
    run(async {
        let rig = Rig::new(6, 2);
        let (blob, body) = rig.put(now() - 5000, 9 * ROW).await;
        rig.drives.lose(|_, id, _| id.index < 2);
        let faults = Faults { append_fails_from: Some(1), ..Faults::default() };
        rig.drives.break_drive(rig.home(&blob, 1), faults);
        let report = rig.repair(&blob, 0b11).await;
        assert_eq!((report.outcome(), report.missing), (Outcome::Later, 0b10), "{report:?}");
        assert_eq!(rig.stock(&blob).await.missing(), 0b10);
        rig.drives.heal();
        assert_eq!(rig.repair(&blob, report.missing).await.outcome(), Outcome::Done);
        assert_eq!(rig.read(&blob).await, Some(body));
    });
}

#[test]
fn too_few_pieces_are_a_loss_only_when_no_drive_can_bring_them() {
    run(async {
        let rig = Rig::new(4, 2);
        let (blob, _) = rig.put(now() - 5000, 3 * ROW).await;
        rig.drives.lose(|_, id, _| id.index < 2);
        rig.drives.set_state(rig.home(&blob, 2), None);
        let stored = rig.drives.stored(None);
        assert_eq!(rig.repair(&blob, 0b111).await.outcome(), Outcome::Later, "a drive is away");
        rig.administer(rig.home(&blob, 2), "replaced");
        assert_eq!(rig.repair(&blob, 0b111).await.outcome(), Outcome::Lost);
        assert_eq!(rig.drives.stored(None), stored, "nothing half-made stays");
    });
}

#[test]
fn a_replaced_drive_is_refilled_elsewhere() {
    run(async {
        let rig = Rig::new(6, 2);
        let mut blobs = Vec::new();
        for (at, size) in SIZES.into_iter().enumerate() {
            blobs.push(rig.put(now() - 5000 + at as u64, size).await);
        }
        rig.drives.wipe(2);
        rig.drives.set_state(2, None);
        rig.administer(2, "replaced");
        rig.add_drive(9);
        rig.agent.reap().await.unwrap();
        rig.agent.audit().await.unwrap();
        for deficit in rig.authority.deficits() {
            rig.authority.add_job(Kind::Repair, &deficit.blob.unwrap(), deficit.missing);
        }
        rig.agent.repair_jobs().await.unwrap();
        assert!(rig.authority.reports().iter().all(|report| report.outcome() == Outcome::Done));
        for (blob, body) in &blobs {
            let (stock, fleet) = (rig.stock(blob).await, rig.agent.fleet());
            assert_eq!(stock.missing(), 0);
            let apart = |i| stock.copies(i).iter().all(|(at, _)| !fleet.has_sibling(&stock, *at, i));
            assert!(stock.indexes().all(apart));
            assert_eq!(rig.read(blob).await.as_ref(), Some(body));
        }
        assert!(rig.drives.stored(Some(9)) > 0);
    });
}

#[test]
fn a_drive_that_is_away_counts_as_lost_only_after_its_grace() {
    run(async {
        for (grace, found) in [(Duration::from_secs(3600), 0), (Duration::ZERO, 1)] {
            let rig = Rig::new(4, 2).with_grace(grace);
            let (blob, body) = rig.put(now() - 5000, 3 * ROW).await;
            rig.agent.reap().await.unwrap();
            rig.drives.set_state(rig.home(&blob, 3), None);
            rig.agent.audit().await.unwrap();
            let deficits = rig.authority.deficits();
            assert_eq!(deficits.len(), found);
            for deficit in deficits {
                assert_eq!((deficit.missing, deficit.blob.as_ref().unwrap().size), (0b1000, blob.size));
                // No drive without a sibling is left: better two on one drive than too few.
                assert_eq!(rig.repair(&deficit.blob.unwrap(), 0b1000).await.outcome(), Outcome::Done);
            }
            // The drive is wiped, comes back, and the crowded fragment moves there.
            if found > 0 {
                rig.drives.wipe(rig.home(&blob, 3));
            }
            rig.drives.set_state(rig.home(&blob, 3), Some(DriveState::Active));
            rig.agent.audit().await.unwrap();
            let (stock, fleet) = (rig.stock(&blob).await, rig.agent.fleet());
            assert!(stock.indexes().all(|i| !fleet.has_sibling(&stock, stock.copies(i)[0].0, i)));
            assert_eq!((stock.missing(), rig.read(&blob).await), (0, Some(body)));
        }
    });
}

#[test]
fn two_fragments_share_no_drive_while_one_may_come_back() {
    run(async {
        for (grace, outcome) in [(Duration::from_secs(3600), Outcome::Later), (Duration::ZERO, Outcome::Done)]
        {
            let rig = Rig::new(4, 2).with_grace(grace);
            let (blob, _) = rig.put(now() - 5000, 3 * ROW).await;
            rig.drives.set_state(rig.home(&blob, 3), None);
            assert_eq!(rig.repair(&blob, 0b1000).await.outcome(), outcome);
        }
    });
}

#[test]
fn a_drive_that_comes_back_leaves_no_fragment_twice() {
    run(async {
        let rig = Rig::new(4, 2).with_grace(Duration::ZERO);
        let (blob, body) = rig.put(now() - 5000, 7 * ROW).await;
        rig.agent.reap().await.unwrap();
        let (home, before) = (rig.home(&blob, 2), rig.drives.stored(None));
        rig.drives.set_state(home, None);
        assert_eq!(rig.repair(&blob, 0b100).await.outcome(), Outcome::Done);
        rig.drives.set_state(home, Some(DriveState::Active));
        assert_eq!(rig.stock(&blob).await.copies(2).len(), 2);
        rig.agent.audit().await.unwrap();
        let copies = rig.stock(&blob).await.copies(2);
        assert!(copies.len() == 1 && copies[0].0.0 == home, "{copies:?}");
        assert_eq!((rig.drives.stored(None), rig.read(&blob).await), (before, Some(body)));
    });
}

#[test]
fn what_is_not_settled_is_not_audited() {
    run(async {
        let rig = Rig::new(4, 2);
        rig.agent.reap().await.unwrap();
        let (blob, _) = rig.write(now() + 60_000, 3 * ROW).await;
        rig.drives.lose(|_, id, _| id.index == 1);
        rig.agent.audit().await.unwrap();
        assert!(rig.authority.deficits().is_empty());
        assert!(!rig.drives.find(op_of(&blob)).await.unwrap().is_empty());
    });
}

#[test]
fn what_a_read_met_becomes_a_deficit() {
    run(async {
        let rig = Rig::new(4, 2);
        let (blob, _) = rig.put(now() - 5000, 3 * ROW).await;
        let fragment = |index: u8, error| crate::blob::RepairNote {
            index,
            backend: BackendId(rig.home(&blob, index.into())),
            row: 0,
            error,
        };
        let fragments = vec![fragment(0, DriveError::Rotten("x")), fragment(1, DriveError::Busy)];
        rig.state.notes.push(Note { blob: blob.clone(), fragments });
        rig.agent.audit().await.unwrap();
        let deficits = rig.authority.deficits();
        assert_eq!((deficits.len(), deficits[0].missing), (1, 0b1));
    });
}

#[test]
fn a_drained_drive_ends_empty_and_every_blob_stays_whole() {
    run(async {
        let rig = Rig::new(4, 2);
        let mut blobs = Vec::new();
        for (at, size) in SIZES.into_iter().enumerate() {
            blobs.push(rig.put(now() - 5000 + at as u64, size).await);
        }
        rig.agent.reap().await.unwrap();
        rig.administer(1, "draining");
        let left = || rig.agent.progress.drive(BackendId(1), true).drain_left_pieces;
        assert!(left() > 0, "it is not empty before somebody looked");
        rig.agent.drain().await.unwrap();
        let work = rig.agent.progress.drive(BackendId(1), true);
        assert!(
            work.drain_stuck_pieces > 0 && rig.drives.stored(Some(1)) > 0,
            "every other drive has a sibling"
        );
        rig.add_drive(9);
        rig.agent.drain().await.unwrap();
        assert_eq!(rig.drives.stored(Some(1)), 0);
        assert_eq!(left(), 0);
        for (blob, body) in &blobs {
            assert_eq!(rig.stock(blob).await.missing(), 0);
            assert_eq!(rig.read(blob).await.as_ref(), Some(body));
        }
    });
}

#[test]
fn a_blob_is_repaired_or_deleted_never_both() {
    run(async {
        let rig = Rig::new(4, 2);
        let (blob, _) = rig.put(now() - 5000, 3 * ROW).await;
        rig.authority.add_job(Kind::Delete, &blob, 0);
        let claim = rig.agent.claim(op_of(&blob)).unwrap();
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.authority.reports()[0].outcome(), Outcome::Later);
        let job = wire::Job { blob: Some(blob.clone()), missing: 1, ..Default::default() };
        assert!(rig.agent.repair(&job).await.unwrap().is_none());
        drop(claim);
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.authority.reports()[0].outcome(), Outcome::Done);
    });
}
