//! The checksums of one part: what its upload promised, and what its client sent.

use holdfast_common::wire;
use holdfast_common::wire::checksum::Kind;

use crate::digest::{ChecksumAlgorithm, ChecksumSet, ChecksumValue, DigestPlan, Digests};
use crate::error::S3Error;

use super::body::invalid_request;

/// What to compute of a part's bytes and keep with the part, and which of it the answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartChecksums {
    /// The upload's algorithm, for the object's checksum when the upload is completed, and the one to hold the part against.
    kept: ChecksumSet,
    /// Answered in `x-amz-checksum-*` and CopyPartResult.
    shown: Option<ChecksumAlgorithm>,
}

impl PartChecksums {
    /// Of a part whose body comes with a checksum of algorithm `sent`. Of an upload that named none any may come; beside it
    /// CRC64NVME is kept, which the object gets when it is completed.
    ///
    /// # Errors
    /// `InvalidRequest` for another algorithm than the upload's, and for none at all where the upload is composite: its checksum is
    /// made of what clients vouch for, never of what we computed for them.
    pub fn of_body(upload: &wire::Upload, sent: Option<ChecksumAlgorithm>) -> Result<Self, S3Error> {
        let Some(named) = named(upload) else {
            let kept = ChecksumSet::default().with(ChecksumAlgorithm::DEFAULT);
            return Ok(Self { kept: sent.map_or(kept, |sent| kept.with(sent)), shown: sent });
        };
        let missing = sent.is_none() && upload.checksum_kind() == Kind::Composite;
        if missing || sent.is_some_and(|sent| sent != named) {
            return Err(mismatch(named, sent));
        }
        Ok(Self::promised(named))
    }

    /// Of a part that is copied: nobody sends a checksum with it, so the upload's is computed.
    #[must_use]
    pub fn of_copy(upload: &wire::Upload) -> Self {
        let none = || Self { kept: ChecksumSet::default().with(ChecksumAlgorithm::DEFAULT), shown: None };
        named(upload).map_or_else(none, Self::promised)
    }

    /// What is kept, and MD5 for the part's ETag.
    #[must_use]
    pub fn plan(&self) -> DigestPlan {
        DigestPlan { md5: true, payload_sha256: false, checksums: self.kept }
    }

    /// The value to answer with, of what was computed by the [plan](Self::plan).
    #[must_use]
    pub fn shown(&self, digests: &Digests) -> Option<ChecksumValue> {
        digests.checksum(self.shown?)
    }

    fn promised(named: ChecksumAlgorithm) -> Self {
        Self { kept: ChecksumSet::default().with(named), shown: Some(named) }
    }
}

fn named(upload: &wire::Upload) -> Option<ChecksumAlgorithm> {
    ChecksumAlgorithm::from_wire(upload.checksum_algorithm)
}

fn mismatch(named: ChecksumAlgorithm, sent: Option<ChecksumAlgorithm>) -> S3Error {
    let lower = |algorithm: ChecksumAlgorithm| algorithm.name().to_ascii_lowercase();
    invalid_request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        lower(named),
        sent.map_or_else(|| "null".to_owned(), lower)
    ))
}

#[cfg(test)]
mod tests {
    use super::ChecksumAlgorithm::{Crc32, Crc64Nvme, Sha256, Xxhash3};
    use super::*;

    fn upload(algorithm: Option<ChecksumAlgorithm>, kind: Kind) -> wire::Upload {
        wire::Upload {
            checksum_algorithm: algorithm.map_or(0, |algorithm| algorithm.to_wire() as i32),
            checksum_kind: kind.into(),
            ..Default::default()
        }
    }

    #[track_caller]
    fn check(
        (named, kind): (Option<ChecksumAlgorithm>, Kind),
        sent: Option<ChecksumAlgorithm>,
        expected: Result<(&[ChecksumAlgorithm], Option<ChecksumAlgorithm>), &str>,
    ) {
        let got = PartChecksums::of_body(&upload(named, kind), sent);
        let got = got.map(|part| (part.kept.iter().collect::<Vec<_>>(), part.shown));
        let expected = expected.map(|(kept, shown)| (kept.to_vec(), shown));
        assert_eq!(got.map_err(|error| error.message.into_owned()), expected.map_err(str::to_owned));
    }

    #[test]
    fn of_bodies() {
        use Kind::{Composite, FullObject};
        check((None, FullObject), None, Ok((&[Crc64Nvme], None)));
        check((None, FullObject), Some(Crc32), Ok((&[Crc32, Crc64Nvme], Some(Crc32))));
        check((None, FullObject), Some(Crc64Nvme), Ok((&[Crc64Nvme], Some(Crc64Nvme))));
        check((Some(Crc32), FullObject), None, Ok((&[Crc32], Some(Crc32))));
        check((Some(Crc32), FullObject), Some(Crc32), Ok((&[Crc32], Some(Crc32))));
        check((Some(Xxhash3), Composite), Some(Xxhash3), Ok((&[Xxhash3], Some(Xxhash3))));
        let said = "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: ";
        check((Some(Sha256), Composite), Some(Crc32), Err(&format!("{said}crc32")));
        check((Some(Sha256), Composite), None, Err(&format!("{said}null")));
    }

    #[test]
    fn of_copies() {
        let copy = |named, kind| PartChecksums::of_copy(&upload(named, kind));
        let default = ChecksumSet::default().with(Crc64Nvme);
        assert_eq!(copy(None, Kind::FullObject), PartChecksums { kept: default, shown: None });
        let sha256 = PartChecksums { kept: ChecksumSet::default().with(Sha256), shown: Some(Sha256) };
        assert_eq!(copy(Some(Sha256), Kind::Composite), sha256);
    }
}
