//! A received body against everything that was claimed of it, once it is whole and before anything becomes visible.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::aws_chunked::Trailers;
use crate::digest::{ChecksumAlgorithm, ChecksumSet, ChecksumValue, DigestPlan, Digests};
use crate::error::{Code, S3Error};

use super::BodyClaims;
use super::body::invalid_request;

impl BodyClaims {
    /// What must be computed of the body to hold it against these claims.
    #[must_use]
    pub fn plan(&self) -> DigestPlan {
        let named = self.algorithm().map(|algorithm| ChecksumSet::default().with(algorithm));
        DigestPlan {
            md5: self.content_md5.is_some(),
            payload_sha256: false,
            checksums: named.unwrap_or_default(),
        }
    }

    /// The same for a body that becomes an object: also MD5, for the ETag, and where the client names no checksum
    /// CRC64NVME, which S3 computes and keeps in its place.
    #[must_use]
    pub fn plan_of_object(&self) -> DigestPlan {
        let algorithm = self.algorithm().unwrap_or(ChecksumAlgorithm::DEFAULT);
        DigestPlan { md5: true, payload_sha256: false, checksums: ChecksumSet::default().with(algorithm) }
    }

    /// The checksum behind the body, as `x-amz-trailer` announced it; the trailers' own signature is somebody else's to check.
    ///
    /// # Errors
    /// `MalformedTrailerError` for a trailer that was not announced, or an announced one that is missing; `InvalidRequest` for a
    /// value that is none.
    pub fn trailer_value(&self, trailers: &Trailers) -> Result<Option<ChecksumValue>, S3Error> {
        let Some(algorithm) = self.trailer else {
            return if trailers.is_empty() { Ok(None) } else { Err(malformed_trailer()) };
        };
        let name = algorithm.header();
        let alone = trailers.pairs().count() == 1;
        let text = trailers.value(name).filter(|_| alone).ok_or_else(malformed_trailer)?;
        match ChecksumValue::from_base64(algorithm, text.as_bytes()) {
            Some(value) => Ok(Some(value)),
            None => Err(invalid_request(format!("Value for {name} trailing header is invalid."))),
        }
    }

    /// Holds what was computed by the [plan](Self::plan) against Content-MD5 and the checksum, of the head or behind the body.
    ///
    /// # Errors
    /// `BadDigest`, in S3's words.
    pub fn verify(&self, digests: &Digests, trailer: Option<ChecksumValue>) -> Result<(), S3Error> {
        if let Some(expected) = self.content_md5
            && digests.md5 != Some(expected)
        {
            let error = S3Error::new(Code::BadDigest)
                .message("The Content-MD5 you specified did not match what we received.");
            let calculated = digests.md5.map(|md5| STANDARD.encode(md5)).unwrap_or_default();
            return Err(error
                .with("CalculatedDigest", calculated)
                .with("ExpectedDigest", STANDARD.encode(expected)));
        }
        for claimed in [self.checksum, trailer].into_iter().flatten() {
            let algorithm = claimed.algorithm();
            if digests.checksum(algorithm) != Some(claimed) {
                return Err(S3Error::new(Code::BadDigest).message(format!(
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.name()
                )));
            }
        }
        Ok(())
    }
}

pub(super) fn malformed_trailer() -> S3Error {
    S3Error::new(Code::MalformedTrailerError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws_chunked::{AwsChunkedDecoder, AwsChunkedEvent, AwsChunkedMode};
    use crate::digest::{BodyDigests, md5};

    const BODY: &[u8] = b"123456789";
    const CRC32: &str = "y/Q5Jg==";

    fn digests(plan: DigestPlan) -> Digests {
        let mut digests = BodyDigests::new(plan);
        digests.update(BODY);
        digests.finish()
    }

    fn value(algorithm: ChecksumAlgorithm, text: &str) -> ChecksumValue {
        ChecksumValue::from_base64(algorithm, text.as_bytes()).unwrap()
    }

    /// The trailers of an empty aws-chunked body.
    fn trailers(lines: &str) -> Trailers {
        let text = format!("0\r\n{lines}\r\n");
        let mut decoder = AwsChunkedDecoder::new(AwsChunkedMode::UnsignedTrailer, None);
        let mut rest = text.as_bytes();
        loop {
            let (consumed, event) = decoder.feed(rest).unwrap();
            rest = &rest[consumed..];
            if let AwsChunkedEvent::End(trailers) = event {
                return trailers;
            }
        }
    }

    #[test]
    fn what_holds_passes() {
        let claims = BodyClaims {
            content_md5: Some(md5(BODY)),
            checksum: Some(value(ChecksumAlgorithm::Crc32, CRC32)),
            ..Default::default()
        };
        claims.verify(&digests(claims.plan()), None).unwrap();
        claims.verify(&digests(claims.plan_of_object()), claims.checksum).unwrap();
        BodyClaims::default().verify(&digests(BodyClaims::default().plan()), None).unwrap();
    }

    #[test]
    fn what_does_not_is_a_bad_digest_in_aws_words() {
        for algorithm in ChecksumAlgorithm::ALL {
            let wrong = ChecksumValue::from_bytes(algorithm, &vec![b'x'; algorithm.bytes()]).unwrap();
            let head = BodyClaims { checksum: Some(wrong), ..Default::default() };
            let behind = BodyClaims { trailer: Some(algorithm), ..Default::default() };
            for (claims, trailer) in [(head, None), (behind, Some(wrong))] {
                let error = claims.verify(&digests(claims.plan()), trailer).unwrap_err();
                let message =
                    format!("The {} you specified did not match the calculated checksum.", algorithm.name());
                assert_eq!((error.code, &*error.message), (Code::BadDigest, &*message));
            }
        }
        let claims = BodyClaims { content_md5: Some(md5(b"other")), ..Default::default() };
        let error = claims.verify(&digests(claims.plan()), None).unwrap_err();
        assert_eq!(error.message, "The Content-MD5 you specified did not match what we received.");
        let calculated = ("CalculatedDigest", "JfnnlDI7RTiF9RgfG2JNCw==".to_owned());
        assert_eq!(error.extra, [calculated, ("ExpectedDigest", STANDARD.encode(md5(b"other")))]);
    }

    #[test]
    fn an_object_without_a_checksum_gets_crc64nvme() {
        let kept = |claims: BodyClaims| digests(claims.plan_of_object()).checksums().collect::<Vec<_>>();
        let default = kept(BodyClaims::default());
        assert_eq!(default, [value(ChecksumAlgorithm::Crc64Nvme, "rosUhgp5mIg=")]);
        let named = BodyClaims { trailer: Some(ChecksumAlgorithm::Crc32), ..Default::default() };
        assert_eq!(kept(named), [value(ChecksumAlgorithm::Crc32, CRC32)]);
    }

    #[test]
    fn trailers_are_those_that_were_announced() {
        let check = |announced: Option<ChecksumAlgorithm>, lines: &str| {
            let claims = BodyClaims { trailer: announced, ..Default::default() };
            claims.trailer_value(&trailers(lines)).map_err(|error| (error.code, error.message.into_owned()))
        };
        let crc32 = Some(ChecksumAlgorithm::Crc32);
        assert_eq!(check(None, ""), Ok(None));
        assert_eq!(
            check(crc32, "X-Amz-Checksum-CRC32: y/Q5Jg==\r\n"),
            Ok(Some(value(ChecksumAlgorithm::Crc32, CRC32)))
        );
        for (announced, lines) in [
            (None, "x-amz-checksum-crc32:y/Q5Jg==\r\n"),
            (crc32, ""),
            (crc32, "x-amz-checksum-crc32c:y/Q5Jg==\r\n"),
            (crc32, "x-amz-checksum-crc32:y/Q5Jg==\r\nx-amz-meta-a:b\r\n"),
        ] {
            assert_eq!(check(announced, lines).unwrap_err().0, Code::MalformedTrailerError, "{lines:?}");
        }
        let invalid = "Value for x-amz-checksum-crc32 trailing header is invalid.".to_owned();
        assert_eq!(check(crc32, "x-amz-checksum-crc32:y/Q5\r\n"), Err((Code::InvalidRequest, invalid)));
    }
}
