//! Disks that fill up or fail, each with what becomes of the pieces on them.

use super::faulty::{Faults, FaultyHost, FaultyRt, Op, What, on_faulty_core};
use super::*;
use crate::drives::format::{DriveRoot, OpenError, SEGMENTS};
use crate::limits::DRIVE_ERRORS_MAX;

pub(super) type Cores = Rc<CoreDrives<FaultyRt>>;

pub(super) fn host(faults: &Arc<Faults>) -> Arc<dyn Host> {
    Arc::new(FaultyHost(Arc::clone(faults)))
}

pub(super) fn open(place: &Place, faults: &Arc<Faults>) -> Arc<Engine> {
    place.open_with(&host(faults), Starter::Threads)
}

pub(super) async fn try_put(drives: &Cores, to: usize, n: u32, len: usize) -> Result<(), DriveError> {
    let receipt = drives.append(backend(to), piece(n, 0, len)).await?;
    drives.flush(backend(to), receipt).await
}

/// Puts from `n` on until one is refused; says which, and why.
async fn put_until_refused(drives: &Cores, n: u32, len: usize) -> (u32, DriveError) {
    for n in n..n + 200 {
        if let Err(error) = try_put(drives, 0, n, len).await {
            return (n, error);
        }
    }
    panic!("200 pieces of {len} bytes, and none was refused");
}

/// Waits without holding up the core.
pub(super) async fn until(what: impl Fn() -> bool) {
    for _ in 0..1000 {
        if what() {
            return;
        }
        EpollRt::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not happen within twenty seconds");
}

pub(super) async fn assert_reads(drives: &Cores, all: impl IntoIterator<Item = u32>, len: usize) {
    for n in all {
        assert!(whole(drives, n, 0).await == Ok(bytes(n, len)), "piece {n}");
    }
}

#[test]
fn a_full_drive_refuses_pieces_before_its_reserve_and_deleting_gives_space_back() {
    let (place, faults) = (Place::new(1), Faults::new());
    // 60 MiB above the reserve of a twentieth of 1 GiB.
    let reserve = (1 << 30) / 20;
    faults.leave_free(reserve + (60 << 20));
    let engine = open(&place, &faults);
    let room = Arc::clone(&faults);
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        let (first_refused, error) = put_until_refused(&drives, 0, 400_000).await;
        assert_eq!(error, DriveError::Full);
        assert!(room.free() >= reserve, "{} bytes left of {reserve}", room.free());
        assert!(drives.writable().is_empty());
        assert_reads(&drives, 0..first_refused, 400_000).await;
        // Others take what is left: not one byte free, and the deletes need a segment.
        room.leave_free(0);
        for n in 0..first_refused {
            drives.delete(backend(0), fragment(n), 1).await.unwrap();
            assert_eq!(whole(&drives, n, 0).await, Err(DriveError::NotFound));
        }
        until(|| room.free() >= (15 << 20)).await;
        room.leave_free(room.free() + reserve);
        until(|| !drives.writable().is_empty()).await;
        try_put(&drives, 0, 9000, 400_000).await.unwrap();
        assert_reads(&drives, [9000], 400_000).await;
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn a_start_on_a_disk_without_a_byte_left_still_deletes() {
    let (place, faults) = (Place::new(1), Faults::new());
    let engine = open(&place, &faults);
    wait_for(|| free_segments(&engine.drives[0]) >= 3);
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        for n in 0..3 {
            try_put(&drives, 0, n, 1000).await.unwrap();
        }
        drives.close().await;
        engine.stop();
    });
    faults.leave_free(0);
    for round in 0..3 {
        // Each start needs a new segment for its deletes: those of an earlier run are never appended to.
        let engine = open(&place, &faults);
        on_faulty_core(&faults, move || async move {
            let drives = engine.core::<FaultyRt>();
            until(|| drives.writable().is_empty()).await;
            assert_eq!(try_put(&drives, 0, 100, 1000).await, Err(DriveError::Full));
            drives.delete(backend(0), fragment(round), 1).await.unwrap();
            assert_eq!(whole(&drives, round, 0).await, Err(DriveError::NotFound));
            assert_reads(&drives, round + 1..3, 1000).await;
            drives.close().await;
            engine.stop();
        });
    }
}

#[test]
fn a_read_only_file_system_is_refused_at_a_start_and_left_at_once_while_it_runs() {
    let (place, faults) = (Place::new(1), Faults::new());
    let engine = open(&place, &faults);
    let (told, drive) = (Arc::clone(&faults), place.drive(0));
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        try_put(&drives, 0, 1, 5000).await.unwrap();
        told.always(&drive, Op::Write, What::Error(libc::EROFS));
        assert_eq!(try_put(&drives, 0, 2, 5000).await, Err(DriveError::ReadOnly));
        assert!(drives.writable().is_empty(), "after the first");
        assert!(drives.delete(backend(0), fragment(1), 1).await.is_err());
        assert_reads(&drives, [1], 5000).await;
        drives.close().await;
        engine.stop();
    });
    faults.always(&place.drive(0), Op::Create, What::Error(libc::EROFS));
    let refused = DriveRoot::open(&FaultyHost(faults), &place.drive(0), CLUSTER).unwrap_err();
    assert!(matches!(refused, OpenError::ReadOnly(_)), "{refused}");
}

#[test]
fn a_drive_that_cannot_be_read_leaves_the_write_set_and_one_bad_spot_does_not_do_that() {
    let (place, faults) = (Place::new(1), Faults::new());
    let engine = open(&place, &faults);
    let (told, drive) = (Arc::clone(&faults), place.drive(0));
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        for n in 0..3 {
            try_put(&drives, 0, n, 5000).await.unwrap();
        }
        for _ in 0..2 * DRIVE_ERRORS_MAX {
            told.add(&drive, Op::Read, 0, 1, What::Error(libc::EIO));
            assert!(matches!(whole(&drives, 0, 0).await, Err(DriveError::Io { .. })));
            assert_reads(&drives, 1..3, 5000).await;
        }
        assert_eq!(drives.writable(), [backend(0)]);
        told.always(&drive, Op::Read, What::Error(libc::EIO));
        for _ in 0..DRIVE_ERRORS_MAX {
            assert!(matches!(whole(&drives, 1, 0).await, Err(DriveError::Io { .. })));
        }
        assert!(drives.writable().is_empty());
        assert_eq!(try_put(&drives, 0, 9, 5000).await, Err(DriveError::Failed));
        told.clear();
        assert_reads(&drives, 0..3, 5000).await;
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn a_failed_or_short_write_costs_its_own_pieces_only_and_three_in_a_row_the_drive() {
    for what in [What::Error(libc::EIO), What::Short] {
        let (place, faults) = (Place::new(1), Faults::new());
        let engine = open(&place, &faults);
        let (told, drive) = (Arc::clone(&faults), place.drive(0));
        let segments = drive.join(SEGMENTS);
        on_faulty_core(&faults, move || async move {
            let drives = engine.core::<FaultyRt>();
            for n in 0..10 {
                try_put(&drives, 0, 2 * n, 50_000).await.unwrap();
                told.add(&segments, Op::Append, 0, 1, what);
                assert!(matches!(try_put(&drives, 0, 2 * n + 1, 50_000).await, Err(DriveError::Io { .. })));
            }
            assert_eq!(drives.writable(), [backend(0)]);
            told.always(&segments, Op::Append, what);
            for n in 0..DRIVE_ERRORS_MAX {
                assert!(try_put(&drives, 0, 100 + n, 50_000).await.is_err());
            }
            assert!(drives.writable().is_empty());
            assert_eq!(try_put(&drives, 0, 200, 50_000).await, Err(DriveError::Failed));
            assert_reads(&drives, (0..10).map(|n| 2 * n), 50_000).await;
            drives.close().await;
            engine.stop();
        });
        std::fs::remove_dir_all(place.index()).unwrap();
        faults.clear();
        let engine = open(&place, &faults);
        on_faulty_core(&faults, move || async move {
            let drives = engine.core::<FaultyRt>();
            assert_reads(&drives, (0..10).map(|n| 2 * n), 50_000).await;
            try_put(&drives, 0, 300, 50_000).await.unwrap();
            drives.close().await;
            engine.stop();
        });
    }
}

#[test]
fn a_failed_flush_is_never_tried_again_and_fails_all_that_waited_for_it() {
    let (place, faults) = (Place::new(1), Faults::new());
    let engine = open(&place, &faults);
    let (told, drive) = (Arc::clone(&faults), place.drive(0));
    let segments = drive.join(SEGMENTS);
    on_faulty_core(&faults, move || async move {
        until(|| free_segments(&engine.drives[0]) >= 3).await;
        let drives = engine.core::<FaultyRt>();
        try_put(&drives, 0, 0, 5000).await.unwrap();
        until(|| free_segments(&engine.drives[0]) >= 3).await;
        let receipts = [
            drives.append(backend(0), piece(1, 0, 5000)).await.unwrap(),
            drives.append(backend(0), piece(2, 0, 5000)).await.unwrap(),
        ];
        told.add(&segments, Op::Flush, 0, 1, What::Error(libc::EIO));
        let spoiled = told.next_flush();
        assert!(drives.flush(backend(0), receipts[0]).await.is_err());
        let file = told.flushed_since(spoiled)[0].clone();
        // The kernel would now say that all is well.
        assert!(drives.flush(backend(0), receipts[1]).await.is_err());
        let after = told.next_flush();
        try_put(&drives, 0, 3, 5000).await.unwrap();
        drives.close().await;
        assert!(!told.flushed_since(after).contains(&file), "{}", file.display());
        assert_eq!(drives.writable(), [backend(0)], "one is forgiven");
        engine.stop();
        assert!(!told.flushed_since(after).contains(&file), "{}", file.display());
    });
    let engine = open(&place, &faults);
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        assert_reads(&drives, [0, 3], 5000).await;
        engine.stop();
    });
}

#[test]
fn what_another_core_appended_is_flushed_where_it_stands_unless_a_flush_has_failed() {
    let (place, faults) = (Place::new(1), Faults::new());
    let engine = open(&place, &faults);
    let (told, segments) = (Arc::clone(&faults), place.drive(0).join(SEGMENTS));
    on_faulty_core(&faults, move || async move {
        until(|| free_segments(&engine.drives[0]) >= 3).await;
        let (writer, other) = (engine.core::<FaultyRt>(), engine.core::<FaultyRt>());
        let receipt = writer.append(backend(0), piece(1, 0, 5000)).await.unwrap();
        until(|| free_segments(&engine.drives[0]) >= 3).await;
        let before = told.next_flush();
        other.persist(backend(0), fragment(1), 1).await.unwrap();
        let (flushed, after) = (told.flushed_since(before), told.next_flush());
        writer.flush(backend(0), receipt).await.unwrap();
        assert!(flushed.contains(&told.flushed_since(after)[0]), "{flushed:?}");
        assert_eq!(other.persist(backend(0), fragment(1), 2).await, Err(DriveError::NotFound));
        told.add(&segments, Op::Flush, 0, 1, What::Error(libc::EIO));
        assert!(writer.flush(backend(0), receipt).await.is_err());
        assert!(other.persist(backend(0), fragment(1), 1).await.is_err(), "it may have been dropped");
        writer.close().await;
        other.close().await;
        engine.stop();
    });
}

#[test]
fn flushes_that_fail_are_counted_once_however_many_wait_and_never_forgotten() {
    let (place, faults) = (Place::new(1), Faults::new());
    let engine = open(&place, &faults);
    let (told, segments) = (Arc::clone(&faults), place.drive(0).join(SEGMENTS));
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        for failed in 1..=DRIVE_ERRORS_MAX {
            until(|| free_segments(&engine.drives[0]) >= 3).await;
            let appends = (0..20).map(|n| drives.append(backend(0), piece(failed * 100 + n, 0, 100)));
            let receipts = futures_util::future::join_all(appends).await;
            told.add(&segments, Op::Flush, 0, 1, What::Error(libc::EIO));
            let flushes = receipts.into_iter().map(|receipt| drives.flush(backend(0), receipt.unwrap()));
            assert!(futures_util::future::join_all(flushes).await.iter().all(Result::is_err));
            assert_eq!(drives.writable().is_empty(), failed == DRIVE_ERRORS_MAX, "after {failed}");
            if failed < DRIVE_ERRORS_MAX {
                try_put(&drives, 0, failed, 100).await.unwrap();
            }
        }
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn a_drive_whose_directory_is_gone_is_noticed_without_a_write_and_nothing_appears_in_its_place() {
    let place = Place::new(2);
    let engine = place.open();
    let (drive, aside) = (place.drive(0), place.dir.path().join("aside"));
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        put(&drives, 0, 5000).await;
        // As a lazy unmount does: the mount point is there, and it is another directory.
        std::fs::rename(&drive, &aside).unwrap();
        std::fs::create_dir(&drive).unwrap();
        while drives.writable().len() == 2 {
            UringRt::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(drives.writable(), [backend(1)]);
        for n in 1..40 {
            assert_eq!(drives.append(backend(0), piece(n, 0, 400_000)).await, Err(DriveError::Failed));
        }
        assert!(drives.delete(backend(0), fragment(0), 1).await.is_err());
        assert!(!matches!(whole(&drives, 0, 0).await, Err(DriveError::NotFound | DriveError::Rotten(_))));
        drives.close().await;
        engine.stop();
        assert_eq!(std::fs::read_dir(&drive).unwrap().count(), 0);
    });
    let Opened { engine, refused } = Engine::open(&place.config()).unwrap();
    assert!(matches!(&refused[..], [OpenError::NotFormatted(_)]), "{refused:?}");
    engine.stop();
    assert_eq!(std::fs::read_dir(place.drive(0)).unwrap().count(), 0, "the root disk stays empty");
}

#[test]
fn drives_that_changed_places_are_themselves() {
    let place = Place::new(2);
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for n in 0..20 {
            let to = backend(n as usize % 2);
            let receipt = drives.append(to, piece(n, 0, 9000)).await.unwrap();
            drives.flush(to, receipt).await.unwrap();
        }
        drives.close().await;
        engine.stop();
    });
    let aside = place.dir.path().join("aside");
    std::fs::rename(place.drive(0), &aside).unwrap();
    std::fs::rename(place.drive(1), place.drive(0)).unwrap();
    std::fs::rename(&aside, place.drive(1)).unwrap();
    let engine = place.open();
    assert_eq!(engine.drives[0].id(), id(1));
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for n in 0..20 {
            let of = n as usize % 2;
            let read = drives.read(backend(of), fragment(n), 0, 0..u32::MAX).await.unwrap();
            assert!(read.bytes[..] == bytes(n, 9000));
            let found = drives.find(fragment(n).blob).await.unwrap();
            assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [backend(of)]);
        }
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn bad_spots_cost_a_start_their_own_segments_and_a_dead_drive_costs_no_other() {
    let (place, faults) = (Place::new(2), Faults::new());
    let engine = open(&place, &faults);
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        for n in 0..30 {
            try_put(&drives, n as usize % 2, n, 600_000).await.unwrap();
        }
        drives.close().await;
        engine.stop();
    });
    std::fs::remove_dir_all(place.index()).unwrap();
    let segments = place.segments(0);
    // One segment of the first drive cannot be read at all; of the second nothing can be.
    faults.always(&segments[0], Op::Read, What::Error(libc::EIO));
    faults.always(&place.drive(1).join(SEGMENTS), Op::Read, What::Error(libc::EIO));
    let Opened { engine, refused } =
        Engine::open_with(&place.config(), &host(&faults), Starter::Threads).unwrap();
    assert!(matches!(&refused[..], [OpenError::Io { path, .. }] if *path == place.drive(1)), "{refused:?}");
    (0..2).for_each(|n| engine.bind(id(n), backend(n)));
    let size = std::fs::metadata(&segments[0]).unwrap().len();
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        assert_eq!(drives.writable(), [backend(0)]);
        let mut found = 0;
        for n in (0..30).step_by(2) {
            match whole(&drives, n, 0).await {
                Ok(read) => found += u32::from(read == bytes(n, 600_000)),
                Err(error) => assert_eq!(error, DriveError::NotFound),
            }
        }
        assert!((5..15).contains(&found), "{found} of 15 are in other segments");
        try_put(&drives, 0, 100, 600_000).await.unwrap();
        assert_eq!(try_put(&drives, 1, 100, 600_000).await, Err(DriveError::Failed));
        assert!(drives.delete(backend(1), fragment(1), 1).await.is_err());
        drives.close().await;
        engine.stop();
    });
    assert_eq!(std::fs::metadata(&segments[0]).unwrap().len(), size, "left alone");
    // The cable was loose: everything is there again.
    faults.clear();
    let engine = open(&place, &faults);
    on_faulty_core(&faults, move || async move {
        let drives = engine.core::<FaultyRt>();
        assert_reads(&drives, (0..30).step_by(2).chain([100]), 600_000).await;
        let read = drives.read(backend(1), fragment(1), 0, 0..u32::MAX).await.unwrap();
        assert!(read.bytes[..] == bytes(1, 600_000));
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn a_copy_of_a_drive_is_not_taken_for_a_second_one() {
    let place = Place::new(2);
    let superblock = "holdfast-drive.json";
    std::fs::copy(place.drive(0).join(superblock), place.drive(1).join(superblock)).unwrap();
    let Opened { engine, refused } = Engine::open(&place.config()).unwrap();
    assert!(matches!(&refused[..], [OpenError::Copy { path, .. }] if *path == place.drive(1)), "{refused:?}");
    assert_eq!(engine.statuses().len(), 1);
    engine.stop();
}
