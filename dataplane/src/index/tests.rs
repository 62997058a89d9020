//! The index against what was put in.

use futures_util::FutureExt as _;
use holdfast_common::id::OpId;

use super::*;

fn fragment(n: u8) -> FragmentId {
    FragmentId { blob: OpId::new(1_700_000_000_000 + u64::from(n), [n; 10]), index: n, attempt: 1 }
}

fn location(segment: u32, offset: u32) -> Location {
    Location { segment, generation: segment + 1, offset, header_len: 128, payload_len: 77 }
}
