//! Fragments that a read had to do without, on their way from the cores to the agent.

use std::collections::{BTreeSet, VecDeque};

use holdfast_common::id::OpId;
use holdfast_common::wire;
use parking_lot::Mutex;

use crate::blob::RepairNote;
use crate::limits::AGENT_NOTES_MAX;

/// What one reader found of one blob.
#[derive(Clone, Debug)]
pub struct Note {
    pub blob: wire::Blob,
    pub fragments: Vec<RepairNote>,
}

/// Bounded: what does not fit is found again, by the next read or by the scrub.
#[derive(Debug, Default)]
pub struct Notes(Mutex<VecDeque<Note>>);

impl Notes {
    pub fn push(&self, note: Note) {
        let mut notes = self.0.lock();
        let known = notes.iter().any(|known| known.blob.op_id == note.blob.op_id);
        if !known && notes.len() < AGENT_NOTES_MAX {
            notes.push_back(note);
        }
    }

    /// Takes all of them.
    #[must_use]
    pub fn take(&self) -> Vec<Note> {
        self.0.lock().drain(..).collect()
    }
}

/// Blobs of which other nodes have made fragments again: this one looks which of its own copies may go. Bounded: what does not
/// fit is found by the next audit.
#[derive(Debug, Default)]
pub struct Superseded(Mutex<BTreeSet<OpId>>);

impl Superseded {
    pub fn push(&self, blob: OpId) {
        let mut blobs = self.0.lock();
        if blobs.len() < AGENT_NOTES_MAX {
            blobs.insert(blob);
        }
    }

    /// Takes all of them.
    #[must_use]
    pub fn take(&self) -> BTreeSet<OpId> {
        std::mem::take(&mut *self.0.lock())
    }
}
