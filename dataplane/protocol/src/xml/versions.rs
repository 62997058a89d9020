//! The answer of ListObjectVersions: versions, delete markers and groups of one page.

use holdfast_common::wire;

use crate::date::iso8601_second;
use crate::operation::{ListObjectVersionsInput, VersionId};

use super::list::{Names, Owner, Owners, quoted, storage_class, write_checksum_kinds};
use super::writer::XmlWriter;

/// One page, in the order of the bucket: keys bytewise, the versions of a key newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VersionsPage {
    pub entries: Vec<VersionEntry>,
    pub truncated: bool,
    /// Where the next page begins: the last key or group of this one.
    pub next_key_marker: Vec<u8>,
    /// The last version of this page; `None` behind a group.
    pub next_version_id_marker: Option<VersionId>,
}

/// A version, a delete marker, or (`object.common_prefix`, where nothing but its key counts) a group.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionEntry {
    /// Of a delete marker only key and time count.
    pub object: wire::ListEntry,
    pub version: VersionId,
    pub is_latest: bool,
    pub delete_marker: bool,
}

/// ListVersionsResult.
#[must_use]
pub fn write_list_versions(
    bucket: &str,
    input: &ListObjectVersionsInput,
    page: &VersionsPage,
    owners: &Owners<'_>,
) -> Vec<u8> {
    let names = Names { encode: input.encode };
    let mut xml = XmlWriter::document();
    xml.open_root("ListVersionsResult");
    xml.text("Name", bucket);
    names.write(&mut xml, "Prefix", input.prefix.as_bytes());
    names.write(&mut xml, "KeyMarker", input.key_marker.as_bytes());
    let version_id_marker = input.version_id_marker.map(|id| id.to_string()).unwrap_or_default();
    xml.text("VersionIdMarker", &version_id_marker);
    if page.truncated {
        names.write(&mut xml, "NextKeyMarker", &page.next_key_marker);
        if let Some(id) = page.next_version_id_marker {
            xml.text("NextVersionIdMarker", &id.to_string());
        }
    }
    xml.number("MaxKeys", input.max_keys.into());
    if !input.delimiter.is_empty() {
        names.write(&mut xml, "Delimiter", input.delimiter.as_bytes());
    }
    names.write_kind(&mut xml);
    xml.bool("IsTruncated", page.truncated);
    for entry in page.entries.iter().filter(|entry| !entry.object.common_prefix) {
        write_entry(&mut xml, entry, names, owners.of(entry.object.tenant_id));
    }
    let groups = page.entries.iter().filter(|entry| entry.object.common_prefix);
    names.write_groups(&mut xml, groups.map(|entry| &*entry.object.key));
    xml.close("ListVersionsResult");
    xml.finish()
}

fn write_entry(xml: &mut XmlWriter, entry: &VersionEntry, names: Names, owner: Owner<'_>) {
    let element = if entry.delete_marker { "DeleteMarker" } else { "Version" };
    let object = &entry.object;
    xml.open(element);
    names.write(xml, "Key", &object.key);
    xml.text("VersionId", &entry.version.to_string());
    xml.bool("IsLatest", entry.is_latest);
    xml.text("LastModified", &iso8601_second(object.modified_ms));
    if !entry.delete_marker {
        xml.text("ETag", &quoted(&object.etag));
        write_checksum_kinds(xml, &object.checksums);
        xml.number("Size", object.size);
    }
    owner.write(xml, "Owner");
    if !entry.delete_marker {
        xml.text("StorageClass", storage_class(&object.storage_class));
    }
    xml.close(element);
}
