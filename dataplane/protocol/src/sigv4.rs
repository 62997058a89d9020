//! Who sent this request: AWS Signature Version 4, verified by our own code without allocating on the way.
//!
//! [`authenticate`] is the only way from a request head to an [`Authenticated`], [`authenticate_form`] the only one from the
//! fields of a POST form; the body's rule comes out with it as a
//! [`PayloadMode`], so that no payload can be read under another rule than the one that was signed. Secrets never
//! come here: a node holds *day signing keys* (DESIGN 4.6). `aws-sigv4` is the oracle of the tests.

mod canonical;
mod chunk;
mod claim;
mod credential;
mod encode;
mod form;
mod key;
mod payload;
mod principal;
mod query;
mod refusal;
mod rules;
mod text;
mod time;

pub use chunk::ChunkSigner;
pub use form::authenticate_form;
pub use key::{KeyLookup, KeySource, SigningKey, derive_day_key};
pub use payload::{PayloadKind, PayloadMode};
pub use principal::{Authenticated, Proof};

use crate::access::KeyIdentity;
use crate::error::{Code, S3Error};
use crate::http::head::RequestHead;
use claim::Claim;
use credential::Credential;
use payload::PayloadClaim;
use query::QueryArguments;
use std::sync::Arc;
use text::{StringToSign, constant_time_equal, hex_signature};

/// A request head that passed: who sent it, and the rule its body must obey.
#[derive(Clone, Debug)]
pub struct Verified {
    pub who: Authenticated,
    pub payload: PayloadMode,
}

/// Verifies the credentials of a request: the `Authorization` header, or a presigned query, or none (anonymous).
///
/// `region` is the one this deployment answers for, `now_ms` unix milliseconds.
///
/// # Errors
/// What S3 answers: malformed or doubled credentials 400, skewed, expired or wrong ones 403.
pub fn authenticate(
    head: &RequestHead,
    keys: &impl KeySource,
    region: &str,
    now_ms: u64,
) -> Result<Verified, S3Error> {
    let query = QueryArguments::scan(head.query())?;
    let authorization = rules::header_once(head, "authorization")?;
    let mut scratch = query::Scratch::new();
    let claim = match (authorization, query.credentials()) {
        (Some(_), Some(_)) => return Err(refusal::two_credentials()),
        (Some(value), None) => Claim::from_header(head, value)?,
        (None, Some(query::Credentials::V4)) => Claim::from_query(head, &query, &mut scratch)?,
        (None, Some(query::Credentials::V2)) => return Err(refusal::signature_v2()),
        (None, None) => return anonymous(head),
    };
    rules::region(&claim, region)?;
    rules::time(&claim, now_ms)?;
    rules::signed_headers(head, &claim)?;
    rules::session_token(head, &query)?;
    verify(head, &query, &claim, keys)
}

/// No credentials at all. The body may still say how it is hashed, but it cannot be signed.
fn anonymous(head: &RequestHead) -> Result<Verified, S3Error> {
    let payload = match rules::header_once(head, payload::HEADER)? {
        None => PayloadMode::Unsigned,
        Some(value) => {
            PayloadClaim::parse(value)?.without_key().ok_or_else(refusal::streaming_without_key)?
        }
    };
    Ok(Verified { who: Authenticated::Anonymous, payload })
}

fn verify(
    head: &RequestHead,
    query: &QueryArguments<'_>,
    claim: &Claim<'_>,
    keys: &impl KeySource,
) -> Result<Verified, S3Error> {
    let hash = canonical::hash(head, query, claim);
    let text = StringToSign::request(&claim.time.text, claim.credential.scope, &hash);
    let mismatch = || refusal::mismatch(head, query, claim, &text);
    let proven = prove(keys, &claim.credential, text.as_bytes(), claim.signature, mismatch)?;
    let signer =
        || ChunkSigner::new(proven.key.clone(), &claim.time.text, claim.credential.scope, proven.signature);
    let payload = claim.payload.with_key(signer);
    Ok(Verified { who: Authenticated::key(Arc::clone(proven.identity)), payload })
}

/// A signature that is right: whose, and itself.
struct Proven<'k> {
    key: &'k SigningKey,
    identity: &'k Arc<KeyIdentity>,
    signature: [u8; 32],
}

/// Signs `message` as the owner of the credential would have, and compares. The one place where a signature is believed.
fn prove<'k>(
    keys: &'k impl KeySource,
    credential: &Credential<'_>,
    message: &[u8],
    claimed: &[u8],
    mismatch: impl FnOnce() -> S3Error,
) -> Result<Proven<'k>, S3Error> {
    let lookup = keys.signing_key(credential.access_key_id, credential.day, credential.region);
    // an unknown key costs the same HMAC as a known one
    let key = match &lookup {
        KeyLookup::Found { key, .. } => key,
        KeyLookup::NoKeyForDay { .. } | KeyLookup::NoSuchKey => SigningKey::nobody(),
    };
    let signature = key.sign_for(keys, message);
    let equal = hex_signature(claimed).is_some_and(|claimed| constant_time_equal(&claimed, &signature));
    match lookup {
        KeyLookup::NoSuchKey => Err(refusal::no_such_key(credential)),
        KeyLookup::NoKeyForDay { identity } => Err(refusal::no_key_for_day(credential, identity)),
        KeyLookup::Found { .. } if !equal => Err(mismatch()),
        KeyLookup::Found { identity, .. } if credential.day < identity.signed_not_before => {
            Err(S3Error::new(Code::AccessDenied))
        }
        KeyLookup::Found { key, identity } => Ok(Proven { key, identity, signature }),
    }
}

#[cfg(test)]
mod tests;
