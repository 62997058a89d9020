//! Values of checksums: raw in records, base64 in headers and XML.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_common::wire;
use holdfast_common::wire::checksum::Kind;

use super::algorithm::ChecksumAlgorithm;

/// SHA-512's, the longest.
const VALUE_BYTES_MAX: usize = 64;
/// Its base64, padding included.
const TEXT_BYTES_MAX: usize = VALUE_BYTES_MAX.div_ceil(3) * 4;

/// A value of one algorithm, always of that algorithm's length; numbers are big-endian, as S3 shows them.
#[derive(Clone, Copy)]
pub struct ChecksumValue {
    algorithm: ChecksumAlgorithm,
    bytes: [u8; VALUE_BYTES_MAX],
}

impl ChecksumValue {
    /// From raw bytes; `None` when the length is not the algorithm's.
    #[must_use]
    pub fn from_bytes(algorithm: ChecksumAlgorithm, raw: &[u8]) -> Option<Self> {
        let mut bytes = [0; VALUE_BYTES_MAX];
        if raw.len() != algorithm.bytes() {
            return None;
        }
        bytes[..raw.len()].copy_from_slice(raw);
        Some(Self { algorithm, bytes })
    }

    /// From a header's base64; `None` when it is not base64 of the right length.
    #[must_use]
    pub fn from_base64(algorithm: ChecksumAlgorithm, text: &[u8]) -> Option<Self> {
        let mut raw = [0; TEXT_BYTES_MAX / 4 * 3];
        if text.len() > TEXT_BYTES_MAX {
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

    /// As S3 shows an object's checksum: a composite one ends in the number of its parts (`value-N`), which tells clients
    /// that they cannot hold it against the bytes.
    #[must_use]
    pub fn shown(&self, kind: Kind, part_count: u32) -> String {
        match kind {
            Kind::FullObject => self.to_base64(),
            Kind::Composite => format!("{}-{part_count}", self.to_base64()),
        }
    }

    /// The record's form.
    #[must_use]
    pub fn to_wire(&self, kind: Kind) -> wire::Checksum {
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
    use super::{ChecksumAlgorithm as A, ChecksumValue, Kind};

    #[test]
    fn values_have_their_length_or_are_refused() {
        assert!(ChecksumValue::from_base64(A::Crc32, b"AAAAAA==").is_some());
        for bad in [&b"AAAAAA"[..], b"AAAA", b"!!!!!!==", b"", b"AAAAAAAA", &[b'A'; 48], &[b'A'; 4000]] {
            for algorithm in [A::Crc32, A::Sha256, A::Sha512, A::Xxhash128] {
                assert_eq!(ChecksumValue::from_base64(algorithm, bad), None, "{algorithm:?} {bad:?}");
            }
        }
        let value = ChecksumValue::from_crc(A::Crc64Nvme, 0xae8b_1486_0a79_9888);
        assert_eq!(value.as_crc(), 0xae8b_1486_0a79_9888);
        for algorithm in A::ALL {
            let value = ChecksumValue::from_bytes(algorithm, &vec![7; algorithm.bytes()]).unwrap();
            assert_eq!(ChecksumValue::from_base64(algorithm, value.to_base64().as_bytes()), Some(value));
            assert_eq!(ChecksumValue::from_wire(&value.to_wire(Kind::Composite)), Some(value));
        }
    }

    #[test]
    fn composites_show_their_number_of_parts() {
        let value = ChecksumValue::from_crc(A::Crc32, 0);
        assert_eq!(value.shown(Kind::FullObject, 3), "AAAAAA==");
        assert_eq!(value.shown(Kind::Composite, 3), "AAAAAA==-3");
    }
}
