//! What nodes say to each other about fragments, version 1: frames of bytes, requests and answers.
//!
//! A connection carries frames both ways. A request has an id that its answer repeats; answers come in any order. A frame
//! is a header of 24 bytes, little-endian, then fields (`meta`), then a payload that only pieces have:
//!
//! ```text
//!  0 magic "HP"    2 version u8     3 kind u8        4 id u32
//!  8 meta bytes u32                12 payload bytes u32
//! 16 CRC32C of the payload u32     20 CRC32C of the 20 bytes before and of meta u32
//! ```
//!
//! Both checksums are verified by whoever receives, before anything is done with what they cover. Lengths are bounded
//! before memory is taken. Who speaks is not said here: the certificate of the connection says it.

mod answer;
mod codec;
mod fault;
mod frame;
mod request;

use holdfast_common::id::FragmentId;

pub use answer::Answer;
pub use codec::Malformed;
pub use fault::{Denial, Fault};
pub use frame::{FRAME_HEADER_BYTES, FrameError, Header, encode};
pub use request::{Request, Spot};

/// Version of the frames and of what stands in them.
pub const PEER_VERSION: u8 = 1;

/// A fragment that a node holds, and on which backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    pub backend: u32,
    pub fragment: FragmentId,
    /// The highest row that is there, and how many are.
    pub last_row: u32,
    pub pieces: u32,
    /// Their records, bytes.
    pub bytes: u64,
}

#[cfg(test)]
mod tests;
