//! What a completion says of its object's checksum, held against what the upload promised.

use std::borrow::Cow;

use holdfast_common::wire;
use holdfast_common::wire::checksum::Kind;

use crate::digest::ChecksumAlgorithm;
use crate::error::{Code, S3Error};

use super::body::invalid_request;
use super::{CompleteInput, ExpectedChecksum, checksum_kind_name};

impl CompleteInput {
    /// The checksum that the client wants to find, as the authority compares it with the one it makes. `upload` is `None` when it
    /// has ended: then only an answer is repeated, and the authority knows whether there is one.
    ///
    /// # Errors
    /// `BadDigest` for another type than the upload's, or another number of parts; `InvalidRequest` for a part of a composite upload
    /// without its checksum.
    pub fn expected_of(
        &self,
        upload: Option<&wire::Upload>,
        parts: &[wire::CompletedPart],
    ) -> Result<Option<wire::Checksum>, S3Error> {
        let kind = match upload {
            Some(upload) => match ChecksumAlgorithm::from_wire(upload.checksum_algorithm) {
                Some(named) => {
                    self.check_kind(upload.checksum_kind())?;
                    check_parts(named, upload.checksum_kind(), parts)?;
                    upload.checksum_kind()
                }
                None => self.kind_said(),
            },
            None => self.kind_said(),
        };
        let Some(expected) = &self.expected else { return Ok(None) };
        let other_parts = |count: u32| kind == Kind::FullObject || count as usize != parts.len();
        if expected.parts.is_some_and(other_parts) {
            let name = expected.value.algorithm().name();
            return Err(bad_digest(format!(
                "The {name} you specified did not match the calculated checksum."
            )));
        }
        Ok(Some(expected.value.to_wire(kind)))
    }

    /// The type that the request itself makes likely.
    fn kind_said(&self) -> Kind {
        let composite = |sum: &ExpectedChecksum| sum.parts.is_some() || !sum.value.algorithm().full_object();
        let implied =
            if self.expected.as_ref().is_some_and(composite) { Kind::Composite } else { Kind::FullObject };
        self.checksum_kind.unwrap_or(implied)
    }

    /// `x-amz-checksum-type` is there to be compared.
    fn check_kind(&self, promised: Kind) -> Result<(), S3Error> {
        match self.checksum_kind {
            Some(said) if said != promised => Err(bad_digest(format!(
                "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
                checksum_kind_name(promised)
            ))),
            _ => Ok(()),
        }
    }
}

/// A composite checksum is made of what the client vouches for, so it has to name what it means.
fn check_parts(named: ChecksumAlgorithm, kind: Kind, parts: &[wire::CompletedPart]) -> Result<(), S3Error> {
    let has = |part: &wire::CompletedPart| {
        part.checksums.iter().any(|checksum| checksum.algorithm == named.to_wire() as i32)
    };
    match parts.iter().find(|part| kind == Kind::Composite && !has(part)) {
        None => Ok(()),
        Some(part) => Err(invalid_request(format!(
            "The upload was created using a {} checksum. The complete request must include the checksum for each part. It was \
             missing for part {} in the request.",
            named.name().to_ascii_lowercase(),
            part.number
        ))),
    }
}

fn bad_digest(message: impl Into<Cow<'static, str>>) -> S3Error {
    S3Error::new(Code::BadDigest).message(message)
}

#[cfg(test)]
mod tests {
    use super::ChecksumAlgorithm::{Crc32, Crc64Nvme, Sha256};
    use super::Kind::{Composite, FullObject};
    use super::*;
    use crate::digest::ChecksumValue;
    use crate::operation::{BodyClaims, UploadRef};

    type Said = (Option<ChecksumAlgorithm>, Option<u32>, Option<Kind>);

    fn input((algorithm, parts, checksum_kind): Said) -> CompleteInput {
        let value = |algorithm: ChecksumAlgorithm| {
            ChecksumValue::from_bytes(algorithm, &vec![1; algorithm.bytes()]).unwrap()
        };
        CompleteInput {
            upload: UploadRef { upload_id: "u".to_owned() },
            when: wire::Precondition::default(),
            body: BodyClaims::default(),
            expected: algorithm.map(|algorithm| ExpectedChecksum { value: value(algorithm), parts }),
            checksum_kind,
            object_size: None,
        }
    }

    fn upload(algorithm: Option<ChecksumAlgorithm>, kind: Kind) -> wire::Upload {
        let checksum_algorithm = algorithm.map_or(0, |algorithm| algorithm.to_wire() as i32);
        wire::Upload { checksum_algorithm, checksum_kind: kind.into(), ..Default::default() }
    }

    /// Of two parts with this checksum each.
    fn two(algorithm: Option<ChecksumAlgorithm>) -> Vec<wire::CompletedPart> {
        let sum = |algorithm: ChecksumAlgorithm| {
            ChecksumValue::from_bytes(algorithm, &vec![2; algorithm.bytes()]).unwrap().to_wire(FullObject)
        };
        let part = |number| wire::CompletedPart {
            number,
            checksums: algorithm.map(sum).into_iter().collect(),
            ..Default::default()
        };
        vec![part(1), part(2)]
    }

    /// The type under which the checksum goes to the authority.
    #[track_caller]
    fn check(
        upload: Option<wire::Upload>,
        of_parts: Option<ChecksumAlgorithm>,
        said: Said,
        expected: Result<Option<Kind>, Code>,
    ) {
        let got = input(said).expected_of(upload.as_ref(), &two(of_parts));
        assert_eq!(
            got.map(|sum| sum.map(|sum| sum.kind())).map_err(|error| error.code),
            expected,
            "{said:?}"
        );
    }

    #[test]
    fn the_upload_says_which_type() {
        for kind in [FullObject, Composite] {
            let crc32 = || Some(upload(Some(Crc32), kind));
            check(crc32(), Some(Crc32), (None, None, None), Ok(None));
            check(crc32(), Some(Crc32), (Some(Crc32), None, None), Ok(Some(kind)));
            check(crc32(), Some(Crc32), (Some(Crc32), None, Some(kind)), Ok(Some(kind)));
            check(crc32(), Some(Crc32), (None, None, Some(kind)), Ok(None));
        }
        check(
            Some(upload(Some(Crc32), FullObject)),
            None,
            (None, None, Some(Composite)),
            Err(Code::BadDigest),
        );
        let sha256 = || Some(upload(Some(Sha256), Composite));
        check(sha256(), Some(Sha256), (None, None, Some(FullObject)), Err(Code::BadDigest));
        check(sha256(), Some(Sha256), (Some(Sha256), Some(2), None), Ok(Some(Composite)));
        check(sha256(), Some(Sha256), (Some(Sha256), Some(3), None), Err(Code::BadDigest));
        check(
            Some(upload(Some(Crc32), FullObject)),
            None,
            (Some(Crc32), Some(2), None),
            Err(Code::BadDigest),
        );
    }

    #[test]
    fn a_composite_wants_the_checksum_of_every_part() {
        let sha256 = || Some(upload(Some(Sha256), Composite));
        check(sha256(), None, (None, None, None), Err(Code::InvalidRequest));
        check(sha256(), Some(Crc32), (None, None, None), Err(Code::InvalidRequest));
        check(Some(upload(Some(Crc64Nvme), FullObject)), None, (None, None, None), Ok(None));
        let error = input((None, None, None)).expected_of(sha256().as_ref(), &two(None)).unwrap_err();
        let end = "using a sha256 checksum. The complete request must include the checksum for each part. It was missing for part \
                   1 in the request.";
        assert!(error.message.ends_with(end), "{}", error.message);
    }

    #[test]
    fn without_one_the_request_says_itself() {
        for upload in [None, Some(upload(None, FullObject))] {
            let check = |said, expected| check(upload.clone(), None, said, expected);
            check((None, None, Some(FullObject)), Ok(None));
            check((Some(Crc32), None, None), Ok(Some(FullObject)));
            check((Some(Crc32), Some(2), None), Ok(Some(Composite)));
            check((Some(Crc32), None, Some(Composite)), Ok(Some(Composite)));
            check((Some(Sha256), None, None), Ok(Some(Composite)));
            check((Some(Crc64Nvme), None, None), Ok(Some(FullObject)));
        }
    }
}
