//! Routing as tables: what is asked, in both styles of addressing, and what is refused.

use super::subresource::LACKING;
use super::*;

mod checksums;
mod copies;
mod inputs;
mod properties;
mod versions;

fn addressing() -> Addressing {
    Addressing::new(["S3.Example.Test", "example.test."])
}

/// `method` and target, further header lines without line ends.
fn head(line: &str, headers: &[&str]) -> RequestHead {
    let mut text = format!("{line} HTTP/1.1\r\n");
    if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")) {
        text.push_str("Host: 127.0.0.1:9000\r\n");
    }
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    RequestHead::parse(text.as_bytes()).expect(line).expect("a complete head").0
}

fn ask(line: &str, headers: &[&str]) -> Result<Routed, S3Error> {
    route(&head(line, headers), &addressing())
}

#[track_caller]
fn refused(line: &str, headers: &[&str], code: Code) {
    match ask(line, headers) {
        Err(error) => assert_eq!(error.code, code, "{line} {headers:?}: {error}"),
        Ok(routed) => panic!("{line} {headers:?} became {}", routed.operation.name()),
    }
}

/// The name of the operation, the bucket and the key.
#[track_caller]
fn routed(line: &str, headers: &[&str]) -> (&'static str, String, String) {
    let routed = ask(line, headers).unwrap_or_else(|error| panic!("{line} {headers:?}: {error}"));
    let bucket = routed.bucket.map_or(String::new(), |bucket| bucket.to_string());
    let key = routed.key.map_or(String::new(), |key| key.to_string());
    (routed.operation.name(), bucket, key)
}

const OPERATIONS: &[(&str, &str, &[&str])] = &[
    ("GET /bkt", "ListObjects", &[]),
    ("GET /bkt/", "ListObjects", &[]),
    ("GET /bkt?list-type=2&prefix=a%2F", "ListObjectsV2", &[]),
    ("GET /bkt?location", "GetBucketLocation", &[]),
    ("GET /bkt?location=", "GetBucketLocation", &[]),
    ("GET /bkt?uploads", "ListMultipartUploads", &[]),
    ("HEAD /bkt", "HeadBucket", &[]),
    ("PUT /bkt", "CreateBucket", &[]),
    ("PUT /bkt/?x-id=CreateBucket", "CreateBucket", &["Content-Length: 100"]),
    ("DELETE /bkt", "DeleteBucket", &[]),
    ("POST /bkt?delete", "DeleteObjects", &["Content-Length: 10"]),
    ("POST /bkt", "PostObject", &["Content-Type: multipart/form-data; boundary=b", "Content-Length: 10"]),
    ("POST /bkt/", "PostObject", &["Content-Type: multipart/form-data; boundary=b"]),
    ("GET /bkt/key", "GetObject", &[]),
    ("GET /bkt/key?versionId=null", "GetObject", &[]),
    ("GET /bkt/key?x-id=GetObject&unknown=1&unknown=2", "GetObject", &[]),
    ("GET /bkt/key?partNumber=2", "GetObject", &[]),
    ("HEAD /bkt/key", "HeadObject", &[]),
    ("PUT /bkt/key", "PutObject", &["Content-Length: 0"]),
    ("PUT /bkt/key", "PutObject", &["Transfer-Encoding: chunked"]),
    ("PUT /bkt/key", "CopyObject", &["x-amz-copy-source: /src/key"]),
    ("PUT /bkt/key?partNumber=1&uploadId=u", "UploadPart", &["Content-Length: 5"]),
    ("PUT /bkt/key?partNumber=1&uploadId=u", "UploadPartCopy", &["x-amz-copy-source: src/key"]),
    ("POST /bkt/key?uploads", "CreateMultipartUpload", &[]),
    ("POST /bkt/key?uploadId=u", "CompleteMultipartUpload", &["Content-Length: 5"]),
    ("DELETE /bkt/key?uploadId=u", "AbortMultipartUpload", &[]),
    ("GET /bkt/key?uploadId=u", "ListParts", &[]),
    ("DELETE /bkt/key", "DeleteObject", &[]),
];

#[test]
fn every_operation_path_style() {
    assert_eq!(routed("GET /", &[]), ("ListBuckets", String::new(), String::new()));
    for (line, name, headers) in OPERATIONS {
        let key = if line.contains("/bkt/key") { "key" } else { "" };
        assert_eq!(routed(line, headers), (*name, "bkt".into(), key.into()), "{line}");
    }
}

#[test]
fn every_operation_virtual_hosted() {
    for host in ["Host: bkt.s3.example.test:9000", "Host: BKT.Example.Test", "host: bkt.s3.example.test."] {
        for (line, name, headers) in OPERATIONS {
            let line = line.replace("/bkt/", "/").replace("/bkt", "/");
            let headers: Vec<&str> = headers.iter().copied().chain([host]).collect();
            let key = if line.contains("/key") { "key" } else { "" };
            assert_eq!(routed(&line, &headers), (*name, "bkt".into(), key.into()), "{line} {host}");
        }
    }
}

#[test]
fn hosts() {
    let bucket = |host: &str| routed("GET /bkt/key", &[&format!("Host: {host}")]).1;
    // the domain itself, other names and addresses are path-style
    for host in
        ["s3.example.test", "example.test:443", "localhost:9000", "[::1]:9000", "10.0.0.1", "xexample.test"]
    {
        assert_eq!(bucket(host), "bkt", "{host}");
    }
    assert_eq!(bucket("a.b-c.s3.example.test"), "a.b-c");
    assert_eq!(routed("GET /", &["Host: bkt.s3.example.test"]).0, "ListObjects");
    refused("GET /", &["Host: no.s3.example.test"], Code::InvalidBucketName);
}

#[test]
fn keys_are_decoded_once_and_kept_as_they_are() {
    for (target, key) in [
        ("/bkt//key", "/key"),
        ("/bkt/a//b/", "a//b/"),
        ("/bkt/./../x", "./../x"),
        ("/bkt/a%2Fb%2fc", "a/b/c"),
        ("/bkt/a%2520b", "a%20b"),
        ("/bkt/a+b%20", "a+b "),
        ("/bkt/%D0%BA", "к"),
        ("/bkt/(')!*=:@&$,;", "(')!*=:@&$,;"),
        ("/bkt/%01%0a", "\u{1}\n"),
    ] {
        assert_eq!(routed(&format!("GET {target}"), &[]).2, key, "{target}");
        let hosted = target.replacen("/bkt", "", 1);
        assert_eq!(routed(&format!("GET {hosted}"), &["Host: bkt.example.test"]).2, key, "{target}");
    }
    refused("GET /bkt/a%00b", &[], Code::InvalidArgument);
    refused("GET /bkt/a%zz", &[], Code::InvalidURI);
    refused("GET /bkt/a%2", &[], Code::InvalidURI);
    refused("GET /bkt/%FF", &[], Code::InvalidURI);
    refused(&format!("GET /bkt/{}", "k".repeat(1025)), &[], Code::KeyTooLongError);
    refused("GET /bkt%2Fkey", &[], Code::InvalidBucketName);
    refused("GET /Bucket_/key", &[], Code::InvalidBucketName);
    refused("GET //bkt", &[], Code::InvalidBucketName);
}

#[test]
fn what_s3_has_and_we_lack_is_refused_by_name() {
    for name in LACKING {
        for line in ["PUT /bkt", "DELETE /bkt", "GET /bkt/key", "PUT /bkt/key", "POST /bkt/key"] {
            let error = ask(&format!("{line}?{name}"), &["Content-Length: 0"]).unwrap_err();
            assert_eq!(error.code, Code::NotImplemented, "{line}?{name}");
            assert!(error.message.contains(name), "{error}");
        }
    }
    refused("POST /bkt", &["Content-Length: 5"], Code::PreconditionFailed);
    let form = "Content-Type: multipart/form-data";
    refused("POST /bkt", &["Content-Length: 5", form], Code::MalformedPOSTRequest);
    refused("GET /bkt?torrent", &[], Code::NotImplemented);
}

#[test]
fn a_question_about_what_no_bucket_has_is_one() {
    for name in ["lifecycle", "website", "encryption", "notification"] {
        assert_eq!(routed(&format!("GET /bkt?{name}"), &[]).0, "GetUnsetConfiguration", "{name}");
    }
}

#[test]
fn what_buckets_and_objects_are_told_is_routed() {
    let body = ["Content-Length: 1"];
    for (line, name) in [
        ("GET /bkt?acl", "GetBucketAcl"),
        ("PUT /bkt?cors", "PutBucketCors"),
        ("DELETE /bkt?policy", "DeleteBucketPolicy"),
        ("GET /bkt?policyStatus", "GetBucketPolicyStatus"),
        ("PUT /bkt?versioning", "PutBucketVersioning"),
        ("DELETE /bkt?ownershipControls", "DeleteBucketOwnershipControls"),
        ("GET /bkt?publicAccessBlock", "GetPublicAccessBlock"),
        ("PUT /bkt?tagging", "PutBucketTagging"),
        ("GET /bkt?versions", "ListObjectVersions"),
        ("GET /bkt/key?tagging", "GetObjectTagging"),
        ("PUT /bkt/key?tagging&versionId=null", "PutObjectTagging"),
        ("DELETE /bkt/key?tagging", "DeleteObjectTagging"),
        ("GET /bkt/key?acl", "GetObjectAcl"),
        ("PUT /bkt/key?acl", "PutObjectAcl"),
        ("OPTIONS /bkt/key?acl", "Preflight"),
    ] {
        assert_eq!(routed(line, &body).0, name, "{line}");
    }
    let attributes = ["x-amz-object-attributes: ETag"];
    assert_eq!(routed("GET /bkt/key?attributes", &attributes).0, "GetObjectAttributes");
    for line in ["DELETE /bkt?acl", "DELETE /bkt?versioning", "PUT /bkt/key?cors", "PUT /bkt?policyStatus"] {
        refused(line, &body, Code::MethodNotAllowed);
    }
    let long = format!("Content-Length: {}", 1 << 20);
    refused("PUT /bkt?policy", &[&long], Code::MaxMessageLengthExceeded);
}

#[test]
fn a_sub_resource_where_it_does_not_belong_never_falls_back_to_the_resource() {
    for line in [
        "DELETE /bkt/key?uploads",
        "DELETE /bkt?uploads",
        "DELETE /bkt?delete",
        "DELETE /bkt?uploadId=u",
        "DELETE /bkt/key?location",
        "PUT /bkt?location",
        "PUT /bkt/key?uploads",
        "PUT /bkt/key?delete",
        "GET /bkt/key?uploads",
        "HEAD /bkt?location",
        "POST /bkt/key",
        "POST /bkt?uploads",
        "PATCH /bkt/key",
        "PUT /",
        "DELETE /",
        "GET /?location",
        "POST /?delete",
    ] {
        refused(line, &["Content-Length: 0"], Code::MethodNotAllowed);
    }
    refused("GET /bkt?location&uploads", &[], Code::InvalidArgument);
    refused("DELETE /bkt/key?uploadId=u&uploads", &[], Code::InvalidArgument);
}

#[test]
fn repetition_is_refused_where_it_means_something() {
    for line in [
        "GET /bkt?prefix=a&prefix=a",
        "GET /bkt?list-type=2&list-type=2",
        "GET /bkt/key?versionId=null&versionId=null",
        "GET /bkt/key?uploadId=a&uploadId=b",
        "PUT /bkt/key?uploadId=a&partNumber=1&partNumber=2",
        "GET /bkt/key?response-content-type=a&response-content-type=b",
    ] {
        refused(line, &["Content-Length: 0"], Code::InvalidArgument);
    }
    for header in ["Range: bytes=0-1", "If-Match: \"a\"", "x-amz-checksum-mode: ENABLED"] {
        refused("GET /bkt/key", &[header, header], Code::InvalidArgument);
    }
    for header in
        ["Content-Type: a", "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", "x-amz-storage-class: STANDARD"]
    {
        refused("PUT /bkt/key", &["Content-Length: 0", header, header], Code::InvalidArgument);
    }
}

#[test]
fn headers_we_cannot_honour_are_refused() {
    for header in [
        "x-amz-server-side-encryption: AES256",
        "x-amz-server-side-encryption: aws:kms",
        "x-amz-server-side-encryption-customer-algorithm: AES256",
        "X-Amz-Object-Lock-Mode: GOVERNANCE",
        "x-amz-bucket-object-lock-enabled: true",
        "x-amz-object-annotation-directive: REPLACE",
        "x-amz-write-offset-bytes: 5",
    ] {
        refused("PUT /bkt/key", &["Content-Length: 0", header], Code::NotImplemented);
        let hoisted = header.replace(": ", "=").replace(':', "%3A");
        let line = format!("PUT /bkt/key?X-Amz-Signature=s&{hoisted}");
        refused(&line, &["Content-Length: 0"], Code::NotImplemented);
    }
    for header in [
        "x-amz-acl: private",
        "x-amz-acl: bucket-owner-full-control",
        "x-amz-tagging: a=b",
        "x-amz-bucket-object-lock-enabled: false",
        "x-amz-request-payer: requester",
        "x-amz-unknown: 1",
        "x-amzn-trace-id: 1",
    ] {
        assert_eq!(routed("PUT /bkt/key", &["Content-Length: 0", header]).0, "PutObject", "{header}");
    }
    let owned = ask("GET /bkt", &["x-amz-expected-bucket-owner: 123"]).unwrap();
    assert_eq!(owned.expected_bucket_owner.as_deref(), Some("123"));
}
