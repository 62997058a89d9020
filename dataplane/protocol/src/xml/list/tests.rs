//! Listings as S3 answers them, byte for byte.

use super::*;
use crate::operation::{ListObjectVersionsInput, ListPartsInput, ListUploadsInput, UploadRef, VersionId};
use crate::uri::decode_percent;
use crate::xml::{VersionEntry, VersionsPage, write_list_parts, write_list_uploads, write_list_versions};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const XMLNS: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
const OWNER: Owner<'_> = Owner { id: "0a", display_name: "t&t" };
const OWNER_XML: &str = "<ID>0a</ID><DisplayName>t&amp;t</DisplayName>";
const TIME: &str = "2023-11-14T22:13:20.000Z";
const TIME_MS: u64 = 1_700_000_000_123;

#[track_caller]
fn check(xml: Vec<u8>, root: &str, expected: &str) {
    let expected = format!("{HEAD}<{root} {XMLNS}>{expected}</{root}>");
    assert_eq!(String::from_utf8(xml).unwrap(), expected);
}

fn input(dialect: Dialect) -> ListObjectsInput {
    ListObjectsInput { prefix: "p ".into(), delimiter: "/".into(), max_keys: 2, encode: false, dialect }
}

fn page() -> wire::ListAnswer {
    let entry = wire::ListEntry {
        key: "p a\u{1}".into(),
        size: 5,
        modified_ms: TIME_MS,
        etag: "e".into(),
        checksums: vec![wire::Checksum { algorithm: 1, kind: 1, value: vec![0; 4].into() }],
        ..Default::default()
    };
    let group = wire::ListEntry { key: "p b/".into(), common_prefix: true, ..Default::default() };
    wire::ListAnswer { entries: vec![entry, group], truncated: true, next_after: "p b/".into() }
}

const CONTENTS: &str = "<LastModified>2023-11-14T22:13:20.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
    <ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType><Size>5</Size>";
const STORED: &str = "<StorageClass>STANDARD</StorageClass></Contents>";

#[test]
fn buckets() {
    let entry = BucketEntry { name: "bkt", created_ms: TIME_MS, region: "r" };
    let bucket = format!(
        "<Bucket><Name>bkt</Name><CreationDate>{TIME}</CreationDate><BucketRegion>r</BucketRegion></Bucket>"
    );
    let root = "ListAllMyBucketsResult";
    let all = format!("<Owner>{OWNER_XML}</Owner><Buckets>{bucket}</Buckets>");
    check(write_list_buckets(OWNER, &[entry], "", None), root, &all);
    let token = encode_token(b"bkt");
    let paged = format!("{all}<Prefix>b</Prefix><ContinuationToken>{token}</ContinuationToken>");
    check(write_list_buckets(OWNER, &[entry], "b", Some("bkt")), root, &paged);
}

#[test]
fn objects_v1() {
    let input = input(Dialect::V1 { marker: "m".into() });
    let expected = format!(
        "<Name>bkt</Name><Prefix>p </Prefix><Marker>m</Marker><NextMarker>p b/</NextMarker><MaxKeys>2</MaxKeys>\
         <Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><Contents><Key>p a&#x1;</Key>{CONTENTS}\
         <Owner>{OWNER_XML}</Owner>{STORED}<CommonPrefixes><Prefix>p b/</Prefix></CommonPrefixes>"
    );
    check(write_list_objects("bkt", &input, &page(), &Owners::one(OWNER)), "ListBucketResult", &expected);
}

#[test]
fn objects_v2_encoded() {
    let dialect = Dialect::V2 {
        start_after: "s s".into(),
        token: Some(("tok".into(), b"x".to_vec())),
        fetch_owner: false,
    };
    let input = ListObjectsInput { encode: true, ..input(dialect) };
    let next = encode_token(b"p b/");
    let expected = format!(
        "<Name>bkt</Name><Prefix>p%20</Prefix><ContinuationToken>tok</ContinuationToken><NextContinuationToken>{next}\
         </NextContinuationToken><StartAfter>s%20s</StartAfter><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>\
         <Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><Contents>\
         <Key>p%20a%01</Key>{CONTENTS}{STORED}<CommonPrefixes><Prefix>p%20b/</Prefix></CommonPrefixes>"
    );
    check(write_list_objects("bkt", &input, &page(), &Owners::one(OWNER)), "ListBucketResult", &expected);
}

#[test]
fn names_survive_their_encoding() {
    let names: Vec<u8> = (1..=255).collect();
    assert_eq!(decode_percent(encode(&names).as_bytes()).unwrap(), names);
    assert_eq!(encode("a b+c~*/(é)".as_bytes()), "a%20b%2Bc%7E*/%28%C3%A9%29");
}

fn upload() -> wire::Upload {
    wire::Upload {
        upload_id: "u1".into(),
        key: "k".into(),
        initiated_ms: TIME_MS,
        checksum_algorithm: 3,
        has_checksum_algorithm: true,
        ..Default::default()
    }
}

#[test]
fn uploads() {
    let input = ListUploadsInput {
        prefix: String::new(),
        delimiter: "/".into(),
        key_marker: "a".into(),
        upload_id_marker: "u0".into(),
        max_uploads: 1,
        encode: false,
    };
    let page = wire::UploadsAnswer {
        uploads: vec![upload()],
        common_prefixes: vec!["g/".into()],
        truncated: true,
        next_key_marker: "k".into(),
        next_upload_id_marker: "u1".into(),
    };
    let expected = format!(
        "<Bucket>bkt</Bucket><KeyMarker>a</KeyMarker><UploadIdMarker>u0</UploadIdMarker><NextKeyMarker>k</NextKeyMarker>\
         <NextUploadIdMarker>u1</NextUploadIdMarker><Prefix></Prefix><Delimiter>/</Delimiter><MaxUploads>1</MaxUploads>\
         <IsTruncated>true</IsTruncated><Upload><Key>k</Key><UploadId>u1</UploadId><Initiator>{OWNER_XML}</Initiator>\
         <Owner>{OWNER_XML}</Owner><StorageClass>STANDARD</StorageClass><Initiated>{TIME}</Initiated>\
         <ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType></Upload>\
         <CommonPrefixes><Prefix>g/</Prefix></CommonPrefixes>"
    );
    check(
        write_list_uploads("bkt", &input, &page, &Owners::one(OWNER)),
        "ListMultipartUploadsResult",
        &expected,
    );
}

#[test]
fn parts() {
    let input = ListPartsInput {
        upload: UploadRef { upload_id: "u1".into() },
        max_parts: 1,
        part_number_marker: 1,
        encode: false,
    };
    let part = wire::Part {
        number: 2,
        blob: Some(wire::Blob { size: 9, ..Default::default() }),
        md5: vec![0xab; 2].into(),
        checksums: vec![wire::Checksum { algorithm: 1, kind: 0, value: vec![0; 4].into() }],
        modified_ms: TIME_MS,
        offset: 0,
    };
    let page = wire::PartsAnswer {
        upload: Some(wire::Upload { has_checksum_algorithm: false, ..upload() }),
        parts: vec![part],
        truncated: true,
        next_after_number: 2,
    };
    let expected = format!(
        "<Bucket>bkt</Bucket><Key>k</Key><UploadId>u1</UploadId><Initiator>{OWNER_XML}</Initiator>\
         <Owner>{OWNER_XML}</Owner><StorageClass>STANDARD</StorageClass><PartNumberMarker>1</PartNumberMarker>\
         <NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>true</IsTruncated><Part>\
         <PartNumber>2</PartNumber><LastModified>{TIME}</LastModified><ETag>&quot;abab&quot;</ETag><Size>9</Size>\
         <ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
    );
    check(write_list_parts("bkt", b"k", &input, &page, &Owners::one(OWNER)), "ListPartsResult", &expected);
}

const VERSION: &str = "018bcfe5687b7fffbfffffffffffffff";

fn versions_input(encode: bool) -> ListObjectVersionsInput {
    ListObjectVersionsInput {
        prefix: "p ".into(),
        delimiter: "/".into(),
        key_marker: "m ".into(),
        version_id_marker: Some(VersionId::Null),
        max_keys: 3,
        encode,
    }
}

/// A version, above it the delete marker that hides it, and a group.
fn versions_page() -> VersionsPage {
    let [object, group]: [wire::ListEntry; 2] = page().entries.try_into().unwrap();
    let marker = wire::ListEntry { key: object.key.clone(), modified_ms: TIME_MS, ..Default::default() };
    let id = VersionId::parse(VERSION).unwrap();
    let entry = |object, version, is_latest, delete_marker| VersionEntry {
        object,
        version,
        is_latest,
        delete_marker,
    };
    VersionsPage {
        entries: vec![
            entry(marker, id, true, true),
            entry(object, VersionId::Null, false, false),
            entry(group, VersionId::Null, false, false),
        ],
        truncated: true,
        next_key_marker: b"p b/".to_vec(),
        next_version_id_marker: None,
    }
}

#[test]
fn versions() {
    let contents = format!(
        "<DeleteMarker><Key>p a&#x1;</Key><VersionId>{VERSION}</VersionId><IsLatest>true</IsLatest>\
         <LastModified>{TIME}</LastModified><Owner>{OWNER_XML}</Owner></DeleteMarker><Version><Key>p a&#x1;</Key>\
         <VersionId>null</VersionId><IsLatest>false</IsLatest>{CONTENTS}<Owner>{OWNER_XML}</Owner>\
         <StorageClass>STANDARD</StorageClass></Version><CommonPrefixes><Prefix>p b/</Prefix></CommonPrefixes>"
    );
    let expected = format!(
        "<Name>bkt</Name><Prefix>p </Prefix><KeyMarker>m </KeyMarker><VersionIdMarker>null</VersionIdMarker>\
         <NextKeyMarker>p b/</NextKeyMarker><MaxKeys>3</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated>\
         {contents}"
    );
    let xml = write_list_versions("bkt", &versions_input(false), &versions_page(), &Owners::one(OWNER));
    check(xml, "ListVersionsResult", &expected);
}

#[test]
fn versions_encoded() {
    let page = VersionsPage {
        entries: versions_page().entries.drain(..1).collect(),
        next_key_marker: b"p a\x01".to_vec(),
        next_version_id_marker: VersionId::parse(VERSION).ok(),
        ..versions_page()
    };
    let expected = format!(
        "<Name>bkt</Name><Prefix>p%20</Prefix><KeyMarker>m%20</KeyMarker><VersionIdMarker>null</VersionIdMarker>\
         <NextKeyMarker>p%20a%01</NextKeyMarker><NextVersionIdMarker>{VERSION}</NextVersionIdMarker><MaxKeys>3</MaxKeys>\
         <Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><DeleteMarker>\
         <Key>p%20a%01</Key><VersionId>{VERSION}</VersionId><IsLatest>true</IsLatest><LastModified>{TIME}</LastModified>\
         <Owner>{OWNER_XML}</Owner></DeleteMarker>"
    );
    let xml = write_list_versions("bkt", &versions_input(true), &page, &Owners::one(OWNER));
    check(xml, "ListVersionsResult", &expected);
}

#[test]
fn versions_of_an_empty_bucket() {
    let input = ListObjectVersionsInput {
        prefix: String::new(),
        delimiter: String::new(),
        key_marker: String::new(),
        version_id_marker: None,
        ..versions_input(false)
    };
    let expected = "<Name>bkt</Name><Prefix></Prefix><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker>\
                    <MaxKeys>3</MaxKeys><IsTruncated>false</IsTruncated>";
    check(
        write_list_versions("bkt", &input, &VersionsPage::default(), &Owners::one(OWNER)),
        "ListVersionsResult",
        expected,
    );
}
