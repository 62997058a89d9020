//! Checksums of assembled objects: of the parts' checksums (composite), or of the whole from its parts' CRCs.

use holdfast_common::crc::Concatenation;
use holdfast_common::wire::checksum::Algorithm;
use md5::{Digest as _, Md5};
use ring::digest;
use xxhash_rust::{xxh3, xxh64};

/// Algorithm, and how many bytes a value has.
fn crc(algorithm: Algorithm) -> Option<(crc_fast::CrcAlgorithm, usize)> {
    match algorithm {
        Algorithm::Crc32 => Some((crc_fast::CrcAlgorithm::Crc32IsoHdlc, 4)),
        Algorithm::Crc32c => Some((crc_fast::CrcAlgorithm::Crc32Iscsi, 4)),
        Algorithm::Crc64nvme => Some((crc_fast::CrcAlgorithm::Crc64Nvme, 8)),
        _ => None,
    }
}

/// The checksum of the parts' raw values, one after the other. `None`: the algorithm is not for that, as S3 has it of CRC64NVME.
#[must_use]
pub fn composite(algorithm: Algorithm, values: &[&[u8]]) -> Option<Vec<u8>> {
    let all = values.concat();
    let sha = |algorithm| digest::digest(algorithm, &all).as_ref().to_vec();
    Some(match algorithm {
        Algorithm::Sha1 => sha(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        Algorithm::Sha256 => sha(&digest::SHA256),
        Algorithm::Sha512 => sha(&digest::SHA512),
        Algorithm::Md5 => Md5::digest(&all).to_vec(),
        Algorithm::Xxhash64 => xxh64::xxh64(&all, 0).to_be_bytes().to_vec(),
        Algorithm::Xxhash3 => xxh3::xxh3_64(&all).to_be_bytes().to_vec(),
        Algorithm::Xxhash128 => xxh3::xxh3_128(&all).to_be_bytes().to_vec(),
        Algorithm::Crc32 | Algorithm::Crc32c => {
            let (crc, bytes) = crc(algorithm)?;
            big_endian(crc_fast::checksum(crc, &all), bytes)
        }
        Algorithm::Crc64nvme | Algorithm::Unspecified => return None,
    })
}

/// The CRC of the whole from the CRCs and sizes of its parts. `None`: not a CRC, or a value of the wrong length.
#[must_use]
pub fn combined(algorithm: Algorithm, parts: &[(&[u8], u64)]) -> Option<Vec<u8>> {
    let (_, bytes) = crc(algorithm)?;
    let mut whole = Concatenation::new(algorithm)?;
    for (value, size) in parts {
        if value.len() != bytes {
            return None;
        }
        whole.push(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)), *size);
    }
    Some(big_endian(whole.crc(), bytes))
}

fn big_endian(value: u64, bytes: usize) -> Vec<u8> {
    value.to_be_bytes()[8 - bytes..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::{combined, composite};
    use holdfast_common::wire::checksum::Algorithm;

    #[test]
    fn combining_parts_equals_the_whole() {
        let whole: Vec<u8> = (0..10_000u32).map(|n| (n % 251) as u8).collect();
        for (algorithm, crc, bytes) in [
            (Algorithm::Crc32, crc_fast::CrcAlgorithm::Crc32IsoHdlc, 4),
            (Algorithm::Crc32c, crc_fast::CrcAlgorithm::Crc32Iscsi, 4),
            (Algorithm::Crc64nvme, crc_fast::CrcAlgorithm::Crc64Nvme, 8),
        ] {
            let sum = |data: &[u8]| crc_fast::checksum(crc, data).to_be_bytes()[8 - bytes..].to_vec();
            for cuts in [vec![10_000], vec![1, 9_999], vec![5_000, 0, 5_000], vec![3_333, 3_333, 3_334]] {
                let mut at = 0;
                let parts: Vec<(Vec<u8>, u64)> = cuts
                    .iter()
                    .map(|size| {
                        at += size;
                        (sum(&whole[at - size..at]), *size as u64)
                    })
                    .collect();
                let parts: Vec<(&[u8], u64)> =
                    parts.iter().map(|(value, size)| (&value[..], *size)).collect();
                assert_eq!(combined(algorithm, &parts), Some(sum(&whole)), "{algorithm:?} {cuts:?}");
            }
        }
        assert_eq!(combined(Algorithm::Sha256, &[(&[0; 32], 1)]), None);
    }

    /// What is known of each algorithm: its value of nothing; of two values it is that of both together.
    #[test]
    fn composites_are_of_the_values_in_a_row() {
        for (algorithm, of_nothing) in [
            (Algorithm::Crc32, "00000000"),
            (Algorithm::Crc32c, "00000000"),
            (Algorithm::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (Algorithm::Sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (
                Algorithm::Sha512,
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                 47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
            ),
            (Algorithm::Md5, "d41d8cd98f00b204e9800998ecf8427e"),
            (Algorithm::Xxhash64, "ef46db3751d8e999"),
            (Algorithm::Xxhash3, "2d06800538d394c2"),
            (Algorithm::Xxhash128, "99aa06d3014798d86001c324468d497f"),
        ] {
            assert_eq!(composite(algorithm, &[]).map(hex::encode).as_deref(), Some(of_nothing));
            let (two, whole) = (composite(algorithm, &[b"one", b"two"]), composite(algorithm, &[b"onetwo"]));
            assert_eq!(two, whole, "{algorithm:?}");
            assert_ne!(two, composite(algorithm, &[b"two", b"one"]), "{algorithm:?}");
        }
        assert_eq!(composite(Algorithm::Crc64nvme, &[b"one"]), None);
    }
}
