//! Listings of buckets and objects, and what all listings share: owners, groups, the encoding of names.

use std::borrow::Cow;

use holdfast_common::wire;

use crate::date::iso8601_second;
use crate::digest::ChecksumAlgorithm;
use crate::operation::{Dialect, ListObjectsInput, checksum_kind_name, encode_token};

use super::writer::XmlWriter;

/// An owner as S3 shows it.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// 64 hex digits.
    pub id: &'a str,
    pub display_name: &'a str,
}

/// Who owns what a listing names.
#[derive(Clone, Debug)]
pub struct Owners<'a> {
    pub bucket: Owner<'a>,
    /// Of objects that are not the bucket's owner's, by tenant.
    pub others: Vec<(u64, Owner<'a>)>,
}

impl<'a> Owners<'a> {
    /// Everything is the bucket's owner's.
    #[must_use]
    pub fn one(bucket: Owner<'a>) -> Self {
        Self { bucket, others: Vec::new() }
    }

    /// The bucket's owner for tenants that are not known.
    #[must_use]
    pub fn of(&self, tenant_id: u64) -> Owner<'a> {
        self.others.iter().find(|(id, _)| *id == tenant_id).map_or(self.bucket, |(_, owner)| *owner)
    }
}

/// One bucket of ListBuckets.
#[derive(Clone, Copy, Debug)]
pub struct BucketEntry<'a> {
    pub name: &'a str,
    pub created_ms: u64,
    pub region: &'a str,
}

impl Owner<'_> {
    /// `<Owner>` or `<Initiator>`.
    pub(super) fn write(&self, xml: &mut XmlWriter, element: &str) {
        xml.open(element);
        xml.text("ID", self.id);
        xml.text("DisplayName", self.display_name);
        xml.close(element);
    }
}

/// ListAllMyBucketsResult. `next` is the last name of a page that is not the last one.
#[must_use]
pub fn write_list_buckets(
    owner: Owner<'_>,
    buckets: &[BucketEntry<'_>],
    prefix: &str,
    next: Option<&str>,
) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open_root("ListAllMyBucketsResult");
    owner.write(&mut xml, "Owner");
    xml.open("Buckets");
    for bucket in buckets {
        xml.open("Bucket");
        xml.text("Name", bucket.name);
        xml.text("CreationDate", &iso8601_second(bucket.created_ms));
        xml.text("BucketRegion", bucket.region);
        xml.close("Bucket");
    }
    xml.close("Buckets");
    if !prefix.is_empty() {
        xml.text("Prefix", prefix);
    }
    if let Some(next) = next {
        xml.text("ContinuationToken", &encode_token(next.as_bytes()));
    }
    xml.close("ListAllMyBucketsResult");
    xml.finish()
}

/// ListBucketResult, in the dialect of the request.
#[must_use]
pub fn write_list_objects(
    bucket: &str,
    input: &ListObjectsInput,
    page: &wire::ListAnswer,
    owners: &Owners<'_>,
) -> Vec<u8> {
    let names = Names { encode: input.encode };
    let mut xml = XmlWriter::document();
    xml.open_root("ListBucketResult");
    xml.text("Name", bucket);
    names.write(&mut xml, "Prefix", input.prefix.as_bytes());
    write_place(&mut xml, input, page, names);
    xml.number("MaxKeys", input.max_keys.into());
    if !input.delimiter.is_empty() {
        names.write(&mut xml, "Delimiter", input.delimiter.as_bytes());
    }
    names.write_kind(&mut xml);
    xml.bool("IsTruncated", page.truncated);
    let tells_owner = match &input.dialect {
        Dialect::V1 { .. } => true,
        Dialect::V2 { fetch_owner, .. } => *fetch_owner,
    };
    for entry in page.entries.iter().filter(|entry| !entry.common_prefix) {
        write_entry(&mut xml, entry, names, tells_owner.then(|| owners.of(entry.tenant_id)));
    }
    names.write_groups(&mut xml, page.entries.iter().filter(|entry| entry.common_prefix).map(|e| &*e.key));
    xml.close("ListBucketResult");
    xml.finish()
}

/// Where the page began, and where the next one does.
fn write_place(xml: &mut XmlWriter, input: &ListObjectsInput, page: &wire::ListAnswer, names: Names) {
    match &input.dialect {
        Dialect::V1 { marker } => {
            names.write(xml, "Marker", marker.as_bytes());
            // as in S3 only beside a delimiter; without one the last key says it
            if page.truncated && !input.delimiter.is_empty() {
                names.write(xml, "NextMarker", &page.next_after);
            }
        }
        Dialect::V2 { start_after, token, .. } => {
            if let Some((token, _)) = token {
                xml.text("ContinuationToken", token);
            }
            if page.truncated {
                xml.text("NextContinuationToken", &encode_token(&page.next_after));
            }
            if !start_after.is_empty() {
                names.write(xml, "StartAfter", start_after.as_bytes());
            }
            xml.number("KeyCount", page.entries.len() as u64);
        }
    }
}

fn write_entry(xml: &mut XmlWriter, entry: &wire::ListEntry, names: Names, owner: Option<Owner<'_>>) {
    xml.open("Contents");
    names.write(xml, "Key", &entry.key);
    xml.text("LastModified", &iso8601_second(entry.modified_ms));
    xml.text("ETag", &quoted(&entry.etag));
    write_checksum_kinds(xml, &entry.checksums);
    xml.number("Size", entry.size);
    if let Some(owner) = owner {
        owner.write(xml, "Owner");
    }
    xml.text("StorageClass", storage_class(&entry.storage_class));
    xml.close("Contents");
}

/// The algorithms of an object's checksums, and the type that all of them have.
pub(super) fn write_checksum_kinds(xml: &mut XmlWriter, checksums: &[wire::Checksum]) {
    let mut kind = None;
    for checksum in checksums {
        if let Some(algorithm) = ChecksumAlgorithm::from_wire(checksum.algorithm) {
            xml.text("ChecksumAlgorithm", algorithm.name());
            kind = Some(checksum.kind());
        }
    }
    if let Some(kind) = kind {
        xml.text("ChecksumType", checksum_kind_name(kind));
    }
}

pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Records keep the default class as nothing.
pub(super) fn storage_class(stored: &str) -> &str {
    if stored.is_empty() { "STANDARD" } else { stored }
}

/// How keys are written: as they are, or as the client asked with `encoding-type=url`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub(super) encode: bool,
}

impl Names {
    pub(super) fn write(self, xml: &mut XmlWriter, element: &str, name: &[u8]) {
        xml.text(element, &self.text(name));
    }

    pub(super) fn write_kind(self, xml: &mut XmlWriter) {
        if self.encode {
            xml.text("EncodingType", "url");
        }
    }

    pub(super) fn write_groups<'a>(self, xml: &mut XmlWriter, groups: impl Iterator<Item = &'a [u8]>) {
        for group in groups {
            xml.open("CommonPrefixes");
            self.write(xml, "Prefix", group);
            xml.close("CommonPrefixes");
        }
    }

    fn text(self, name: &[u8]) -> Cow<'_, str> {
        // a group may end inside a character when the delimiter is a byte of it; there only the encoded form is exact
        if self.encode { Cow::Owned(encode(name)) } else { String::from_utf8_lossy(name) }
    }
}

/// S3's encoding of names: `/`, `*` and unreserved characters stay, `~` does not. A space becomes `%20` and not AWS's
/// `+`, because every decoder reads the first and only some the second.
fn encode(name: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(name.len());
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-_./*".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests;
