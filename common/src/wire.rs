//! The wire contract between the planes, generated from `common/proto`.
//!
//! Rules for whoever changes it: field numbers are never reused, meanings never change, and a message that is also
//! stored (`record.proto`) stays readable for ever.

#![allow(clippy::doc_markdown, clippy::large_enum_variant, unreachable_pub)]

tonic::include_proto!("holdfast.v1");

/// Version a node says in `Hello`. The authority speaks this one and the one before.
pub const PROTOCOL_VERSION: u32 = 1;

/// Parts of an object that stand inline in its manifest; more are paged.
pub const MANIFEST_INLINE_PARTS: usize = 16;

/// Parts a manifest page holds: 250 parts of ~120 bytes are a 30 KiB row, and 10,000 parts make 40 pages.
pub const MANIFEST_PAGE_PARTS: usize = 250;

/// Largest gRPC message either side accepts, bytes. A page of 1000 keys of 1 KiB with metadata fits four times.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
