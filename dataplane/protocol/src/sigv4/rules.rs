//! The rules around a signature: region, time, which headers must be signed, what must not stand twice.

use super::claim::{Claim, Place};
use super::credential::Credential;
use super::payload;
use super::query::QueryArguments;
use super::refusal;
use super::time::extended;
use crate::error::{Code, S3Error};
use crate::http::head::RequestHead;
use crate::limits::SKEW_MS_MAX;

/// Headers of the prefix `x-amz-` that are never required: what a proxy in front adds. No operation reads them.
const ADDED_BY_PROXIES: [&str; 1] = ["x-amz-cf-id"];

/// A header that means something to the signature must stand once: what is in front of us may have read the other one.
pub(super) fn header_once<'a>(
    head: &'a RequestHead,
    name: &'static str,
) -> Result<Option<&'a [u8]>, S3Error> {
    head.header_one(name).map_err(|_| {
        S3Error::new(Code::InvalidRequest).message(format!("The header {name} is given more than once."))
    })
}

pub(super) fn region(claim: &Claim<'_>, ours: &str) -> Result<(), S3Error> {
    let Credential { region, .. } = claim.credential;
    if region == ours {
        return Ok(());
    }
    let wrong = format!("the region '{region}' is wrong; expecting '{ours}'");
    Err(match claim.place {
        Place::Header => refusal::header_malformed(&wrong),
        Place::Query { .. } => {
            refusal::query_malformed(&format!("Error parsing the X-Amz-Credential parameter; {wrong}"))
        }
    }
    .with("Region", ours))
}

/// The scope's day is the time's, and the time is now (or, presigned, not too long ago).
pub(super) fn time(claim: &Claim<'_>, now_ms: u64) -> Result<(), S3Error> {
    if claim.credential.day != claim.time.day {
        let text = "the date in the credential scope is not the date of the request";
        return Err(match claim.place {
            Place::Header => refusal::header_malformed(text),
            Place::Query { .. } => refusal::query_malformed(text),
        });
    }
    let signed_ms = claim.time.unix_ms;
    match claim.place {
        Place::Header if signed_ms.abs_diff(now_ms) > SKEW_MS_MAX => {
            Err(S3Error::new(Code::RequestTimeTooSkewed)
                .with("RequestTime", extended(signed_ms))
                .with("ServerTime", extended(now_ms))
                .with("MaxAllowedSkewMilliseconds", SKEW_MS_MAX.to_string()))
        }
        Place::Header => Ok(()),
        Place::Query { expires_s } => presigned_time(signed_ms, expires_s, now_ms),
    }
}

/// Signed not later than now, and good for so many seconds.
pub(super) fn presigned_time(signed_ms: u64, expires_s: u64, now_ms: u64) -> Result<(), S3Error> {
    if signed_ms > now_ms + SKEW_MS_MAX {
        return Err(S3Error::new(Code::AccessDenied)
            .message("Request is not valid yet")
            .with("ServerTime", extended(now_ms)));
    }
    if now_ms > signed_ms + expires_s * 1000 {
        return Err(S3Error::new(Code::AccessDenied)
            .message("Request has expired")
            .with("X-Amz-Expires", expires_s.to_string())
            .with("Expires", extended(signed_ms + expires_s * 1000))
            .with("ServerTime", extended(now_ms)));
    }
    Ok(())
}

/// `host` and every `x-amz-*` header that is present must be signed: an unsigned one could change what the request does.
pub(super) fn signed_headers(head: &RequestHead, claim: &Claim<'_>) -> Result<(), S3Error> {
    header_once(head, "host")?;
    if !is_signed(claim.signed_headers, "host") {
        return Err(refusal::not_signed("host"));
    }
    let unsigned = || head.headers().map(|(name, _)| name).filter(|name| must_be_signed(claim, name));
    if unsigned().next().is_none() {
        return Ok(());
    }
    let mut names: Vec<String> = unsigned().map(str::to_ascii_lowercase).collect();
    names.sort_unstable();
    names.dedup();
    Err(refusal::not_signed(&names.join(", ")))
}

fn must_be_signed(claim: &Claim<'_>, name: &str) -> bool {
    let of_prefix = name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-amz-"));
    of_prefix && !is_signed(claim.signed_headers, name) && !is_bound_or_ignored(claim, name)
}

/// With header credentials the value of x-amz-content-sha256 is itself the last line of what is signed.
fn is_bound_or_ignored(claim: &Claim<'_>, name: &str) -> bool {
    let bound = claim.place == Place::Header && name.eq_ignore_ascii_case(payload::HEADER);
    bound || ADDED_BY_PROXIES.iter().any(|added| added.eq_ignore_ascii_case(name))
}

pub(super) fn is_signed(list: &str, name: &str) -> bool {
    list.split(';').any(|signed| signed.eq_ignore_ascii_case(name))
}

/// Sessions do not exist yet, so no token is valid; ignoring one would accept what its owner believes to be limited.
pub(super) fn session_token(head: &RequestHead, query: &QueryArguments<'_>) -> Result<(), S3Error> {
    let in_header = header_once(head, "x-amz-security-token")?.is_some();
    if in_header || query.one("X-Amz-Security-Token")?.is_some() {
        return Err(S3Error::new(Code::InvalidToken));
    }
    Ok(())
}
