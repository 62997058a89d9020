//! Who speaks: one choke point for every way to sign, credentials in the head or in the query, never both.

use crate::client::{Answer, Ask, Key, base64, hmac_hex, now_ms, scope, sha256_hex};
use crate::put;
use crate::rig::rig;

const HOUR_MS: u64 = 3_600_000;

/// Sends what must be refused, and looks whether the object is as it was.
#[track_caller]
fn refused(bucket: &str, ask: &Ask, status: u16, code: &str) -> Answer {
    let before = rig().all_of(bucket);
    let answer = ask.send().is(status, code);
    assert_eq!(rig().all_of(bucket), before, "something has changed");
    answer
}

fn forged(key: &Key) -> Key {
    Key { id: key.id.clone(), secret: "not the secret of this key, but as long as one".into() }
}

#[test]
fn credentials_in_head_and_query_are_not_added_up() {
    let (rig, bucket) = (rig(), rig().bucket("both"));
    let target = format!("/{bucket}/k");
    let in_head = Ask::put(&target).body("x").by(&rig.owner);
    let presigned = Ask::put(&target).presigned(&rig.owner);
    refused(&bucket, &Ask { target: presigned.target.clone(), ..in_head.clone() }, 400, "InvalidArgument");
    for half in
        ["X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Signature=0", "X-Amz%2dCredential=x", "Signature=x"]
    {
        refused(
            &bucket,
            &Ask { target: format!("{target}?{half}"), ..in_head.clone() },
            400,
            "InvalidArgument",
        );
    }
}

#[test]
fn half_a_presigned_query_is_not_anonymous() {
    let rig = rig();
    let bucket = rig.open_bucket("half");
    crate::put_policy(&bucket, &[("Allow", "s3:PutObject", "/*", "")]);
    let whole = Ask::put(&format!("/{bucket}/k")).presigned(&rig.owner).target;
    let (path, query) = whole.split_once('?').expect("a query");
    for left_out in query.split('&') {
        let rest: Vec<&str> = query.split('&').filter(|argument| *argument != left_out).collect();
        let ask = Ask::put(&format!("{path}?{}", rest.join("&"))).body("x");
        refused(&bucket, &ask, 400, "AuthorizationQueryParametersError");
    }
}

#[test]
fn a_signature_is_for_one_key_request_and_body() {
    let (rig, bucket) = (rig(), rig().bucket("one"));
    let target = format!("/{bucket}/k");
    let good = Ask::put(&target).body("x").by_with(&rig.owner, &sha256_hex(b"x"));
    let no = (403, "SignatureDoesNotMatch");
    refused(&bucket, &Ask::put(&target).by(&forged(&rig.owner)), no.0, no.1);
    refused(&bucket, &Ask::put(&target).presigned(&forged(&rig.owner)), no.0, no.1);
    refused(&bucket, &Ask { method: "DELETE".into(), ..good.clone() }, no.0, no.1);
    refused(&bucket, &Ask { target: format!("/{bucket}/other"), ..good.clone() }, no.0, no.1);
    refused(&bucket, &Ask { target: format!("{target}?tagging"), ..good.clone() }, no.0, no.1);
    refused(&bucket, &Ask { body: b"y".to_vec(), ..good.clone() }, 400, "XAmzContentSHA256Mismatch");
    good.send().is(200, "");
}

#[test]
fn no_unsigned_header_changes_what_is_done() {
    let rig = rig();
    let bucket = rig.open_bucket("unsigned");
    put(&bucket, "k", "x");
    let target = format!("/{bucket}/n");
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-copy-source", &*format!("/{bucket}/k")),
        ("x-amz-meta-a", "1"),
        ("x-amz-tagging", "a=1"),
        ("X-AMZ-Storage-Class", "STANDARD"),
        ("x-amz-expected-bucket-owner", "1"),
    ] {
        let plain = Ask::put(&target).body("x").by(&rig.owner).unsigned(name, value);
        let answer = refused(&bucket, &plain, 403, "AccessDenied");
        assert_eq!(answer.element("HeadersNotSigned").as_deref(), Some(&*name.to_ascii_lowercase()));
        refused(
            &bucket,
            &Ask::put(&target).body("x").presigned(&rig.owner).unsigned(name, value),
            403,
            "AccessDenied",
        );
    }
    let sent_twice =
        Ask::put(&target).header("x-amz-acl", "private").by(&rig.owner).unsigned("x-amz-acl", "public-read");
    refused(&bucket, &sent_twice, 400, "InvalidArgument");
}

#[test]
fn the_host_is_signed_and_verified_as_received() {
    let (rig, bucket) = (rig(), rig().bucket("host"));
    let good = Ask::put(&format!("/{bucket}/k")).by(&rig.owner);
    let without: Vec<_> = good
        .headers
        .iter()
        .cloned()
        .map(|(name, value)| {
            (name, String::from_utf8(value).expect("text").replace("=host;", "=").into_bytes())
        })
        .collect();
    refused(&bucket, &Ask { headers: without, ..good.clone() }, 403, "AccessDenied");
    for name in ["Host", "X-Forwarded-Host"] {
        let bytes = String::from_utf8(good.bytes())
            .expect("text")
            .replace("\r\n\r\n", &format!("\r\n{name}: evil\r\n\r\n"));
        let answer = crate::client::exchange(bytes.as_bytes()).remove(0);
        assert_eq!(answer.status, if name == "Host" { 400 } else { 200 }, "{}", answer.text());
    }
}

#[test]
fn algorithms_are_on_a_list() {
    let (rig, bucket) = (rig(), rig().bucket("algorithms"));
    for (algorithm, code) in [
        ("AWS4-HMAC-SHA1", "InvalidRequest"),
        ("AWS4-ECDSA-P256-SHA256", "InvalidRequest"),
        ("aws4-hmac-sha256", "InvalidArgument"),
        ("none", "InvalidArgument"),
        ("Bearer", "InvalidArgument"),
        ("Basic", "InvalidArgument"),
        ("AWS", "InvalidRequest"),
    ] {
        let mut ask = Ask::put(&format!("/{bucket}/k")).by(&rig.owner);
        let (_, value) = ask.headers.last_mut().expect("the authorization");
        *value = String::from_utf8_lossy(value).replace("AWS4-HMAC-SHA256", algorithm).into_bytes();
        refused(&bucket, &ask, 400, code);
        let mut ask = Ask::put(&format!("/{bucket}/k")).presigned(&rig.owner);
        ask.target = ask.target.replace("AWS4-HMAC-SHA256", algorithm);
        refused(&bucket, &ask, 400, "AuthorizationQueryParametersError");
    }
}

#[test]
fn old_and_future_signatures_are_refused() {
    let (rig, bucket) = (rig(), rig().bucket("times"));
    for now_ms in [now_ms() - HOUR_MS / 2, now_ms() + HOUR_MS / 2] {
        let ask = Ask { now_ms, ..Ask::put(&format!("/{bucket}/k")) };
        refused(&bucket, &ask.clone().by(&rig.owner), 403, "RequestTimeTooSkewed");
        refused(&bucket, &ask.presigned(&rig.owner), 403, "AccessDenied");
    }
    let mut longer =
        Ask { now_ms: now_ms() - HOUR_MS / 2, ..Ask::put(&format!("/{bucket}/k")) }.presigned(&rig.owner);
    longer.target = longer.target.replace("Expires=600", "Expires=60000");
    refused(&bucket, &longer, 403, "SignatureDoesNotMatch");
}

#[test]
fn chunks_that_nobody_signed_are_never_seen() {
    let (rig, bucket) = (rig(), rig().bucket("chunks"));
    let streaming = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let ask = |payload, body: &str| {
        let ask = Ask::put(&format!("/{bucket}/k")).header("x-amz-decoded-content-length", "5");
        ask.header("content-encoding", "aws-chunked").body(body).by_with(&rig.owner, payload)
    };
    let zeros = "0".repeat(64);
    let body = format!("5;chunk-signature={zeros}\r\nhello\r\n0;chunk-signature={zeros}\r\n\r\n");
    refused(&bucket, &ask(streaming, &body), 403, "SignatureDoesNotMatch");
    refused(&bucket, &ask(streaming, "5\r\nhello\r\n0\r\n\r\n"), 400, "InvalidRequest");
    let presigned = Ask::put(&format!("/{bucket}/k")).body(body).presigned(&rig.owner);
    refused(
        &bucket,
        &presigned
            .clone()
            .unsigned("x-amz-content-sha256", streaming)
            .unsigned("x-amz-decoded-content-length", "5"),
        403,
        "AccessDenied",
    );
    let nobody = Ask::put(&format!("/{bucket}/k"))
        .header("x-amz-content-sha256", streaming)
        .header("x-amz-decoded-content-length", "1")
        .body("x");
    refused(&bucket, &nobody, 400, "InvalidRequest");
    let unknown = ask("STREAMING-EVERYTHING", "x");
    assert_eq!(refused(&bucket, &unknown, 400, "InvalidArgument").status, 400);
}

#[test]
fn an_upload_is_not_readable_before_its_last_chunk_was_right() {
    let (rig, bucket) = (rig(), rig().bucket("last"));
    let now_ms = now_ms();
    let head =
        Ask { now_ms, ..Ask::put(&format!("/{bucket}/k")) }.header("x-amz-decoded-content-length", "5");
    let mut ask = head.by_with(&rig.owner, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let (_, authorization) = ask.headers.last().expect("the authorization");
    let authorization = String::from_utf8_lossy(authorization).into_owned();
    let seed = authorization.rsplit('=').next().expect("a signature");
    let text = |data: &[u8]| {
        let (time, empty) = (holdfast_protocol::date::amz_basic(now_ms), sha256_hex(b""));
        format!("AWS4-HMAC-SHA256-PAYLOAD\n{time}\n{}\n{seed}\n{empty}\n{}", scope(now_ms), sha256_hex(data))
    };
    let right = hmac_hex(&rig.owner, now_ms, text(b"hello").as_bytes());
    ask.body =
        format!("5;chunk-signature={right}\r\nhello\r\n0;chunk-signature={right}\r\n\r\n").into_bytes();
    refused(&bucket, &ask, 403, "SignatureDoesNotMatch");
    ask.body = format!("5;chunk-signature={right}\r\nhello\r\n").into_bytes();
    refused(&bucket, &ask, 400, "IncompleteBody");
}

#[test]
fn tokens_are_not_passed_over() {
    let (rig, bucket) = (rig(), rig().bucket("tokens"));
    let target = format!("/{bucket}/k");
    refused(
        &bucket,
        &Ask::put(&target).header("x-amz-security-token", "t").by(&rig.owner),
        400,
        "InvalidToken",
    );
    let presigned = Ask::put(&format!("{target}?X-Amz-Security-Token=t")).presigned(&rig.owner);
    refused(&bucket, &presigned, 400, "InvalidToken");
}

#[test]
fn a_revoked_key_is_over_at_once() {
    let (rig, bucket) = (rig(), rig().bucket("revoked"));
    let key = rig.scoped_key(&[&bucket], &[]);
    let presigned = Ask::get(&format!("/{bucket}/k")).presigned(&key);
    put(&bucket, "k", "x");
    presigned.send().is(200, "");
    rig.revoke(&key);
    refused(&bucket, &presigned, 403, "InvalidAccessKeyId");
    refused(&bucket, &Ask::put(&format!("/{bucket}/k")).by(&key), 403, "InvalidAccessKeyId");
}

/// Signatures that the server computed in answering.
fn computed(ask: &Ask, code: &str) -> u64 {
    let before = counted();
    assert_eq!(ask.send_alone().code(), code, "{}", ask.target);
    counted() - before
}

fn counted() -> u64 {
    let text = holdfast_dataplane::metrics::scrape();
    let line = text.lines().find(|line| line.starts_with("holdfast_signatures_computed_total "));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a count")
}

#[test]
fn unknown_keys_cost_the_same() {
    let (rig, bucket) = (rig(), rig().bucket("cost"));
    let unknown = Key { id: "AKIANOBODYHASTHISKEY".into(), secret: rig.owner.secret.clone() };
    let form = |key: &Key| {
        let now_ms = now_ms();
        let policy = base64(br#"{"expiration":"2099-01-01T00:00:00Z","conditions":[]}"#);
        let credential = format!("{}/{}", key.id, scope(now_ms));
        let time = holdfast_protocol::date::amz_basic(now_ms);
        let signature = hmac_hex(key, now_ms, policy.as_bytes());
        let fields = [
            ("key", "k"),
            ("policy", &policy),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &credential),
            ("x-amz-date", &time),
            ("x-amz-signature", &signature),
        ];
        crate::forms::post(&bucket, &crate::forms::multipart(&fields, b"x", &[]))
    };
    let _alone = rig.quiet.write();
    let target = format!("/{bucket}/none");
    let forgery = forged(&rig.owner);
    for (key, code, form_code) in [
        (&rig.owner, "NoSuchKey", "AccessDenied"),
        (&forgery, "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
        (&unknown, "InvalidAccessKeyId", "InvalidAccessKeyId"),
    ] {
        assert_eq!(computed(&Ask::get(&target).by(key), code), 1, "in the head: {code}");
        assert_eq!(computed(&Ask::get(&target).presigned(key), code), 1, "in the query: {code}");
        assert_eq!(computed(&form(key), form_code), 1, "in a form: {code}");
    }
    let nobody = Ask::get(&target);
    assert_eq!(computed(&nobody, "AccessDenied"), 0);
}
