//! The examples of AWS's documentation ("Authenticating Requests", S3 API reference), byte for byte.

use super::{NOW_MS, accepted, extra, head, refused, verify_at};
use crate::error::Code;
use crate::sigv4::{Authenticated, PayloadKind};

const HOST: &str = "Host: examplebucket.s3.amazonaws.com";
const DATE: &str = "x-amz-date: 20130524T000000Z";
const EMPTY: &str = "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn authorization(signed_headers: &str, signature: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={signed_headers},Signature={signature}"
    )
}

#[test]
fn get_object_with_range() {
    let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    let authorization = authorization("host;range;x-amz-content-sha256;x-amz-date", signature);
    let good = head(&["GET /test.txt HTTP/1.1", HOST, &authorization, "Range: bytes=0-9", EMPTY, DATE]);
    let verified = accepted(&good);
    assert!(matches!(verified.who, Authenticated::Key(_)));
    assert_eq!(verified.payload.kind(), PayloadKind::SingleHash);

    let other = head(&["GET /test.txt HTTP/1.1", HOST, &authorization, "Range: bytes=0-8", EMPTY, DATE]);
    let error = refused(&other, Code::SignatureDoesNotMatch);
    let canonical = "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-8\n\
        x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\
        x-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n\
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(extra(&error, "CanonicalRequest"), Some(canonical));
    assert_eq!(extra(&error, "SignatureProvided"), Some(signature));
    assert_eq!(extra(&error, "AWSAccessKeyId"), Some("AKIAIOSFODNN7EXAMPLE"));
    let to_sign = extra(&error, "StringToSign").expect("there");
    assert!(to_sign.starts_with("AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"));
    assert!(extra(&error, "StringToSignBytes").expect("there").starts_with("41 57 53 34 2d"));
    assert!(extra(&error, "CanonicalRequestBytes").expect("there").starts_with("47 45 54 0a 2f"));
}

#[test]
fn put_object_with_a_dollar_sent_raw() {
    let authorization = authorization(
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    accepted(&head(&[
        "PUT /test$file.text HTTP/1.1",
        HOST,
        "Date: Fri, 24 May 2013 00:00:00 GMT",
        &authorization,
        DATE,
        "x-amz-storage-class: REDUCED_REDUNDANCY",
        "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    ]));
}

#[test]
fn get_bucket_lifecycle() {
    let authorization = authorization(
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
    accepted(&head(&["GET /?lifecycle HTTP/1.1", HOST, &authorization, DATE, EMPTY]));
}

#[test]
fn list_objects() {
    let authorization = authorization(
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );
    accepted(&head(&["GET /?max-keys=2&prefix=J HTTP/1.1", HOST, &authorization, DATE, EMPTY]));
    // the order of the wire does not count
    accepted(&head(&["GET /?prefix=J&max-keys=2 HTTP/1.1", HOST, &authorization, DATE, EMPTY]));
}

#[test]
fn presigned_get_lives_for_its_day_and_no_longer() {
    let line = "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F\
        us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&\
        X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1";
    let request = head(&[line, HOST]);
    assert_eq!(accepted(&request).payload.kind(), PayloadKind::Unsigned);
    assert!(verify_at(&request, NOW_MS + 86_400_000).is_ok());
    let error = verify_at(&request, NOW_MS + 86_400_001).expect_err("expired");
    assert_eq!((error.code, &*error.message), (Code::AccessDenied, "Request has expired"));
    assert_eq!(extra(&error, "Expires"), Some("2013-05-25T00:00:00Z"));
    let error = verify_at(&request, NOW_MS - 900_001).expect_err("not yet");
    assert_eq!(error.code, Code::AccessDenied);
}
