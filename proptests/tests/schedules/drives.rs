//! The data plane's flush tickets, and as much of what is around them as they name.

#[path = "../../../dataplane/src/drives/flush.rs"]
mod flush;
#[path = "flushes.rs"]
mod flushes;
#[path = "../../../dataplane/src/drives/stats.rs"]
mod stats;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DriveError {
    Full,
    ReadOnly,
    Io { step: &'static str, error: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    failures: u64,
}

impl Receipt {
    pub(crate) fn after(failures: u64) -> Self {
        Self { failures }
    }

    pub(crate) fn failures(self) -> u64 {
        self.failures
    }
}
