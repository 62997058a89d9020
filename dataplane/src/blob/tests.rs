use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use holdfast_common::id::{BackendId, DriveId, OpId};
use holdfast_common::wire;
use holdfast_protocol::erasure::{Coders, choose};
use holdfast_protocol::placement::{
    Backend, BackendState, CLASS_LOCAL, CLASS_NODES, Class, Level, Placement, Rule, Spread, place,
};
use holdfast_protocol::record::{put_tlv, tlv};
use proptest::prelude::*;

use super::fake::{FakeDrives, Faults};
use super::*;
use crate::drives::DriveState;
use crate::limits::{BLOB_LAGGARD_WAIT, BLOB_READ_PATIENCE, BLOB_ROWS_IN_FLIGHT};
use crate::rt::CoreConfig;
use crate::rt::epoll::EpollRt;

const ROW: usize = 256 << 10;
const SLOW: Duration = Duration::from_secs(3600);

/// `data` + `parity` drives in memory and one blob's placement over them.
struct Rig {
    drives: Rc<FakeDrives>,
    blobs: Blobs<FakeDrives, EpollRt>,
    new: NewBlob,
    placement: Placement,
}

impl Rig {
    fn new(drives: u32, parity: usize, size: usize) -> Self {
        let backends: Vec<Backend> = (0..drives).map(backend).collect();
        let class = Class {
            id: CLASS_LOCAL,
            rule: Rule::Local { parity },
            spread: Spread { distinct: Level::Drive, at_least: 1 },
        };
        let op_id = OpId::new(1, [size as u8; 10]);
        let size = Some(size as u64);
        let drives = Rc::new(FakeDrives::default());
        Self {
            blobs: Blobs::new(drives.clone(), Rc::new(Coders::new(choose(cpu_features())))),
            drives,
            new: NewBlob { op_id, attempt: 0, class_id: CLASS_LOCAL, size },
            placement: place(&class, "", &backends, op_id, size).unwrap(),
        }
    }

    /// The backend of fragment `index`.
    fn at(&self, index: usize) -> u32 {
        self.placement.backends[index].0
    }

    async fn write(&self, bytes: &[u8], step: usize) -> Result<BlobWritten, BlobError> {
        let mut writer = self.blobs.write(self.new, &self.placement);
        for part in bytes.chunks(step.max(1)) {
            writer.push(part).await?;
        }
        writer.finish().await
    }

    async fn read(
        &self,
        blob: &wire::Blob,
        range: Range<u64>,
    ) -> (Result<Vec<u8>, BlobError>, Vec<RepairNote>) {
        let mut reader = self.blobs.read(blob, &self.placement.backends, range).unwrap();
        let mut all = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                Ok(None) => return (Ok(all), reader.notes().to_vec()),
                Err(error) => return (Err(error), reader.notes().to_vec()),
            }
        }
    }
}

fn backend(id: u32) -> Backend {
    Backend {
        id: BackendId(id),
        state: BackendState::Active,
        drive: DriveId([id as u8; 16]),
        node: "".into(),
        provider: "".into(),
        country: "".into(),
        region: "".into(),
    }
}

fn run<F: Future>(main: F) -> F::Output {
    EpollRt::run(&CoreConfig { index: 0, cpu: None }, main).expect("epoll is everywhere")
}

fn bytes(len: usize) -> Vec<u8> {
    let mut x = len as u64 | 1;
    std::iter::repeat_with(|| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33) as u8
    })
    .take(len)
    .collect()
}

/// Lets background tasks (sweeps) come to their end.
async fn settle() {
    for _ in 0..200 {
        EpollRt::yield_now().await;
    }
}

fn shape() -> impl Strategy<Value = (u32, usize)> {
    prop::sample::select(vec![(1, 0), (4, 2), (4, 0), (3, 1), (6, 2), (7, 4), (3, 2)])
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        0usize..20_000,
        16_300usize..70_000,
        0usize..3 * ROW,
        4 * ROW - 70..4 * ROW + 70,
        0usize..9 * ROW
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn any_range_survives_any_losses(
        (drives, parity) in shape(), size in size(), step in 1000usize..400_000, sized: bool,
        (from, to) in (0.0f64..1.0, 0.0f64..1.0), lost in Just((0usize..8).collect::<Vec<_>>()).prop_shuffle(),
        kinds in prop::collection::vec(0u8..4, 8),
    ) {
        run(async {
            let mut rig = Rig::new(drives, parity, size);
            if !sized && size as u64 > 16 << 10 {
                rig.new.size = None;
            }
            let body = bytes(size);
            let written = rig.write(&body, step).await.unwrap();
            let fragments = rig.placement.coding.fragments();
            assert_eq!(written.proven, (1 << fragments) - 1);
            let blob = written.to_wire(1);
            rig.drives.reads();
            assert!(rig.read(&blob, 0..size as u64).await == (Ok(body.clone()), vec![]));
            let data = rig.placement.coding.data();
            let parity_reads = rig.drives.reads().iter().filter(|(b, _)| (data..fragments).any(|i| rig.at(i) == *b)).count();
            assert!(data == 1 || parity_reads == 0, "a healthy read decodes nothing");
            for index in lost.iter().filter(|i| **i < fragments).take(parity) {
                let faults = match kinds[*index] {
                    0 => Faults { missing: true, ..Faults::default() },
                    1 => Faults { rotten: Some((1, 0)), ..Faults::default() },
                    2 => Faults { rotten: Some((2, 1)), ..Faults::default() },
                    _ => Faults { short: true, ..Faults::default() },
                };
                rig.drives.break_drive(rig.at(*index), faults);
            }
            let (a, b) = ((from * size as f64) as usize, (to * size as f64) as usize);
            let range = a.min(b)..a.max(b);
            let (read, notes) = rig.read(&blob, range.start as u64..range.end as u64).await;
            assert!(read.as_deref() == Ok(&body[range.clone()]), "{range:?} of {size}: {:?} {notes:?}", read.map(|r| r.len()));
        });
    }

    #[test]
    fn failing_drives_cost_the_quorum_or_only_their_bit(
        (drives, parity) in shape(), size in size(), step in 1000usize..400_000,
        faults in prop::collection::vec(prop_oneof![4 => Just(0u8), 1 => Just(1), 1 => Just(2), 1 => Just(3)], 8),
    ) {
        run(async {
            let rig = Rig::new(drives, parity, size);
            let fragments = rig.placement.coding.fragments();
            let mut broken = 0u64;
            for (index, kind) in faults.iter().enumerate().take(fragments).filter(|(_, kind)| **kind > 0) {
                let faults = Faults {
                    append_fails_from: [None, Some(0), Some(1), None][usize::from(*kind)],
                    flush_fails: *kind == 3,
                    ..Faults::default()
                };
                rig.drives.break_drive(rig.at(index), faults);
                let rows = size.div_ceil(rig.placement.coding.row_bytes() as usize);
                broken |= u64::from(if *kind == 2 { rows > 1 } else { rows > 0 }) << index;
            }
            let body = bytes(size);
            let written = rig.write(&body, step).await;
            settle().await;
            let good = fragments - broken.count_ones() as usize;
            match written {
                Ok(written) => {
                    // A fragment without bytes in the row that would fail is untouched by its drive's fault.
                    assert_eq!(written.proven | broken, (1 << fragments) - 1);
                    assert!(written.proven.count_ones() as usize >= rig.placement.quorum);
                    for index in 0..fragments {
                        let proven = written.proven >> index & 1 == 1;
                        let left = rig.drives.stored(Some(rig.at(index)));
                        assert!(if proven { rig.drives.is_durable(rig.at(index)) } else { left == 0 });
                    }
                    rig.drives.heal();
                    assert!(rig.read(&written.to_wire(1), 0..size as u64).await.0 == Ok(body));
                }
                Err(error) => {
                    assert!(good < rig.placement.quorum, "{error}");
                    assert!(matches!(error, BlobError::NoQuorum { .. }), "{error}");
                    assert_eq!(rig.drives.stored(None), 0, "nothing is left behind");
                }
            }
        });
    }
}

#[test]
fn an_empty_blob_writes_nothing() {
    run(async {
        let rig = Rig::new(4, 2, 0);
        let written = rig.write(&[], 1).await.unwrap();
        assert_eq!((written.size, rig.drives.stored(None), rig.drives.flushes()), (0, 0, 0));
        assert_eq!(rig.read(&written.to_wire(1), 0..0).await.0, Ok(vec![]));
    });
}

#[test]
fn memory_is_bounded_by_two_rows() {
    run(async {
        let rig = Rig::new(4, 2, 40 * ROW);
        rig.write(&bytes(40 * ROW), 100_000).await.unwrap();
        assert!(
            rig.drives.bytes_out_max() <= BLOB_ROWS_IN_FLIGHT * 4 * ROW,
            "{}",
            rig.drives.bytes_out_max()
        );
    });
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    run(async {
        let rig = Rig::new(4, 2, 9 * ROW);
        let mut writer = rig.blobs.write(rig.new, &rig.placement);
        writer.push(&bytes(5 * ROW)).await.unwrap();
        writer.abort();
        settle().await;
        assert_eq!(rig.drives.stored(None), 0);
    });
}

#[test]
fn a_blob_is_held_to_its_size() {
    run(async {
        let rig = Rig::new(4, 2, 3 * ROW);
        let wrong = |got| Err(BlobError::WrongSize { announced: 3 * ROW as u64, got });
        assert_eq!(rig.write(&bytes(3 * ROW - 1), ROW).await, wrong(3 * ROW as u64 - 1));
        assert_eq!(rig.write(&bytes(3 * ROW + 1), 4 * ROW).await, wrong(3 * ROW as u64 + 1));
        settle().await;
        assert_eq!(rig.drives.stored(None), 0);
    });
}

#[test]
fn a_late_flush_is_cut_off_but_not_deleted() {
    run(async {
        let rig = Rig::new(4, 2, 3 * ROW);
        rig.drives.break_drive(rig.at(1), Faults { flush_delay: SLOW, ..Faults::default() });
        let began = Instant::now();
        let written = rig.write(&bytes(3 * ROW), ROW).await.unwrap();
        assert!(began.elapsed() < BLOB_LAGGARD_WAIT * 5);
        settle().await;
        assert_eq!((written.proven, rig.drives.stored(Some(rig.at(1)))), (0b1101, 2));
    });
}

#[test]
fn a_late_append_is_cut_off_and_swept_once_it_ends() {
    run(async {
        let rig = Rig::new(4, 2, 9 * ROW);
        let delay = BLOB_LAGGARD_WAIT * 4;
        rig.drives.break_drive(rig.at(2), Faults { append_delay: delay, ..Faults::default() });
        let written = rig.write(&bytes(9 * ROW), ROW).await.unwrap();
        assert_eq!(written.proven, 0b1011);
        EpollRt::sleep(delay).await;
        settle().await;
        assert_eq!(rig.drives.stored(Some(rig.at(2))), 0);
        assert!(rig.read(&written.to_wire(1), 0..9 * ROW as u64).await == (Ok(bytes(9 * ROW)), vec![]));
    });
}

/// A repair over nodes may have found it whole by then, and said so.
#[test]
fn over_nodes_a_late_append_is_left_to_the_repair() {
    run(async {
        let mut rig = Rig::new(4, 2, 9 * ROW);
        rig.new.class_id = CLASS_NODES;
        let delay = BLOB_LAGGARD_WAIT * 4;
        rig.drives.break_drive(rig.at(2), Faults { append_delay: delay, ..Faults::default() });
        let written = rig.write(&bytes(9 * ROW), ROW).await.unwrap();
        assert_eq!(written.proven, 0b1011);
        EpollRt::sleep(delay).await;
        settle().await;
        assert!(rig.drives.stored(Some(rig.at(2))) > 0);
    });
}

#[test]
fn a_hanging_drive_is_read_around() {
    run(async {
        for size in [5000, 5 * ROW] {
            let rig = Rig::new(4, 2, size);
            let written = rig.write(&bytes(size), ROW).await.unwrap();
            for index in 0..2 {
                rig.drives.break_drive(rig.at(index), Faults { read_delay: SLOW, ..Faults::default() });
            }
            let began = Instant::now();
            assert!(rig.read(&written.to_wire(1), 0..3000).await.0 == Ok(bytes(size)[..3000].to_vec()));
            assert!(began.elapsed() < BLOB_READ_PATIENCE * 3);
        }
    });
}

#[test]
fn too_many_losses_are_an_error_that_names_them() {
    run(async {
        for size in [5000, 5 * ROW] {
            let rig = Rig::new(4, 2, size);
            let written = rig.write(&bytes(size), ROW).await.unwrap();
            (0..3.min(rig.placement.backends.len())).for_each(|index| {
                rig.drives.break_drive(rig.at(index), Faults { missing: true, ..Faults::default() });
            });
            let (read, notes) = rig.read(&written.to_wire(1), 0..size as u64).await;
            assert!(matches!(read, Err(BlobError::Unreadable { row: 0, .. })), "{read:?}");
            assert_eq!(notes.len(), 3);
        }
    });
}

#[test]
fn rot_in_different_rows_of_more_drives_than_parity_is_survived() {
    run(async {
        let size = 12 * ROW;
        let rig = Rig::new(3, 1, size);
        let written = rig.write(&bytes(size), ROW).await.unwrap();
        for index in 0..3 {
            let rotten = Some((3, index as u32));
            rig.drives.break_drive(rig.at(index), Faults { rotten, ..Faults::default() });
        }
        let (read, notes) = rig.read(&written.to_wire(1), 0..size as u64).await;
        assert!(read == Ok(bytes(size)), "{:?} {notes:?}", read.map(|r| r.len()));
        assert!(notes.len() >= 2, "{notes:?}");
    });
}

#[test]
fn an_unproven_fragment_is_the_last_resort() {
    run(async {
        let rig = Rig::new(4, 2, 3 * ROW);
        let mut blob = rig.write(&bytes(3 * ROW), ROW).await.unwrap().to_wire(1);
        blob.proven = 0b0111;
        for index in 1..3 {
            rig.drives.break_drive(rig.at(index), Faults { missing: true, ..Faults::default() });
        }
        assert!(rig.read(&blob, 0..3 * ROW as u64).await.0 == Ok(bytes(3 * ROW)));
    });
}

#[test]
fn deleting_a_blob_removes_every_piece() {
    run(async {
        let rig = Rig::new(4, 2, 9 * ROW);
        let blob = rig.write(&bytes(9 * ROW), ROW).await.unwrap().to_wire(1);
        rig.blobs.delete(&blob, &rig.placement.backends).await.unwrap();
        assert_eq!(rig.drives.stored(None), 0);
    });
}

#[test]
fn a_malformed_record_is_an_error() {
    run(async {
        let rig = Rig::new(4, 2, 9);
        let blob = rig.write(&bytes(9), 9).await.unwrap().to_wire(1);
        let read = |blob: &wire::Blob, backends: &[BackendId]| rig.blobs.read(blob, backends, 0..9).err();
        assert!(matches!(read(&blob, &[]), Some(BlobError::Record(_))));
        assert!(matches!(
            read(&wire::Blob { coding: None, ..blob.clone() }, &[]),
            Some(BlobError::Coding(_))
        ));
        let odd = wire::Blob { op_id: vec![1].into(), ..blob };
        assert!(matches!(read(&odd, &rig.placement.backends), Some(BlobError::Record(_))));
    });
}

#[test]
fn the_pieces_of_the_last_row_carry_the_fields_and_no_others() {
    run(async {
        for (size, announced) in [(700, true), (3 * ROW + 11, true), (2 * ROW, true), (3 * ROW + 11, false)] {
            let mut rig = Rig::new(4, 1, size);
            rig.new.size = rig.new.size.filter(|_| announced);
            for backend in &rig.placement.backends {
                rig.drives.set_state(backend.0, Some(DriveState::Active));
            }
            let mut fields = Vec::new();
            put_tlv(&mut fields, tlv::RECOVERY_MANIFEST, b"sealed");
            let mut writer = rig.blobs.write(rig.new, &rig.placement).awaiting_fields();
            for part in bytes(size).chunks(100_000) {
                writer.push(part).await.unwrap();
            }
            assert_eq!(writer.planned().size, size as u64);
            let written = writer.finish_with(fields.into()).await.unwrap();
            let held = rig.drives.find(written.op_id).await.unwrap();
            let last = held.iter().map(|(_, held)| held.last_row).max().unwrap();
            for (backend, held) in held {
                for row in 0..=held.last_row {
                    let sealed = rig.drives.manifest(backend, held.fragment, row).await.unwrap();
                    assert_eq!(
                        sealed.as_deref(),
                        (row == last).then_some(&b"sealed"[..]),
                        "{size} row {row}"
                    );
                }
            }
            let (read, notes) = rig.read(&written.to_wire(1), 0..size as u64).await;
            assert!(read.unwrap() == bytes(size) && notes.is_empty());
        }
    });
}
