//! Disks that hang or are slow: nobody waits for them longer than he must.

use super::failing::{assert_reads, open, try_put, until};
use super::faulty::{Faults, FaultyRt, Op, What, on_faulty_core};
use super::*;
use crate::drives::format::SEGMENTS;

/// Puts on two drives, the first of which hangs in `op`: what is there is still read, and the other goes on.
fn hangs(op: Op) {
    let (place, faults) = (Place::new(2), Faults::hasty(100));
    let engine = open(&place, &faults);
    let (told, segments) = (Arc::clone(&faults), place.drive(0).join(SEGMENTS));
    on_faulty_core(&faults, move || async move {
        until(|| free_segments(&engine.drives[0]) >= 3).await;
        let drives = engine.core::<FaultyRt>();
        try_put(&drives, 0, 0, 5000).await.unwrap();
        until(|| free_segments(&engine.drives[0]) >= 3).await;
        told.add(&segments, op, 0, 1, What::Hang);
        // More than its queue holds, so that some wait for room.
        let puts = (1..200).map(|n| try_put(&drives, 0, n, 300_000));
        let ended = futures_util::future::join_all(puts).await;
        assert!(ended.iter().all(Result::is_err), "everyone is told");
        let DriveState::Failed(sentence) = drives.statuses()[0].state.clone() else { panic!("it is out") };
        assert!(sentence.contains("has not come back"), "{sentence}");
        assert_eq!(drives.writable(), [backend(1)]);
        try_put(&drives, 1, 500, 5000).await.unwrap();
        assert_reads(&drives, [0], 5000).await;
        assert_eq!(drives.append(backend(0), piece(600, 0, 100)).await, Err(DriveError::Failed));
        // It comes back, and changes nothing any more.
        told.clear();
        FaultyRt::sleep(Duration::from_secs(3)).await;
        assert_eq!(drives.writable(), [backend(1)]);
        for n in (1..200).filter(|_| op == Op::Append) {
            assert!(whole(&drives, n, 0).await == Err(DriveError::NotFound), "piece {n}");
        }
        drives.close().await;
        engine.stop();
    });
    let engine = open(&place, &faults);
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        assert_eq!(drives.writable().len(), 2, "a restart brings it back");
        assert_reads(&drives, [0], 5000).await;
        try_put(&drives, 0, 700, 5000).await.unwrap();
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn a_write_that_hangs_takes_its_drive_out_and_holds_nobody_up() {
    hangs(Op::Append);
}

#[test]
fn a_flush_that_hangs_takes_its_drive_out_and_holds_nobody_up() {
    hangs(Op::Flush);
}

#[test]
fn a_slow_drive_is_left_alone_stays_readable_and_comes_back_when_it_is_well() {
    let (place, faults) = (Place::new(4), Faults::hasty(10));
    let engine = open(&place, &faults);
    let (told, segments) = (Arc::clone(&faults), place.drive(0).join(SEGMENTS));
    on_faulty_core(&faults, move || async move {
        until(|| engine.drives.iter().all(|drive| free_segments(drive) >= 3)).await;
        let drives = engine.core::<FaultyRt>();
        let all = [0, 1, 2, 3];
        let mut n = 0;
        told.always(&segments, Op::Flush, What::Late(Duration::from_secs(20)));
        while drives.writable().len() == 4 {
            let puts = all.map(|to| try_put(&drives, to, n, 5000));
            futures_util::future::join_all(puts).await.into_iter().for_each(|put| put.unwrap());
            n += 1;
        }
        let DriveState::Slow(sentence) = drives.statuses()[0].state.clone() else {
            panic!("{:?}", drives.statuses())
        };
        assert!(sentence.contains("siblings"), "{sentence}");
        assert_eq!(drives.writable(), [1, 2, 3].map(backend));
        assert_reads(&drives, 0..n, 5000).await;
        try_put(&drives, 0, 1000, 5000).await.expect("who has no other drive may still write to it");
        told.clear();
        let mut later = 2000;
        while drives.writable().len() < 4 {
            // Its siblings stay at work: the machine that tests run on may itself be slow.
            futures_util::future::join_all([1, 2, 3].map(|to| try_put(&drives, to, later, 5000))).await;
            later += 1;
        }
        try_put(&drives, 0, 1001, 5000).await.unwrap();
        assert_reads(&drives, (0..n).chain([1000, 1001]), 5000).await;
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn deletes_on_a_drive_that_hangs_are_answered_and_it_does_not_hold_up_the_end() {
    let (place, faults) = (Place::new(2), Faults::hasty(100));
    let engine = open(&place, &faults);
    let (told, segments) = (Arc::clone(&faults), place.drive(0).join(SEGMENTS));
    on_faulty_core(&faults, move || async move {
        until(|| engine.drives.iter().all(|drive| free_segments(drive) >= 3)).await;
        let drives = engine.core::<FaultyRt>();
        for n in 0..10 {
            try_put(&drives, n as usize % 2, n, 5000).await.unwrap();
        }
        told.always(&segments, Op::Write, What::Hang);
        told.always(&segments, Op::Flush, What::Hang);
        let deletes = (0..10).map(|n| drives.delete(backend(n as usize % 2), fragment(n), 1));
        let ended = futures_util::future::join_all(deletes).await;
        for (n, ended) in ended.into_iter().enumerate() {
            assert_eq!(ended, if n % 2 == 0 { Err(DriveError::Failed) } else { Ok(()) }, "piece {n}");
        }
        assert_eq!(drives.delete_blob(fragment(0).blob).await, [(backend(0), DriveError::Failed)]);
        assert_eq!(drives.writable(), [backend(1)]);
        drives.close().await;
        engine.stop();
        told.clear();
    });
}
