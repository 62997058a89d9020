//! Answers about one object or upload, and the result of DeleteObjects.

use holdfast_common::wire::{self, checksum::Kind};

use crate::date::iso8601_second;
use crate::digest::ChecksumValue;
use crate::error::Code;
use crate::operation::checksum_kind_name;

use super::list::quoted;
use super::writer::XmlWriter;

/// Whole objects and parts are copied alike and answered under different roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKind {
    Object,
    Part,
}

/// What became of one key of a DeleteObjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    Deleted {
        key: String,
        /// As the request named it.
        version_id: Option<String>,
        /// A marker was made (its version) or removed.
        delete_marker: Option<String>,
    },
    Failed {
        key: String,
        version_id: Option<String>,
        code: Code,
        message: String,
    },
}

/// A completed multipart upload.
#[derive(Clone, Copy, Debug)]
pub struct Assembled<'a> {
    /// Where the object can be fetched now.
    pub location: &'a str,
    pub bucket: &'a str,
    pub key: &'a str,
    pub etag: &'a str,
    pub checksums: &'a [wire::Checksum],
    /// For the `-N` of composite checksums.
    pub part_count: u32,
}

/// LocationConstraint: empty for us-east-1, as S3 answers it.
#[must_use]
pub fn write_location(region: &str) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open_root("LocationConstraint");
    if region != "us-east-1" {
        xml.characters(region);
    }
    xml.close("LocationConstraint");
    xml.finish()
}

/// PolicyStatus.
#[must_use]
pub fn write_policy_status(is_public: bool) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open_root("PolicyStatus");
    xml.bool("IsPublic", is_public);
    xml.close("PolicyStatus");
    xml.finish()
}

/// CopyObjectResult or CopyPartResult.
#[must_use]
pub fn write_copy(
    kind: CopyKind,
    etag: &str,
    modified_ms: u64,
    checksums: &[wire::Checksum],
    parts: u32,
) -> Vec<u8> {
    let root = match kind {
        CopyKind::Object => "CopyObjectResult",
        CopyKind::Part => "CopyPartResult",
    };
    let mut xml = XmlWriter::document();
    xml.open_root(root);
    xml.text("LastModified", &iso8601_second(modified_ms));
    xml.text("ETag", &quoted(etag));
    let of = write_checksums(&mut xml, checksums, parts);
    // A part has no type of its own, and AWS's answer no place for it.
    if kind == CopyKind::Object {
        write_kind(&mut xml, of);
    }
    xml.close(root);
    xml.finish()
}

/// InitiateMultipartUploadResult.
#[must_use]
pub fn write_create_upload(bucket: &str, key: &str, upload_id: &str) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open_root("InitiateMultipartUploadResult");
    xml.text("Bucket", bucket);
    xml.text("Key", key);
    xml.text("UploadId", upload_id);
    xml.close("InitiateMultipartUploadResult");
    xml.finish()
}

/// CompleteMultipartUploadResult.
#[must_use]
pub fn write_complete_upload(object: Assembled<'_>) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open_root("CompleteMultipartUploadResult");
    xml.text("Location", object.location);
    xml.text("Bucket", object.bucket);
    xml.text("Key", object.key);
    xml.text("ETag", &quoted(object.etag));
    let kind = write_checksums(&mut xml, object.checksums, object.part_count);
    write_kind(&mut xml, kind);
    xml.close("CompleteMultipartUploadResult");
    xml.finish()
}

/// DeleteResult. `quiet` leaves out what went well.
#[must_use]
pub fn write_delete(outcomes: &[DeleteOutcome], quiet: bool) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open_root("DeleteResult");
    for outcome in outcomes {
        match outcome {
            DeleteOutcome::Deleted { .. } if quiet => {}
            DeleteOutcome::Deleted { key, version_id, delete_marker } => {
                xml.open("Deleted");
                xml.text("Key", key);
                if let Some(version) = version_id {
                    xml.text("VersionId", version);
                }
                if let Some(marker) = delete_marker {
                    xml.bool("DeleteMarker", true);
                    xml.text("DeleteMarkerVersionId", marker);
                }
                xml.close("Deleted");
            }
            DeleteOutcome::Failed { key, version_id, code, message } => {
                xml.open("Error");
                xml.text("Key", key);
                if let Some(version) = version_id {
                    xml.text("VersionId", version);
                }
                xml.text("Code", code.name());
                xml.text("Message", message);
                xml.close("Error");
            }
        }
    }
    xml.close("DeleteResult");
    xml.finish()
}

/// `<ChecksumCRC32>` and its kin, then the kind of the last of them.
fn write_checksums(xml: &mut XmlWriter, checksums: &[wire::Checksum], parts: u32) -> Option<Kind> {
    let mut kind = None;
    for checksum in checksums {
        let Some(value) = ChecksumValue::from_wire(checksum) else { continue };
        xml.text(value.algorithm().element(), &value.shown(checksum.kind(), parts));
        kind = Some(checksum.kind());
    }
    kind
}

fn write_kind(xml: &mut XmlWriter, kind: Option<Kind>) {
    if let Some(kind) = kind {
        xml.text("ChecksumType", checksum_kind_name(kind));
    }
}

#[cfg(test)]
mod tests;
