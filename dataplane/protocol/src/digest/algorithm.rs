//! The checksum algorithms of S3: their names, headers and values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_common::wire;

/// A checksum that objects may carry here. S3 knows more; those answer [`ChecksumNameError::Later`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// Why a name gives no algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumNameError {
    /// S3 has it, this system does not (yet): `NotImplemented`.
    #[error(
        "the checksum algorithm {0} is not implemented here; use CRC64NVME, CRC32, CRC32C, SHA1 or SHA256"
    )]
    Later(&'static str),
    /// Nobody has it: `InvalidRequest`.
    #[error("unknown checksum algorithm; use CRC64NVME, CRC32, CRC32C, SHA1 or SHA256")]
    Unknown,
}

/// Prefix of the headers and trailers that carry values.
const HEADER_PREFIX: &str = "x-amz-checksum-";

/// What S3 has and this system does not.
const LATER: [&str; 5] = ["SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"];

impl ChecksumAlgorithm {
    /// Every algorithm, in the order of their wire numbers.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name in `x-amz-checksum-algorithm` and in XML.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header (or trailer) that carries the value, lower-case.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The XML element that carries the value (`ChecksumCRC32`).
    #[must_use]
    pub const fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    /// Length of a raw value, bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// A CRC: the checksum of a whole object follows from those of its parts.
    #[must_use]
    pub const fn full_object(self) -> bool {
        matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme)
    }

    /// May be a checksum of the parts' checksums. S3 knows CRC64NVME only as full object.
    #[must_use]
    pub const fn composite(self) -> bool {
        !matches!(self, Self::Crc64Nvme)
    }

    /// Reads a name (`CRC32C`), in any case as AWS does.
    ///
    /// # Errors
    /// A name S3 has and we lack, or that nobody has.
    pub fn named(name: &str) -> Result<Self, ChecksumNameError> {
        if let Some(found) = Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name)) {
            return Ok(found);
        }
        match LATER.into_iter().find(|later| later.eq_ignore_ascii_case(name)) {
            Some(later) => Err(ChecksumNameError::Later(later)),
            None => Err(ChecksumNameError::Unknown),
        }
    }

    /// The algorithm whose value a header or trailer of this name carries; `None` when the name is not of the family, or one of
    /// its siblings (`x-amz-checksum-algorithm`, `-mode`, `-type`).
    #[must_use]
    pub fn of_header(name: &str) -> Option<Result<Self, ChecksumNameError>> {
        let prefix = name.get(..HEADER_PREFIX.len())?;
        if !prefix.eq_ignore_ascii_case(HEADER_PREFIX) {
            return None;
        }
        let suffix = &name[HEADER_PREFIX.len()..];
        let sibling = ["algorithm", "mode", "type"].into_iter().any(|word| word.eq_ignore_ascii_case(suffix));
        (!sibling).then(|| Self::named(suffix))
    }

    /// The number in records and on the wire.
    #[must_use]
    pub const fn to_wire(self) -> wire::checksum::Algorithm {
        match self {
            Self::Crc32 => wire::checksum::Algorithm::Crc32,
            Self::Crc32c => wire::checksum::Algorithm::Crc32c,
            Self::Crc64Nvme => wire::checksum::Algorithm::Crc64nvme,
            Self::Sha1 => wire::checksum::Algorithm::Sha1,
            Self::Sha256 => wire::checksum::Algorithm::Sha256,
        }
    }

    /// From a record or the wire; `None` for what this build does not compute.
    #[must_use]
    pub fn from_wire(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.to_wire() as i32 == number)
    }
}

/// A set of algorithms, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChecksumSet(u8);

impl ChecksumSet {
    #[must_use]
    pub const fn with(self, algorithm: ChecksumAlgorithm) -> Self {
        Self(self.0 | 1 << algorithm as u8)
    }

    #[must_use]
    pub const fn has(self, algorithm: ChecksumAlgorithm) -> bool {
        self.0 & (1 << algorithm as u8) != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = ChecksumAlgorithm> {
        ChecksumAlgorithm::ALL.into_iter().filter(move |algorithm| self.has(*algorithm))
    }
}

/// A value of one algorithm, always of that algorithm's length; CRCs are big-endian, as S3 shows them.
#[derive(Clone, Copy)]
pub struct ChecksumValue {
    algorithm: ChecksumAlgorithm,
    bytes: [u8; 32],
}

impl ChecksumValue {
    /// From raw bytes; `None` when the length is not the algorithm's.
    #[must_use]
    pub fn from_bytes(algorithm: ChecksumAlgorithm, raw: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        if raw.len() != algorithm.bytes() {
            return None;
        }
        bytes[..raw.len()].copy_from_slice(raw);
        Some(Self { algorithm, bytes })
    }

    /// From a header's base64; `None` when it is not base64 of the right length.
    #[must_use]
    pub fn from_base64(algorithm: ChecksumAlgorithm, text: &[u8]) -> Option<Self> {
        let mut raw = [0; 36]; // 44 characters (SHA-256 with padding) decode to at most 33 bytes
        if text.len() > 44 {
            return None;
        }
        let length = STANDARD.decode_slice(text, &mut raw).ok()?;
        Self::from_bytes(algorithm, &raw[..length])
    }

    #[must_use]
    pub const fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.bytes()]
    }

    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.as_bytes())
    }

    /// The record's form.
    #[must_use]
    pub fn to_wire(&self, kind: wire::checksum::Kind) -> wire::Checksum {
        wire::Checksum {
            algorithm: self.algorithm.to_wire() as i32,
            kind: kind as i32,
            value: self.as_bytes().to_vec().into(),
        }
    }

    /// From a record; `None` for an algorithm this build does not compute or a wrong length.
    #[must_use]
    pub fn from_wire(checksum: &wire::Checksum) -> Option<Self> {
        Self::from_bytes(ChecksumAlgorithm::from_wire(checksum.algorithm)?, &checksum.value)
    }

    /// A CRC's value as a number.
    pub(super) fn as_crc(&self) -> u64 {
        self.as_bytes().iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// A CRC's value from a number.
    pub(super) fn from_crc(algorithm: ChecksumAlgorithm, crc: u64) -> Self {
        let big_endian = crc.to_be_bytes();
        Self::from_bytes(algorithm, &big_endian[8 - algorithm.bytes()..]).expect("CRCs have 4 or 8 bytes")
    }
}

impl PartialEq for ChecksumValue {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ChecksumValue {}

impl std::fmt::Debug for ChecksumValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), hex::encode(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::{ChecksumAlgorithm as A, ChecksumNameError, ChecksumSet, ChecksumValue};

    #[test]
    fn names_headers_and_wire_numbers_go_both_ways() {
        for algorithm in A::ALL {
            assert_eq!(A::named(&algorithm.name().to_lowercase()), Ok(algorithm));
            assert_eq!(A::of_header(&algorithm.header().to_uppercase()), Some(Ok(algorithm)));
            assert_eq!(A::from_wire(algorithm.to_wire() as i32), Some(algorithm));
        }
        assert_eq!(A::named("xxhash3"), Err(ChecksumNameError::Later("XXHASH3")));
        assert_eq!(A::named("CRC16"), Err(ChecksumNameError::Unknown));
        assert_eq!(A::of_header("x-amz-checksum-type"), None);
        assert_eq!(A::of_header("x-amz-date"), None);
        assert_eq!(A::of_header("x-amz-checksum-ünknown"), Some(Err(ChecksumNameError::Unknown)));
        assert_eq!(A::from_wire(0), None);
        assert_eq!(A::from_wire(6), None);
    }

    #[test]
    fn values_have_their_length_or_are_refused() {
        assert!(ChecksumValue::from_base64(A::Crc32, b"AAAAAA==").is_some());
        for bad in [&b"AAAAAA"[..], b"AAAA", b"!!!!!!==", b"", b"AAAAAAAA", &[b'A'; 48], &[b'A'; 4000]] {
            assert_eq!(ChecksumValue::from_base64(A::Crc32, bad), None, "{bad:?}");
            assert_eq!(ChecksumValue::from_base64(A::Sha256, bad), None, "{bad:?}");
        }
        let value = ChecksumValue::from_crc(A::Crc64Nvme, 0xae8b_1486_0a79_9888);
        assert_eq!(value.as_crc(), 0xae8b_1486_0a79_9888);
        assert_eq!(ChecksumValue::from_base64(A::Crc64Nvme, value.to_base64().as_bytes()), Some(value));
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set = ChecksumSet::default().with(A::Sha1).with(A::Crc32);
        assert_eq!(set.iter().collect::<Vec<_>>(), [A::Crc32, A::Sha1]);
        assert!(!set.has(A::Sha256));
    }
}
