//! What may be lost is lost in some seed; what was made durable never is.

use std::ffi::OsStr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::disk::{Disk, ROOT};
use crate::draw::Draw;
use crate::names::Kind;

const SEEDS: u32 = 60;

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn create(disk: &mut Disk, directory: u64, word: &str) -> u64 {
    disk.create(directory, name(word), 0o600, (0, 0)).expect("created").st_ino
}

fn write(disk: &mut Disk, inode: u64, at: u64, bytes: &[u8]) {
    let file = disk.open_file(inode).expect("opened");
    disk.will_write(inode, &file, at, bytes.len() as u64).expect("noted");
    file.write_all_at(bytes, at).expect("written");
}

/// Runs `work` and cuts the power, for many seeds; `look` says in a word what is left. Sorted, each once.
fn outcomes(work: impl Fn(&mut Disk), look: impl Fn(&Path) -> String) -> Vec<String> {
    let mut seen: Vec<_> = (0..SEEDS)
        .map(|seed| {
            let directory = tempfile::tempdir().expect("a directory");
            let mut disk = Disk::open(directory.path(), false).expect("opened");
            work(&mut disk);
            disk.cut(&mut Draw::new(&seed.to_string())).expect("cut");
            look(&directory.path().join("live"))
        })
        .collect();
    seen.sort();
    seen.dedup();
    seen
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|_| "nothing".to_owned())
}

#[test]
fn synced_bytes_stay_and_others_may_not() {
    let work = |disk: &mut Disk| {
        let file = create(disk, ROOT, "a");
        write(disk, file, 0, &[b'o'; 2048]);
        disk.sync(file).expect("synced");
        write(disk, file, 512, &[b'n'; 1024]);
    };
    let sectors = |live: &Path| {
        let bytes = read(&live.join("a")).into_bytes();
        bytes.chunks(512).map(|sector| char::from(sector[0])).collect()
    };
    assert_eq!(outcomes(work, sectors), ["onno", "onoo", "oono", "oooo"]);
}

#[test]
fn a_file_that_grew_ends_anywhere() {
    let work = |disk: &mut Disk| {
        let file = create(disk, ROOT, "a");
        write(disk, file, 0, b"12");
        disk.sync(file).expect("synced");
        write(disk, file, 2, b"34");
    };
    let seen = outcomes(work, |live| read(&live.join("a")));
    for wanted in ["12", "123", "1234"] {
        assert!(seen.contains(&wanted.to_owned()), "{seen:?}");
    }
    assert!(seen.iter().all(|text| text.starts_with("12") && text.len() <= 4), "{seen:?}");
}

#[test]
fn a_file_that_shrank_is_the_old_or_the_new_one() {
    let work = |disk: &mut Disk| {
        let file = create(disk, ROOT, "a");
        write(disk, file, 0, b"long and durable");
        disk.sync(file).expect("synced");
        disk.resize(file, 0).expect("cut off");
        write(disk, file, 0, b"x");
    };
    // Grown again after it, the new one is as long and as whole as any that grew.
    let mut seen = outcomes(work, |live| read(&live.join("a")));
    seen.retain(|text| text != "\0");
    assert_eq!(seen, ["", "long and durable", "x"]);
}

#[test]
fn a_name_needs_its_directory_or_its_file_synced() {
    let some = |synced: fn(&mut Disk, u64)| {
        move |disk: &mut Disk| {
            let file = create(disk, ROOT, "a");
            write(disk, file, 0, b"x");
            synced(disk, file);
        }
    };
    let there = |live: &Path| live.join("a").exists().to_string();
    assert_eq!(outcomes(some(|_, _| ()), there), ["false", "true"]);
    assert_eq!(outcomes(some(|disk, file| disk.sync(file).expect("synced")), there), ["true"]);
    assert_eq!(outcomes(some(|disk, _| disk.sync(ROOT).expect("synced")), there), ["true"]);
}

#[test]
fn a_rename_is_whole_and_needs_its_directory() {
    let before = |disk: &mut Disk| {
        for word in ["old", "new"] {
            let file = create(disk, ROOT, word);
            write(disk, file, 0, word.as_bytes());
            disk.sync(file).expect("synced");
        }
        disk.rename((ROOT, name("new")), (ROOT, name("old")), true).expect("renamed");
    };
    let both = |live: &Path| format!("{} {}", read(&live.join("old")), read(&live.join("new")));
    assert_eq!(outcomes(before, both), ["new nothing", "old new"]);
    let synced = |disk: &mut Disk| {
        before(disk);
        disk.sync(ROOT).expect("synced");
    };
    assert_eq!(outcomes(synced, both), ["new nothing"]);
}

#[test]
fn what_was_removed_comes_back_whole_with_its_directory() {
    let work = |disk: &mut Disk| {
        let directory = disk.make_directory(ROOT, name("d"), 0o700, (0, 0)).expect("made").st_ino;
        let file = create(disk, directory, "a");
        write(disk, file, 0, b"x");
        disk.sync(file).expect("synced");
        disk.remove(directory, name("a"), Kind::Remove).expect("removed");
        disk.remove(ROOT, name("d"), Kind::RemoveDirectory).expect("removed");
        // A later life of the same name depends on the removal.
        create(disk, ROOT, "d");
    };
    let look = |live: &Path| match live.join("d") {
        d if d.is_dir() => format!("directory, {}", read(&d.join("a"))),
        d => read(&d),
    };
    assert_eq!(outcomes(work, look), ["", "directory, nothing", "directory, x", "nothing"]);
}
