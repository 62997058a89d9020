//! Drives that are refused, and drives that misbehave.

use super::*;
use crate::drives::format::{DriveRoot, OpenError};

fn refusal(path: &Path) -> String {
    DriveRoot::open(&RealHost, path, CLUSTER).unwrap_err().to_string()
}

#[test]
fn every_refusal_names_the_drive_the_cause_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("drive");
    let check = |has: &str| {
        let sentence = refusal(&path);
        assert!(sentence.contains(has) && sentence.contains("drive"), "{sentence}");
    };
    check("mkdir -p");
    std::fs::write(&path, b"x").unwrap();
    check("not a directory");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    check("not formatted");
    let whole =
        DriveRoot::open(&RealHost, &path, CLUSTER).unwrap_err().with_config(Path::new("/etc/holdfast.toml"));
    let command = format!("holdfast-dataplane --config /etc/holdfast.toml --format-drive {}", path.display());
    assert!(whole.contains(&command), "{whole}");
    format::format(&RealHost, &path, [1; 16], id(0)).unwrap();
    check("belongs to cluster");
    let superblock = path.join("holdfast-drive.json");
    std::fs::write(&superblock, br#"{"format_version": 2, "more": true}"#).unwrap();
    check("newer build");
    std::fs::write(&superblock, b"{").unwrap();
    check("cannot be read");
}

#[test]
fn formatting_takes_only_what_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    format::format(&RealHost, &path, CLUSTER, id(0)).unwrap();
    let again = format::format(&RealHost, &path, CLUSTER, id(1));
    assert!(matches!(again, Err(OpenError::AlreadyFormatted { drive, .. }) if drive == id(0)));
    std::fs::write(dir.path().join("photo.jpg"), b"x").unwrap();
    assert!(matches!(format::format(&RealHost, dir.path(), CLUSTER, id(1)), Err(OpenError::NotEmpty(_))));
    assert_eq!(format::cluster_of(&RealHost, &path).unwrap(), Some(CLUSTER));
    assert_eq!(format::cluster_of(&RealHost, dir.path()).unwrap(), None);
}

#[test]
fn a_drive_is_used_by_one_at_a_time() {
    let place = Place::new(1);
    let engine = place.open();
    assert!(refusal(&place.drive(0)).contains("another process uses it"));
    engine.stop();
    drop(engine);
    DriveRoot::open(&RealHost, &place.drive(0), CLUSTER).unwrap();
}

#[test]
fn a_refused_drive_does_not_keep_the_others_down() {
    let mut place = Place::new(2);
    std::fs::remove_dir_all(place.drive(1)).unwrap();
    let Opened { engine, refused } = Engine::open(&place.config()).unwrap();
    assert!(matches!(&refused[..], [OpenError::Missing(_)]));
    assert_eq!(engine.statuses().len(), 1);
    engine.stop();
    drop(engine);
    place.drives = 1;
    place.open().stop();
}

#[test]
fn a_rotten_block_is_noticed_and_its_neighbours_are_served() {
    let place = Place::new(1);
    let engine = place.open();
    let drive = place.drive(0);
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        put(&drives, 0, 200_000).await;
        put(&drives, 1, 20_000).await;
        for (n, block) in [(0, 3), (1, 1)] {
            let at = engine.index.lookup(0, crate::index::Key::new(fragment(n), 0)).await.unwrap().unwrap();
            let byte = u64::from(at.offset + at.header_len) + block * BLOCK_BYTES as u64 + 77;
            segment::open(&RealHost, &drive, at.segment)
                .unwrap()
                .write_all_at(&[0xff, 0, 0xff], byte)
                .unwrap();
            assert!(matches!(whole(&drives, n, 0).await, Err(DriveError::Rotten(_))));
        }
        let beside = drives.read(backend(0), fragment(0), 0, 0..3 * BLOCK_BYTES as u32).await.unwrap();
        assert!(beside.bytes[..] == bytes(0, 3 * BLOCK_BYTES));
        assert!(engine.drives[0].stats.rotten.value() >= 2);
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn a_drive_that_went_away_leaves_the_write_set_and_nothing_is_created_in_its_place() {
    let place = Place::new(1);
    let engine = place.open();
    let (drive, aside) = (place.drive(0), place.dir.path().join("aside"));
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        put(&drives, 0, 5000).await;
        std::fs::rename(&drive, &aside).unwrap();
        std::fs::create_dir(&drive).unwrap();
        let mut refused = None;
        for n in 1..40 {
            if let Err(error) = drives.append(backend(0), piece(n, 0, 400_000)).await {
                refused = Some(error);
                break;
            }
        }
        assert_eq!(refused, Some(DriveError::Failed));
        assert!(matches!(drives.statuses()[0].state, DriveState::Failed(_)));
        assert_eq!(std::fs::read_dir(&drive).unwrap().count(), 0);
        drives.close().await;
        engine.stop();
    });
}
