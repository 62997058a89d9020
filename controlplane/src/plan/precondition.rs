//! Conditional requests, decided against the row as it stands in the commit.

use holdfast_common::wire::{Precondition, Refusal, Refused};

use crate::plan::{no_such_key, refuse_with};
use crate::store::head::HeadRow;

/// Of the object that is to be written or deleted. `If-Match` on a key that is not there is 404, as AWS has it.
pub fn check(when: Option<&Precondition>, key: &[u8], head: Option<&HeadRow>) -> Result<(), Refused> {
    let Some(when) = when else { return Ok(()) };
    match head {
        Some(_) if when.absent => Err(failed("If-None-Match", "the object exists")),
        Some(head) => check_present(when, head),
        None if !when.if_match.is_empty() => {
            Err(no_such_key(key, "If-Match names an object that is not there"))
        }
        None if when.has_if_size => Err(no_such_key(key, "the object whose size was named is not there")),
        None => Ok(()),
    }
}

/// Of a copy's source, which is known to exist. A matching ETag outweighs the dates (RFC 9110, section 13.2.2).
fn check_present(when: &Precondition, head: &HeadRow) -> Result<(), Refused> {
    // HTTP dates have seconds only.
    let modified_s = head.modified_ms / 1000;
    if !when.if_match.is_empty() {
        if when.if_match != "*" && when.if_match != head.etag {
            return Err(failed("If-Match", "the ETag is another"));
        }
    } else if when.if_unmodified_since_ms > 0 && modified_s > when.if_unmodified_since_ms / 1000 {
        return Err(failed("If-Unmodified-Since", "the object was modified since"));
    }
    if !when.if_none_match.is_empty() {
        if when.if_none_match == "*" || when.if_none_match == head.etag {
            return Err(failed("If-None-Match", "the ETag is the same"));
        }
    } else if when.if_modified_since_ms > 0 && modified_s <= when.if_modified_since_ms / 1000 {
        return Err(failed("If-Modified-Since", "the object was not modified since"));
    }
    if when.has_if_size && when.if_size != head.size {
        return Err(failed("x-amz-if-match-size", "the size is another"));
    }
    Ok(())
}

/// The same of a copy's source, whose conditions have names of their own.
pub fn check_source(when: &Precondition, head: &HeadRow) -> Result<(), Refused> {
    check_present(when, head).map_err(|mut refused| {
        for element in &mut refused.elements {
            element.value.insert_str(0, "x-amz-copy-source-");
        }
        refused
    })
}

/// `condition`: as S3 names it in its answer.
fn failed(condition: &str, detail: &str) -> Refused {
    refuse_with(Refusal::PreconditionFailed, format!("{detail} ({condition})"), &[("Condition", condition)])
}
