//! Programs of a simulation: what a client, an operator and bad luck do, in order, made from a seed.

use super::disk::Outage;
use super::rng::Rng;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Put {
        key: u8,
        len: u32,
    },
    Delete {
        key: u8,
    },
    Copy {
        from: u8,
        to: u8,
    },
    Multipart {
        key: u8,
        parts: Vec<u32>,
        abort: bool,
    },
    Get {
        key: u8,
        from: u32,
        len: u32,
    },
    List,
    /// Puts of different keys at the same time.
    Together(Vec<(u8, u32)>),
    /// Reads of a key while it is overwritten.
    Race {
        key: u8,
        len: u32,
    },
    /// A put whose body takes long; others go on meanwhile.
    SlowPut {
        key: u8,
        len: u32,
        ms: u32,
    },
    /// A slow reader of what is deleted meanwhile.
    SlowGet {
        key: u8,
        ms: u32,
    },
    /// Virtual time passes: keepers, agent, compaction.
    Idle {
        ms: u32,
    },
    /// A clean stop and a start.
    Restart,
    /// The node goes down with nothing under way.
    Crash(Outage),
    /// The node goes down so many I/O points from here.
    CrashAfter {
        points: u32,
        outage: Outage,
    },
    /// The sequence's bad disk gets worse.
    Fault(Fault),
    /// It is well again.
    Heal,
}

/// What befalls the one disk of a program that may be bad: the class survives any one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    ReadErrors,
    WriteErrors,
    SyncErrors,
    Gone,
    Full,
    Stall,
    /// Bytes of its segments flip.
    Rot,
    /// Writes are acknowledged and lost.
    Lies,
}

/// What a program may contain.
#[derive(Clone, Copy, Debug)]
pub struct Taste {
    pub steps: usize,
    /// Larger objects, several rows.
    pub large: bool,
    pub crashes: bool,
    pub faults: bool,
}

/// Sizes around every boundary there is: empty, blocks, whole copies, pieces, rows.
const SIZES: [u32; 18] = [
    0, 1, 511, 4095, 4096, 4097, 16_383, 16_384, 16_385, 20_001, 65_536, 131_071, 262_144, 262_145, 524_288,
    524_289, 786_433, 1_200_003,
];

#[must_use]
pub fn generate(seed: u64, taste: Taste) -> Vec<Step> {
    let mut rng = Rng::new(seed ^ 0x0070_726f_6772_616d);
    (0..taste.steps).map(|_| step(&mut rng, taste)).collect()
}

fn step(rng: &mut Rng, taste: Taste) -> Step {
    let key = u8::try_from(rng.below(5)).expect("small");
    match rng.below(100) {
        0..30 => Step::Put { key, len: size(rng, taste) },
        30..42 => Step::Delete { key },
        42..46 => Step::Copy { from: key, to: u8::try_from(rng.below(5)).expect("small") },
        46..52 => {
            let parts = (0..rng.within(1..4)).map(|_| size(rng, taste)).collect();
            Step::Multipart { key, parts, abort: rng.chance(1, 5) }
        }
        52..60 => {
            let len = size(rng, taste);
            Step::Get { key, from: size(rng, taste), len: len.max(1) }
        }
        60..63 => Step::List,
        63..69 => {
            let mut puts = Vec::new();
            for key in 0..5 {
                if rng.chance(3, 5) {
                    puts.push((key, size(rng, taste)));
                }
            }
            Step::Together(puts)
        }
        69 => Step::Race { key, len: size(rng, taste) },
        70 => Step::SlowPut {
            key,
            len: *rng.pick(&[16_384, 700_001, 1_200_003]),
            ms: *rng.pick(&[2_000, 30_000, 5 * 3_600_000]),
        },
        71 => Step::SlowGet { key, ms: *rng.pick(&[2_000, 60_000]) },
        72..80 => Step::Idle { ms: *rng.pick(&[5, 200, 3_000, 40_000]) },
        80..84 => Step::Restart,
        84..87 if taste.crashes => Step::Crash(outage(rng)),
        87..93 if taste.crashes => {
            let points = u32::try_from(rng.below(60)).expect("small");
            Step::CrashAfter { points, outage: outage(rng) }
        }
        93..97 if taste.faults => Step::Fault(*rng.pick(&[
            Fault::ReadErrors,
            Fault::WriteErrors,
            Fault::SyncErrors,
            Fault::Gone,
            Fault::Full,
            Fault::Stall,
            Fault::Rot,
            Fault::Lies,
        ])),
        97.. if taste.faults => Step::Heal,
        _ => Step::Put { key, len: size(rng, taste) },
    }
}

fn size(rng: &mut Rng, taste: Taste) -> u32 {
    let sizes = if taste.large { &SIZES[..] } else { &SIZES[..10] };
    match rng.below(3) {
        0 => u32::try_from(rng.below(20_000)).expect("small"),
        _ => *rng.pick(sizes),
    }
}

fn outage(rng: &mut Rng) -> Outage {
    if rng.chance(2, 3) { Outage::Power } else { Outage::Process }
}
