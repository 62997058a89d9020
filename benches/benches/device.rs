//! What the device and its file system give at best: the limits that PUT, commit and recovery face.
//!
//! `cargo bench -p holdfast-benches --bench device [-- --dir DIR --seconds N]`. One thread, plain system calls, a file that was
//! written once before (so a flush touches no metadata), unless the row says otherwise. The figures are what
//! `s3bench capacity` wants to know of a node's drives and of the database's disk.

#![allow(clippy::print_stdout, reason = "tables for a person")]

use clap::Parser;
use holdfast_benches::table::{self, Row, Table};
use holdfast_dataplane::rt::AlignedBuf;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Sweeps write sizes over one file.
#[derive(Debug, Parser)]
#[command(name = "device")]
struct Options {
    /// On whose file system
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Measured time of each row
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Only whether it runs
    #[arg(long)]
    test: bool,
    /// What `cargo bench` says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

const FILE_BYTES: u64 = 256 << 20;
const SIZES: [(usize, &str); 3] = [(4 << 10, "4 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];

fn main() {
    let options = Options::parse();
    let (seconds, file_bytes) = if options.test { (0.01, 4 << 20) } else { (options.seconds, FILE_BYTES) };
    let dir = tempfile::Builder::new().prefix("device-bench-").tempdir_in(&options.dir);
    let dir = dir.unwrap_or_else(|error| panic!("{}: {error}", options.dir.display()));
    let path = dir.path().join("written-once");
    written_once(&path, file_bytes);
    let direct = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(&path);
    let direct = direct.expect("the file system takes O_DIRECT");
    let mut rows = Vec::new();
    for (bytes, name) in SIZES {
        let buf = AlignedBuf::zeroed(bytes);
        let mut to = buf.to_vec();
        let copied = median_s(seconds.min(0.2), |_| to.copy_from_slice(std::hint::black_box(&buf)));
        let slots = file_bytes / bytes as u64;
        let at = |turn: u64| turn % slots * bytes as u64;
        let write = |turn| direct.write_all_at(&buf, at(turn)).expect("written");
        let written = median_s(seconds, write);
        let flushed = median_s(seconds, |turn| {
            write(turn);
            direct.sync_data().expect("flushed");
        });
        let appended = append_s(&dir.path().join(name.replace(' ', "")), &buf, seconds);
        let limit = ("memcpy", copied * 1e6);
        rows.push(Row::beside(format!("O_DIRECT write, {name}"), (written * 1e6, "us"), limit));
        rows.push(Row::beside(format!("the same and fdatasync, {name}"), (flushed * 1e6, "us"), limit));
        rows.push(Row::beside(format!("append and fdatasync, {name}"), (appended * 1e6, "us"), limit));
    }
    table::print_all(&[Table { title: format!("device under {}", options.dir.display()), rows }]);
}

fn written_once(path: &Path, bytes: u64) {
    let file = File::create(path).expect("a new file");
    let zeros = vec![0; 1 << 20];
    for at in (0..bytes).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).expect("there is room");
    }
    file.sync_all().expect("it is durable");
}

/// Through the page cache, each write making the file longer: what a log without preallocation pays.
fn append_s(path: &Path, bytes: &[u8], seconds: f64) -> f64 {
    let file = File::create(path).expect("a new file");
    let took = median_s(seconds, |turn| {
        file.write_all_at(bytes, turn * bytes.len() as u64).expect("written");
        file.sync_data().expect("flushed");
    });
    std::fs::remove_file(path).expect("it was there");
    took
}

/// Median of one turn, which is given its number.
fn median_s(seconds: f64, mut turn: impl FnMut(u64)) -> f64 {
    let (began, mut took) = (Instant::now(), Vec::new());
    while took.is_empty() || began.elapsed().as_secs_f64() < seconds {
        let one = Instant::now();
        turn(took.len() as u64);
        took.push(one.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}
