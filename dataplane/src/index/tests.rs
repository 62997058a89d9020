//! The index against what was put in.

use holdfast_common::id::OpId;

use super::*;

fn fragment(n: u8) -> FragmentId {
    FragmentId { blob: OpId::new(1_700_000_000_000 + u64::from(n), [n; 10]), index: n, attempt: 1 }
}

fn location(segment: u32, offset: u32) -> Location {
    Location { segment, generation: segment + 1, offset, header_len: 128, payload_len: 77 }
}

fn entry(n: u8, row: u32, segment: u32) -> (Key, Location) {
    (Key::new(fragment(n), row), location(segment, row * 256))
}

/// An index in memory that has counted everything.
fn in_memory(store: &MemoryStore) -> DriveIndex {
    let index = DriveIndex::in_memory(store, &DRIVES).unwrap();
    counted(&index);
    index
}

/// What the worker's task does in quiet moments.
fn counted(index: &DriveIndex) {
    let Runner::Inline(inline) = &index.runner else { panic!("it is in memory") };
    while inline.count() {}
}

fn at(lives: &DriveIndex, slot: usize, segment: u32) -> u64 {
    let lives = lives.lives(slot).unwrap();
    lives.iter().find(|((number, _), _)| *number == segment).unwrap().1.pieces
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
    index.checkpoint_now().unwrap();
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
    index.checkpoint_now().unwrap();
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
    index.checkpoint_now().unwrap();
    assert!(told.is_empty(), "it is still open");
    index.sealed(0, 5, 6);
    index.stop();
    assert_eq!(told.drain().collect::<Vec<_>>(), [(0, 5, 6)]);
}

#[test]
fn pieces_are_counted_once_however_often_a_recovery_inserts_them() {
    let store = MemoryStore::default();
    let index = in_memory(&store);
    let first: Vec<_> = (0..10).map(|n| entry(n, 0, 5)).collect();
    index.insert_blocking(0, first.clone());
    index.sealed(0, 5, 6);
    index.insert_blocking(0, (10..20).map(|n| entry(n, 0, 7)).collect());
    index.checkpoint_now().unwrap();
    index.remove(0, fragment(3), 1);
    index.insert_blocking(0, (20..25).map(|n| entry(n, 0, 7)).collect());
    index.checkpoint_now().unwrap();
    drop(index);
    for kept in 0..4 {
        let index = DriveIndex::in_memory(&store.crashed(|_, _| kept), &DRIVES).unwrap();
        // Recovery: the life that was open is read again, and so are the deletes.
        index.insert_blocking(0, (10..25).map(|n| entry(n, 0, 7)).collect());
        index.sealed(0, 7, 8);
        index.remove(0, fragment(3), 1);
        counted(&index);
        index.insert_blocking(0, first[..2].to_vec());
        index.checkpoint_now().unwrap();
        assert_eq!((at(&index, 0, 5), at(&index, 0, 7)), (9, 15), "{kept}");
        assert_eq!(index.living(0), Living { pieces: 24, bytes: 24 * 256 });
        assert_eq!(index.living(1), Living::default());
    }
}

#[test]
fn counts_of_a_clean_end_need_no_counting_and_those_of_a_crash_do() {
    let store = MemoryStore::default();
    let index = in_memory(&store);
    index.insert_blocking(0, vec![entry(1, 0, 5), entry(2, 0, 5)]);
    index.sealed(0, 5, 6);
    index.checkpoint_now().unwrap();
    let after_a_crash = DriveIndex::in_memory(&store.crashed(|_, _| 0), &DRIVES).unwrap();
    assert!(after_a_crash.lives(0).is_none());
    counted(&after_a_crash);
    assert_eq!(at(&after_a_crash, 0, 5), 2);
    index.stop();
    let store = store.crashed(|_, _| 0);
    let after_a_stop = DriveIndex::in_memory(&store, &DRIVES).unwrap();
    assert_eq!(at(&after_a_stop, 0, 5), 2);
    // And that start's crash is one again.
    let again = DriveIndex::in_memory(&store.crashed(|_, _| 0), &DRIVES).unwrap();
    assert!(again.lives(0).is_none());
}

#[test]
fn a_move_supersedes_and_only_from_where_it_began() {
    let index = in_memory(&MemoryStore::default());
    index.insert_blocking(0, vec![entry(1, 0, 5), entry(2, 0, 5)]);
    index.sealed(0, 5, 6);
    index.remove(0, fragment(2), 1);
    let moved = |n| Moved { key: Key::new(fragment(n), 0), from: location(5, 0), to: location(9, 512) };
    assert_eq!(index.swap(0, vec![moved(1), moved(2)]).unwrap(), [true, false]);
    assert_eq!(index.swap(0, vec![moved(1)]).unwrap(), [false], "it is no longer there");
    assert_eq!(find(&index, 0, Key::new(fragment(1), 0)), Some(location(9, 512)));
    assert_eq!(find(&index, 0, Key::new(fragment(2), 0)), None, "a delete wins");
    // A recovery that meets the old copy after the new one.
    index.insert_blocking(0, vec![entry(1, 0, 5)]);
    index.checkpoint_now().unwrap();
    assert_eq!(find(&index, 0, Key::new(fragment(1), 0)), Some(location(9, 512)));
    assert_eq!((at(&index, 0, 5), index.living(0).pieces), (0, 1));
}

#[test]
fn a_blob_is_found_on_every_drive_and_a_drive_is_walked_page_by_page() {
    let index = in_memory(&MemoryStore::default());
    let blob = fragment(1).blob;
    let of =
        |index, attempt, row| (Key::new(FragmentId { blob, index, attempt }, row), location(1, row * 64));
    index.insert_blocking(0, vec![of(0, 1, 0), of(0, 1, 1), of(2, 3, 4), entry(9, 0, 1)]);
    index.insert_blocking(1, vec![of(1, 1, 0), entry(8, 0, 1)]);
    let ready = |found: Result<Vec<(usize, Held)>, IndexError>| {
        found
            .unwrap()
            .into_iter()
            .map(|(slot, held)| (slot, held.fragment.index, held.last_row, held.pieces))
            .collect::<Vec<_>>()
    };
    let found = ask(&index, index.find(blob));
    assert_eq!(ready(found), [(0, 0, 1, 2), (0, 2, 4, 1), (1, 1, 0, 1)]);
    let (mut after, mut names) = (None, Vec::new());
    loop {
        let page = ask(&index, index.survey(0, after, 2)).unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.fragment);
        names.extend(page.iter().map(|held| held.fragment));
    }
    let all =
        [FragmentId { blob, index: 0, attempt: 1 }, FragmentId { blob, index: 2, attempt: 3 }, fragment(9)];
    assert_eq!(names, all);
}

fn ask<T>(index: &DriveIndex, question: impl Future<Output = T>) -> T {
    let mut question = Box::pin(question);
    loop {
        if let Some(answer) = futures_util::FutureExt::now_or_never(question.as_mut()) {
            return answer;
        }
        index.checkpoint_now().unwrap();
    }
}

#[test]
fn a_first_checkpoint_is_read_with_what_it_knew() {
    let mut note = vec![1];
    for (segment, generation, pieces) in [(5u32, 6u32, 7u64), (8, 9, 0)] {
        note.extend(segment.to_le_bytes());
        note.extend(generation.to_le_bytes());
        note.extend(pieces.to_le_bytes());
    }
    let store = MemoryStore::default();
    store.of(&DRIVES).set_checkpoint(0, &note).unwrap();
    let index = DriveIndex::in_memory(&store, &DRIVES).unwrap();
    assert_eq!(index.checkpoint(0).unwrap(), HashSet::from([(5, 6), (8, 9)]));
    assert!(index.lives(0).is_none(), "counted again");
}
