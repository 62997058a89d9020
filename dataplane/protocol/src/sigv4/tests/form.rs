//! POST forms: AWS's published example ("Browser-Based Upload using HTTP POST"), botocore's own, and what is wrong with others.

use super::{ACCESS_KEY, OneKey, REGION, SECRET, extra, head};
use crate::access::KeyIdentity;
use crate::error::{Code, S3Error};
use crate::form::{Boundary, FormDecoder, FormEvent, FormFields, Policy};
use crate::name::BucketName;
use crate::sigv4::{Authenticated, KeyLookup, KeySource, SigningKey, authenticate_form, derive_day_key};
use ring::hmac;
use std::sync::Arc;

const DAY: u32 = 20_151_229;
/// 2015-12-29T00:00:00Z
const NOW_MS: u64 = 1_451_347_200_000;
const WEEK_MS: u64 = 7 * 86_400_000;

/// With its CR LFs, as the page demands.
const AWS_POLICY: &str = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
const AWS_SIGNATURE: &str = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";

/// What `generate_presigned_post("sigv4examplebucket", "user/user1/photo.jpg")` makes at that moment with that key.
const BOTO_POLICY: &str = "eyJleHBpcmF0aW9uIjogIjIwMTUtMTItMjlUMDE6MDA6MDBaIiwgImNvbmRpdGlvbnMiOiBbeyJidWNrZXQiOiAic2lndjRleGFtcGxlYnVja2V0In0sIHsia2V5IjogInVzZXIvdXNlcjEvcGhvdG8uanBnIn0sIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwgeyJ4LWFtei1jcmVkZW50aWFsIjogIkFLSUFJT1NGT0ROTjdFWEFNUExFLzIwMTUxMjI5L3VzLWVhc3QtMS9zMy9hd3M0X3JlcXVlc3QifSwgeyJ4LWFtei1kYXRlIjogIjIwMTUxMjI5VDAwMDAwMFoifV19";
const BOTO_SIGNATURE: &str = "3364624b39010d9b06f5d9b8c9a18a6e478d261c048159c92f2fd6fa885f14e6";

const SCOPE: &str = "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request";
const BOTO: [(&str, &str); 6] = [
    ("key", "user/user1/photo.jpg"),
    ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
    ("x-amz-credential", SCOPE),
    ("x-amz-date", "20151229T000000Z"),
    ("policy", BOTO_POLICY),
    ("x-amz-signature", BOTO_SIGNATURE),
];

/// AWS's example key on the day of its form.
struct DayOfForm(SigningKey, Arc<KeyIdentity>);

impl DayOfForm {
    fn new(signed_not_before: u32) -> Self {
        let OneKey { identity, .. } = OneKey::not_before(signed_not_before);
        Self(SigningKey::new(&derive_day_key(SECRET.as_bytes(), DAY, REGION)), identity)
    }
}

impl KeySource for DayOfForm {
    fn signing_key(&self, access_key_id: &str, day: u32, _region: &str) -> KeyLookup<'_> {
        match (access_key_id == ACCESS_KEY, day == DAY) {
            (true, true) => KeyLookup::Found { key: &self.0, identity: &self.1 },
            (true, false) => KeyLookup::NoKeyForDay { identity: &self.1 },
            (false, _) => KeyLookup::NoSuchKey,
        }
    }
}

/// The fields as they come out of a body.
fn form(fields: &[(&str, &str)], filename: &str) -> FormFields {
    let part = |(name, value): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body: String = fields.iter().map(part).collect();
    let body = format!(
        "{body}--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\r\n\r\n--b--"
    );
    let mut decoder = FormDecoder::new(&Boundary::parse(b"multipart/form-data; boundary=b").unwrap(), None);
    let mut rest = body.as_bytes();
    loop {
        let (consumed, event) = decoder.feed(rest).expect("a form");
        rest = &rest[consumed..];
        if let FormEvent::File(fields) = event {
            return fields;
        }
    }
}

fn verify_at(
    lines: &[&str],
    fields: &[(&str, &str)],
    keys: &DayOfForm,
    now_ms: u64,
) -> Result<Authenticated, S3Error> {
    authenticate_form(&head(lines), &form(fields, "f"), keys, REGION, now_ms)
}

const POST: [&str; 2] = ["POST /sigv4examplebucket HTTP/1.1", "Host: s3.amazonaws.com"];

fn verify(fields: &[(&str, &str)]) -> Result<Authenticated, S3Error> {
    verify_at(&POST, fields, &DayOfForm::new(0), NOW_MS)
}

/// botocore's form with one field changed, or, for `None`, left out.
fn with<'a>(name: &str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let changed = BOTO.into_iter().filter_map(|(sent, old)| match (sent == name, value) {
        (true, None) => None,
        (true, Some(value)) => Some((sent, value)),
        (false, _) => Some((sent, old)),
    });
    changed.collect()
}

#[track_caller]
fn refused(fields: &[(&str, &str)], code: Code) -> S3Error {
    let error = verify(fields).expect_err("a refusal");
    assert_eq!(error.code, code, "{error}: {:#?}", error.extra);
    error
}

#[test]
fn the_example_of_aws() {
    const REDIRECT: &str = "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html";
    let fields = form(
        &[
            ("key", "user/user1/${filename}"),
            ("acl", "public-read"),
            ("success_action_redirect", REDIRECT),
            ("Content-Type", "image/jpeg"),
            ("x-amz-meta-uuid", "14365123651274"),
            ("x-amz-server-side-encryption", "AES256"),
            ("X-Amz-Credential", SCOPE),
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Date", "20151229T000000Z"),
            ("x-amz-meta-tag", ""),
            ("Policy", AWS_POLICY),
            ("X-Amz-Signature", AWS_SIGNATURE),
        ],
        "photo.jpg",
    );
    let who =
        authenticate_form(&head(&POST), &fields, &DayOfForm::new(0), REGION, NOW_MS).expect("AWS's own");
    assert!(matches!(who, Authenticated::PostForm(_)));
    assert_eq!(&*who.identity().expect("a key's").access_key_id, ACCESS_KEY);
    assert_eq!(fields.get("key"), Some("user/user1/photo.jpg"));
    let policy = Policy::parse(AWS_POLICY).expect("a policy");
    let bucket = BucketName::parse("sigv4examplebucket").unwrap();
    assert!(policy.check(&fields, &bucket, NOW_MS).is_ok());
    assert!(policy.check(&fields, &BucketName::parse("other").unwrap(), NOW_MS).is_err());
    assert!(policy.check(&fields, &bucket, NOW_MS + 2 * 86_400_000).is_err());
}

#[test]
fn the_form_of_botocore() {
    assert!(matches!(verify(&BOTO), Ok(Authenticated::PostForm(_))));
    let policy = Policy::parse(BOTO_POLICY).expect("a policy");
    assert!(
        policy.check(&form(&BOTO, ""), &BucketName::parse("sigv4examplebucket").unwrap(), NOW_MS).is_ok()
    );
}

#[test]
fn nobody_signed() {
    assert!(matches!(verify(&[("key", "k")]), Ok(Authenticated::Anonymous)));
    assert!(matches!(verify(&[("key", "k"), ("policy", BOTO_POLICY)]), Ok(Authenticated::Anonymous)));
}

#[test]
fn half_a_signature_is_an_error() {
    for (name, spelled) in [
        ("x-amz-signature", "X-Amz-Signature"),
        ("x-amz-algorithm", "X-Amz-Algorithm"),
        ("x-amz-credential", "X-Amz-Credential"),
        ("x-amz-date", "X-Amz-Date"),
        ("policy", "policy"),
    ] {
        let error = refused(&with(name, None), Code::InvalidArgument);
        assert_eq!(extra(&error, "ArgumentName"), Some(spelled));
        assert!(
            error.message.starts_with(&format!("Bucket POST must contain a field named '{spelled}'.  If")),
            "{error}"
        );
    }
}

#[test]
fn what_does_not_match() {
    let error = refused(&with("x-amz-signature", Some(AWS_SIGNATURE)), Code::SignatureDoesNotMatch);
    assert_eq!(extra(&error, "AWSAccessKeyId"), Some(ACCESS_KEY));
    assert_eq!(extra(&error, "StringToSign"), Some(BOTO_POLICY));
    assert_eq!(extra(&error, "SignatureProvided"), Some(AWS_SIGNATURE));
    assert!(extra(&error, "StringToSignBytes").unwrap().starts_with("65 79 4a 6c"));
    assert_eq!(extra(&error, "CanonicalRequest"), None);
    for signature in ["", "x", &BOTO_SIGNATURE.to_uppercase(), &BOTO_SIGNATURE[1..]] {
        refused(&with("x-amz-signature", Some(signature)), Code::SignatureDoesNotMatch);
    }
    // the policy is not looked at before its signature is right
    for policy in ["", &BOTO_POLICY[..BOTO_POLICY.len() - 2], AWS_POLICY, "no policy"] {
        refused(&with("policy", Some(policy)), Code::SignatureDoesNotMatch);
    }
}

#[test]
fn credentials_of_others() {
    let scope = |text: &str| refused(&with("x-amz-credential", Some(text)), Code::InvalidArgument);
    let unknown = with("x-amz-credential", Some("AKIAUNKNOWN/20151229/us-east-1/s3/aws4_request"));
    assert_eq!(extra(&refused(&unknown, Code::InvalidAccessKeyId), "AWSAccessKeyId"), Some("AKIAUNKNOWN"));
    let error = scope("AKIAIOSFODNN7EXAMPLE/20151229/eu-west-1/s3/aws4_request");
    assert_eq!(error.message, "the region 'eu-west-1' is wrong; expecting 'us-east-1'");
    assert_eq!(
        (extra(&error, "ArgumentName"), extra(&error, "Region")),
        (Some("X-Amz-Credential"), Some("us-east-1"))
    );
    for wrong in [
        "",
        "AKIAIOSFODNN7EXAMPLE",
        "/20151229/us-east-1/s3/aws4_request",
        "A/20151229/us-east-1/ec2/aws4_request",
        "A/2015/us-east-1/s3/aws4_request",
        "A/20151230/us-east-1/s3/aws4_request",
    ] {
        scope(wrong);
    }
    let date = refused(&with("x-amz-date", Some("2015-12-29T00:00:00Z")), Code::InvalidArgument);
    assert_eq!(extra(&date, "ArgumentName"), Some("X-Amz-Date"));
    refused(&with("x-amz-algorithm", Some("AWS4-HMAC-SHA1")), Code::InvalidArgument);
    let token = [&BOTO[..], &[("X-Amz-Security-Token", "t")]].concat();
    refused(&token, Code::InvalidToken);
    let early = verify_at(&POST, &BOTO, &DayOfForm::new(DAY + 1), NOW_MS).unwrap_err();
    assert_eq!(early.code, Code::AccessDenied);
}

#[test]
fn one_way_to_sign_and_not_the_old_one() {
    let old = refused(
        &[("key", "k"), ("AWSAccessKeyId", "AKIA"), ("signature", "c2ln"), ("policy", BOTO_POLICY)],
        Code::InvalidRequest,
    );
    assert!(old.message.contains("AWS4-HMAC-SHA256"), "{old}");
    refused(&[("awsaccesskeyid", "AKIA")], Code::InvalidRequest);
    refused(&[&BOTO[..], &[("signature", "c2ln")]].concat(), Code::InvalidArgument);
    let signed_head = [POST[0], POST[1], "Authorization: AWS4-HMAC-SHA256 Credential=x"];
    let presigned = ["POST /sigv4examplebucket?X-Amz-Signature=0 HTTP/1.1", POST[1]];
    for lines in [&signed_head[..], &presigned[..]] {
        for fields in [&BOTO[..], &[("key", "k")]] {
            let error = verify_at(lines, fields, &DayOfForm::new(0), NOW_MS).unwrap_err();
            assert_eq!((error.status(), error.code), (400, Code::InvalidArgument), "{lines:?}");
        }
    }
    let token = [POST[0], POST[1], "x-amz-security-token: t"];
    assert_eq!(verify_at(&token, &BOTO, &DayOfForm::new(0), NOW_MS).unwrap_err().code, Code::InvalidToken);
}

#[test]
fn a_signature_lives_for_a_week() {
    let at = |now_ms| verify_at(&POST, &BOTO, &DayOfForm::new(0), now_ms).map_err(|error| error.message);
    assert!(at(NOW_MS + WEEK_MS).is_ok());
    assert_eq!(at(NOW_MS + WEEK_MS + 1).unwrap_err(), "Request has expired");
    assert!(at(NOW_MS - 900_000).is_ok());
    assert_eq!(at(NOW_MS - 900_001).unwrap_err(), "Request is not valid yet");
}

/// The oracle: HMAC-SHA256 over the field, as the page describes it.
#[test]
fn what_a_signer_signs_is_accepted() {
    let key = derive_day_key(SECRET.as_bytes(), DAY, REGION);
    for policy in ["", "a", AWS_POLICY, "not base64 \u{e4}\r\n", &"p".repeat(15_000)] {
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*key), policy.as_bytes());
        let signature = hex::encode(signature);
        let mut fields = with("policy", Some(policy));
        fields.retain(|(name, _)| *name != "x-amz-signature");
        fields.push(("x-amz-signature", &signature));
        assert!(verify(&fields).is_ok(), "{policy}");
    }
}
