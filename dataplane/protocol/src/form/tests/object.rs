//! From fields to an object to be written.

use crate::digest::{ChecksumAlgorithm, ChecksumValue};
use crate::error::{Code, S3Error};
use crate::form::{ContentLengthRange, FormFields, PostAnswer, PostObject, PostStatus};
use crate::limits::PUT_BYTES_MAX;
use crate::name::BucketName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn read(fields: &[(&str, &str)]) -> Result<PostObject, S3Error> {
    let mut form = FormFields::default();
    for (name, value) in fields {
        form.push((*name).to_owned(), value.as_bytes().to_vec()).unwrap();
    }
    PostObject::read(&form, &BucketName::parse("bucket").unwrap(), 1_451_347_200_000)
}

#[track_caller]
fn refused(fields: &[(&str, &str)], code: Code) -> S3Error {
    let error = read(&[&[("key", "k")], fields].concat()).expect_err("a refusal");
    assert_eq!(error.code, code, "{fields:?}: {error}");
    error
}

#[test]
fn a_field_for_each_header() {
    let post = read(&[
        ("key", "dir/k"),
        ("Content-Type", "text/plain"),
        ("cache-control", "max-age=60"),
        ("Content-Disposition", "attachment"),
        ("Content-Encoding", "gzip"),
        ("Expires", "Wed, 21 Oct 2037 07:28:00 GMT"),
        ("x-amz-meta-Color", "gr\u{fc}n"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-website-redirect-location", "/other"),
        ("acl", "public-read"),
        ("tagging", "<Tagging/>"),
        ("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="),
        ("x-amz-checksum-algorithm", "crc32"),
        ("X-Amz-Checksum-CRC32", "NhCmhg=="),
        ("success_action_status", "201"),
        ("submit", "Upload"),
    ])
    .unwrap();
    assert_eq!(post.key.as_str(), "dir/k");
    let meta = &post.meta;
    assert_eq!(
        (&*meta.content_type, &*meta.cache_control, &*meta.content_disposition),
        ("text/plain", "max-age=60", "attachment")
    );
    assert_eq!((&*meta.content_encoding, &*meta.expires), ("gzip", "Wed, 21 Oct 2037 07:28:00 GMT"));
    assert_eq!((&*meta.user[0].name, &*meta.user[0].value), ("color", "gr\u{fc}n"));
    assert_eq!((&*meta.storage_class, &*meta.website_redirect), ("STANDARD_IA", "/other"));
    assert_eq!((post.acl.as_deref(), post.tagging.as_deref()), (Some("public-read"), Some("<Tagging/>")));
    assert!(post.body.content_md5.is_some() && post.body.framed);
    assert_eq!(post.body.algorithm(), Some(ChecksumAlgorithm::Crc32));
    assert_eq!((post.body.size, post.body.bytes_max), (None, Some(PUT_BYTES_MAX)));
    assert_eq!(post.answer, PostAnswer::Status(PostStatus::Created));
    assert_eq!(post.size, ContentLengthRange::ALL);
}

#[test]
fn nothing_but_a_key() {
    let post = read(&[("key", "k")]).unwrap();
    assert_eq!(post.meta.content_type, "binary/octet-stream");
    assert_eq!(post.answer, PostAnswer::Status(PostStatus::NoContent));
    assert_eq!(
        read(&[("key", "k"), ("x-amz-acl", "private"), ("acl", "private")]).unwrap().acl.as_deref(),
        Some("private")
    );
    assert_eq!(read(&[("key", "/a//b")]).unwrap().key.as_str(), "/a//b");
}

#[test]
fn keys_that_are_none() {
    let missing = read(&[]).unwrap_err();
    assert_eq!(
        (missing.code, &*missing.message),
        (
            Code::InvalidArgument,
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."
        )
    );
    assert_eq!(missing.extra[0], ("ArgumentName", "key".to_owned()));
    assert_eq!(read(&[("key", "")]).unwrap_err().message, "User key must have a length greater than 0.");
    assert_eq!(read(&[("key", &"k".repeat(1025))]).unwrap_err().code, Code::KeyTooLongError);
    assert_eq!(read(&[("key", "a\0")]).unwrap_err().code, Code::InvalidArgument);
}

#[test]
fn what_would_not_be_done_is_refused() {
    for name in [
        "x-amz-server-side-encryption",
        "X-Amz-Server-Side-Encryption-Customer-Key",
        "x-amz-object-lock-mode",
        "x-amz-grant-read",
        "x-amz-tagging",
        "x-amz-checksum-type",
        "x-amz-security-token",
        "x-amz-something-new",
        "If-None-Match",
    ] {
        assert_eq!(refused(&[(name, "x")], Code::NotImplemented).extra[0].1, name);
    }
}

#[test]
fn every_checksum_of_s3_may_come_with_a_file() {
    for algorithm in ChecksumAlgorithm::ALL {
        let value = ChecksumValue::from_bytes(algorithm, &vec![1; algorithm.bytes()]).unwrap();
        let post = read(&[("key", "k"), (algorithm.header(), &value.to_base64())]).unwrap();
        assert_eq!(post.body.checksum, Some(value));
        refused(&[(algorithm.header(), "x")], Code::InvalidRequest);
    }
    refused(&[("x-amz-checksum-crc16", "AAA=")], Code::InvalidRequest);
}

#[test]
fn what_a_put_is_refused_for() {
    refused(&[("x-amz-storage-class", "COLD")], Code::InvalidStorageClass);
    refused(&[("x-amz-website-redirect-location", "other")], Code::InvalidRedirectLocation);
    refused(&[("x-amz-meta-a", &"a".repeat(2048))], Code::MetadataTooLarge);
    refused(&[("x-amz-meta-a", "one\r\ntwo")], Code::InvalidArgument);
    refused(&[("x-amz-meta-a b", "c")], Code::InvalidArgument);
    refused(&[("Content-MD5", "nonsense")], Code::InvalidDigest);
    refused(&[("x-amz-checksum-sha256", "sailorjerry")], Code::InvalidRequest);
    refused(
        &[("x-amz-checksum-crc32", "NhCmhg=="), ("x-amz-checksum-crc32c", "NhCmhg==")],
        Code::InvalidRequest,
    );
    refused(&[("x-amz-checksum-algorithm", "CRC32")], Code::InvalidRequest);
    refused(
        &[("x-amz-checksum-algorithm", "SHA1"), ("x-amz-checksum-crc32", "NhCmhg==")],
        Code::InvalidRequest,
    );
    refused(&[("acl", "private"), ("x-amz-acl", "public-read")], Code::InvalidArgument);
}

#[test]
fn a_policy_is_held_against_the_form_whoever_sent_it() {
    let policy = |conditions: &str| {
        STANDARD.encode(format!("{{\"expiration\":\"2016-01-01T00:00:00Z\",\"conditions\":[{{\"bucket\":\"bucket\"}},{conditions}]}}"))
    };
    let range = policy("{\"key\":\"k\"},[\"content-length-range\",1,10]");
    let post = read(&[("key", "k"), ("policy", &range)]).unwrap();
    assert_eq!((post.size, post.body.bytes_max), (ContentLengthRange { min: 1, max: 10 }, Some(10)));
    refused(&[("policy", &policy("{\"key\":\"other\"}"))], Code::AccessDenied);
    refused(&[("policy", &range), ("acl", "private")], Code::AccessDenied);
    refused(&[("policy", "e30=")], Code::InvalidPolicyDocument);
    // the policy comes first: what it does not allow need not be understood
    refused(&[("policy", &range), ("x-amz-server-side-encryption", "AES256")], Code::AccessDenied);
}
