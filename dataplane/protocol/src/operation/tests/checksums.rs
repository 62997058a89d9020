//! What requests say of checksums, and S3's words for each way to say it wrong.

use holdfast_common::wire::checksum::Kind;

use super::inputs::{put, put_at, put_refused};
use super::*;
use crate::digest::ChecksumAlgorithm;

#[test]
fn claims_of_a_body() {
    let body = put(&[
        "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==",
        "x-amz-checksum-crc32: AAAAAA==",
        "x-amz-sdk-checksum-algorithm: CRC32",
    ])
    .body;
    assert_eq!(body.content_md5, Some(crate::digest::md5(b"")));
    assert_eq!((body.size, body.algorithm()), (Some(3), Some(ChecksumAlgorithm::Crc32)));
    let streamed = put(&[
        "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length: 1",
        "x-amz-trailer: x-amz-checksum-crc64nvme",
        "x-amz-sdk-checksum-algorithm: CRC64NVME",
    ])
    .body;
    assert_eq!((streamed.size, streamed.aws_chunked), (Some(1), true));
    assert_eq!(streamed.trailer, Some(ChecksumAlgorithm::Crc64Nvme));
    let hoisted =
        put_at("PUT /bkt/key?X-Amz-Signature=s&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-meta-a=b", &[]);
    assert!(hoisted.body.checksum.is_some() && hoisted.meta.user.len() == 1);
    let not_signed = put_at("PUT /bkt/key?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-meta-a=b", &[]);
    assert!(not_signed.body.checksum.is_none() && not_signed.meta.user.is_empty());
}

#[test]
fn wrong_claims_are_refused() {
    put_refused("Content-MD5: nonsense", Code::InvalidDigest);
    put_refused("Content-MD5: 1B2M2Y8AsgTpgAmY7PhC", Code::InvalidDigest);
    put_refused("Content-MD5:", Code::InvalidDigest);
    put_refused("x-amz-checksum-crc32: AAAA", Code::InvalidRequest);
    put_refused("x-amz-checksum-crc32: !", Code::InvalidRequest);
    put_refused("x-amz-checksum-crc16: AAAA", Code::InvalidRequest);
    put_refused("x-amz-checksum-sha512: AAAA", Code::InvalidRequest);
    put_refused("x-amz-trailer: x-amz-meta-a", Code::InvalidRequest);
    put_refused("x-amz-trailer: x-amz-checksum-crc32", Code::MalformedTrailerError);
    put_refused("x-amz-sdk-checksum-algorithm: CRC32", Code::InvalidRequest);
    put_refused("x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", Code::MissingContentLength);
    put_refused("x-amz-decoded-content-length: -1", Code::InvalidArgument);
    let crc = "x-amz-checksum-crc32: AAAAAA==";
    let length = "Content-Length: 0";
    refused("PUT /bkt/key", &[length, crc, "x-amz-checksum-crc32c: AAAAAA=="], Code::InvalidRequest);
    refused("PUT /bkt/key", &[length, crc, "x-amz-sdk-checksum-algorithm: SHA1"], Code::InvalidRequest);
    refused("PUT /bkt/key", &[length, crc, crc], Code::InvalidArgument);
    refused("PUT /bkt/key", &[], Code::MissingContentLength);
    refused("PUT /bkt/key", &["Content-Length: 5497558138881"], Code::EntityTooLarge);
    refused("PUT /bkt/key?uploadId=u&partNumber=1", &["Content-Length: 5368709121"], Code::EntityTooLarge);
    refused("POST /bkt?delete", &["Content-Length: 2097153"], Code::MaxMessageLengthExceeded);
    refused("PUT /bkt", &["Content-Length: 16385"], Code::MaxMessageLengthExceeded);
}

/// Sentences that clients show, or look for: as S3 was seen to answer them.
#[test]
fn wrong_claims_are_refused_in_aws_words() {
    let said = |line: &str, headers: &[&str]| {
        let headers: Vec<&str> = headers.iter().copied().chain(["Content-Length: 3"]).collect();
        let error = ask(line, &headers).map(drop).unwrap_err();
        assert_eq!(error.code, Code::InvalidRequest, "{headers:?}: {error}");
        error.message.into_owned()
    };
    let put = |headers: &[&str]| said("PUT /bkt/key", headers);
    let (crc32, sha1) =
        ("x-amz-checksum-crc32: AAAAAA==", "x-amz-checksum-sha1: 2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
    for algorithm in ChecksumAlgorithm::ALL {
        let header = algorithm.header();
        assert_eq!(put(&[&format!("{header}: garbage")]), format!("Value for {header} header is invalid."));
    }
    let one_only = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
    assert_eq!(put(&[crc32, sha1]), one_only);
    let streaming = "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let trailer =
        [crc32, streaming, "x-amz-decoded-content-length: 1", "x-amz-trailer: x-amz-checksum-crc32"];
    assert_eq!(put(&trailer), "Expecting a single x-amz-checksum- header");
    assert_eq!(
        put(&["x-amz-checksum-foo: abc"]),
        "The algorithm type you specified in x-amz-checksum- header is invalid."
    );
    assert_eq!(
        put(&["x-amz-sdk-checksum-algorithm: CRC32"]),
        "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
    );
    let sdk = "Value for x-amz-sdk-checksum-algorithm header is invalid.";
    assert_eq!(put(&[crc32, "x-amz-sdk-checksum-algorithm: SHA1"]), sdk);
    assert_eq!(put(&[crc32, "x-amz-sdk-checksum-algorithm: CRC16"]), sdk);
    assert_eq!(put(&["x-amz-sdk-checksum-algorithm: CRC16"]), sdk);
    let wrong_twice = ["Content-MD5: garbage", "x-amz-checksum-crc32: garbage"];
    assert_eq!(put(&wrong_twice), "Value for x-amz-checksum-crc32 header is invalid.");
    let create = |headers: &[&str]| said("POST /bkt/key?uploads", headers);
    assert_eq!(
        create(&["x-amz-checksum-algorithm: SHA256", "x-amz-checksum-type: FULL_OBJECT"]),
        "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm."
    );
    let unsupported = create(&["x-amz-checksum-algorithm: ROT13"]);
    assert!(
        unsupported.starts_with("Checksum algorithm provided is unsupported. Please try again with any of")
    );
    let complete = |header| said("POST /bkt/key?uploadId=u", &[header]);
    assert_eq!(
        complete("x-amz-mp-object-size: -7"),
        "Value for x-amz-mp-object-size header is less than zero: '-7'"
    );
}

#[test]
fn multipart_checksums_follow_the_table() {
    let plan = |headers: &[&str]| match ask("POST /bkt/key?uploads", headers) {
        Ok(Routed { operation: Operation::CreateMultipartUpload(input), .. }) => Ok(input.checksum),
        Ok(other) => panic!("{}", other.operation.name()),
        Err(error) => Err(error.code),
    };
    assert_eq!(plan(&[]), Ok(None));
    assert_eq!(plan(&["x-amz-checksum-type: COMPOSITE"]), Err(Code::InvalidRequest));
    let (full, composite) = (Kind::FullObject, Kind::Composite);
    for (name, default, kinds) in [
        ("CRC32", composite, &[full, composite][..]),
        ("CRC32C", composite, &[full, composite]),
        ("CRC64NVME", full, &[full]),
        ("SHA1", composite, &[composite]),
        ("SHA256", composite, &[composite]),
        ("SHA512", composite, &[composite]),
        ("MD5", composite, &[composite]),
        ("XXHASH64", composite, &[composite]),
        ("XXHASH3", composite, &[composite]),
        ("xxhash128", composite, &[composite]),
    ] {
        let algorithm = format!("x-amz-checksum-algorithm: {name}");
        let named = ChecksumAlgorithm::named(name).unwrap();
        assert_eq!(plan(&[&algorithm]), Ok(Some((named, default))), "{name}");
        for kind in [full, composite] {
            let header = format!("x-amz-checksum-type: {}", checksum_kind_name(kind));
            let expected =
                if kinds.contains(&kind) { Ok(Some((named, kind))) } else { Err(Code::InvalidRequest) };
            assert_eq!(plan(&[&algorithm, &header]), expected, "{name} {kind:?}");
        }
    }
    assert_eq!(plan(&["x-amz-checksum-algorithm: ROT13"]), Err(Code::InvalidRequest));
}

#[test]
fn completing_names_the_object_not_the_body() {
    let headers = [
        "Content-Length: 9",
        "x-amz-checksum-crc32: AAAAAA==-3",
        "x-amz-checksum-type: COMPOSITE",
        "x-amz-mp-object-size: 77",
        "If-None-Match: *",
    ];
    let Operation::CompleteMultipartUpload(input) =
        ask("POST /bkt/key?uploadId=u", &headers).unwrap().operation
    else {
        panic!("another operation");
    };
    assert_eq!(input.expected.unwrap().parts, Some(3));
    assert!(input.body.checksum.is_none() && input.when.absent);
    assert_eq!((input.checksum_kind, input.object_size), (Some(Kind::Composite), Some(77)));
    for bad in [
        "x-amz-checksum-crc32: AAAAAA==-x",
        "x-amz-checksum-crc32: AAAAAA==-",
        "x-amz-checksum-crc32: AAAAAA==-+1",
        "x-amz-checksum-crc32: AAAAAA==-0",
        "x-amz-checksum-crc32: AAAAAA==-10001",
        "x-amz-checksum-crc32: AAAAAA==-3-3",
        "x-amz-checksum-crc64nvme: AAAAAAAAAAA=-3",
        "x-amz-checksum-type: WHOLE",
        "x-amz-mp-object-size: -1",
        "x-amz-mp-object-size: many",
        "x-amz-mp-object-size: +1",
    ] {
        refused("POST /bkt/key?uploadId=u", &["Content-Length: 9", bad], Code::InvalidRequest);
    }
}
