//! Drives at different speeds, in a time of our own.

use super::*;

const WELL: Duration = Duration::from_millis(8);
const SICK: Duration = Duration::from_millis(700);

/// Four drives under load, looked at once a second as cores do.
struct Rig {
    paces: Paces,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self { paces: Paces::new(4), now: Instant::now() }
    }

    /// Seconds of load until drive 0, whose writes take `took`, is called slow.
    fn slow_within(&mut self, seconds: u32, took: impl Fn(u32) -> Duration) -> Option<u32> {
        (0..seconds).find(|second| self.second(took(*second), Duration::ZERO).is_some())
    }

    fn second(&mut self, took: Duration, under_way: Duration) -> Option<String> {
        self.now += Duration::from_secs(1);
        for _ in 0..10 {
            self.paces.wrote(0, took, self.now);
            (1..4).for_each(|slot| self.paces.wrote(slot, WELL, self.now));
        }
        for slot in 1..4 {
            assert_eq!(self.paces.is_slow(slot, Duration::ZERO, self.now), None, "drive {slot} is well");
        }
        self.paces.is_slow(0, under_way, self.now)
    }

    /// Seconds of good tries until it is back.
    fn back_after(&mut self) -> u64 {
        for tries in 1..10_000 {
            self.now += Duration::from_secs(5);
            (1..4).for_each(|slot| self.paces.wrote(slot, WELL, self.now));
            if self.paces.is_well(0, WELL, self.now) {
                return tries * 5;
            }
        }
        panic!("it never comes back");
    }
}

#[test]
fn a_drive_far_slower_than_its_siblings_is_found_out_and_comes_back() {
    let mut rig = Rig::new();
    assert_eq!(rig.slow_within(100, |_| WELL), None);
    let found = rig.slow_within(100, |_| SICK).expect("it is slow");
    assert!(found >= 10, "not before it lasts: {found} s");
    let first = rig.back_after();
    assert!(first >= SLOW_WELL_AFTER.as_secs(), "{first} s");
    assert_eq!(rig.slow_within(100, |_| WELL), None, "what it was is forgotten");
    rig.slow_within(100, |_| SICK).expect("it is slow again");
    assert!(rig.back_after() >= 2 * SLOW_WELL_AFTER.as_secs(), "a relapse counts");
}

#[test]
fn a_bad_try_starts_the_wait_again() {
    let mut rig = Rig::new();
    rig.slow_within(100, |_| SICK).expect("it is slow");
    for second in 0..1000 {
        rig.now += Duration::from_secs(5);
        let took = if second % 5 == 0 { SICK } else { WELL };
        assert!(!rig.paces.is_well(0, took, rig.now));
    }
    rig.back_after();
}

#[test]
fn a_stall_now_and_then_is_forgiven_and_one_that_lasts_is_not() {
    let mut rig = Rig::new();
    assert_eq!(rig.slow_within(300, |second| if second % 60 == 0 { SICK } else { WELL }), None);
    let stalled = (1..40).find(|seconds| rig.second(WELL, Duration::from_secs(*seconds)).is_some());
    assert!(stalled.is_some_and(|seconds| (10..20).contains(&seconds)), "{stalled:?}");
}

#[test]
fn slow_disks_among_their_like_and_differences_nobody_feels_are_well() {
    let mut rig = Rig::new();
    assert_eq!(rig.slow_within(100, |_| Duration::from_millis(90)), None, "eleven times as slow, and 90 ms");
    let alike = Paces::new(4);
    let mut now = Instant::now();
    for _ in 0..100 {
        now += Duration::from_secs(1);
        (0..4).for_each(|slot| alike.wrote(slot, SICK, now));
        (0..4).for_each(|slot| assert_eq!(alike.is_slow(slot, Duration::ZERO, now), None));
    }
}

#[test]
fn without_enough_siblings_at_work_nothing_is_said() {
    let paces = Paces::new(4);
    let mut now = Instant::now();
    (1..4).for_each(|slot| paces.wrote(slot, WELL, now));
    now += 2 * SLOW_SIBLINGS_FRESH;
    for _ in 0..100 {
        now += Duration::from_secs(1);
        paces.wrote(0, SICK, now);
        paces.wrote(1, WELL, now);
        assert_eq!(paces.is_slow(0, Duration::ZERO, now), None);
    }
}
