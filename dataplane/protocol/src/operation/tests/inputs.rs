//! The typed inputs: what each header and argument becomes, and which refusal a wrong one meets.

use holdfast_common::wire::checksum::Kind;

use super::*;
use crate::digest::ChecksumAlgorithm;
use crate::range::ByteRange;

#[track_caller]
fn put(headers: &[&str]) -> PutObjectInput {
    put_at("PUT /bkt/key", headers)
}

#[track_caller]
fn put_at(line: &str, headers: &[&str]) -> PutObjectInput {
    let headers: Vec<&str> = headers.iter().copied().chain(["Content-Length: 3"]).collect();
    match ask(line, &headers).unwrap_or_else(|error| panic!("{headers:?}: {error}")).operation {
        Operation::PutObject(input) => *input,
        other => panic!("{}", other.name()),
    }
}

#[track_caller]
fn put_refused(header: &str, code: Code) {
    refused("PUT /bkt/key", &["Content-Length: 3", header], code);
}

#[track_caller]
fn get(line: &str, headers: &[&str]) -> GetObjectInput {
    match ask(line, headers).unwrap_or_else(|error| panic!("{line} {headers:?}: {error}")).operation {
        Operation::GetObject(input) => *input,
        other => panic!("{}", other.name()),
    }
}

#[track_caller]
fn list(line: &str) -> ListObjectsInput {
    match ask(line, &[]).unwrap_or_else(|error| panic!("{line}: {error}")).operation {
        Operation::ListObjects(input) => input,
        other => panic!("{}", other.name()),
    }
}

#[test]
fn metadata_is_kept_as_said() {
    let meta = put(&[
        "Content-Type: text/plain; charset=utf-8",
        "Content-Encoding: aws-chunked, gzip , aws-chunked",
        "Cache-Control: max-age=1",
        "Expires: whenever",
        "x-amz-meta-Mixed-Case: a  b",
        "x-amz-meta-empty:",
        "x-amz-meta-twice: 1",
        "X-Amz-Meta-Twice: 2",
        "x-amz-storage-class: STANDARD",
        "x-amz-website-redirect-location: /elsewhere",
    ])
    .meta;
    assert_eq!(meta.content_type, "text/plain; charset=utf-8");
    assert_eq!(meta.content_encoding, "gzip");
    assert_eq!((meta.cache_control.as_str(), meta.expires.as_str()), ("max-age=1", "whenever"));
    assert_eq!((meta.storage_class.as_str(), meta.website_redirect.as_str()), ("", "/elsewhere"));
    let user: Vec<_> = meta.user.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect();
    assert_eq!(user, [("mixed-case", "a  b"), ("empty", ""), ("twice", "1,2")]);
    assert_eq!(put(&[]).meta.content_type, CONTENT_TYPE_DEFAULT);
    assert_eq!(put(&["Content-Encoding: aws-chunked"]).meta.content_encoding, "");
    assert_eq!(put(&["Content-Encoding: gzip,  br"]).meta.content_encoding, "gzip,  br");
    assert_eq!(put(&["x-amz-storage-class: GLACIER"]).meta.storage_class, "GLACIER");
    assert_eq!(put(&["x-amz-meta-a: caf\u{e9} \u{1f600}"]).meta.user[0].value, "café 😀");
    put_refused("x-amz-storage-class: standard", Code::InvalidStorageClass);
    put_refused("x-amz-website-redirect-location: ftp://x", Code::InvalidRedirectLocation);
    put_refused("x-amz-meta-: x", Code::InvalidArgument);
}

#[test]
fn latin1_values_become_text() {
    let raw = b"PUT /bkt/key HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nx-amz-meta-a: caf\xe9\r\n\r\n";
    let head = RequestHead::parse(raw).unwrap().unwrap().0;
    match route(&head, &addressing()).unwrap().operation {
        Operation::PutObject(input) => assert_eq!(input.meta.user[0].value, "café"),
        other => panic!("{}", other.name()),
    }
}

#[test]
fn metadata_is_bounded() {
    let fits = format!("x-amz-meta-a: {}", "v".repeat(2047));
    assert_eq!(put(&[&fits]).meta.user.len(), 1);
    put_refused(&format!("x-amz-meta-ab: {}", "v".repeat(2047)), Code::MetadataTooLarge);
}

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
    put_refused("x-amz-checksum-sha512: AAAA", Code::NotImplemented);
    put_refused("x-amz-trailer: x-amz-meta-a", Code::InvalidRequest);
    put_refused("x-amz-trailer: x-amz-checksum-crc32", Code::InvalidRequest);
    put_refused("x-amz-sdk-checksum-algorithm: CRC32", Code::InvalidRequest);
    put_refused("x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", Code::MissingContentLength);
    put_refused("x-amz-decoded-content-length: -1", Code::InvalidArgument);
    let crc = "x-amz-checksum-crc32: AAAAAA==";
    let length = "Content-Length: 0";
    refused("PUT /bkt/key", &[length, crc, "x-amz-checksum-crc32c: AAAAAA=="], Code::InvalidRequest);
    refused("PUT /bkt/key", &[length, crc, "x-amz-trailer: x-amz-checksum-crc32"], Code::InvalidRequest);
    refused("PUT /bkt/key", &[length, crc, "x-amz-sdk-checksum-algorithm: SHA1"], Code::InvalidRequest);
    refused("PUT /bkt/key", &[length, crc, crc], Code::InvalidArgument);
    refused("PUT /bkt/key", &[], Code::MissingContentLength);
    refused("PUT /bkt/key", &["Content-Length: 5497558138881"], Code::EntityTooLarge);
    refused("PUT /bkt/key?uploadId=u&partNumber=1", &["Content-Length: 5368709121"], Code::EntityTooLarge);
    refused("POST /bkt?delete", &["Content-Length: 2097153"], Code::MaxMessageLengthExceeded);
    refused("PUT /bkt", &["Content-Length: 16385"], Code::MaxMessageLengthExceeded);
}

#[test]
fn conditions_of_writes() {
    assert!(put(&["If-None-Match: *"]).when.absent);
    assert_eq!(put(&["If-Match: \"abc\""]).when.if_match, "abc");
    assert_eq!(put(&["If-Match: abc"]).when.if_match, "abc");
    put_refused("If-None-Match: \"abc\"", Code::NotImplemented);
    put_refused("If-Match: \"a\", \"b\"", Code::NotImplemented);
    put_refused("If-Match: \"\"", Code::InvalidArgument);
    put_refused("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", Code::NotImplemented);
    match ask("DELETE /bkt/key", &["If-Match: \"abc\""]).unwrap().operation {
        Operation::DeleteObject(input) => assert_eq!(input.when.if_match, "abc"),
        other => panic!("{}", other.name()),
    }
}

#[test]
fn reads() {
    let input = get(
        "GET /bkt/key?response-content-type=a%2Fb&versionId=null",
        &["Range: bytes=0-4", "If-None-Match: \"a\"", "x-amz-checksum-mode: ENABLED"],
    );
    assert_eq!(input.selection, Selection::Range(ByteRange::FromTo { first: 0, last: 4 }));
    assert_eq!((input.version, input.checksum_mode), (VersionSelector::Null, true));
    assert!(input.conditions.if_none_match.is_some());
    assert_eq!(input.overrides.content_type, "a/b");
    assert_eq!(input.overrides.refuse_unsigned().unwrap_err().code, Code::InvalidRequest);
    assert_eq!(get("GET /bkt/key", &["Range: bytes=5-1"]).selection, Selection::Whole);
    assert!(get("GET /bkt/key", &["Range: bytes=0-4", "If-Range: \"a\""]).if_range.is_some());
    assert_eq!(get("GET /bkt/key?partNumber=3", &[]).selection, Selection::Part(3));
    assert_eq!(get("GET /bkt/key?versionId=a.b_c-1", &[]).version.named(), Some("a.b_c-1"));
    refused("GET /bkt/key?partNumber=3", &["Range: bytes=0-1"], Code::InvalidRequest);
    for bad in ["versionId=", "versionId=a%20b", "partNumber=0", "partNumber=10001", "partNumber=%2B1"] {
        refused(&format!("GET /bkt/key?{bad}"), &[], Code::InvalidArgument);
    }
    refused("GET /bkt/key?response-content-type=a%0d%0aSet-Cookie:x", &[], Code::InvalidArgument);
    refused("PUT /bkt/key?versionId=null", &["Content-Length: 0"], Code::InvalidArgument);
    refused("PUT /bkt/key?partNumber=1", &["Content-Length: 0"], Code::InvalidArgument);
    refused("PUT /bkt/key?uploadId=1", &["Content-Length: 0"], Code::InvalidArgument);
    refused("GET /bkt/key?uploadId=", &[], Code::NoSuchUpload);
    refused(&format!("GET /bkt/key?uploadId={}", "u".repeat(257)), &[], Code::NoSuchUpload);
}

#[test]
fn listings() {
    let v1 = list("GET /bkt?prefix=a+b%2F&delimiter=/&marker=m&max-keys=7&encoding-type=url");
    assert_eq!((v1.prefix.as_str(), v1.delimiter.as_str(), v1.max_keys, v1.encode), ("a b/", "/", 7, true));
    assert_eq!((v1.after(), v1.is_v2()), (&b"m"[..], false));
    let token = encode_token("к".as_bytes());
    let v2 = list(&format!("GET /bkt?list-type=2&start-after=s&continuation-token={token}&fetch-owner=true"));
    assert_eq!((v2.after(), v2.is_v2(), v2.max_keys), ("к".as_bytes(), true, 1000));
    assert_eq!(list("GET /bkt?list-type=2&start-after=s").after(), b"s");
    assert_eq!(list("GET /bkt?list-type=2&start-after=s&continuation-token=").after(), b"s");
    assert_eq!(list("GET /bkt?max-keys=5000").max_keys, 1000);
    assert_eq!(list("GET /bkt?max-keys=0").max_keys, 0);
    for bad in [
        "max-keys=-1",
        "max-keys=x",
        "max-keys=",
        "max-keys=2147483648",
        "encoding-type=xml",
        "encoding-type=",
        "list-type=3",
        "list-type=2&continuation-token=abc",
        "list-type=2&continuation-token=AnN0YXJ0",
    ] {
        refused(&format!("GET /bkt?{bad}"), &[], Code::InvalidArgument);
    }
    refused(&format!("GET /bkt?prefix={}", "p".repeat(1025)), &[], Code::InvalidArgument);
}

#[test]
fn copies() {
    let copy = |source: &str, more: &[&str]| {
        let source = format!("x-amz-copy-source: {source}");
        let headers: Vec<&str> = more.iter().copied().chain([source.as_str()]).collect();
        match ask("PUT /bkt/key", &headers)?.operation {
            Operation::CopyObject(input) => Ok(*input),
            other => panic!("{}", other.name()),
        }
    };
    for (sent, bucket, key, version) in [
        ("/src/a%20b", "src", "a b", None),
        ("src/a+b?c", "src", "a+b?c", None),
        ("src/a%3FversionId=x", "src", "a?versionId=x", None),
        ("src/k?versionId=null", "src", "k", Some("null")),
        ("src//k/", "src", "/k/", None),
        ("src/%D0%BA", "src", "к", None),
    ] {
        let source = copy(sent, &[]).unwrap_or_else(|error: S3Error| panic!("{sent}: {error}")).source;
        assert_eq!(
            (source.bucket.as_str(), source.key.as_str(), source.version.named()),
            (bucket, key, version)
        );
    }
    for bad in ["", "/", "src", "src/", "/src/", "SRC/k", "src/k?versionId=", "src%2Fk"] {
        assert_eq!(copy(bad, &[]).map(drop).unwrap_err().code, Code::InvalidArgument, "{bad}");
    }
    assert_eq!(copy("arn:aws:s3:x", &[]).map(drop).unwrap_err().code, Code::NotImplemented);
    let itself =
        |more: &[&str]| copy("bkt/key", more).map(|input| input.replace_meta).map_err(|error| error.code);
    assert_eq!(itself(&[]), Err(Code::InvalidRequest));
    assert_eq!(itself(&["x-amz-metadata-directive: REPLACE"]), Ok(true));
    assert_eq!(itself(&["x-amz-storage-class: STANDARD"]), Ok(false));
    assert_eq!(itself(&["x-amz-metadata-directive: MERGE"]), Err(Code::InvalidArgument));
    let when = copy("src/k", &["x-amz-copy-source-if-match: \"e\""]).unwrap().source.when;
    assert_eq!(when.if_match, "e");
    let part = |range: &str| {
        let headers = ["x-amz-copy-source: src/k", &format!("x-amz-copy-source-range: {range}")];
        ask("PUT /bkt/key?uploadId=u&partNumber=1", &headers).map(drop).map_err(|error| error.code)
    };
    assert_eq!(part("bytes=0-9"), Ok(()));
    assert_eq!(part("bytes=5-"), Err(Code::InvalidArgument));
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
    assert_eq!(plan(&["x-amz-checksum-algorithm: XXHASH3"]), Err(Code::NotImplemented));
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
    let bad = ["Content-Length: 9", "x-amz-checksum-crc32: AAAAAA==-x"];
    refused("POST /bkt/key?uploadId=u", &bad, Code::InvalidRequest);
}
