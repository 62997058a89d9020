//! The checksum algorithms of S3: their names, headers, and what multipart uploads may do with them.

use holdfast_common::wire::checksum::Algorithm;

/// A checksum that objects may carry: all that S3 knows (botocore 1.44.5, `ChecksumAlgorithm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
    Sha512,
    Md5,
    Xxhash64,
    Xxhash3,
    Xxhash128,
}

/// A header or trailer of the family `x-amz-checksum-` that names no algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The algorithm type you specified in x-amz-checksum- header is invalid.")]
pub struct UnknownChecksum;

/// How many algorithms there are.
pub(super) const ALGORITHMS: usize = ChecksumAlgorithm::ALL.len();

/// Prefix of the headers and trailers that carry values.
const HEADER_PREFIX: &str = "x-amz-checksum-";

/// What there is to know of an algorithm.
struct Facts {
    name: &'static str,
    header: &'static str,
    element: &'static str,
    bytes: usize,
    multipart: Multipart,
    wire: Algorithm,
}

/// Which types of checksum a multipart object may have; one that was put whole has a full-object checksum always.
enum Multipart {
    /// A CRC: the checksum of the whole follows from those of its parts, and may be asked for.
    Either,
    FullObject,
    Composite,
}

/// In the order of the enum, which is that of the wire numbers.
#[rustfmt::skip]
const FACTS: [Facts; ALGORITHMS] = [
    facts("CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4, Multipart::Either, Algorithm::Crc32),
    facts("CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4, Multipart::Either, Algorithm::Crc32c),
    facts("CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8, Multipart::FullObject, Algorithm::Crc64nvme),
    facts("SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20, Multipart::Composite, Algorithm::Sha1),
    facts("SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32, Multipart::Composite, Algorithm::Sha256),
    facts("SHA512", "x-amz-checksum-sha512", "ChecksumSHA512", 64, Multipart::Composite, Algorithm::Sha512),
    facts("MD5", "x-amz-checksum-md5", "ChecksumMD5", 16, Multipart::Composite, Algorithm::Md5),
    facts("XXHASH64", "x-amz-checksum-xxhash64", "ChecksumXXHASH64", 8, Multipart::Composite, Algorithm::Xxhash64),
    facts("XXHASH3", "x-amz-checksum-xxhash3", "ChecksumXXHASH3", 8, Multipart::Composite, Algorithm::Xxhash3),
    facts("XXHASH128", "x-amz-checksum-xxhash128", "ChecksumXXHASH128", 16, Multipart::Composite, Algorithm::Xxhash128),
];

const fn facts(
    name: &'static str,
    header: &'static str,
    element: &'static str,
    bytes: usize,
    multipart: Multipart,
    wire: Algorithm,
) -> Facts {
    Facts { name, header, element, bytes, multipart, wire }
}

impl ChecksumAlgorithm {
    /// Every algorithm, in the order of their wire numbers.
    pub const ALL: [Self; 10] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Md5,
        Self::Xxhash64,
        Self::Xxhash3,
        Self::Xxhash128,
    ];

    /// What S3 computes and keeps of an object that was sent without a checksum.
    pub const DEFAULT: Self = Self::Crc64Nvme;

    const fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    /// The name in `x-amz-checksum-algorithm` and in XML.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The header (or trailer) that carries the value, lower-case.
    #[must_use]
    pub const fn header(self) -> &'static str {
        self.facts().header
    }

    /// The XML element that carries the value (`ChecksumCRC32`).
    #[must_use]
    pub const fn element(self) -> &'static str {
        self.facts().element
    }

    /// Length of a raw value, bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.facts().bytes
    }

    /// May be the checksum of all bytes of a multipart object.
    #[must_use]
    pub const fn full_object(self) -> bool {
        !matches!(self.facts().multipart, Multipart::Composite)
    }

    /// May be a checksum of the parts' checksums.
    #[must_use]
    pub const fn composite(self) -> bool {
        !matches!(self.facts().multipart, Multipart::FullObject)
    }

    /// Reads a name (`CRC32C`), in any case as AWS does.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// The algorithm whose value a header or trailer of this name carries; `None` when the name is not of the family, or one of
    /// its siblings (`x-amz-checksum-algorithm`, `-mode`, `-type`).
    #[must_use]
    pub fn of_header(name: &str) -> Option<Result<Self, UnknownChecksum>> {
        let prefix = name.get(..HEADER_PREFIX.len())?;
        if !prefix.eq_ignore_ascii_case(HEADER_PREFIX) {
            return None;
        }
        let suffix = &name[HEADER_PREFIX.len()..];
        let sibling = ["algorithm", "mode", "type"].into_iter().any(|word| word.eq_ignore_ascii_case(suffix));
        (!sibling).then(|| Self::named(suffix).ok_or(UnknownChecksum))
    }

    /// The number in records and on the wire.
    #[must_use]
    pub const fn to_wire(self) -> Algorithm {
        self.facts().wire
    }

    /// From a record or the wire; `None` for what this build does not compute.
    #[must_use]
    pub fn from_wire(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.to_wire() as i32 == number)
    }
}

/// A set of algorithms, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChecksumSet(u16);

const _: () = assert!(ALGORITHMS <= 16, "a set is a u16");

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

#[cfg(test)]
mod tests {
    use super::{ChecksumAlgorithm as A, ChecksumSet, UnknownChecksum};

    #[test]
    fn names_headers_and_wire_numbers_go_both_ways() {
        for (at, algorithm) in A::ALL.into_iter().enumerate() {
            assert_eq!(algorithm as usize, at, "facts stand in the order of the enum");
            assert_eq!(A::named(&algorithm.name().to_lowercase()), Some(algorithm));
            assert_eq!(A::of_header(&algorithm.header().to_uppercase()), Some(Ok(algorithm)));
            assert_eq!(A::from_wire(algorithm.to_wire() as i32), Some(algorithm));
            assert_eq!(algorithm.to_wire() as usize, at + 1);
            assert_eq!(algorithm.header(), format!("x-amz-checksum-{}", algorithm.name().to_lowercase()));
            assert_eq!(algorithm.element(), format!("Checksum{}", algorithm.name()));
        }
        assert_eq!(A::named("CRC16"), None);
        assert_eq!(A::of_header("x-amz-checksum-type"), None);
        assert_eq!(A::of_header("x-amz-date"), None);
        assert_eq!(A::of_header("x-amz-checksum-ünknown"), Some(Err(UnknownChecksum)));
        assert_eq!(A::from_wire(0), None);
        assert_eq!(A::from_wire(11), None);
    }

    #[test]
    fn only_crcs_are_of_whole_multipart_objects() {
        let full: Vec<_> = A::ALL.into_iter().filter(|algorithm| algorithm.full_object()).collect();
        assert_eq!(full, [A::Crc32, A::Crc32c, A::Crc64Nvme]);
        let not_composite: Vec<_> = A::ALL.into_iter().filter(|algorithm| !algorithm.composite()).collect();
        assert_eq!(not_composite, [A::Crc64Nvme]);
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set = ChecksumSet::default().with(A::Xxhash128).with(A::Sha1).with(A::Crc32);
        assert_eq!(set.iter().collect::<Vec<_>>(), [A::Crc32, A::Sha1, A::Xxhash128]);
        assert!(!set.has(A::Sha256));
    }
}
