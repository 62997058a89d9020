//! How far each drive's scrub has come, in a file of the data directory: a pass lasts weeks and outlives processes.
//!
//! Losing the file costs a pass its place, nothing else, so it is not flushed, and one that cannot be read counts as none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// All passes, by backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    version: u32,
    pub(super) passes: BTreeMap<u32, SavedPass>,
}

/// One drive's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPass {
    /// Where the running pass goes on; a finished one has none.
    pub(super) segment: Option<u32>,
    pub(super) began_ms: u64,
    pub(super) done_bytes: u64,
    /// Passes finished so far, and when the last was.
    pub(super) finished: u64,
    pub(super) finished_ms: u64,
}

const VERSION: u32 = 1;

impl Saved {
    pub(super) fn new(passes: BTreeMap<u32, SavedPass>) -> Self {
        Self { version: VERSION, passes }
    }

    /// Blocks.
    pub(super) fn read(path: &Path) -> Self {
        let found = std::fs::read(path).ok().and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        found.filter(|saved| saved.version == VERSION).unwrap_or_default()
    }

    /// Blocks. A failure is a warning: the scrub itself goes on.
    pub(super) fn write(&self, path: PathBuf) {
        let new = path.with_extension("new");
        let text = serde_json::to_vec(self).expect("plain data");
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "the scrub's place is not kept; check owner, mode and space");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_comes_back_and_nonsense_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scrub.json");
        assert_eq!(Saved::read(&path), Saved::default());
        let pass = SavedPass { segment: Some(7), began_ms: 1, done_bytes: 2, finished: 3, finished_ms: 4 };
        let saved = Saved::new(BTreeMap::from([(1, pass), (2, SavedPass::default())]));
        saved.write(path.clone());
        assert_eq!(Saved::read(&path), saved);
        std::fs::write(&path, "{\"version\":").unwrap();
        assert_eq!(Saved::read(&path), Saved::default());
    }
}
