//! The index against what was put in.

use holdfast_common::id::OpId;

use super::*;

fn fragment(n: u8) -> FragmentId {
    FragmentId { blob: OpId::new(1_700_000_000_000 + u64::from(n), [n; 10]), index: n, attempt: 1 }
}

fn location(segment: u32, offset: u32) -> Location {
    Location { segment, generation: segment + 1, offset, header_len: 128, payload_len: 77 }
}

const DRIVES: [DriveId; 2] = [DriveId([1; 16]), DriveId([2; 16])];

fn find(index: &DriveIndex, slot: usize, key: Key) -> Option<Location> {
    // Every answer is in memory here, or comes from the thread within the turn of the executor below.
    futures_util::FutureExt::now_or_never(index.lookup(slot, key)).map_or_else(
        || {
            std::thread::sleep(std::time::Duration::from_millis(1));
            find(index, slot, key)
        },
        |found| found.unwrap(),
    )
}

#[test]
fn entries_are_seen_at_once_per_drive_and_after_settling() {
    let dir = tempfile::tempdir().unwrap();
    let index = DriveIndex::open(dir.path(), &DRIVES).unwrap();
    let key = Key::new(fragment(1), 3);
    index.insert_blocking(0, vec![(key, location(1, 64))]);
    assert_eq!(find(&index, 0, key), Some(location(1, 64)));
    assert_eq!(find(&index, 1, key), None);
    index.checkpoint_now();
    assert_eq!(index.overlay.find(0, &key), Found::Unknown, "settled");
    assert_eq!(find(&index, 0, key), Some(location(1, 64)));
}

#[test]
fn a_removal_takes_the_rows_it_names_and_no_neighbour() {
    let dir = tempfile::tempdir().unwrap();
    let index = DriveIndex::open(dir.path(), &DRIVES).unwrap();
    let entry = |n, row| (Key::new(fragment(n), row), location(n.into(), row * 64));
    index.insert_blocking(0, (0..10).flat_map(|row| [entry(1, row), entry(2, row)]).collect());
    index.remove(0, fragment(1), 10);
    assert_eq!(find(&index, 0, Key::new(fragment(1), 0)), None, "at once");
    index.checkpoint_now();
    for row in 0..10 {
        assert_eq!(find(&index, 0, Key::new(fragment(1), row)), None);
        assert_eq!(find(&index, 0, Key::new(fragment(2), row)), Some(location(2, row * 64)));
    }
}

#[test]
fn a_checkpoint_names_sealed_lives_and_survives() {
    let dir = tempfile::tempdir().unwrap();
    let index = DriveIndex::open(dir.path(), &DRIVES).unwrap();
    index.insert_blocking(
        0,
        vec![(Key::new(fragment(1), 0), location(5, 64)), (Key::new(fragment(2), 0), location(6, 64))],
    );
    index.sealed(0, 5, 6);
    index.stop();
    drop(index);
    let index = DriveIndex::open(dir.path(), &DRIVES).unwrap();
    assert_eq!(index.checkpoint(0).unwrap(), HashSet::from([(5, 6)]));
    assert_eq!(index.checkpoint(1).unwrap(), HashSet::new());
    assert_eq!(find(&index, 0, Key::new(fragment(1), 0)), Some(location(5, 64)));
}

#[test]
fn a_sealed_life_without_living_pieces_is_reported_once() {
    let dir = tempfile::tempdir().unwrap();
    let index = DriveIndex::open(dir.path(), &DRIVES).unwrap();
    let (tell, told) = flume::unbounded();
    index.report_empty(Box::new(move |slot, segment, generation| {
        tell.send((slot, segment, generation)).unwrap()
    }));
    index.insert_blocking(0, vec![(Key::new(fragment(1), 0), location(5, 64))]);
    index.remove(0, fragment(1), 1);
    index.checkpoint_now();
    assert!(told.is_empty(), "it is still open");
    index.sealed(0, 5, 6);
    index.stop();
    assert_eq!(told.drain().collect::<Vec<_>>(), [(0, 5, 6)]);
}
