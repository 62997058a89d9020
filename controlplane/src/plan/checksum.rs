//! Checksums of assembled objects: of the parts' checksums (composite), or of the whole from its parts' CRCs.

use holdfast_common::wire::checksum::Algorithm;
use ring::digest;

/// Algorithm, and how many bytes a value has.
fn crc(algorithm: Algorithm) -> Option<(crc_fast::CrcAlgorithm, usize)> {
    match algorithm {
        Algorithm::Crc32 => Some((crc_fast::CrcAlgorithm::Crc32IsoHdlc, 4)),
        Algorithm::Crc32c => Some((crc_fast::CrcAlgorithm::Crc32Iscsi, 4)),
        Algorithm::Crc64nvme => Some((crc_fast::CrcAlgorithm::Crc64Nvme, 8)),
        _ => None,
    }
}

/// The checksum of the parts' raw values, one after the other. `None`: the algorithm is not for that.
#[must_use]
pub fn composite(algorithm: Algorithm, values: &[&[u8]]) -> Option<Vec<u8>> {
    let all = values.concat();
    match algorithm {
        Algorithm::Sha1 => Some(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &all).as_ref().to_vec()),
        Algorithm::Sha256 => Some(digest::digest(&digest::SHA256, &all).as_ref().to_vec()),
        _ => crc(algorithm).map(|(crc, bytes)| big_endian(crc_fast::checksum(crc, &all), bytes)),
    }
}

/// The CRC of the whole from the CRCs and sizes of its parts. `None`: not a CRC, or a value of the wrong length.
#[must_use]
pub fn combined(algorithm: Algorithm, parts: &[(&[u8], u64)]) -> Option<Vec<u8>> {
    let (crc, bytes) = crc(algorithm)?;
    let mut whole: Option<u64> = None;
    for (value, size) in parts {
        if value.len() != bytes {
            return None;
        }
        let value = value.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        whole = Some(match whole {
            None => value,
            Some(before) => crc_fast::checksum_combine(crc, before, value, *size),
        });
    }
    whole.map(|whole| big_endian(whole, bytes))
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
        assert_eq!(composite(Algorithm::Sha256, &[&[1; 32]]).map(|value| value.len()), Some(32));
    }
}
