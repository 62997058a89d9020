//! The XML of S3: bodies read from clients (bounded, refusing everything clever) and answers written to them.
//!
//! All of it is pure: bytes in, plain structs out; plain structs and wire messages in, bytes out.

mod answer;
mod attributes;
mod body;
mod list;
mod listed;
pub mod reader;
mod versions;
pub mod writer;

pub use answer::{
    Assembled, CopyKind, DeleteOutcome, write_complete_upload, write_copy, write_create_upload, write_delete,
    write_location, write_policy_status,
};
pub use attributes::{lists_parts, write_object_attributes};
pub use body::{
    CompleteBody, CreateBucketBody, DeleteBody, DeleteEntry, read_complete_upload, read_create_bucket,
    read_delete,
};
pub use list::{BucketEntry, Owner, Owners, write_list_buckets, write_list_objects};
pub use listed::{write_list_parts, write_list_uploads};
pub use versions::{VersionEntry, VersionsPage, write_list_versions};
