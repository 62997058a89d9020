//! `aws-sigv4` signs, the verifier must agree; one changed byte, and it must not.
//!
//! Kept within what the oracle does right (MEASURED.md B3): keys arrive percent-encoded the SDKs' way, the time is x-amz-date.

use super::naive::EMPTY;
use super::{ACCESS_KEY, NOW_MS, REGION, SECRET, accepted, head, verify};
use crate::http::head::RequestHead;
use crate::sigv4::text::hex_signature;
use crate::sigv4::{PayloadMode, Verified};
use crate::uri::encode_canonical;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::{self, SigningParams};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS)
}

fn settings(location: SignatureLocation) -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.excluded_headers = None;
    settings.signature_location = location;
    settings.payload_checksum_kind = match location {
        SignatureLocation::QueryParams => PayloadChecksumKind::NoHeader,
        _ => PayloadChecksumKind::XAmzSha256,
    };
    settings.expires_in =
        matches!(location, SignatureLocation::QueryParams).then_some(Duration::from_secs(600));
    settings
}

/// The head that the oracle would send.
fn oracle_head(
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &SignableBody<'_>,
    location: SignatureLocation,
) -> Vec<String> {
    let identity = Credentials::new(ACCESS_KEY, SECRET, None, None, "test").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("s3")
        .time(now())
        .settings(settings(location))
        .build()
        .expect("complete")
        .into();
    let uri = format!("http://bucket.example.test{target}");
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new(method, uri, pairs, body.clone()).expect("signable");
    let (instructions, _) = sign(request, &params).expect("signed").into_parts();
    let (added, arguments) = instructions.into_parts();
    let mut target = target.to_owned();
    for (name, value) in arguments {
        target.push(if target.contains('?') { '&' } else { '?' });
        target += &format!("{name}={}", encoded(value.as_bytes(), false));
    }
    let mut lines = vec![format!("{method} {target} HTTP/1.1"), "Host: bucket.example.test".to_owned()];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.extend(added.iter().map(|header| format!("{}: {}", header.name(), header.value())));
    lines
}

fn parse(lines: &[String]) -> RequestHead {
    head(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn encoded(bytes: &[u8], keep_slash: bool) -> String {
    let mut out = Vec::new();
    encode_canonical(&mut out, bytes, keep_slash);
    String::from_utf8(out).expect("ASCII")
}

prop_compose! {
    fn target()(key in prop::collection::vec(any::<u8>(), 0..40),
                query in prop::collection::vec(("[a-zA-Z0-9._~/ é%&=+-]{1,8}", "[ -~ä€]{0,12}"), 0..6)) -> String {
        let query: Vec<String> = query.iter()
            .map(|(name, value)| format!("{}={}", encoded(name.as_bytes(), false), encoded(value.as_bytes(), false)))
            .collect();
        let question = if query.is_empty() { "" } else { "?" };
        format!("/{}{question}{}", encoded(&key, true), query.join("&"))
    }
}

prop_compose! {
    fn headers()(names in prop::collection::btree_set("[a-z][a-z0-9-]{0,10}", 0..6),
                 values in prop::collection::vec("[!-~]{1,6}( {1,3}[!-~]{1,6}){0,2}", 6)) -> Vec<(String, String)> {
        names.iter().map(|name| format!("x-amz-meta-{name}")).zip(values).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_on_header_and_query(
        method in prop::sample::select(vec!["GET", "PUT", "DELETE", "POST", "HEAD"]),
        target in target(), headers in headers(), unsigned: bool, presign: bool, flip in any::<prop::sample::Index>(),
    ) {
        let body = if unsigned || presign { SignableBody::UnsignedPayload } else { SignableBody::Precomputed(EMPTY.to_owned()) };
        let location = if presign { SignatureLocation::QueryParams } else { SignatureLocation::Headers };
        let lines = oracle_head(method, &target, &headers, &body, location);
        let verified = accepted(&parse(&lines));
        prop_assert_eq!(verified.who.identity().map(|key| &*key.access_key_id), Some(ACCESS_KEY));
        prop_assert_eq!(matches!(verified.payload, PayloadMode::Unsigned), unsigned || presign);

        // one changed letter anywhere in the target or a header: no longer accepted
        let mut changed = lines.clone();
        let line = flip.index(changed.len());
        let at = if line == 0 { changed[0].len() - " HTTP/1.1".len() - 1 } else { changed[line].len() - 1 };
        let byte = changed[line].as_bytes()[at];
        let other = if byte == b'q' { 'r' } else { 'q' };
        changed[line].replace_range(at..=at, &other.to_string());
        let accepted = RequestHead::parse((changed.join("\r\n") + "\r\n\r\n").as_bytes())
            .is_ok_and(|head| head.is_some_and(|(head, _)| verify(&head).is_ok()));
        prop_assert!(!accepted, "{:?}", changed[line]);
    }

    #[test]
    fn agrees_on_chunks_and_trailers(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..5),
        value in "[A-Za-z0-9+/=]{4,12}",
    ) {
        let body = SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned());
        let lines = oracle_head("PUT", "/key", &[], &body, SignatureLocation::Headers);
        let Verified { payload: PayloadMode::StreamingSignedTrailer(mut signer), .. } = accepted(&parse(&lines)) else {
            panic!("another mode");
        };
        let mut running = lines.iter().find_map(|line| line.split_once("Signature=")).expect("signed").1.to_owned();
        let identity = Credentials::new(ACCESS_KEY, SECRET, None, None, "test").into();
        let params = v4::SigningParams::<()>::builder().identity(&identity).region(REGION).name("s3")
            .time(now()).settings(()).build().expect("complete");
        for chunk in chunks.iter().map(Vec::as_slice).chain([&[][..]]) {
            running = v4::sign_chunk(&bytes::Bytes::copy_from_slice(chunk), &running, &params).expect("signed").into_parts().1;
            signer.begin(hex_signature(running.as_bytes()));
            signer.update(chunk);
            prop_assert!(signer.end().is_ok());
        }
        let hash = hex::encode(crate::digest::sha256(format!("x-amz-checksum-crc32:{value}\n").as_bytes()));
        let text = format!("AWS4-HMAC-SHA256-TRAILER\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n{running}\n{hash}");
        let key = v4::generate_signing_key(SECRET, now(), REGION, "s3");
        running = v4::calculate_signature(key, text.as_bytes());
        prop_assert!(signer.trailers([("X-Amz-Checksum-Crc32", value.as_bytes())], running.as_bytes()).is_ok());
    }
}
