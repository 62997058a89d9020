//! What the kernel has to do for a durable append: no file-system metadata, and no write handed to a worker thread.
//!
//! The kernel is asked itself: ext4's journal counts its transactions, and a tracepoint sees what io_uring hands to
//! its workers. Both need root, and a loop device or tracefs; without them a line says that nothing was looked at.

use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// An ext4 of its own, so that nobody else's journal traffic is counted.
struct OwnFileSystem {
    dir: tempfile::TempDir,
    /// `/dev/loopN`.
    device: String,
}

impl OwnFileSystem {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (image, at) = (dir.path().join("image"), dir.path().join("mounted"));
        std::fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
        std::fs::create_dir(&at).unwrap();
        let (image, at) = (image.display().to_string(), at.display().to_string());
        run("mkfs.ext4", &["-q", &image])?;
        let device = run("losetup", &["--find", "--show", &image])?.trim().to_owned();
        let mounted = run("mount", &[&device, &at]);
        let own = Self { dir, device };
        mounted.map(|_| own)
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// Transactions that somebody waited for.
    fn transactions(&self) -> u64 {
        let name = self.device.trim_start_matches("/dev/");
        let info = std::fs::read_to_string(format!("/proc/fs/jbd2/{name}-8/info")).unwrap();
        let (_, after) = info.split_once('(').expect("N transactions (M requested)");
        after.split_whitespace().next().and_then(|count| count.parse().ok()).expect("a count")
    }
}

impl Drop for OwnFileSystem {
    fn drop(&mut self) {
        run("umount", &["--lazy", &self.root().display().to_string()]);
        run("losetup", &["--detach", &self.device]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let done = Command::new(program).args(arguments).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

#[test]
fn a_durable_append_touches_no_metadata() {
    const PUTS: u32 = 200;
    let Some(own) = OwnFileSystem::mount() else {
        eprintln!("not looked at: no loop device, or not root");
        return;
    };
    let before = own.transactions();
    unwritten_space_costs_a_transaction_each_time(&own.root().join("unwritten"));
    let costly = own.transactions() - before;
    assert!(costly >= 20, "the counter counts: {costly} for 40 flushes over unwritten space");

    let drive = own.root().join("drive");
    format::format(&RealHost, &drive, CLUSTER, id(0)).unwrap();
    let index = tempfile::tempdir().unwrap();
    let config = EngineConfig {
        drives: vec![drive],
        index: index.path().join("index"),
        cluster: CLUSTER,
        segment_bytes: Some(8 << 20),
    };
    let engine = Engine::open(&config).unwrap().engine;
    engine.bind(id(0), backend(0));
    assert!(engine.drives[0].direct && engine.drives[0].device.any_file_covers);
    wait_for(|| free_segments(&engine.drives[0]) >= 2);
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        put(&drives, 0, 4096).await;
        // The spare that is zeroed in place of the one just taken.
        let zeroing = UringRt::now() + Duration::from_secs(5);
        while free_segments(&engine.drives[0]) < 2 && UringRt::now() < zeroing {
            UringRt::sleep(Duration::from_millis(20)).await;
        }
        let (flushes, before) = (engine.drives[0].device.stats.flushes.value(), own.transactions());
        for n in 1..=PUTS {
            put(&drives, n, 4096).await;
        }
        let flushed = engine.drives[0].device.stats.flushes.value() - flushes;
        let spent = own.transactions() - before;
        eprintln!("{flushed} flushes, {spent} journal transactions; over unwritten space {costly} for 40");
        assert!(flushed >= u64::from(PUTS), "each was flushed: {flushed}");
        assert_eq!(engine.drives[0].stats.writes_unzeroed.value(), 0);
        assert!(spent <= u64::from(PUTS) / 20, "{spent} journal transactions for {flushed} flushes");
        drives.close().await;
        engine.stop();
        drop(own);
    });
}

/// What segments would cost if they were only reserved.
fn unwritten_space_costs_a_transaction_each_time(path: &Path) {
    let options = |direct| {
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(direct)
            .open(path)
            .unwrap()
    };
    rustix::fs::fallocate(options(0), rustix::fs::FallocateFlags::empty(), 0, 4 << 20).unwrap();
    let file = options(libc::O_DIRECT);
    for n in 0..40 {
        file.write_all_at(&AlignedBuf::zeroed(4096), n * 8192).unwrap();
        file.sync_data().unwrap();
    }
}

/// A trace of its own of what io_uring hands to worker threads.
struct Punts(PathBuf);

impl Punts {
    fn watch(thread: i32) -> Option<Self> {
        let tracing = Path::new("/sys/kernel/tracing");
        if !tracing.join("instances").exists() {
            run("mount", &["-t", "tracefs", "none", "/sys/kernel/tracing"]);
        }
        let own = Self(tracing.join(format!("instances/holdfast-{}-{thread}", std::process::id())));
        std::fs::create_dir(&own.0).ok()?;
        let event = own.0.join("events/io_uring/io_uring_queue_async_work");
        std::fs::write(event.join("filter"), format!("common_pid == {thread}")).ok()?;
        std::fs::write(event.join("enable"), "1").ok()?;
        Some(own)
    }

    /// Operations by name, as often as each was handed over.
    fn seen(&self, operation: &str) -> usize {
        let trace = std::fs::read_to_string(self.0.join("trace")).unwrap();
        let lines = trace.lines().filter(|line| line.contains("io_uring_queue_async_work"));
        lines.filter(|line| line.contains(&format!("opcode {operation}"))).count()
    }
}

impl Drop for Punts {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("events/io_uring/io_uring_queue_async_work/enable"), "0");
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_write_goes_to_the_device_and_only_its_flush_to_a_worker() {
    const PUTS: u32 = 200;
    let place = Place::new(1);
    let engine = place.open();
    wait_for(|| free_segments(&engine.drives[0]) >= 2);
    on_core::<UringRt, _>(move || async move {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let Some(punts) = Punts::watch(thread) else {
            eprintln!("not looked at: no tracefs, or not root");
            return engine.stop();
        };
        let drives = engine.core::<UringRt>();
        put(&drives, 0, 4096).await;
        let (writes, flushes) =
            (engine.drives[0].stats.writes.value(), engine.drives[0].device.stats.flushes.value());
        let (punted, synced) = (punts.seen("WRITE"), punts.seen("FSYNC"));
        for n in 1..=PUTS {
            put(&drives, n, 4096).await;
        }
        let writes = engine.drives[0].stats.writes.value() - writes;
        let flushes = engine.drives[0].device.stats.flushes.value() - flushes;
        let (punted, synced) = (punts.seen("WRITE") - punted, punts.seen("FSYNC") - synced);
        eprintln!("{writes} writes, {punted} of them punted; {flushes} flushes, {synced} of them");
        assert!(synced as u64 >= flushes, "the trace sees punts: {synced} of {flushes} flushes");
        assert!(punted as u64 <= writes / 20, "{punted} of {writes} writes were handed to a worker");
        drives.close().await;
        engine.stop();
    });
}
