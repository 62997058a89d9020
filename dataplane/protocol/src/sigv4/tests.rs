//! What the verifier is held against: AWS's published examples, the edges of DESIGN 4.6, and `aws-sigv4`.

mod edges;
mod form;
mod golden;
mod naive;
mod oracle;
mod streaming;

use super::{KeyLookup, KeySource, SigningKey, Verified, authenticate, derive_day_key};
use crate::access::{KeyIdentity, Permissions, Scope};
use crate::error::{Code, S3Error};
use crate::http::head::RequestHead;
use holdfast_common::id::TenantId;
use std::sync::Arc;

pub(super) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(super) const REGION: &str = "us-east-1";
pub(super) const DAY: u32 = 20_130_524;
/// 2013-05-24T00:00:00Z
pub(super) const NOW_MS: u64 = 1_369_353_600_000;

/// A snapshot with AWS's example key on AWS's example day.
pub(super) struct OneKey {
    key: SigningKey,
    identity: Arc<KeyIdentity>,
}

impl OneKey {
    pub(super) fn new() -> Self {
        Self::not_before(0)
    }

    pub(super) fn not_before(signed_not_before: u32) -> Self {
        let identity = KeyIdentity {
            access_key_id: ACCESS_KEY.into(),
            name: "example".into(),
            tenant_id: TenantId(7),
            scope: Scope::WholeTenant,
            permissions: Permissions::ALL,
            signed_not_before,
            revision: 1,
        };
        let key = SigningKey::new(&derive_day_key(SECRET.as_bytes(), DAY, REGION));
        Self { key, identity: Arc::new(identity) }
    }
}

impl KeySource for OneKey {
    fn signing_key(&self, access_key_id: &str, day: u32, region: &str) -> KeyLookup<'_> {
        match (access_key_id == ACCESS_KEY, (day, region) == (DAY, REGION)) {
            (true, true) => KeyLookup::Found { key: &self.key, identity: &self.identity },
            (true, false) => KeyLookup::NoKeyForDay { identity: &self.identity },
            (false, _) => KeyLookup::NoSuchKey,
        }
    }
}

/// Lines of a head, without the empty one at its end.
pub(super) fn head(lines: &[&str]) -> RequestHead {
    let text = lines.join("\r\n") + "\r\n\r\n";
    RequestHead::parse(text.as_bytes()).expect("a head").expect("a whole head").0
}

pub(super) fn verify_at(head: &RequestHead, now_ms: u64) -> Result<Verified, S3Error> {
    authenticate(head, &OneKey::new(), REGION, now_ms)
}

pub(super) fn verify(head: &RequestHead) -> Result<Verified, S3Error> {
    verify_at(head, NOW_MS)
}

#[track_caller]
pub(super) fn accepted(head: &RequestHead) -> Verified {
    match verify(head) {
        Ok(verified) => verified,
        Err(error) => panic!("{error}: {:#?}", error.extra),
    }
}

#[track_caller]
pub(super) fn refused(head: &RequestHead, code: Code) -> S3Error {
    let error = verify(head).expect_err("a refusal");
    assert_eq!(error.code, code, "{error}: {:#?}", error.extra);
    error
}

pub(super) fn extra<'a>(error: &'a S3Error, element: &str) -> Option<&'a str> {
    error.extra.iter().find(|(name, _)| *name == element).map(|(_, value)| value.as_str())
}
