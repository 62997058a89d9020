//! Finding records again in a segment that was not sealed.
//!
//! A crash leaves any subset of the sectors of unflushed writes, so the walk never stops early: where no record stands
//! it goes on at the next sector boundary, where every write starts, to the segment's end. Payload that imitates a
//! record would need the drive's random id and the exact place in its checksum; it is only looked at when the header
//! above it was lost, because a valid header is stepped over whole.

use super::{Invalid, Parsed, Place, SECTOR_BYTES, parse};
use crate::limits::RECORD_HEADER_BYTES_MAX;

/// What stands at an offset.
#[derive(Debug)]
pub enum Step {
    /// A whole record; go on behind it.
    Record(Box<Parsed>),
    /// A record of this life whose payload or footer is not whole; go on behind it.
    Torn(Box<Parsed>),
    /// A record that a newer version of us wrote.
    Newer(u16),
    /// Nothing; go on at this offset.
    Skip(u32),
    /// Cannot say before this many bytes from `offset` on are there.
    Need(usize),
    /// The segment's end.
    End,
}

/// Looks at `place.offset`; `window` holds the segment's bytes from there on, as far as they were read, and `end` is
/// the segment's size.
#[must_use]
pub fn step(window: &[u8], place: Place, end: u32) -> Step {
    let left = end.saturating_sub(place.offset) as usize;
    if left == 0 {
        return Step::End;
    }
    if window.len() < left.min(RECORD_HEADER_BYTES_MAX) {
        return Step::Need(left.min(RECORD_HEADER_BYTES_MAX));
    }
    match parse(window, place) {
        Ok(parsed) if parsed.total_len() > left => Step::Torn(Box::new(parsed)),
        Ok(parsed) if parsed.total_len() > window.len() => Step::Need(parsed.total_len()),
        Ok(parsed) if parsed.whole(&window[..parsed.total_len()]) => Step::Record(Box::new(parsed)),
        Ok(parsed) => Step::Torn(Box::new(parsed)),
        Err(Invalid::Version(version)) => Step::Newer(version),
        Err(_) => {
            let sector = u32::try_from(SECTOR_BYTES).expect("small");
            Step::Skip((place.offset / sector).saturating_add(1).saturating_mul(sector).min(end))
        }
    }
}
