//! Finding fragments beside where they were put, forgetting blobs, re-reading what lives.

use std::os::unix::fs::FileExt as _;

use super::*;
use crate::index::Location;

type Handle = Rc<CoreDrives<UringRt>>;

/// Fragment `index` of blob `n`, in an attempt.
fn named(n: u32, index: u8, attempt: u8) -> FragmentId {
    FragmentId { index, attempt, ..fragment(n) }
}

async fn put_at(drives: &Handle, to: usize, id: FragmentId, len: usize) {
    for row in 0..2 {
        let piece = Piece { id, ..piece(1, row, len) };
        let receipt = drives.append(backend(to), piece).await.unwrap();
        drives.flush(backend(to), receipt).await.unwrap();
    }
}

/// Runs `check` over `count` fresh drives.
fn on_drives<F: Future<Output = ()>>(
    count: usize,
    check: impl FnOnce(Arc<Engine>, Handle) -> F + Send + 'static,
) {
    let place = Place::new(count);
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        check(Arc::clone(&engine), Rc::clone(&drives)).await;
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn a_fragment_is_read_wherever_on_the_node_it_is() {
    on_drives(3, |engine, drives| async move {
        put_at(&drives, 1, named(1, 0, 4), 5000).await;
        put_at(&drives, 2, named(1, 1, 1), 5000).await;
        let read = drives.read(backend(0), named(1, 0, 1), 1, 0..u32::MAX).await.unwrap();
        assert!(read.bytes[..] == bytes(2, 5000), "another drive, another attempt");
        let read = drives.read(backend(77), named(1, 0, 1), 0, 10..20).await.unwrap();
        assert!(read.bytes[..] == bytes(1, 5000)[10..20], "a backend that is not here");
        for (index, row) in [(2, 0), (0, 2)] {
            let none = drives.read(backend(0), named(1, index, 1), row, 0..1).await;
            assert_eq!(none.unwrap_err(), DriveError::NotFound, "fragment {index}, row {row}");
        }
        // A rotten one with a sound copy of a later attempt on its own drive.
        put_at(&drives, 1, named(1, 0, 5), 5000).await;
        rot(&engine, 1, named(1, 0, 4), 1).await;
        let read = drives.read(backend(1), named(1, 0, 4), 1, 0..u32::MAX).await.unwrap();
        assert!(read.bytes[..] == bytes(2, 5000));
    });
}

/// Where a piece stands.
async fn location(engine: &Engine, slot: usize, id: FragmentId, row: u32) -> Location {
    engine.index.lookup(slot, crate::index::Key::new(id, row)).await.unwrap().unwrap()
}

/// Turns a bit of a piece's payload on the disk.
async fn rot(engine: &Engine, slot: usize, id: FragmentId, row: u32) {
    let at = location(engine, slot, id, row).await;
    let path = segment::path_of(engine.drives[slot].path(), at.segment);
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let byte = u64::from(at.offset + at.header_len) + 77;
    let mut old = [0];
    file.read_exact_at(&mut old, byte).unwrap();
    file.write_all_at(&[!old[0]], byte).unwrap();
}

#[test]
fn a_blob_is_found_surveyed_described_and_forgotten_as_a_whole() {
    on_drives(3, |engine, drives| async move {
        for (to, id) in [(0, named(1, 0, 1)), (1, named(1, 1, 1)), (1, named(1, 0, 2)), (2, named(2, 0, 1))] {
            put_at(&drives, to, id, 3000).await;
        }
        let mut found = drives.find(fragment(1).blob).await.unwrap();
        found.sort_by_key(|(backend, held)| (backend.0, held.fragment));
        let shown: Vec<_> =
            found.iter().map(|(b, held)| (*b, held.fragment, held.pieces, held.last_row)).collect();
        assert_eq!(
            shown,
            [
                (backend(0), named(1, 0, 1), 2, 1),
                (backend(1), named(1, 0, 2), 2, 1),
                (backend(1), named(1, 1, 1), 2, 1),
            ]
        );
        assert!(found.iter().all(|(_, held)| held.bytes >= 6000));
        let facts = drives.facts(backend(1), named(1, 1, 1), 1).await.unwrap();
        let PieceFacts { coding, class_id, blob_size, payload_len } = facts;
        assert_eq!((coding, class_id, blob_size, payload_len), (piece(1, 0, 1).coding, 1, 77, 3000));
        assert_eq!(drives.facts(backend(0), named(1, 1, 1), 0).await, Err(DriveError::NotFound));
        let page = drives.survey(backend(1), None, 1).await.unwrap();
        assert_eq!(page[0].fragment, named(1, 0, 2));
        let next = drives.survey(backend(1), Some(page[0].fragment), 10).await.unwrap();
        assert_eq!(next.iter().map(|held| held.fragment).collect::<Vec<_>>(), [named(1, 1, 1)]);

        assert_eq!(drives.delete_blob(fragment(1).blob).await, []);
        assert_eq!(drives.delete_blob(fragment(1).blob).await, [], "again");
        assert_eq!(drives.find(fragment(1).blob).await.unwrap(), []);
        assert_eq!(drives.find(fragment(2).blob).await.unwrap().len(), 1, "its neighbour");
        assert_eq!(
            engine.drives.iter().map(|drive| drive.stats.deletes.value()).collect::<Vec<_>>(),
            [1, 2, 0]
        );
    });
}

async fn verify_all(drives: &Handle, step: u64) -> (Vec<(FragmentId, u32)>, u64) {
    let (mut from, mut bad, mut records) = (VerifyCursor::default(), Vec::new(), 0);
    loop {
        let done = drives.verify(backend(0), from, step).await.unwrap();
        bad.extend(done.bad.into_iter().map(|(id, row, _)| (id, row)));
        records += done.records;
        match done.next {
            Some(next) => from = next,
            None => break,
        }
    }
    bad.sort_unstable();
    (bad, records)
}

/// A drive with sealed segments of pieces, small and large ones.
fn sealed() -> Arc<Place> {
    let place = Arc::new(Place::new(1));
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for n in 0..40 {
            put(&drives, n, if n % 4 == 0 { 1 << 20 } else { 3000 }).await;
        }
        drives.delete(backend(0), fragment(7), 1).await.unwrap();
        drives.close().await;
        engine.stop();
    });
    place
}

#[test]
fn a_verification_finds_what_rotted_and_nothing_else() {
    let place = sealed();
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        assert_eq!(verify_all(&drives, u64::MAX).await, (vec![], 39));
        // The cache is warm: only the device knows.
        for n in 0..40 {
            let _ = whole(&drives, n, 0).await;
        }
        for n in [3, 4, 22] {
            rot(&engine, 0, fragment(n), 0).await;
        }
        let rotten = vec![(fragment(3), 0), (fragment(4), 0), (fragment(22), 0)];
        for step in [1, 100_000, 3 << 20] {
            assert_eq!(verify_all(&drives, step).await, (rotten.clone(), 39), "in steps of {step}");
        }
        drives.delete(backend(0), fragment(22), 1).await.unwrap();
        assert_eq!(
            verify_all(&drives, u64::MAX).await,
            (rotten[..2].to_vec(), 38),
            "what is gone is nobody's loss"
        );
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn a_rotten_table_hides_nothing_from_a_verification() {
    let place = sealed();
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        rot(&engine, 0, fragment(5), 0).await;
        for path in place.segments(0) {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            let end = file.metadata().unwrap().len();
            file.write_all_at(&[7; 64], end - 4096).unwrap();
        }
        assert_eq!(verify_all(&drives, u64::MAX).await, (vec![(fragment(5), 0)], 39));
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn a_segment_that_vanished_is_noticed_at_the_start_and_by_a_verification() {
    let place = sealed();
    let engine = place.open();
    let (tell, told) = flume::unbounded();
    {
        let engine = Arc::clone(&engine);
        on_core::<UringRt, _>(move || async move {
            tell.send(location(&engine, 0, fragment(4), 0).await.segment).unwrap();
        });
    }
    engine.stop();
    drop(engine);
    std::fs::remove_file(segment::path_of(&place.drive(0), told.recv().unwrap())).unwrap();
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        let mut gone = Vec::new();
        for n in (0..40).filter(|n| *n != 7) {
            match whole(&drives, n, 0).await {
                Ok(_) => {}
                Err(DriveError::Rotten(_)) => gone.push((fragment(n), 0)),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(gone.contains(&(fragment(4), 0)) && gone.len() < 39, "{}", gone.len());
        assert_eq!(engine.index.lost(0).pieces, gone.len() as u64);
        assert_eq!(verify_all(&drives, u64::MAX).await.0, gone);
        drives.close().await;
        engine.stop();
    });
}
