//! Walks over the store: the fragments of a blob, pages of fragments, pages of entries.

use holdfast_common::id::{FragmentId, OpId};

use super::store::Store;
use super::{IndexError, Key, Location};
use crate::drives::Held;
use crate::limits::INDEX_SURVEY_ENTRIES_MAX;

/// Consecutive entries, and the key that the next page starts at.
#[derive(Debug, Default)]
pub struct Page {
    pub entries: Vec<(Key, Location)>,
    /// `None` at the end.
    pub next: Option<Key>,
}

/// Every fragment of a blob, with the slot it is in.
pub(super) fn find(store: &dyn Store, slots: usize, blob: OpId) -> Result<Vec<(usize, Held)>, IndexError> {
    let from = Key::new(FragmentId { blob, index: 0, attempt: 0 }, 0);
    let mut found = Vec::new();
    for slot in 0..slots {
        let mut fragments = Vec::new();
        store.scan(slot, &from, &mut |key, location| {
            let ours = key.fragment().blob == blob;
            if ours {
                gather(&mut fragments, key, location);
            }
            ours
        })?;
        found.extend(fragments.into_iter().map(|held| (slot, held)));
    }
    Ok(found)
}

/// At most `max` fragments behind `after`, whole ones; fewer when they have very many rows. None at the end.
pub(super) fn survey(
    store: &dyn Store,
    slot: usize,
    after: Option<FragmentId>,
    max: usize,
) -> Result<Vec<Held>, IndexError> {
    let from = match after {
        None => Some(Key::FIRST),
        Some(fragment) => Key::new(fragment, u32::MAX).next(),
    };
    let Some(from) = from else { return Ok(Vec::new()) };
    let (mut found, mut seen) = (Vec::new(), 0);
    store.scan(slot, &from, &mut |key, location| {
        let begins = found.last().is_none_or(|held: &Held| held.fragment != key.fragment());
        if begins && (found.len() == max || seen >= INDEX_SURVEY_ENTRIES_MAX) {
            return false;
        }
        seen += 1;
        gather(&mut found, key, location);
        true
    })?;
    Ok(found)
}

/// Adds an entry to the fragment it belongs to; entries come in order.
fn gather(found: &mut Vec<Held>, key: Key, location: Location) {
    if found.last().is_none_or(|held| held.fragment != key.fragment()) {
        found.push(Held { fragment: key.fragment(), last_row: 0, pieces: 0, bytes: 0 });
    }
    let held = found.last_mut().expect("one is there now");
    held.last_row = key.row();
    held.pieces += 1;
    held.bytes += location.record_bytes();
}

/// At most `max` entries from `from` on.
pub(super) fn entries(store: &dyn Store, slot: usize, from: Key, max: usize) -> Result<Page, IndexError> {
    let mut page = Page::default();
    store.scan(slot, &from, &mut |key, location| {
        if page.entries.len() == max {
            page.next = Some(key);
            return false;
        }
        page.entries.push((key, location));
        true
    })?;
    Ok(page)
}
