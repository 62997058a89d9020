//! POST Object: an HTML form that uploads a file (`multipart/form-data`), allowed by a policy that a key signed.
//!
//! ```text
//! head ──► Boundary::of ──► FormDecoder::feed* ──► File(FormFields)   all fields before the file
//!                               │                      ├─ sigv4::authenticate_form   who signed the policy
//!                               │                      └─ PostObject::read           what the policy allows, typed
//!                               ├──► Data | Held  (the file, not copied) ──► FileEnd ──► finish()
//! stored object ──► PostAnswer::render
//! ```
//!
//! All decisions fall before the first byte of the file, but two: its size (nobody says it beforehand) is held against the
//! policy at its end, and so are its checksums. Nothing may become visible before [`FormDecoder::finish`] has said yes.
//!
//! What S3 does with fields after the file, it does to all of them: ignore them.

mod answer;
mod boundary;
mod decoder;
mod fields;
mod multipart;
mod object;
mod parameters;
mod part;
mod policy;
mod range;

pub use answer::{PostAnswer, PostAnswered, PostStatus, RedirectUrl, StoredObject, object_location};
pub use boundary::Boundary;
pub use decoder::{FormDecoder, FormEvent};
pub use fields::FormFields;
pub use object::PostObject;
pub use policy::Policy;
pub use range::ContentLengthRange;

pub(crate) use fields::missing_field;

use crate::limits::{FORM_BYTES_MAX, FORM_FIELDS_MAX};

/// Why a form is refused before anything in it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("the body is not multipart/form-data")]
    NotMultipart,
    #[error("the Content-Type names no boundary of 1 to 70 legal characters")]
    Boundary,
    #[error("the head of a part is malformed")]
    PartHead,
    #[error("a part has no Content-Disposition of form-data with a name")]
    Disposition,
    #[error("a part has a Content-Transfer-Encoding")]
    TransferEncoding,
    #[error("the head of a part is too long")]
    PartHeadTooLong,
    #[error("the value of a field is not UTF-8")]
    NotUtf8,
    #[error("the field {0} is given more than once")]
    Repeated(String),
    #[error("there are more than {FORM_FIELDS_MAX} fields")]
    TooManyFields,
    #[error("what comes before the file has more than {FORM_BYTES_MAX} bytes")]
    TooLongBeforeFile,
    #[error("what comes after the file has more than {FORM_BYTES_MAX} bytes")]
    TooLongAfterFile,
    #[error("the form has no field named file")]
    NoFile,
    #[error("the body ends before its closing boundary")]
    Truncated,
}

#[cfg(test)]
mod tests;
