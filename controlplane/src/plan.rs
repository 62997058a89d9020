//! Decisions without I/O: what a mutation does to the rows it finds, how a listing walks, which days get signing keys.
//!
//! Rows and `now` come in, writes and answers go out. `app/*` reads the rows before and carries the writes out after.

pub mod checksum;
pub mod complete;
pub mod decide;
pub mod listing;
pub mod precondition;
pub mod recovery;
pub mod redundancy;
pub mod signing_days;
pub mod validate;
pub mod writes;

use holdfast_common::wire;

/// A refusal with its sentence.
pub(crate) fn refuse(reason: wire::Refusal, detail: impl Into<String>) -> wire::Refused {
    wire::Refused { reason: reason.into(), detail: detail.into(), ..Default::default() }
}

/// The same with elements that S3's answer has beside its sentence.
pub(crate) fn refuse_with(
    reason: wire::Refusal,
    detail: impl Into<String>,
    elements: &[(&str, &str)],
) -> wire::Refused {
    let pair = |(name, value): &(&str, &str)| wire::Pair { name: (*name).into(), value: (*value).into() };
    wire::Refused { elements: elements.iter().map(pair).collect(), ..refuse(reason, detail) }
}

/// `key`: what was asked for, as its client named it.
pub(crate) fn no_such_key(key: &[u8], detail: &str) -> wire::Refused {
    refuse_with(wire::Refusal::NoSuchKey, detail, &[("Key", &String::from_utf8_lossy(key))])
}

/// A refusal after which the same op id may come again.
pub(crate) fn refuse_for_now(reason: wire::Refusal, detail: impl Into<String>) -> wire::Refused {
    wire::Refused { reason: reason.into(), detail: detail.into(), retryable: true, ..Default::default() }
}
