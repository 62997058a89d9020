//! What a node does of its own accord: deleting, reaping, repairing, scrubbing, draining.
//!
//! What the foreground leaves for it is here as well: op ids that may still be committed ([`OpenOps`]), blobs being read
//! ([`Pins`]), fragments that a read had to do without ([`Notes`]).

mod notes;
mod open_ops;
mod pins;

pub use notes::{Note, Notes};
pub use open_ops::{OpenOp, OpenOps};
pub use pins::{PinSet, Pins};
