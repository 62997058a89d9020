//! The error answers of authentication, in AWS's words. Only here are canonical texts built as strings.

use super::canonical;
use super::claim::Claim;
use super::credential::Credential;
use super::query::QueryArguments;
use super::text::StringToSign;
use crate::access::KeyIdentity;
use crate::error::{Code, S3Error};
use crate::http::head::RequestHead;

pub(super) fn header_malformed(what: &str) -> S3Error {
    S3Error::new(Code::AuthorizationHeaderMalformed)
        .message(format!("The authorization header is malformed; {what}."))
}

pub(super) fn query_malformed(what: &str) -> S3Error {
    S3Error::new(Code::AuthorizationQueryParametersError).message(format!("{what}."))
}

pub(super) fn two_credentials() -> S3Error {
    S3Error::new(Code::InvalidArgument).message(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter \
         or the Authorization header should be specified.",
    )
}

/// SigV2 is what boto3 still presigns with unless told otherwise: the sentence says how to tell it.
pub(super) fn signature_v2() -> S3Error {
    S3Error::new(Code::InvalidRequest).message(
        "The authorization mechanism you have provided (Signature Version 2) is not supported. Please use \
         AWS4-HMAC-SHA256; with boto3: Config(signature_version='s3v4').",
    )
}

pub(super) fn other_scheme(scheme: &str) -> S3Error {
    if scheme == "AWS" {
        return signature_v2();
    }
    let asymmetric = scheme.starts_with("AWS4-");
    let code = if asymmetric { Code::InvalidRequest } else { Code::InvalidArgument };
    let error = S3Error::new(code).message(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    );
    if asymmetric { error } else { error.with("ArgumentName", "Authorization") }
}

pub(super) fn no_payload_hash() -> S3Error {
    S3Error::new(Code::InvalidRequest)
        .message("Missing required header for this request: x-amz-content-sha256")
}

pub(super) fn streaming_without_key() -> S3Error {
    S3Error::new(Code::InvalidRequest).message("A body with signed chunks needs a signed request.")
}

pub(super) fn streaming_presigned() -> S3Error {
    S3Error::new(Code::InvalidRequest).message("A presigned request cannot have a STREAMING payload.")
}

pub(super) fn not_signed(names: &str) -> S3Error {
    S3Error::new(Code::AccessDenied)
        .message("There were headers present in the request which were not signed")
        .with("HeadersNotSigned", names)
}

pub(super) fn no_such_key(credential: &Credential<'_>) -> S3Error {
    S3Error::new(Code::InvalidAccessKeyId).with("AWSAccessKeyId", credential.access_key_id)
}

/// Either the key refuses the day, or this node has not been told its key yet, which passes.
pub(super) fn no_key_for_day(credential: &Credential<'_>, identity: &KeyIdentity) -> S3Error {
    if credential.day < identity.signed_not_before {
        return S3Error::new(Code::AccessDenied);
    }
    S3Error::new(Code::ServiceUnavailable)
        .message("This node does not have the key's signing key of that day yet.")
}

pub(super) fn mismatch(
    head: &RequestHead,
    query: &QueryArguments<'_>,
    claim: &Claim<'_>,
    text: &StringToSign,
) -> S3Error {
    let mut canonical = Vec::new();
    canonical::write(&mut canonical, head, query, claim);
    S3Error::new(Code::SignatureDoesNotMatch)
        .with("AWSAccessKeyId", claim.credential.access_key_id)
        .with("StringToSign", String::from_utf8_lossy(text.as_bytes()))
        .with("SignatureProvided", String::from_utf8_lossy(claim.signature))
        .with("StringToSignBytes", spaced_hex(text.as_bytes()))
        .with("CanonicalRequest", String::from_utf8_lossy(&canonical))
        .with("CanonicalRequestBytes", spaced_hex(&canonical))
}

/// A form has no canonical request: its policy is what was signed.
pub(super) fn form_mismatch(credential: &Credential<'_>, policy: &str, signature: &str) -> S3Error {
    S3Error::new(Code::SignatureDoesNotMatch)
        .with("AWSAccessKeyId", credential.access_key_id)
        .with("StringToSign", policy)
        .with("SignatureProvided", signature)
        .with("StringToSignBytes", spaced_hex(policy.as_bytes()))
}

/// `41 57 53`, as AWS shows bytes.
fn spaced_hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&hex::encode([*byte]));
    }
    out
}
