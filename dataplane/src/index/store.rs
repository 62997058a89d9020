//! What the index keeps its entries in, as the worker sees it: a few sorted maps and a note per drive that is durable
//! only together with all that was written before it.
//!
//! RocksDB carries it in production ([`super::rocks`]), maps in memory in a simulation ([`super::memory`]). Either may, at
//! a crash, hold more than its last checkpoint did, never less.

use super::{IndexError, Key, Location};

/// What can be said without touching a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cached {
    Known(Option<Location>),
    Unknown,
}

/// Entries of all drives, by slot and key. One writer at a time; any number of readers.
pub(super) trait Store: Send + Sync + 'static {
    /// # Errors
    /// The store's own.
    fn get(&self, slot: usize, key: &Key) -> Result<Option<Location>, IndexError>;

    /// As [`Store::get`], for a thread that must not block.
    ///
    /// # Errors
    /// The store's own.
    fn get_cached(&self, slot: usize, key: &Key) -> Result<Cached, IndexError>;

    /// Shows entries in order of their keys, from `from` on, until `visit` says false.
    ///
    /// # Errors
    /// The store's own; what was shown before is right, and more may follow it.
    fn scan(
        &self,
        slot: usize,
        from: &Key,
        visit: &mut dyn FnMut(Key, Location) -> bool,
    ) -> Result<(), IndexError>;

    /// Applies all changes or, with an error, none: a location is put, `None` taken out. Not durable yet.
    ///
    /// # Errors
    /// The store's own.
    fn write(&self, slot: usize, changes: &[(Key, Option<Location>)]) -> Result<(), IndexError>;

    /// The last note of a drive; empty when there is none.
    ///
    /// # Errors
    /// The store's own.
    fn checkpoint(&self, slot: usize) -> Result<Vec<u8>, IndexError>;

    /// Makes every write to a drive so far durable, and then its note.
    ///
    /// # Errors
    /// The store's own; then the note before may still be the last.
    fn set_checkpoint(&self, slot: usize, note: &[u8]) -> Result<(), IndexError>;
}
