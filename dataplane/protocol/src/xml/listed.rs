//! Listings of multipart uploads and of their parts.

use holdfast_common::wire;

use crate::date::iso8601_second;
use crate::digest::{ChecksumAlgorithm, ChecksumValue};
use crate::operation::{ListPartsInput, ListUploadsInput, checksum_kind_name};

use super::list::{Names, Owners, quoted, storage_class};
use super::writer::XmlWriter;

/// ListMultipartUploadsResult.
#[must_use]
pub fn write_list_uploads(
    bucket: &str,
    input: &ListUploadsInput,
    page: &wire::UploadsAnswer,
    owners: &Owners<'_>,
) -> Vec<u8> {
    let names = Names { encode: input.encode };
    let mut xml = XmlWriter::document();
    xml.open_root("ListMultipartUploadsResult");
    xml.text("Bucket", bucket);
    names.write(&mut xml, "KeyMarker", input.key_marker.as_bytes());
    xml.text("UploadIdMarker", &input.upload_id_marker);
    let (next_key, next_upload) = next_upload(page);
    names.write(&mut xml, "NextKeyMarker", next_key);
    xml.text("NextUploadIdMarker", next_upload);
    names.write(&mut xml, "Prefix", input.prefix.as_bytes());
    if !input.delimiter.is_empty() {
        names.write(&mut xml, "Delimiter", input.delimiter.as_bytes());
    }
    names.write_kind(&mut xml);
    xml.number("MaxUploads", input.max_uploads.into());
    xml.bool("IsTruncated", page.truncated);
    for upload in &page.uploads {
        write_upload(&mut xml, upload, names, owners);
    }
    names.write_groups(&mut xml, page.common_prefixes.iter().map(|prefix| &**prefix));
    xml.close("ListMultipartUploadsResult");
    xml.finish()
}

/// Where the next page begins, which S3 tells of the last page too: its last upload, or group.
fn next_upload(page: &wire::UploadsAnswer) -> (&[u8], &str) {
    match (page.uploads.last(), page.common_prefixes.last()) {
        _ if page.truncated => (&page.next_key_marker, &page.next_upload_id_marker),
        (Some(upload), group) if group.is_none_or(|group| *group < upload.key) => {
            (&upload.key, &upload.upload_id)
        }
        (_, Some(group)) => (group, ""),
        _ => (b"", ""),
    }
}

fn write_upload(xml: &mut XmlWriter, upload: &wire::Upload, names: Names, owners: &Owners<'_>) {
    xml.open("Upload");
    names.write(xml, "Key", &upload.key);
    xml.text("UploadId", &upload.upload_id);
    write_owners(xml, Some(upload), owners);
    xml.text("StorageClass", class_of(upload));
    xml.text("Initiated", &iso8601_second(upload.initiated_ms));
    write_algorithm(xml, upload);
    xml.close("Upload");
}

/// Who began it, and whose the object will be.
fn write_owners(xml: &mut XmlWriter, upload: Option<&wire::Upload>, owners: &Owners<'_>) {
    let initiator = upload.map_or(owners.bucket, |upload| owners.of(upload.tenant_id));
    let writer_owns = upload.and_then(|upload| upload.meta.as_ref()).is_some_and(|meta| meta.writer_owns);
    initiator.write(xml, "Initiator");
    if writer_owns { initiator } else { owners.bucket }.write(xml, "Owner");
}

/// ListPartsResult. `page.upload` must be there: without it the answer is NoSuchUpload.
#[must_use]
pub fn write_list_parts(
    bucket: &str,
    key: &[u8],
    input: &ListPartsInput,
    page: &wire::PartsAnswer,
    owners: &Owners<'_>,
) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open_root("ListPartsResult");
    xml.text("Bucket", bucket);
    Names { encode: input.encode }.write(&mut xml, "Key", key);
    xml.text("UploadId", &input.upload.upload_id);
    write_owners(&mut xml, page.upload.as_ref(), owners);
    xml.text("StorageClass", page.upload.as_ref().map_or("STANDARD", class_of));
    xml.number("PartNumberMarker", input.part_number_marker.into());
    xml.number("NextPartNumberMarker", page.parts.last().map_or(0, |part| part.number).into());
    xml.number("MaxParts", input.max_parts.into());
    Names { encode: input.encode }.write_kind(&mut xml);
    xml.bool("IsTruncated", page.truncated);
    if let Some(upload) = &page.upload {
        write_algorithm(&mut xml, upload);
    }
    for part in &page.parts {
        write_part(&mut xml, part);
    }
    xml.close("ListPartsResult");
    xml.finish()
}

fn write_part(xml: &mut XmlWriter, part: &wire::Part) {
    xml.open("Part");
    xml.number("PartNumber", part.number.into());
    xml.text("LastModified", &iso8601_second(part.modified_ms));
    xml.text("ETag", &quoted(&hex::encode(&part.md5)));
    xml.number("Size", part.blob.as_ref().map_or(0, |blob| blob.size));
    for value in part.checksums.iter().filter_map(ChecksumValue::from_wire) {
        xml.text(value.algorithm().element(), &value.to_base64());
    }
    xml.close("Part");
}

fn class_of(upload: &wire::Upload) -> &str {
    storage_class(upload.meta.as_ref().map_or("", |meta| &meta.storage_class))
}

fn write_algorithm(xml: &mut XmlWriter, upload: &wire::Upload) {
    if !upload.has_checksum_algorithm {
        return;
    }
    if let Some(algorithm) = ChecksumAlgorithm::from_wire(upload.checksum_algorithm) {
        xml.text("ChecksumAlgorithm", algorithm.name());
        xml.text("ChecksumType", checksum_kind_name(upload.checksum_kind()));
    }
}
