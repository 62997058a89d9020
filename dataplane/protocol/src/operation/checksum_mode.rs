//! `x-amz-checksum-mode: ENABLED`: which checksums an answer to GET or HEAD carries.
//!
//! Clients hold what they get against the bytes they receive, so a checksum of other bytes is worse than none. S3 gives the
//! object's checksums with all of its bytes, those of a part with exactly that part's bytes (by number, or by a range that
//! happens to be the part), and nothing with any other range. Parts answer for themselves only where the checksum is
//! composite; of a full-object one S3 keeps no part's value to show.

use holdfast_common::wire;
use holdfast_common::wire::checksum::Kind;

use crate::digest::ChecksumValue;
use crate::range::Resolved;

use super::checksum_kind_name;

/// The checksum headers of an answer with the bytes `span` of `object`, in order, `x-amz-checksum-type` last. `part` is the part
/// that begins where `span` does, of a multipart object whose parts are at hand ([`part_at`]).
///
/// S3 answers `bytes=0-` of a composite object with the composite value less its `-N`, which no client can verify and some fail
/// on (boto/botocore#3346); here it keeps its `-N`, which clients know to leave alone.
#[must_use]
pub fn checksum_headers(
    object: &wire::ObjectRecord,
    part: Option<&wire::Part>,
    span: Resolved,
) -> Vec<(&'static str, String)> {
    let checksums = object.meta.as_ref().map(|meta| &*meta.checksums).unwrap_or_default();
    let part_count = object.manifest.as_ref().map_or(0, |manifest| manifest.part_count);
    let composite = checksums.iter().any(|checksum| checksum.kind() == Kind::Composite);
    let whole = span == Resolved::whole(object.size);
    match part.filter(|part| composite && part_span(part) == span) {
        Some(part) => of_part(&part.checksums, checksums),
        None if whole => of_object(checksums, part_count),
        None => Vec::new(),
    }
}

/// The part whose bytes are exactly `span`, out of the parts of a manifest or of a page of it, in order.
#[must_use]
pub fn part_at(parts: &[wire::Part], span: Resolved) -> Option<&wire::Part> {
    let at = parts.partition_point(|part| part.offset < span.start);
    parts[at..].iter().take_while(|part| part.offset == span.start).find(|part| part_span(part) == span)
}

fn part_span(part: &wire::Part) -> Resolved {
    Resolved { start: part.offset, len: part.blob.as_ref().map_or(0, |blob| blob.size) }
}

fn of_object(checksums: &[wire::Checksum], part_count: u32) -> Vec<(&'static str, String)> {
    let mut headers = Vec::with_capacity(2 * checksums.len());
    let mut kind = None;
    for checksum in checksums {
        let Some(value) = ChecksumValue::from_wire(checksum) else { continue };
        headers.push((value.algorithm().header(), value.shown(checksum.kind(), part_count)));
        kind = Some(checksum.kind());
    }
    headers.extend(kind.map(type_header));
    headers
}

/// The part's values of the object's algorithms: another one that its client happened to send was never promised.
fn of_part(part: &[wire::Checksum], object: &[wire::Checksum]) -> Vec<(&'static str, String)> {
    let promised = |checksum: &&wire::Checksum| object.iter().any(|of| of.algorithm == checksum.algorithm);
    let values = part.iter().filter(promised).filter_map(ChecksumValue::from_wire);
    let mut headers: Vec<_> = values.map(|value| (value.algorithm().header(), value.to_base64())).collect();
    if !headers.is_empty() {
        headers.push(type_header(Kind::Composite));
    }
    headers
}

fn type_header(kind: Kind) -> (&'static str, String) {
    ("x-amz-checksum-type", checksum_kind_name(kind).to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::combine::{FullObject, composite};
    use crate::digest::{BodyDigests, ChecksumAlgorithm, ChecksumSet, DigestPlan};

    const WHOLE: Resolved = Resolved { start: 0, len: 10 };

    fn sum(algorithm: ChecksumAlgorithm, byte: u8, kind: Kind) -> wire::Checksum {
        ChecksumValue::from_bytes(algorithm, &vec![byte; algorithm.bytes()]).unwrap().to_wire(kind)
    }

    fn object(part_count: u32, checksums: Vec<wire::Checksum>) -> wire::ObjectRecord {
        let meta = wire::ObjectMeta { checksums, ..Default::default() };
        let manifest = wire::Manifest { part_count, ..Default::default() };
        wire::ObjectRecord { size: 10, meta: Some(meta), manifest: Some(manifest), ..Default::default() }
    }

    /// Parts of 6, 0 and 4 bytes, each with a CRC32 of its number and a SHA-1 that nobody asked for.
    fn parts() -> Vec<wire::Part> {
        let part = |number: u32, offset, size| wire::Part {
            number,
            offset,
            blob: (size > 0).then(|| wire::Blob { size, ..Default::default() }),
            checksums: vec![
                sum(ChecksumAlgorithm::Crc32, number as u8, Kind::FullObject),
                sum(ChecksumAlgorithm::Sha1, 9, Kind::FullObject),
            ],
            ..Default::default()
        };
        vec![part(1, 0, 6), part(3, 6, 0), part(4, 6, 4)]
    }

    #[track_caller]
    fn check(object: &wire::ObjectRecord, (start, len): (u64, u64), expected: &[(&str, &str)]) {
        let span = Resolved { start, len };
        let parts = if object.manifest.as_ref().unwrap().part_count > 0 { parts() } else { Vec::new() };
        let headers = checksum_headers(object, part_at(&parts, span), span);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        assert_eq!(headers, expected, "{start}+{len}");
    }

    const CRC32: &str = "x-amz-checksum-crc32";
    const TYPE: &str = "x-amz-checksum-type";

    #[test]
    fn of_an_object_that_was_put_whole() {
        let object = object(0, vec![sum(ChecksumAlgorithm::Crc32, 0, Kind::FullObject)]);
        check(&object, (0, 10), &[(CRC32, "AAAAAA=="), (TYPE, "FULL_OBJECT")]);
        check(&object, (0, 9), &[]);
        check(&object, (1, 9), &[]);
        let empty = wire::ObjectRecord { size: 0, ..object };
        check(&empty, (0, 0), &[(CRC32, "AAAAAA=="), (TYPE, "FULL_OBJECT")]);
    }

    #[test]
    fn of_a_composite_object() {
        let object = object(3, vec![sum(ChecksumAlgorithm::Crc32, 0, Kind::Composite)]);
        check(&object, (0, 10), &[(CRC32, "AAAAAA==-3"), (TYPE, "COMPOSITE")]);
        check(&object, (0, 6), &[(CRC32, "AQEBAQ=="), (TYPE, "COMPOSITE")]);
        check(&object, (6, 0), &[(CRC32, "AwMDAw=="), (TYPE, "COMPOSITE")]);
        check(&object, (6, 4), &[(CRC32, "BAQEBA=="), (TYPE, "COMPOSITE")]);
        check(&object, (6, 3), &[]);
        check(&object, (5, 5), &[]);
    }

    /// Its only part is all of it: S3 shows the part's own value, which the bytes can be held against.
    #[test]
    fn of_a_composite_object_of_one_part() {
        let object = object(1, vec![sum(ChecksumAlgorithm::Crc32, 0, Kind::Composite)]);
        let part =
            wire::Part { blob: Some(wire::Blob { size: 10, ..Default::default() }), ..parts().remove(0) };
        let expected = [(CRC32, "AQEBAQ==".to_owned()), (TYPE, "COMPOSITE".to_owned())];
        assert_eq!(checksum_headers(&object, Some(&part), WHOLE), expected);
        assert_eq!(checksum_headers(&object, None, WHOLE)[0], (CRC32, "AAAAAA==-1".to_owned()));
    }

    #[test]
    fn of_a_full_object_checksum_parts_have_no_say() {
        let object = object(3, vec![sum(ChecksumAlgorithm::Crc32, 0, Kind::FullObject)]);
        check(&object, (0, 10), &[(CRC32, "AAAAAA=="), (TYPE, "FULL_OBJECT")]);
        check(&object, (0, 6), &[]);
        check(&object, (6, 4), &[]);
    }

    #[test]
    fn of_an_object_from_before_checksums() {
        check(&object(0, vec![]), (0, 10), &[]);
        assert_eq!(checksum_headers(&wire::ObjectRecord::default(), None, WHOLE), []);
    }

    fn digest(algorithm: ChecksumAlgorithm, body: &[u8]) -> ChecksumValue {
        let checksums = ChecksumSet::default().with(algorithm);
        let mut digests = BodyDigests::new(DigestPlan { checksums, ..DigestPlan::default() });
        digests.update(body);
        digests.finish().checksum(algorithm).expect("planned")
    }

    /// A multipart object of these parts, and the parts as its manifest has them.
    fn assembled(
        algorithm: ChecksumAlgorithm,
        kind: Kind,
        bodies: &[Vec<u8>],
    ) -> (wire::ObjectRecord, Vec<wire::Part>) {
        let values: Vec<ChecksumValue> = bodies.iter().map(|body| digest(algorithm, body)).collect();
        let value = match kind {
            Kind::Composite => composite(algorithm, &values).expect("of one algorithm"),
            Kind::FullObject => {
                let mut full = FullObject::new(algorithm).expect("a CRC");
                for (value, body) in values.iter().zip(bodies) {
                    assert!(full.push(value, body.len() as u64));
                }
                full.finish()
            }
        };
        let mut offset = 0;
        let parts = values.iter().zip(bodies).map(|(value, body)| {
            let size = body.len() as u64;
            let blob = (size > 0).then(|| wire::Blob { size, ..Default::default() });
            let checksums = vec![value.to_wire(Kind::FullObject)];
            offset += size;
            wire::Part { offset: offset - size, blob, checksums, ..Default::default() }
        });
        let parts: Vec<wire::Part> = parts.collect();
        let record = object(bodies.len() as u32, vec![value.to_wire(kind)]);
        (wire::ObjectRecord { size: offset, ..record }, parts)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is asked of whatever object: a client that holds what it gets against the bytes is never misled, and all of
        /// the bytes never come without any.
        #[test]
        fn what_is_shown_is_of_the_bytes(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 1..5),
            algorithm in prop::sample::select(&ChecksumAlgorithm::ALL[..]),
            full in any::<bool>(),
            (from, to) in (0usize..=28, 0usize..=28),
        ) {
            let kind = if algorithm.full_object() && (full || !algorithm.composite()) { Kind::FullObject } else { Kind::Composite };
            let (object, parts) = assembled(algorithm, kind, &bodies);
            let bytes = bodies.concat();
            let (from, to) = (from.min(to).min(bytes.len()), from.max(to).min(bytes.len()));
            let span = Resolved { start: from as u64, len: (to - from) as u64 };
            let headers = checksum_headers(&object, part_at(&parts, span), span);
            for (_, value) in headers.iter().filter(|(name, value)| *name == algorithm.header() && !value.contains('-')) {
                prop_assert_eq!(value, &digest(algorithm, &bytes[from..to]).to_base64());
            }
            let shown = headers.iter().any(|(name, _)| *name == algorithm.header());
            prop_assert!(shown || to - from < bytes.len());
            prop_assert_eq!(shown, headers.last().is_some_and(|(name, _)| *name == TYPE));
        }
    }
}
