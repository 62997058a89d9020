//! The edges of DESIGN 4.6, one case each.

use super::naive::{Draft, EMPTY};
use super::{NOW_MS, OneKey, REGION, accepted, extra, head, refused, verify_at};
use crate::error::Code;
use crate::sigv4::{Authenticated, PayloadKind, authenticate};

fn get() -> Draft {
    Draft::new("GET", "/bucket/key", "")
}

fn presigned() -> Draft {
    let mut draft = get();
    draft.payload = "UNSIGNED-PAYLOAD".to_owned();
    draft
}

#[test]
fn keys_of_every_kind() {
    let paths = [
        "/",
        "/b/a+b(c)'!*=:@&$,;",
        "/b/%2f%2F",
        "/b//x/./../y",
        "/b/end%20",
        "/b/%C3%A4%E2%82%AC",
        "/b/%41%7e~",
    ];
    for path in paths.into_iter().chain(["/b/ä", "/b/a%00b", "/b/%FF", "/b/%252F", "/b/%25"]) {
        accepted(&Draft::new("PUT", path, "").signed());
        let mut draft = Draft::new("GET", path, "");
        draft.payload = "UNSIGNED-PAYLOAD".to_owned();
        accepted(&draft.presigned("60"));
    }
}

#[test]
fn queries_of_every_kind() {
    for query in [
        "acl",
        "acl=",
        "a=1&a=0&A=2&b",
        "x-id=PutObject",
        "prefix=a%2Fb/c+d%2B%20",
        "k=%C3%A4&&",
        "a-b=1&a=2",
        "k=a=b",
    ] {
        accepted(&Draft::new("GET", "/b", query).signed());
    }
}

#[test]
fn an_unsigned_amz_header_is_refused_by_name() {
    let mut draft = get();
    draft.unsigned("X-Amz-Meta-B", "1").unsigned("x-amz-acl", "public-read").unsigned("x-amzn-trace-id", "1");
    draft.unsigned("x-amz-cf-id", "1").unsigned("amz-sdk-request", "1").unsigned("Range", "bytes=0-1");
    let error = refused(&draft.signed(), Code::AccessDenied);
    assert_eq!(extra(&error, "HeadersNotSigned"), Some("x-amz-acl, x-amz-meta-b"));
    let error = refused(
        &{
            let mut draft = presigned();
            draft.unsigned("x-amz-acl", "public-read").clone()
        }
        .presigned("60"),
        Code::AccessDenied,
    );
    assert_eq!(extra(&error, "HeadersNotSigned"), Some("x-amz-acl"));
}

#[test]
fn host_must_be_signed() {
    let mut draft = get();
    draft.headers.clear();
    draft.unsigned("Host", "example.test");
    assert_eq!(extra(&refused(&draft.signed(), Code::AccessDenied), "HeadersNotSigned"), Some("host"));
}

#[test]
fn header_credentials_need_the_payload_hash_but_need_not_list_it() {
    let mut draft = get();
    draft.header("x-amz-date", draft.time);
    refused(&draft.signed_as_is(), Code::InvalidRequest);
    draft.unsigned("x-amz-content-sha256", EMPTY);
    accepted(&draft.signed_as_is()); // its value is the last line of what is signed
    draft.unsigned = vec![("x-amz-content-sha256".to_owned(), "UNSIGNED-PAYLOAD".to_owned())];
    refused(&draft.signed_as_is(), Code::SignatureDoesNotMatch);
    draft.payload = "sha256".to_owned();
    draft.unsigned = vec![("x-amz-content-sha256".to_owned(), "sha256".to_owned())];
    refused(&draft.signed_as_is(), Code::InvalidArgument);
}

#[test]
fn the_payload_of_a_presigned_request() {
    assert_eq!(accepted(&presigned().presigned("60")).payload.kind(), PayloadKind::Unsigned);
    let mut in_query = get();
    in_query.query = format!("X-Amz-Content-Sha256={EMPTY}");
    assert_eq!(accepted(&in_query.presigned("60")).payload.kind(), PayloadKind::SingleHash);
    let mut in_header = get();
    in_header.header("x-amz-content-sha256", EMPTY);
    assert_eq!(accepted(&in_header.presigned("60")).payload.kind(), PayloadKind::SingleHash);
    let mut unsigned = presigned();
    unsigned.unsigned("x-amz-content-sha256", EMPTY);
    refused(&unsigned.presigned("60"), Code::AccessDenied);
    for streaming in ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
        let mut draft = get();
        draft.payload = streaming.to_owned();
        draft.header("x-amz-content-sha256", streaming);
        refused(&draft.presigned("60"), Code::InvalidRequest);
    }
}

#[test]
fn date_serves_where_amz_date_is_absent() {
    for date in ["Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z"] {
        let mut draft = get();
        draft.header("Date", date).header("x-amz-content-sha256", EMPTY);
        accepted(&draft.signed_as_is());
    }
    let mut none = get();
    none.header("x-amz-content-sha256", EMPTY);
    refused(&none.signed_as_is(), Code::AccessDenied);
}

#[test]
fn two_credentials_are_one_too_many() {
    for query in [
        "X-Amz-Signature=0",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "AWSAccessKeyId=A&Signature=b&Expires=1",
        "X-%41mz-Credential=x",
    ] {
        refused(&Draft::new("GET", "/b", query).signed(), Code::InvalidArgument);
    }
}

#[test]
fn signature_version_2_gets_told_how_to_use_4() {
    let query = head(&["GET /b/k?AWSAccessKeyId=A&Signature=b%3D&Expires=1 HTTP/1.1", "Host: h"]);
    let header = head(&["GET /b/k HTTP/1.1", "Host: h", "Authorization: AWS AKIA:c2ln"]);
    for request in [query, header] {
        let error = refused(&request, Code::InvalidRequest);
        assert!(error.message.contains("AWS4-HMAC-SHA256"));
        assert!(error.message.contains("Config(signature_version='s3v4')"));
    }
}

#[test]
fn other_schemes_and_broken_headers() {
    let with = |value: &str| head(&["GET / HTTP/1.1", "Host: h", &format!("Authorization: {value}")]);
    refused(&with("AWS4-ECDSA-P256-SHA256 Credential=x"), Code::InvalidRequest);
    for other in ["Basic QTpC", "Bearer x", ""] {
        refused(&with(other), Code::InvalidArgument);
    }
    for broken in [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x",
        "AWS4-HMAC-SHA256 Credential=A/20130524/us-east-1/s3/aws4_request,SignedHeaders=Host,Signature=0",
    ] {
        refused(&with(broken), Code::AuthorizationHeaderMalformed);
    }
}

#[test]
fn region_and_day_must_be_the_right_ones() {
    let mut draft = get();
    draft.scope = "20130524/eu-west-1/s3/aws4_request".to_owned();
    let error = refused(&draft.signed(), Code::AuthorizationHeaderMalformed);
    assert_eq!(extra(&error, "Region"), Some("us-east-1"));
    assert!(error.message.contains("the region 'eu-west-1' is wrong; expecting 'us-east-1'"));
    draft.payload = "UNSIGNED-PAYLOAD".to_owned();
    let error = refused(&draft.presigned("60"), Code::AuthorizationQueryParametersError);
    assert_eq!(extra(&error, "Region"), Some("us-east-1"));
    draft.scope = "20130523/us-east-1/s3/aws4_request".to_owned();
    refused(&draft.signed(), Code::AuthorizationHeaderMalformed);
}

#[test]
fn clocks_may_differ_by_fifteen_minutes() {
    let request = get().signed();
    for now_ms in [NOW_MS - 900_000, NOW_MS + 900_000] {
        assert!(verify_at(&request, now_ms).is_ok());
    }
    for now_ms in [NOW_MS - 900_001, NOW_MS + 900_001, 0, u64::MAX / 2] {
        let error = verify_at(&request, now_ms).expect_err("skewed");
        assert_eq!(error.code, Code::RequestTimeTooSkewed);
        assert_eq!(extra(&error, "RequestTime"), Some("2013-05-24T00:00:00Z"));
        assert_eq!(extra(&error, "MaxAllowedSkewMilliseconds"), Some("900000"));
    }
}

#[test]
fn presigned_arguments_are_checked_one_by_one() {
    for expires in ["604801", "-1", "x", "", "99999999999999999999"] {
        refused(&presigned().presigned(expires), Code::AuthorizationQueryParametersError);
    }
    assert!(verify_at(&presigned().presigned("604800"), NOW_MS + 604_800_000).is_ok());
    let mut repeated = presigned();
    repeated.query = "X-Amz-Date=20130524T000000Z".to_owned();
    refused(&repeated.presigned("60"), Code::AuthorizationQueryParametersError);
    let half = head(&["GET /b?X-Amz-Signature=00 HTTP/1.1", "Host: h"]);
    refused(&half, Code::AuthorizationQueryParametersError);
}

#[test]
fn unknown_revoked_and_aged_keys() {
    let mut draft = get();
    draft.access_key = "AKIDNOBODY";
    let error = refused(&draft.signed(), Code::InvalidAccessKeyId);
    assert_eq!(extra(&error, "AWSAccessKeyId"), Some("AKIDNOBODY"));
    let request = get().signed();
    assert!(authenticate(&request, &OneKey::not_before(20_130_524), REGION, NOW_MS).is_ok());
    let error = authenticate(&request, &OneKey::not_before(20_130_525), REGION, NOW_MS).expect_err("too old");
    assert_eq!(error.code, Code::AccessDenied);
    let mut tomorrow = get();
    (tomorrow.time, tomorrow.scope) = ("20130525T000000Z", "20130525/us-east-1/s3/aws4_request".to_owned());
    let error = verify_at(&tomorrow.signed(), NOW_MS + 86_400_000).expect_err("no key yet");
    assert_eq!(error.code, Code::ServiceUnavailable);
}

#[test]
fn tokens_are_invalid_while_there_are_no_sessions() {
    let mut draft = get();
    draft.header("x-amz-security-token", "t");
    refused(&draft.signed(), Code::InvalidToken);
    let mut draft = presigned();
    draft.query = "X-Amz-Security-Token=t".to_owned();
    refused(&draft.presigned("60"), Code::InvalidToken);
}

#[test]
fn meaningful_headers_stand_once_and_others_are_joined() {
    for name in ["x-amz-date", "x-amz-content-sha256"] {
        let mut draft = get();
        draft.header(name, if name == "x-amz-date" { "20130524T000000Z" } else { EMPTY });
        refused(&draft.signed(), Code::InvalidRequest);
    }
    let mut twice = get();
    twice.unsigned("Authorization", "AWS4-HMAC-SHA256 x");
    refused(&twice.signed(), Code::InvalidRequest);
    let mut joined = get();
    joined
        .header("x-amz-meta-a", "  one   two ")
        .header("X-Amz-Meta-A", "three")
        .header("x-amz-meta-empty", "");
    accepted(&joined.signed());
}

#[test]
fn nobody_may_send_what_needs_no_key() {
    let anonymous = |lines: &[&str]| head(&[&["GET /b/k HTTP/1.1", "Host: h"], lines].concat());
    let plain = accepted(&anonymous(&[]));
    assert!(matches!(plain.who, Authenticated::Anonymous));
    assert_eq!(plain.payload.kind(), PayloadKind::Unsigned);
    let trailer = accepted(&anonymous(&["x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER"]));
    assert_eq!(trailer.payload.kind(), PayloadKind::StreamingUnsignedTrailer);
    refused(&anonymous(&["x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD"]), Code::InvalidRequest);
}

#[test]
fn a_wrong_signature_of_any_form_is_a_mismatch() {
    let good = get();
    for signature in ["", "0", &"0".repeat(64), &"Z".repeat(64), &"é".repeat(32)] {
        let mut draft = good.clone();
        draft.header("x-amz-content-sha256", EMPTY).header("x-amz-date", "20130524T000000Z");
        let authorization = draft.authorization();
        let (before, _) = authorization.split_once("Signature=").expect("there");
        let mut lines = vec!["GET /bucket/key HTTP/1.1".to_owned()];
        lines.extend(draft.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.push(format!("{before}Signature={signature}"));
        let request = head(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        refused(&request, Code::SignatureDoesNotMatch);
    }
}
