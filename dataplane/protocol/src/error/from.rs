//! How other words for failure become S3's.

use holdfast_common::wire::{Refusal, Refused};

use super::{Code, S3Error};

/// What the authority refused. Its sentence is kept where the client can act on it, and hidden where it would only tell
/// about our insides.
impl From<Refused> for S3Error {
    fn from(refused: Refused) -> Self {
        let code = code_of(refused.reason());
        let error = Self::new(code);
        let ours = matches!(code, Code::InternalError | Code::ServiceUnavailable);
        if ours || refused.detail.is_empty() { error } else { error.message(refused.detail) }
    }
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
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Refusal, Refused, S3Error};

    #[test]
    fn refusals_keep_sentences_that_help_and_hide_ours() {
        let refused =
            |reason: Refusal| Refused { reason: reason.into(), detail: "part 3".into(), retryable: false };
        let part: S3Error = refused(Refusal::InvalidPart).into();
        assert_eq!((part.code, part.message.as_ref()), (Code::InvalidPart, "part 3"));
        let ours: S3Error = refused(Refusal::Malformed).into();
        assert_eq!(ours.code, Code::InternalError);
        assert_ne!(ours.message, "part 3");
        let unknown: S3Error = Refused { reason: 9999, detail: String::new(), retryable: false }.into();
        assert_eq!(unknown.code, Code::InternalError);
        assert_eq!(S3Error::from(refused(Refusal::NotLeader)).retry_after_s, Some(1));
    }
}
