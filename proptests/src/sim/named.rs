//! Programs with a name: what a seed would take long to come upon, and failures that were found and made small.

use super::disk::Outage;
use super::program::{Fault, Step};

/// A body that takes five hours is nobody's garbage meanwhile.
#[must_use]
pub fn five_hour_upload() -> Vec<Step> {
    let slow = |key, ms| Step::SlowPut { key, len: 1_200_003, ms };
    vec![slow(0, 60_000), slow(1, 60_000), slow(0, 5 * 3_600_000), Step::Restart]
}

/// A reader keeps what it reads, though it is deleted and due to go.
#[must_use]
pub fn slow_reader() -> Vec<Step> {
    // More rows than are read ahead.
    let one = |key| [Step::Put { key, len: 3_700_003 }, Step::SlowGet { key, ms: 90_000 }];
    [one(0), one(1)].concat()
}

/// Segments half full of garbage are emptied; the node goes down somewhere in it.
#[must_use]
pub fn compaction(points: u32, outage: Outage) -> Vec<Step> {
    let mut program: Vec<Step> =
        (0..14).map(|round| Step::Together((0..8).map(|key| (round * 8 + key, 65_536)).collect())).collect();
    program.extend((0..112).filter(|key| key % 4 != 0).map(|key| Step::Delete { key }));
    program.push(Step::Idle { ms: 21_000 });
    program.push(Step::CrashAfter { points, outage });
    program.extend([Step::Idle { ms: 60_000 }, Step::Crash(Outage::Power), Step::List]);
    program
}

/// Fragments that a drive missed are made again on it while it loses writes.
#[must_use]
pub fn repair_on_a_liar() -> Vec<Step> {
    let mut program = vec![Step::Fault(Fault::Gone)];
    program.extend((0..6).map(|key| Step::Put { key, len: 20_001 + u32::from(key) * 9_000 }));
    program.extend([Step::Heal, Step::Fault(Fault::Lies), Step::Restart]);
    program.extend((0..20).map(|_| Step::Idle { ms: 3_000 }));
    program.push(Step::Heal);
    program
}

/// A drive whose directory went away kept its keeper busy for nothing once compaction had looked at it (a spin at
/// full speed; found by seed 48 on its first night).
#[must_use]
pub fn idle_with_a_drive_gone() -> Vec<Step> {
    vec![
        Step::Put { key: 0, len: 4096 },
        Step::Idle { ms: 40_000 },
        Step::Fault(Fault::Gone),
        Step::Put { key: 1, len: 4096 },
        Step::Idle { ms: 40_000 },
        Step::Heal,
    ]
}
