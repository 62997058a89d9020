//! Any split gives the digests of the whole; combinations agree with the slow way.

use super::combine::{FullObject, composite, multipart_etag};
use super::{
    BodyDigests, ChecksumAlgorithm, ChecksumSet, ChecksumValue, DigestPlan, Digests, Elsewhere, md5, sha256,
};
use ::md5::Digest as _;
use proptest::prelude::*;

fn everything() -> DigestPlan {
    let checksums = ChecksumAlgorithm::ALL.into_iter().fold(ChecksumSet::default(), ChecksumSet::with);
    DigestPlan { md5: true, payload_sha256: true, checksums }
}

fn digests(plan: DigestPlan, body: &[u8]) -> Digests {
    let mut digests = BodyDigests::new(plan);
    digests.update(body);
    digests.finish()
}

fn checksum(algorithm: ChecksumAlgorithm, body: &[u8]) -> ChecksumValue {
    let checksums = ChecksumSet::default().with(algorithm);
    digests(DigestPlan { checksums, ..DigestPlan::default() }, body).checksum(algorithm).expect("planned")
}

fn reference_md5(body: &[u8]) -> [u8; 16] {
    ::md5::Md5::digest(body).into()
}

#[test]
fn published_check_values() {
    let all = digests(everything(), b"123456789");
    let shown = |algorithm| hex::encode(all.checksum(algorithm).expect("planned").as_bytes());
    assert_eq!(shown(ChecksumAlgorithm::Crc32), "cbf43926");
    assert_eq!(shown(ChecksumAlgorithm::Crc32c), "e3069283");
    assert_eq!(shown(ChecksumAlgorithm::Crc64Nvme), "ae8b14860a799888");
    assert_eq!(shown(ChecksumAlgorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
    let sha = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";
    assert_eq!(shown(ChecksumAlgorithm::Sha256), sha);
    assert_eq!(all.payload_sha256.map(hex::encode).as_deref(), Some(sha));
    assert_eq!(all.md5.map(hex::encode).as_deref(), Some("25f9e794323b453885f5181f1b624d0b"));
    assert_eq!(shown(ChecksumAlgorithm::Md5), "25f9e794323b453885f5181f1b624d0b");
    let sha512 = "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a\
                  d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85";
    assert_eq!(shown(ChecksumAlgorithm::Sha512), sha512);
    assert_eq!((all.length, all.checksums().count()), (9, ChecksumAlgorithm::ALL.len()));
}

/// By the reference implementation (python-xxhash on libxxhash 0.8) and by AWS's own (awscrt 0.38.1), which agree: bytes in
/// the order of xxHash's canonical form. 1000 bytes reach the long form of XXH3 (beyond 240).
#[test]
fn xxhash_in_canonical_order() {
    let check = |body: &[u8], xxh64: &str, xxh3: &str, xxh128: &str| {
        let shown = |algorithm| hex::encode(checksum(algorithm, body).as_bytes());
        assert_eq!(shown(ChecksumAlgorithm::Xxhash64), xxh64);
        assert_eq!(shown(ChecksumAlgorithm::Xxhash3), xxh3);
        assert_eq!(shown(ChecksumAlgorithm::Xxhash128), xxh128);
    };
    check(b"", "ef46db3751d8e999", "2d06800538d394c2", "99aa06d3014798d86001c324468d497f");
    check(b"123456789", "8cb841db40e6ae83", "72dcb18b67a17dff", "33119477ede5dcd5e9716427681d5860");
    check(&[b'a'; 1000], "56e43b712eda4223", "b3e7af627147db7c", "b01da365eddaa29cb3e7af627147db7c");
}

/// Parts of 5 and 1 MiB (5, 5 and 1 for SHA-256) that were put to S3, and what it made of them (eu-west-1, 2026-09-03, from
/// floci-io/floci's pull request 3093).
#[test]
fn what_s3_made_of_parts() {
    let value =
        |algorithm, text: &str| ChecksumValue::from_base64(algorithm, text.as_bytes()).expect("a value");
    let check = |algorithm, parts: &[&str], whole: &str| {
        let parts: Vec<ChecksumValue> = parts.iter().map(|part| value(algorithm, part)).collect();
        assert_eq!(composite(algorithm, &parts), Some(value(algorithm, whole)));
    };
    check(ChecksumAlgorithm::Crc32, &["W0QpDQ==", "anCi7Q=="], "R/nORQ==");
    check(ChecksumAlgorithm::Crc32c, &["wMKxiw==", "myWdrQ=="], "ROC8NA==");
    let sha1 = ["1/0x5kkt8+9IA/j+B6LiWtFTdrY=", "H2o2aM+t5OzS5CuqgWtQ90pWCpo="];
    check(ChecksumAlgorithm::Sha1, &sha1, "CBB1y8xhBCot1HoCMQCx18NR2tU=");
    let sha256 = [
        "lcKa6Boe7a167tUCN5C4OaFygGSYD8MBnBARTrdL+1w=",
        "gHjhbUT4oo2tSCtSZJdlKi+jeNXJT+VImqdPXsXvkOc=",
        "4l9PQ3zOPZ0oGFvknFX+J4zZwE4WMzO+l3r8XrbWOeM=",
    ];
    check(ChecksumAlgorithm::Sha256, &sha256, "rVWtNbadtsaKXJAcgWPWjifHzJaXde/iV4jaJAOdivc=");
    let mut full = FullObject::new(ChecksumAlgorithm::Crc32).expect("a CRC");
    assert!(full.push(&value(ChecksumAlgorithm::Crc32, "W0QpDQ=="), 5 << 20));
    assert!(full.push(&value(ChecksumAlgorithm::Crc32, "anCi7Q=="), 1 << 20));
    assert_eq!(full.finish().to_base64(), "+SDIDA==");
}

#[test]
fn what_was_not_planned_is_not_there() {
    let none = digests(DigestPlan::default(), b"123456789");
    assert_eq!((none.md5, none.payload_sha256, none.checksums().count()), (None, None, 0));
    let payload = digests(DigestPlan { payload_sha256: true, ..DigestPlan::default() }, b"x");
    assert_eq!(payload.checksum(ChecksumAlgorithm::Sha256), None);
    assert_eq!(payload.payload_sha256, Some(sha256(b"x")));
}

#[test]
fn multipart_names() {
    let parts = [md5(b"a"), md5(b"b")];
    let joined = md5(&parts.concat());
    assert_eq!(multipart_etag(&parts), format!("{}-2", hex::encode(joined)));
    assert!(FullObject::new(ChecksumAlgorithm::Sha256).is_none());
    let mut crc = FullObject::new(ChecksumAlgorithm::Crc32).expect("a CRC");
    assert!(!crc.push(&checksum(ChecksumAlgorithm::Crc32c, b"x"), 1), "another algorithm's value");
    assert_eq!(crc.finish(), checksum(ChecksumAlgorithm::Crc32, b""));
    assert_eq!(composite(ChecksumAlgorithm::Crc32, [&checksum(ChecksumAlgorithm::Sha1, b"x")]), None);
}

fn bodies(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_is_the_whole(pieces in bodies(0..8)) {
        let whole = pieces.concat();
        let mut split = BodyDigests::new(everything());
        pieces.iter().for_each(|piece| split.update(piece));
        let split = split.finish();
        prop_assert_eq!(split, digests(everything(), &whole));
        prop_assert_eq!(split.md5, Some(reference_md5(&whole)));
        prop_assert_eq!(split.payload_sha256, Some(sha256(&whole)));
    }

    #[test]
    fn full_object_and_composite(pieces in bodies(0..8), repeat in 1usize..4) {
        let pieces: Vec<Vec<u8>> = pieces.iter().flat_map(|piece| vec![piece.clone(); repeat]).collect();
        for algorithm in ChecksumAlgorithm::ALL {
            let values: Vec<ChecksumValue> = pieces.iter().map(|piece| checksum(algorithm, piece)).collect();
            let raw: Vec<u8> = values.iter().flat_map(|value| value.as_bytes().to_vec()).collect();
            prop_assert_eq!(composite(algorithm, &values), Some(checksum(algorithm, &raw)));
            let Some(mut full) = FullObject::new(algorithm) else { continue };
            for (value, piece) in values.iter().zip(&pieces) {
                prop_assert!(full.push(value, piece.len() as u64));
            }
            prop_assert_eq!(full.finish(), checksum(algorithm, &pieces.concat()));
        }
    }

    #[test]
    fn combining_huge_lengths_agrees_with_crc_fast(a: u64, b: u64, length: u64) {
        use crc_fast::CrcAlgorithm::{Crc32Iscsi, Crc32IsoHdlc, Crc64Nvme};
        let pairs = [(ChecksumAlgorithm::Crc32, Crc32IsoHdlc), (ChecksumAlgorithm::Crc32c, Crc32Iscsi),
            (ChecksumAlgorithm::Crc64Nvme, Crc64Nvme)];
        for (ours, theirs) in pairs {
            let mask = if ours.bytes() == 8 { u64::MAX } else { u64::from(u32::MAX) };
            let mut full = FullObject::new(ours).expect("a CRC");
            prop_assert!(full.push(&ChecksumValue::from_crc(ours, a & mask), 1));
            prop_assert!(full.push(&ChecksumValue::from_crc(ours, b & mask), length));
            let expected = crc_fast::checksum_combine(theirs, a & mask, b & mask, length);
            prop_assert_eq!(full.finish().as_crc(), expected);
        }
    }

    #[test]
    fn what_is_computed_elsewhere_comes_in_at_the_end(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut rest = BodyDigests::without(everything(), Elsewhere { md5: true, sha256: true });
        rest.update(&body);
        let finished = rest.finish_with(Some(reference_md5(&body)), Some(sha256(&body)));
        prop_assert_eq!(finished, digests(everything(), &body));
    }
}
