//! Who signed the policy of a POST form. The string to sign is the field `policy` as it was sent, base64 and all; nothing in
//! it is believed before, and what it says is `form::Policy`'s.

use super::credential::Credential;
use super::principal::Authenticated;
use super::query::QueryArguments;
use super::time::RequestTime;
use super::{KeySource, prove, refusal, rules, text};
use crate::error::{Code, S3Error};
use crate::form::{FormFields, missing_field};
use crate::http::head::RequestHead;
use crate::limits::PRESIGN_EXPIRES_S_MAX;

/// The fields of a signature, as AWS spells them, in the order in which it misses them.
const SIGNATURE: &str = "X-Amz-Signature";
const ALGORITHM: &str = "X-Amz-Algorithm";
const CREDENTIAL: &str = "X-Amz-Credential";
const DATE: &str = "X-Amz-Date";

/// Verifies the signature of a form: its fields, or none of them (anonymous). The head must not be signed too.
///
/// `region` is the one this deployment answers for, `now_ms` unix milliseconds.
///
/// # Errors
/// What S3 answers: missing, malformed or doubled credentials 400, future, old or wrong ones 403.
pub fn authenticate_form(
    head: &RequestHead,
    fields: &FormFields,
    keys: &impl KeySource,
    region: &str,
    now_ms: u64,
) -> Result<Authenticated, S3Error> {
    let query = QueryArguments::scan(head.query())?;
    let in_head = rules::header_once(head, "authorization")?.is_some() || query.credentials().is_some();
    let v4 = [SIGNATURE, ALGORITHM, CREDENTIAL, DATE].iter().any(|name| fields.has(name));
    let v2 = ["AWSAccessKeyId", "signature"].iter().any(|name| fields.has(name));
    if in_head || v2 && v4 {
        return Err(refusal::two_credentials());
    }
    rules::session_token(head, &query)?;
    if fields.has("x-amz-security-token") {
        return Err(S3Error::new(Code::InvalidToken));
    }
    match (v4, v2) {
        (true, _) => verify(fields, keys, region, now_ms),
        (false, true) => Err(refusal::signature_v2()),
        (false, false) => Ok(Authenticated::Anonymous),
    }
}

fn verify(
    fields: &FormFields,
    keys: &impl KeySource,
    region: &str,
    now_ms: u64,
) -> Result<Authenticated, S3Error> {
    let need = |name| fields.get(name).ok_or_else(|| missing_field(name));
    let (signature, algorithm) = (need(SIGNATURE)?, need(ALGORITHM)?);
    let (credential_text, date) = (need(CREDENTIAL)?, need(DATE)?);
    let policy = need("policy")?;
    if algorithm != text::ALGORITHM {
        return Err(invalid(ALGORITHM, algorithm, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
    }
    let credential =
        Credential::parse(credential_text).map_err(|fault| invalid(CREDENTIAL, credential_text, fault))?;
    if credential.region != region {
        let wrong = format!("the region '{}' is wrong; expecting '{region}'", credential.region);
        return Err(S3Error::invalid_argument(CREDENTIAL, credential_text, wrong).with("Region", region));
    }
    let time = RequestTime::parse_basic(date.as_bytes()).ok_or_else(|| {
        invalid(DATE, date, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    if credential.day != time.day {
        let other = "the date in the credential scope is not the date of the request";
        return Err(invalid(CREDENTIAL, credential_text, other));
    }
    // The policy says until when; a signing key is good for a week at most.
    rules::presigned_time(time.unix_ms, PRESIGN_EXPIRES_S_MAX, now_ms)?;
    let mismatch = || refusal::form_mismatch(&credential, policy, signature);
    let proven = prove(keys, &credential, policy.as_bytes(), signature.as_bytes(), mismatch)?;
    Ok(Authenticated::post_form(std::sync::Arc::clone(proven.identity)))
}

fn invalid(name: &'static str, value: &str, what: &'static str) -> S3Error {
    S3Error::invalid_argument(name, value, what)
}
