//! Answers as S3 gives them, byte for byte.

use super::*;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const XMLNS: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

#[track_caller]
fn check(xml: Vec<u8>, root: &str, expected: &str) {
    let expected = format!("{HEAD}<{root} {XMLNS}>{expected}</{root}>");
    assert_eq!(String::from_utf8(xml).unwrap(), expected);
}

fn crc32(kind: Kind) -> wire::Checksum {
    wire::Checksum { algorithm: 1, kind: kind as i32, value: vec![0; 4].into() }
}

#[test]
fn location() {
    check(write_location("us-east-1"), "LocationConstraint", "");
    check(write_location("eu-1"), "LocationConstraint", "eu-1");
}

#[test]
fn copies() {
    let body = "<LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>";
    check(write_copy(CopyKind::Part, "e", 0, &[], 0), "CopyPartResult", body);
    let body = format!("{body}<ChecksumCRC32>AAAAAA==</ChecksumCRC32>");
    check(write_copy(CopyKind::Part, "e", 0, &[crc32(Kind::FullObject)], 0), "CopyPartResult", &body);
    let body = format!("{body}<ChecksumType>FULL_OBJECT</ChecksumType>");
    check(write_copy(CopyKind::Object, "e", 0, &[crc32(Kind::FullObject)], 0), "CopyObjectResult", &body);
}

#[test]
fn uploads() {
    let body = "<Bucket>bkt</Bucket><Key>a&lt;b</Key><UploadId>u</UploadId>";
    check(write_create_upload("bkt", "a<b", "u"), "InitiateMultipartUploadResult", body);
    let object = Assembled {
        location: "http://h/bkt/k",
        bucket: "bkt",
        key: "k",
        etag: "e-2",
        checksums: &[crc32(Kind::Composite)],
        part_count: 2,
    };
    let body = "<Location>http://h/bkt/k</Location><Bucket>bkt</Bucket><Key>k</Key><ETag>&quot;e-2&quot;</ETag>\
                <ChecksumCRC32>AAAAAA==-2</ChecksumCRC32><ChecksumType>COMPOSITE</ChecksumType>";
    check(write_complete_upload(object), "CompleteMultipartUploadResult", body);
}

#[test]
fn deletes() {
    let outcomes = [
        DeleteOutcome::Deleted { key: "a".into(), version_id: None, delete_marker: None },
        DeleteOutcome::Deleted {
            key: "b".into(),
            version_id: Some("v".into()),
            delete_marker: Some("m".into()),
        },
        DeleteOutcome::Failed {
            key: "c".into(),
            version_id: None,
            code: Code::AccessDenied,
            message: "Access Denied.".into(),
        },
    ];
    let deleted = "<Deleted><Key>a</Key></Deleted><Deleted><Key>b</Key><VersionId>v</VersionId><DeleteMarker>true\
                   </DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId></Deleted>";
    let failed = "<Error><Key>c</Key><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>";
    check(write_delete(&outcomes, false), "DeleteResult", &format!("{deleted}{failed}"));
    check(write_delete(&outcomes, true), "DeleteResult", failed);
}
