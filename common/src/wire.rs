//! The wire contract between the planes, generated from `common/proto`.
//!
//! Rules for whoever changes it: field numbers are never reused, meanings never change, and a message that is also
//! stored (`record.proto`) stays readable for ever.

#![allow(clippy::doc_markdown, clippy::large_enum_variant, unreachable_pub)]

tonic::include_proto!("holdfast.v1");

/// Version a node says in `Hello`. The authority speaks this one and the one before.
pub const PROTOCOL_VERSION: u32 = 2;

/// Parts of an object that stand inline in its manifest; more are paged.
pub const MANIFEST_INLINE_PARTS: usize = 16;

/// Parts a manifest page holds: 250 parts of ~120 bytes are a 30 KiB row, and 10,000 parts make 40 pages.
pub const MANIFEST_PAGE_PARTS: usize = 250;

/// Largest gRPC message either side accepts, bytes. A page of 1000 keys of 1 KiB with metadata fits four times.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// What clients call the version that has no id: the one of before versioning, or of while it is suspended.
pub const NULL_VERSION: &str = "null";

/// A version id as an answer shows it, of a record (where the null version is the empty string) or of an entry. `None`: not
/// at all, because the bucket was never versioned (`versioning` is `Bucket.versioning`). A record may have been cached
/// before its bucket was versioned, so it cannot say so itself.
#[must_use]
pub fn version_shown(version_id: &str, versioning: u32) -> Option<&str> {
    match (versioning, version_id) {
        (0, _) => None,
        (_, "") => Some(NULL_VERSION),
        (_, id) => Some(id),
    }
}

#[cfg(test)]
mod tests {
    use super::version_shown;

    #[test]
    fn the_null_version_has_a_name_once_a_bucket_has_versions() {
        assert_eq!(version_shown("", 0), None);
        assert_eq!((version_shown("", 1), version_shown("null", 2)), (Some("null"), Some("null")));
        assert_eq!(version_shown("0af1", 2), Some("0af1"));
    }
}
