//! How other words for failure become S3's.

use holdfast_common::wire::{Refusal, Refused};

use super::{Code, S3Error};
use crate::form::FormError;
use crate::http::head::HeadError;
use crate::limits::{FORM_BYTES_MAX, OBJECT_KEY_BYTES_MAX};
use crate::name::{KeyError, NameError};
use crate::uri::{Repeated, UriError};

/// A head that cannot be trusted. The connection closes: where the next request begins is unknown.
impl From<HeadError> for S3Error {
    fn from(error: HeadError) -> Self {
        let code = match error {
            HeadError::TargetTooLong => Code::URITooLong,
            HeadError::Target => Code::InvalidURI,
            HeadError::HeadTooLarge | HeadError::TooManyHeaders => Code::RequestHeaderSectionTooLarge,
            HeadError::TransferEncoding | HeadError::Version => Code::NotImplemented,
            _ => Code::BadRequest,
        };
        Self::new(code).message(format!("The request is not valid HTTP: {error}.")).closing()
    }
}

impl From<NameError> for S3Error {
    fn from(error: NameError) -> Self {
        let sentence = Code::InvalidBucketName.sentence();
        Self::new(Code::InvalidBucketName).message(format!("{sentence} ({error})"))
    }
}

impl From<KeyError> for S3Error {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::TooLong { bytes } => Self::new(Code::KeyTooLongError)
                .with("Size", bytes.to_string())
                .with("MaxSizeAllowed", OBJECT_KEY_BYTES_MAX.to_string()),
            KeyError::NotUtf8 => {
                Self::new(Code::InvalidURI).message(format!("Couldn't parse the specified URI: {error}."))
            }
            KeyError::Empty | KeyError::Nul => Self::new(Code::InvalidArgument).message(format!("{error}.")),
        }
    }
}

impl From<UriError> for S3Error {
    fn from(error: UriError) -> Self {
        Self::new(Code::InvalidURI).message(format!("Couldn't parse the specified URI: {error}."))
    }
}

/// A header or argument that means something and was given twice.
impl From<Repeated> for S3Error {
    fn from(error: Repeated) -> Self {
        Self::new(Code::InvalidArgument).message(format!("{error}.")).with("ArgumentName", error.name)
    }
}

/// A form that is none, or too much of one.
impl From<FormError> for S3Error {
    fn from(error: FormError) -> Self {
        match error {
            FormError::NotMultipart => Self::new(Code::PreconditionFailed)
                .with("Condition", "Bucket POST must be of the enclosure-type multipart/form-data"),
            FormError::TooLongBeforeFile | FormError::TooManyFields => {
                Self::new(Code::MaxPostPreDataLengthExceededError)
                    .with("MaxPostPreDataLengthBytes", FORM_BYTES_MAX.to_string())
            }
            FormError::TooLongAfterFile => Self::new(Code::MaxMessageLengthExceeded)
                .message(format!("Your request was too big: {error}.")),
            FormError::NoFile => {
                Self::invalid_argument("file", "0", "POST requires exactly one file upload per request.")
            }
            FormError::Repeated(ref name) => {
                Self::invalid_argument(name.as_str(), "", format!("In the form {error}."))
            }
            FormError::TransferEncoding => Self::not_implemented("Content-Transfer-Encoding in a form"),
            _ => {
                let sentence = Code::MalformedPOSTRequest.sentence();
                Self::new(Code::MalformedPOSTRequest).message(format!("{sentence} ({error})"))
            }
        }
    }
}

/// What the authority refused, in S3's own sentence. The authority's is kept where S3 has a code for many mistakes.
impl From<Refused> for S3Error {
    fn from(refused: Refused) -> Self {
        let code = code_of(refused.reason());
        let mut error = Self::new(code);
        for element in refused.elements {
            error.extra.extend(known_element(&element.name).map(|name| (name, element.value)));
        }
        let many = matches!(code, Code::InvalidRequest | Code::BadDigest | Code::TooManyBuckets);
        if many && !refused.detail.is_empty() { error.message(refused.detail) } else { error }
    }
}

/// Elements that the authority may add to an answer.
fn known_element(name: &str) -> Option<&'static str> {
    const KNOWN: [&str; 8] = [
        "BucketName",
        "Condition",
        "ETag",
        "Key",
        "MinSizeAllowed",
        "PartNumber",
        "ProposedSize",
        "UploadId",
    ];
    KNOWN.into_iter().find(|known| *known == name)
}

/// The code a client sees for each refusal. What it could only cause by retrying is `ServiceUnavailable`.
fn code_of(reason: Refusal) -> Code {
    match reason {
        Refusal::Unspecified | Refusal::Malformed => Code::InternalError,
        Refusal::NoSuchBucket => Code::NoSuchBucket,
        Refusal::NoSuchKey => Code::NoSuchKey,
        Refusal::NoSuchUpload => Code::NoSuchUpload,
        Refusal::NoSuchVersion => Code::NoSuchVersion,
        Refusal::PreconditionFailed => Code::PreconditionFailed,
        Refusal::ConditionalConflict => Code::ConditionalRequestConflict,
        Refusal::BucketNotEmpty => Code::BucketNotEmpty,
        Refusal::BucketAlreadyExists => Code::BucketAlreadyExists,
        Refusal::BucketAlreadyOwnedByYou => Code::BucketAlreadyOwnedByYou,
        Refusal::InvalidPart => Code::InvalidPart,
        Refusal::InvalidPartOrder => Code::InvalidPartOrder,
        Refusal::EntityTooSmall => Code::EntityTooSmall,
        Refusal::EntityTooLarge => Code::EntityTooLarge,
        // the node retries these; a client sees them only when that did not help
        Refusal::StaleRevision
        | Refusal::OpTooOld
        | Refusal::Abandoned
        | Refusal::NotLeader
        | Refusal::Unavailable => Code::ServiceUnavailable,
        Refusal::BadDigest => Code::BadDigest,
        Refusal::TooManyBuckets => Code::TooManyBuckets,
        Refusal::InvalidRequest => Code::InvalidRequest,
        Refusal::AccessDenied => Code::AccessDenied,
        Refusal::MethodNotAllowed => Code::MethodNotAllowed,
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Refusal, Refused, S3Error};

    #[test]
    fn refusals_keep_sentences_that_help_and_hide_ours() {
        let refused = |reason: Refusal| Refused {
            reason: reason.into(),
            detail: "part 3".into(),
            ..Default::default()
        };
        let size: S3Error = refused(Refusal::InvalidRequest).into();
        assert_eq!((size.code, size.message.as_ref()), (Code::InvalidRequest, "part 3"));
        let part: S3Error = refused(Refusal::InvalidPart).into();
        assert_eq!((part.code, part.message.as_ref()), (Code::InvalidPart, Code::InvalidPart.sentence()));
        let ours: S3Error = refused(Refusal::Malformed).into();
        assert_eq!(ours.code, Code::InternalError);
        assert_ne!(ours.message, "part 3");
        let unknown: S3Error = Refused { reason: 9999, ..Default::default() }.into();
        assert_eq!(unknown.code, Code::InternalError);
        assert_eq!(S3Error::from(refused(Refusal::NotLeader)).retry_after_s, Some(1));
    }
}
