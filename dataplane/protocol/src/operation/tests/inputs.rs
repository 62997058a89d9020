//! The typed inputs: what each header and argument becomes, and which refusal a wrong one meets.

use super::*;
use crate::range::ByteRange;

#[track_caller]
pub(super) fn put(headers: &[&str]) -> PutObjectInput {
    put_at("PUT /bkt/key", headers)
}

#[track_caller]
pub(super) fn put_at(line: &str, headers: &[&str]) -> PutObjectInput {
    let headers: Vec<&str> = headers.iter().copied().chain(["Content-Length: 3"]).collect();
    match ask(line, &headers).unwrap_or_else(|error| panic!("{headers:?}: {error}")).operation {
        Operation::PutObject(input) => *input,
        other => panic!("{}", other.name()),
    }
}

#[track_caller]
pub(super) fn put_refused(header: &str, code: Code) {
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
fn conditions_of_writes() {
    assert!(put(&["If-None-Match: *"]).when.absent);
    assert_eq!(put(&["If-Match: \"abc\""]).when.if_match, "abc");
    assert_eq!(put(&["If-Match: abc"]).when.if_match, "abc");
    put_refused("If-None-Match: \"abc\"", Code::NotImplemented);
    put_refused("If-Match: \"a\", \"b\"", Code::NotImplemented);
    put_refused("If-Match: \"\"", Code::InvalidArgument);
    put_refused("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", Code::NotImplemented);
    put_refused("If-Match:", Code::InvalidArgument);
    assert_eq!(put(&["If-Match: *"]).when.if_match, "*");
    assert_eq!(put(&["If-Match: W/\"abc\""]).when.if_match, "W/\"abc\"", "equals no ETag");
    let length = "Content-Length: 3";
    for line in ["PUT /bkt/key", "POST /bkt/key?uploadId=u"] {
        refused(line, &[length, "If-None-Match: \"abc\""], Code::NotImplemented);
        refused(line, &[length, "If-None-Match: *", "If-Match: \"abc\""], Code::NotImplemented);
        refused(line, &[length, "x-amz-if-match-size: 3"], Code::NotImplemented);
    }
}

#[test]
fn conditions_of_deletes() {
    let delete = |header: &str| match ask("DELETE /bkt/key", &[header]) {
        Ok(Routed { operation: Operation::DeleteObject(input), .. }) => Ok(input.when.if_match),
        Ok(other) => panic!("{}", other.operation.name()),
        Err(error) => Err(error.code),
    };
    assert_eq!(delete("If-Match: \"abc\""), Ok("abc".into()));
    assert_eq!(delete("If-Match: *"), Ok("*".into()));
    assert_eq!(delete("Accept: */*"), Ok(String::new()));
    assert_eq!(delete("If-Match: \"\""), Err(Code::InvalidArgument));
    for header in [
        "If-None-Match: *",
        "If-None-Match: \"abc\"",
        "If-Match: \"a\", \"b\"",
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
        "x-amz-if-match-size: 3",
        "x-amz-if-match-last-modified-time: Sun, 06 Nov 1994 08:49:37 GMT",
    ] {
        assert_eq!(delete(header), Err(Code::NotImplemented), "{header}");
    }
    refused("DELETE /bkt/key?versionId=null", &["If-Match: *"], Code::NotImplemented);
    refused("DELETE /bkt/key", &["x-amz-bypass-governance-retention: true"], Code::InvalidArgument);
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
    let id = "018bcfe5687b7fffbfffffffffffffff";
    assert_eq!(get(&format!("GET /bkt/key?versionId={id}"), &[]).version.named(), Some(id));
    refused("GET /bkt/key?partNumber=3", &["Range: bytes=0-1"], Code::InvalidRequest);
    refused("HEAD /bkt/key?partNumber=3", &["Range: nonsense"], Code::InvalidRequest);
    assert_eq!(get("GET /bkt/key?partNumber=10000", &[]).selection, Selection::Part(10_000));
    for bad in [
        "versionId=",
        "versionId=NULL",
        "versionId=a.b_c-1",
        "versionId=018bcfe5687b7fffbffffffffffffff",
        "partNumber=",
        "partNumber=0",
        "partNumber=-1",
        "partNumber=1.0",
        "partNumber=10001",
        "partNumber=99999999999",
        "partNumber=%2B1",
    ] {
        refused(&format!("GET /bkt/key?{bad}"), &[], Code::InvalidArgument);
    }
    let missing = Selection::no_such_part(4, 3);
    let told = [("PartNumberRequested", "4".to_owned()), ("ActualPartCount", "3".to_owned())];
    assert_eq!(
        (missing.code, missing.status(), &missing.extra[..]),
        (Code::InvalidPartNumber, 416, &told[..])
    );
    assert_eq!(Selection::no_such_part(2, 0).extra[1].1, "1", "an object that was put whole is one part");
    refused("GET /bkt/key?response-content-type=a%0d%0aSet-Cookie:x", &[], Code::InvalidArgument);
    refused("GET /bkt?versionId=null", &[], Code::InvalidArgument);
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
        "list-type=2&continuation-token=",
        "list-type=2&continuation-token=abc",
        "list-type=2&continuation-token=AnN0YXJ0",
    ] {
        refused(&format!("GET /bkt?{bad}"), &[], Code::InvalidArgument);
    }
    refused(&format!("GET /bkt?prefix={}", "p".repeat(1025)), &[], Code::InvalidArgument);
}
