//! Whole objects over four drives, one of which fails in every way there is: none that was acknowledged is lost.

use holdfast_protocol::erasure::{Coders, choose};
use holdfast_protocol::placement::{Backend, BackendState, Class, Level, Placement, Rule, Spread, place};

use super::faulty::{Faults, FaultyHost, FaultyRt, Op, What, on_faulty_core};
use super::*;
use crate::blob::{BlobWritten, Blobs, NewBlob, cpu_features};

const DRIVES: usize = 4;
/// A whole copy each, one row, several rows.
const SIZES: [usize; 3] = [900, 100_000, 2_500_000];

struct Objects {
    drives: Rc<CoreDrives<FaultyRt>>,
    blobs: Blobs<CoreDrives<FaultyRt>, FaultyRt>,
}

impl Objects {
    fn new(engine: &Arc<Engine>) -> Self {
        let drives = engine.core::<FaultyRt>();
        Self { blobs: Blobs::new(drives.clone(), Rc::new(Coders::new(choose(cpu_features())))), drives }
    }

    /// As a node places it: one drive may be lost, and those that are out are known.
    fn placement(&self, op: OpId, size: usize) -> Placement {
        let writable = self.drives.writable();
        let state =
            |n| if writable.contains(&backend(n)) { BackendState::Active } else { BackendState::Failed };
        let backends: Vec<Backend> = (0..DRIVES)
            .map(|n| Backend {
                id: backend(n),
                state: state(n),
                drive: id(n),
                node: "".into(),
                provider: "".into(),
                country: "".into(),
                region: "".into(),
            })
            .collect();
        let spread = Spread { distinct: Level::Drive, at_least: 1 };
        let class = Class { id: 1, rule: Rule::Local { parity: 1 }, spread };
        place(&class, "", &backends, op, Some(size as u64)).unwrap()
    }

    async fn put(&self, n: u32) -> BlobWritten {
        let (op_id, body) = (fragment(n).blob, body(n));
        let new = NewBlob { op_id, attempt: 0, class_id: 1, size: Some(body.len() as u64) };
        let mut writer = self.blobs.write(new, &self.placement(op_id, body.len()));
        writer.push(&body).await.unwrap_or_else(|error| panic!("object {n}: {error}"));
        writer.finish().await.unwrap_or_else(|error| panic!("object {n}: {error}"))
    }

    async fn assert_all(&self, written: &[BlobWritten]) {
        for (n, blob) in (0..).zip(written) {
            let mut reader = self.blobs.read(&blob.to_wire(1), &blob.backends, 0..blob.size).unwrap();
            let mut all = Vec::new();
            while let Some(chunk) = reader.next().await.unwrap_or_else(|error| panic!("object {n}: {error}"))
            {
                all.extend_from_slice(&chunk);
            }
            assert!(all == body(n), "object {n}");
        }
    }
}

fn body(n: u32) -> Vec<u8> {
    bytes(n, SIZES[n as usize % SIZES.len()])
}

/// Objects before the fault and during it, read with the drive as it is then, and after a restart without it.
fn survives(name: &'static str, faults_of: &[(Op, What)]) {
    let (place, faults) = (Place::new(DRIVES), Faults::hasty(20));
    let host: Arc<dyn Host> = Arc::new(FaultyHost(Arc::clone(&faults)));
    let engine = place.open_with(&host, Starter::Threads);
    let (sender, receiver) = flume::unbounded();
    let (told, sick) = (Arc::clone(&faults), place.drive(0).join("segments"));
    let faults_of = faults_of.to_vec();
    on_faulty_core(&faults, move || async move {
        let objects = Objects::new(&engine);
        let mut written = Vec::new();
        for n in 0..3 {
            written.push(objects.put(n).await);
        }
        faults_of.iter().for_each(|(op, what)| told.always(&sick, *op, *what));
        for n in 3..12 {
            written.push(objects.put(n).await);
        }
        objects.assert_all(&written).await;
        eprintln!("{name}: {:?}", objects.drives.statuses()[0].state);
        told.clear();
        // What hung comes to its end; a task that never does keeps the index open.
        while Rc::strong_count(&objects.drives) > 2 {
            FaultyRt::sleep(Duration::from_secs(1)).await;
        }
        objects.drives.close().await;
        EpollRt::sleep(Duration::from_millis(100)).await;
        engine.stop();
        sender.send(written).unwrap();
    });
    let written: Vec<BlobWritten> = receiver.recv().unwrap();
    std::fs::remove_dir_all(place.drive(0)).unwrap();
    let Opened { engine, refused } = Engine::open_with(&place.config(), &host, Starter::Threads).unwrap();
    assert_eq!(refused.len(), 1);
    (0..DRIVES).for_each(|n| engine.bind(id(n), backend(n)));
    on_faulty_core(&faults, move || async move {
        let objects = Objects::new(&engine);
        objects.assert_all(&written).await;
        objects.put(100).await;
        objects.drives.close().await;
        engine.stop();
    });
}

#[test]
fn no_object_is_lost_to_a_drive_that_errs() {
    let error = |errno| What::Error(errno);
    survives("EIO on read", &[(Op::Read, error(libc::EIO))]);
    survives("EIO on write", &[(Op::Write, error(libc::EIO))]);
    survives("short writes", &[(Op::Write, What::Short)]);
    survives("failing flushes", &[(Op::Flush, error(libc::EIO))]);
    survives("read-only", &[(Op::Write, error(libc::EROFS)), (Op::Create, error(libc::EROFS))]);
    survives("full", &[(Op::Write, error(libc::ENOSPC)), (Op::Create, error(libc::ENOSPC))]);
    survives("nothing works", &[Op::Open, Op::Read, Op::Write, Op::Flush].map(|op| (op, error(libc::EIO))));
}

#[test]
fn no_object_is_lost_to_a_drive_that_hangs_and_no_upload_waits_for_it() {
    survives("hanging writes", &[(Op::Append, What::Hang)]);
    survives("hanging flushes", &[(Op::Flush, What::Hang)]);
    survives("hanging reads", &[(Op::Read, What::Hang)]);
    survives("late flushes", &[(Op::Flush, What::Late(Duration::from_secs(3)))]);
}
