//! Fragments on other nodes: asked for, served, and all nodes' drives as one.
//!
//! ```text
//! Fleet (impl Drives) ── own backend ──► CoreDrives
//!        └─ another's ─► Node: two lanes ─► Link ═ TLS 1.3, both certificates ═► serve ─► permit ─► CoreDrives there
//! ```
//! Everything runs on the core that asks or was connected to: no other thread, no tokio. Each core has two connections to
//! each other node, one that writes and one that reads, so that a read never waits behind megabytes of appends. Writes go
//! over one connection because a flush covers the appends of its core alone: when it breaks, what was not flushed is lost,
//! and the flush says so.
//!
//! What a node may do with another's drives: its certificate names it, and the view that the authority sent says that it
//! is a node and not revoked, at each request. A ticket of the authority names the blobs it may touch, and whether it may
//! read, append or delete. Without one it may append to blobs that it made itself in the last hours, as long as the node it
//! asks hears from the authority: the path of every PUT. So a stolen node reads and deletes what it can get tickets for, and
//! no more; to delete it gets them for what it has not committed yet and for deletions that are leased to it.
//!
//! What comes in is bounded before memory is taken (`limits.rs`), and both checksums of a frame hold before anything is
//! done with it; a refusal has a type, is answered where it can be, and is logged once per node and reason.

mod client;
mod fleet;
mod frames;
mod identity;
mod load;
mod permit;
mod seen;
mod server;
mod tickets;
mod traffic;
mod warnings;

use std::sync::Arc;

use holdfast_protocol::peer::{Denial, Fault};

pub use fleet::Fleet;
pub use identity::{PeerIdentity, Sides, trust};
pub use server::{PeerServer, serve};

use crate::drives::DriveError;
use crate::metrics::Writer;
use fleet::Reach;
use traffic::Traffic;
use warnings::Warnings;

/// What all cores of a node share about the others.
#[derive(Debug)]
pub struct Peers {
    pub identity: PeerIdentity,
    reach: Reach,
    warnings: Warnings,
    traffic: Traffic,
}

impl Peers {
    #[must_use]
    pub fn new(identity: PeerIdentity) -> Arc<Self> {
        let (reach, warnings) = (Reach::default(), Warnings::default());
        Arc::new(Self { identity, reach, warnings, traffic: Traffic::default() })
    }

    /// What was asked of other nodes and by them, for the scrape.
    pub fn write_metrics(&self, writer: &mut Writer) {
        self.traffic.write(writer, |node| self.reach.has(node));
    }
}

/// Why another node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No connection, or the one there was broke: with what was wrong.
    #[error("it cannot be reached: {0}")]
    Away(String),
    #[error("it did not answer in time")]
    Late,
    #[error("it has too many requests to answer")]
    Busy,
    /// It will not.
    #[error("it refuses: {0}")]
    Denied(Denial),
    /// Whoever is there is not that node.
    #[error("it is not who it should be: {0}")]
    Impostor(Denial),
    /// The authority gave no ticket.
    #[error("no ticket for it: {0}")]
    NoTicket(String),
    /// What it said makes no sense, or is not what was sent.
    #[error("it broke the protocol: {0}")]
    Lied(&'static str),
    /// Its drive could not.
    #[error("its drive: {0}")]
    Drive(DriveError),
}

impl PeerError {
    /// As a drive of the node `node` says it.
    fn of_drive(self, node: &str) -> DriveError {
        match self {
            Self::Drive(error) => error,
            Self::Busy => DriveError::Busy,
            Self::Lied(_) => DriveError::Rotten("another node sent bytes that are not what they say"),
            other => DriveError::Io { step: "ask another node", error: format!("{node}: {other}") },
        }
    }
}

/// A drive's error as the wire has it.
fn fault_of(error: DriveError) -> Fault {
    match error {
        DriveError::NotFound => Fault::NotFound,
        DriveError::Rotten(why) => Fault::Rotten(why.to_owned()),
        DriveError::Io { step, error } => Fault::Io { step: step.to_owned(), error },
        DriveError::Full => Fault::Full,
        DriveError::ReadOnly => Fault::ReadOnly,
        DriveError::Failed => Fault::Failed,
        DriveError::Busy => Fault::Busy,
    }
}

/// And back.
fn error_of(fault: Fault) -> DriveError {
    match fault {
        Fault::NotFound => DriveError::NotFound,
        Fault::Rotten(_) => DriveError::Rotten("its node says so"),
        Fault::Io { step, error } => {
            DriveError::Io { step: "a drive of another node", error: format!("{step}: {error}") }
        }
        Fault::Full => DriveError::Full,
        Fault::ReadOnly => DriveError::ReadOnly,
        Fault::Failed => DriveError::Failed,
        Fault::Busy => DriveError::Busy,
    }
}

#[cfg(test)]
mod tests;
