//! What a crash leaves: nothing closed, tails torn, earlier lives under new ones.

use std::os::unix::fs::FileExt as _;

use super::*;

/// Puts `count` pieces and lets everything go without a clean end, as `kill -9` does: a copy of the drive's files is
/// what the next start gets. Returns the copy.
fn crashed(count: u32, len: usize) -> Place {
    let place = Place::new(1);
    let copy = Place::new(1);
    let engine = place.open();
    let (from, to) = (place.drive(0), copy.drive(0));
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for n in 0..count {
            put(&drives, n, len).await;
        }
        for number in segment::numbers(&RealHost, &from).unwrap() {
            std::fs::copy(segment::path_of(&from, number), segment::path_of(&to, number)).unwrap();
        }
        drives.close().await;
        engine.stop();
    });
    copy
}

fn survivors(place: &Place, count: u32, len: usize) -> Vec<u32> {
    let engine = place.open();
    let (sender, receiver) = flume::unbounded();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for n in 0..count {
            match whole(&drives, n, 0).await {
                Ok(found) => {
                    assert!(found == bytes(n, len), "{n}");
                    sender.send(n).unwrap();
                }
                Err(error) => assert_eq!(error, DriveError::NotFound),
            }
        }
        put(&drives, 9999, len).await;
        drives.close().await;
        engine.stop();
    });
    receiver.try_iter().collect()
}

#[test]
fn everything_flushed_survives_a_crash() {
    let copy = crashed(40, 200_000);
    assert_eq!(survivors(&copy, 40, 200_000), (0..40).collect::<Vec<_>>());
    // And the next start after that one too, with tables now.
    assert_eq!(survivors(&copy, 40, 200_000), (0..40).collect::<Vec<_>>());
}

/// The last segment that was appended to and where its last record starts.
fn last_record(place: &Place, n: u32) -> (PathBuf, u64) {
    for path in place.segments(0) {
        let content = std::fs::read(&path).unwrap();
        let name = fragment(n).blob.0;
        if let Some(at) = content.windows(16).position(|window| window == name) {
            return (path, at as u64 - 16);
        }
    }
    panic!("piece {n} is nowhere");
}

#[test]
fn a_torn_tail_costs_only_what_is_torn() {
    for (torn, offset) in [("header", 40), ("payload", 5000)] {
        let copy = crashed(10, 20_000);
        let (path, at) = last_record(&copy, 9);
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&[0x5a; 64], at + offset).unwrap();
        assert_eq!(survivors(&copy, 10, 20_000), (0..9).collect::<Vec<_>>(), "{torn}");
    }
}

#[test]
fn records_behind_a_torn_one_are_found() {
    let copy = crashed(10, 20_000);
    let (path, at) = last_record(&copy, 3);
    std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[0; 4096], at).unwrap();
    assert_eq!(survivors(&copy, 10, 20_000), [0, 1, 2, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_truncated_segment_keeps_what_is_left() {
    let copy = crashed(10, 20_000);
    let (path, at) = last_record(&copy, 6);
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(at + 5000).unwrap();
    assert_eq!(survivors(&copy, 10, 20_000), (0..6).collect::<Vec<_>>());
}

#[test]
fn an_earlier_life_is_never_read() {
    let copy = crashed(10, 20_000);
    // The header of the next life over the same bytes.
    for number in segment::numbers(&RealHost, &copy.drive(0)).unwrap() {
        let file = segment::open(&RealHost, &copy.drive(0), number).unwrap();
        let Some(mut header) = segment::header_of(&*file).unwrap() else { continue };
        header.generation += 1000;
        segment::write_header(&*file, &header).unwrap();
    }
    assert!(survivors(&copy, 10, 20_000).is_empty());
}

#[test]
fn no_generation_is_used_twice() {
    let place = Place::new(1);
    let mut seen = HashSet::new();
    for round in 0..4 {
        let engine = place.open();
        on_core::<UringRt, _>(move || async move {
            let drives = engine.core::<UringRt>();
            put(&drives, round, 1000).await;
            drives.close().await;
            engine.stop();
        });
        let newest = generations(&place.drive(0)).into_iter().max().unwrap();
        assert!(seen.insert(newest), "generation {newest} again");
    }
}

#[test]
fn a_delete_survives_a_crash_that_the_index_does_not() {
    let place = Place::new(1);
    let engine = place.open();
    let index = place.index();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        put(&drives, 1, 5000).await;
        put(&drives, 2, 5000).await;
        engine.index.checkpoint_now().unwrap();
        drives.delete(backend(0), fragment(1), 1).await.unwrap();
        // No close: the segments stay as they are.
        engine.stop();
    });
    for keep_index in [true, false] {
        if !keep_index {
            std::fs::remove_dir_all(&index).unwrap();
        }
        assert_eq!(survivors_of(&place, [1, 2]), [2]);
    }
}

fn survivors_of(place: &Place, candidates: [u32; 2]) -> Vec<u32> {
    let all = survivors(place, 3, 5000);
    all.into_iter().filter(|n| candidates.contains(n)).collect()
}
