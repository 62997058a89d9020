//! The answer of GetObjectAttributes.

use holdfast_common::wire;
use holdfast_common::wire::checksum::Kind;

use crate::digest::ChecksumValue;
use crate::operation::{GetObjectAttributesInput, checksum_kind_name};

use super::list::storage_class;
use super::writer::XmlWriter;

/// GetObjectAttributesResponse. `parts` are those behind the marker, in order, one more than `max_parts` if there are as many, and
/// none where [`lists_parts`] says so.
///
/// Three oddities are S3's own: the ETag stands without quotes, a composite checksum without its `-N`, and parts are told of
/// by their number only, unless their checksums make up the object's.
#[must_use]
pub fn write_object_attributes(
    input: &GetObjectAttributesInput,
    object: &wire::ObjectRecord,
    parts: &[wire::Part],
) -> Vec<u8> {
    let none = wire::ObjectMeta::default();
    let meta = object.meta.as_ref().unwrap_or(&none);
    let part_count = part_count(object);
    let mut xml = XmlWriter::document();
    xml.open_root("GetObjectAttributesResponse");
    if input.attributes.etag {
        xml.text("ETag", &object.etag);
    }
    if input.attributes.checksum && !meta.checksums.is_empty() {
        xml.open("Checksum");
        write_values(&mut xml, &meta.checksums);
        let kind = meta.checksums[0].kind();
        xml.text("ChecksumType", checksum_kind_name(kind));
        xml.close("Checksum");
    }
    if input.attributes.object_parts && part_count > 0 {
        xml.open("ObjectParts");
        if lists_parts(object) {
            write_page(&mut xml, input, parts);
        }
        xml.number("PartsCount", part_count.into());
        xml.close("ObjectParts");
    }
    if input.attributes.storage_class {
        xml.text("StorageClass", storage_class(&meta.storage_class));
    }
    if input.attributes.object_size {
        xml.number("ObjectSize", object.size);
    }
    xml.close("GetObjectAttributesResponse");
    xml.finish()
}

/// Whether S3 lists the parts of this object, and not only their number: those of a multipart object with a composite checksum.
#[must_use]
pub fn lists_parts(object: &wire::ObjectRecord) -> bool {
    let checksums = object.meta.as_ref().map(|meta| &*meta.checksums).unwrap_or_default();
    part_count(object) > 0 && checksums.iter().any(|checksum| checksum.kind() == Kind::Composite)
}

fn part_count(object: &wire::ObjectRecord) -> u32 {
    object.manifest.as_ref().map_or(0, |manifest| manifest.part_count)
}

fn write_page(xml: &mut XmlWriter, input: &GetObjectAttributesInput, parts: &[wire::Part]) {
    let page = &parts[..parts.len().min(input.max_parts as usize)];
    xml.number("PartNumberMarker", input.part_number_marker.into());
    xml.number("NextPartNumberMarker", page.last().map_or(0, |part| part.number).into());
    xml.number("MaxParts", input.max_parts.into());
    xml.bool("IsTruncated", page.len() < parts.len());
    for part in page {
        xml.open("Part");
        write_values(xml, &part.checksums);
        xml.number("PartNumber", part.number.into());
        xml.number("Size", part.blob.as_ref().map_or(0, |blob| blob.size));
        xml.close("Part");
    }
}

fn write_values(xml: &mut XmlWriter, checksums: &[wire::Checksum]) {
    for value in checksums.iter().filter_map(ChecksumValue::from_wire) {
        xml.text(value.algorithm().element(), &value.to_base64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{ObjectAttributes, VersionSelector};

    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<GetObjectAttributesResponse \
                        xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";

    fn input(max_parts: u32, part_number_marker: u32) -> GetObjectAttributesInput {
        let attributes = ObjectAttributes {
            etag: true,
            checksum: true,
            object_parts: true,
            storage_class: true,
            object_size: true,
        };
        GetObjectAttributesInput {
            version: VersionSelector::Current,
            attributes,
            max_parts,
            part_number_marker,
        }
    }

    fn crc32(byte: u8, kind: Kind) -> wire::Checksum {
        wire::Checksum { algorithm: 1, kind: kind.into(), value: vec![byte; 4].into() }
    }

    fn object(part_count: u32, checksums: Vec<wire::Checksum>) -> wire::ObjectRecord {
        let meta = wire::ObjectMeta { checksums, ..Default::default() };
        let manifest = wire::Manifest { part_count, ..Default::default() };
        wire::ObjectRecord {
            size: 9,
            etag: "e-2".into(),
            meta: Some(meta),
            manifest: Some(manifest),
            ..Default::default()
        }
    }

    fn part(number: u32) -> wire::Part {
        wire::Part {
            number,
            blob: Some(wire::Blob { size: 5, ..Default::default() }),
            checksums: vec![crc32(number as u8, Kind::FullObject)],
            ..Default::default()
        }
    }

    #[track_caller]
    fn check(
        input: &GetObjectAttributesInput,
        object: &wire::ObjectRecord,
        parts: &[wire::Part],
        expected: &str,
    ) {
        let xml = String::from_utf8(write_object_attributes(input, object, parts)).unwrap();
        assert_eq!(xml, format!("{HEAD}{expected}</GetObjectAttributesResponse>"));
    }

    const REST: &str = "<StorageClass>STANDARD</StorageClass><ObjectSize>9</ObjectSize>";

    #[test]
    fn of_an_object_that_was_put_whole() {
        let checksum = "<Checksum><ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>\
                        </Checksum>";
        let whole = object(0, vec![crc32(0, Kind::FullObject)]);
        check(&input(1000, 0), &whole, &[], &format!("<ETag>e-2</ETag>{checksum}{REST}"));
        let only_size = ObjectAttributes { object_size: true, ..Default::default() };
        let asked = GetObjectAttributesInput { attributes: only_size, ..input(1000, 0) };
        check(&asked, &whole, &[], "<ObjectSize>9</ObjectSize>");
        check(&input(1000, 0), &object(0, vec![]), &[], &format!("<ETag>e-2</ETag>{REST}"));
    }

    #[test]
    fn of_a_full_object_checksum_parts_are_counted() {
        let object = object(2, vec![crc32(0, Kind::FullObject)]);
        assert!(!lists_parts(&object));
        let expected = "<ETag>e-2</ETag><Checksum><ChecksumCRC32>AAAAAA==</ChecksumCRC32>\
                        <ChecksumType>FULL_OBJECT</ChecksumType></Checksum><ObjectParts><PartsCount>2</PartsCount>\
                        </ObjectParts>";
        check(&input(1000, 0), &object, &[part(1)], &format!("{expected}{REST}"));
    }

    #[test]
    fn of_a_composite_checksum_parts_are_listed() {
        let object = object(3, vec![crc32(0, Kind::Composite)]);
        assert!(lists_parts(&object));
        let head = "<ETag>e-2</ETag><Checksum><ChecksumCRC32>AAAAAA==</ChecksumCRC32>\
                    <ChecksumType>COMPOSITE</ChecksumType></Checksum><ObjectParts>";
        let page = "<PartNumberMarker>1</PartNumberMarker><NextPartNumberMarker>2</NextPartNumberMarker>\
                    <MaxParts>1</MaxParts><IsTruncated>true</IsTruncated><Part><ChecksumCRC32>AgICAg==</ChecksumCRC32>\
                    <PartNumber>2</PartNumber><Size>5</Size></Part>";
        let tail = format!("<PartsCount>3</PartsCount></ObjectParts>{REST}");
        check(&input(1, 1), &object, &[part(2), part(4)], &format!("{head}{page}{tail}"));
        let beyond = "<PartNumberMarker>4</PartNumberMarker><NextPartNumberMarker>0</NextPartNumberMarker>\
                      <MaxParts>1</MaxParts><IsTruncated>false</IsTruncated>";
        check(&input(1, 4), &object, &[], &format!("{head}{beyond}{tail}"));
    }
}
