//! Clocks and randomness of the machine, read here and nowhere else in the data plane.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};

pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub fn boottime_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that the call fills.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    assert!(done == 0, "CLOCK_BOOTTIME is there since Linux 2.6.39");
    time.tv_sec.cast_unsigned() * 1000 + time.tv_nsec.cast_unsigned() / 1_000_000
}

/// Fills `out` from the system's generator; a few bytes (every request has an id) from what one call gave for many.
pub fn random(out: &mut [u8]) {
    DRAWN.with_borrow_mut(|drawn| {
        if out.len() > drawn.bytes.len() / 8 {
            return draw(out);
        }
        if drawn.left < out.len() {
            draw(&mut drawn.bytes);
            drawn.left = drawn.bytes.len();
        }
        let given = &mut drawn.bytes[drawn.left - out.len()..drawn.left];
        out.copy_from_slice(given);
        given.fill(0);
        drawn.left -= out.len();
    });
}

fn draw(out: &mut [u8]) {
    SystemRandom::new().fill(out).expect("the system's generator works once it is seeded");
}

/// Random bytes that nobody has had yet: the first `left`.
struct Drawn {
    bytes: [u8; 512],
    left: usize,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { bytes: [0; 512], left: 0 }) };
}
