//! Where pieces were found lately, so that a hot read asks no index.
//!
//! A place may be out of date: the record that is read there proves itself (its life, its name, its blocks), and who finds
//! another one, or none, asks the index. So nothing here needs invalidating; a delete of this core takes its places out
//! all the same, so that what it deleted is gone for it at once.

use holdfast_common::id::FragmentId;
use holdfast_protocol::placement::spread_hash;

use crate::index::{Key, Location};
use crate::limits::PLACES_REMEMBERED_PER_CORE;

const _: () = assert!(PLACES_REMEMBERED_PER_CORE.is_power_of_two());

/// Places of first rows by (slot, key), each in the one line its hash gives it; the later takes the line over.
///
/// Only first rows: those of small objects, where the question costs as much as the read.
pub(super) struct Places(Vec<Option<(usize, Key, Location)>>);

impl Places {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn find(&self, slot: usize, key: Key) -> Option<Location> {
        let (of, held, location) = (*self.0.get(line(slot, key.fragment()))?)?;
        ((of, held) == (slot, key)).then_some(location)
    }

    pub(super) fn keep(&mut self, slot: usize, key: Key, location: Location) {
        if key.row() != 0 {
            return;
        }
        if self.0.is_empty() {
            self.0.resize(PLACES_REMEMBERED_PER_CORE, None);
        }
        self.0[line(slot, key.fragment())] = Some((slot, key, location));
    }

    pub(super) fn forget(&mut self, slot: usize, fragment: FragmentId) {
        if let Some(place) = self.0.get_mut(line(slot, fragment)) {
            *place = None;
        }
    }
}

fn line(slot: usize, fragment: FragmentId) -> usize {
    let hash = spread_hash(fragment.blob) as usize;
    (hash ^ slot << 3 ^ usize::from(fragment.index)) % PLACES_REMEMBERED_PER_CORE
}

#[cfg(test)]
mod tests {
    use holdfast_common::id::OpId;

    use super::*;

    #[test]
    fn a_place_is_found_until_it_is_forgotten_or_taken_over() {
        let fragment = FragmentId { blob: OpId::new(1, [1; 10]), index: 1, attempt: 0 };
        let at = |offset| Location { segment: 1, generation: 1, offset, header_len: 64, payload_len: 9 };
        let (key, later) = (Key::new(fragment, 0), Key::new(FragmentId { attempt: 1, ..fragment }, 0));
        let mut places = Places::new();
        assert_eq!(places.find(2, key), None);
        places.keep(2, key, at(4096));
        places.keep(2, Key::new(fragment, 1), at(0));
        assert_eq!(places.find(2, key), Some(at(4096)), "another row does not take its line");
        assert_eq!(places.find(1, key), None, "another drive");
        places.keep(2, later, at(8192));
        assert_eq!((places.find(2, key), places.find(2, later)), (None, Some(at(8192))));
        places.forget(2, fragment);
        assert_eq!(places.find(2, later), None);
    }
}
