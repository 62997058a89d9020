//! Completing a multipart upload: which parts, in which order, what the object's ETag, checksum and manifest are.

use std::collections::HashMap;

use bytes::Bytes;
use holdfast_common::wire::checksum::{Algorithm, Kind};
use holdfast_common::wire::{
    Checksum, CompleteUpload, CompletedPart, MANIFEST_INLINE_PARTS, MANIFEST_PAGE_PARTS, Manifest,
    ManifestPage, Part, Refusal, Refused,
};
use md5::{Digest as _, Md5};

use crate::limits::{OBJECT_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX};
use crate::plan::{checksum, refuse, refuse_with};
use crate::store::upload::UploadRow;

/// What the object will be.
#[derive(Debug)]
pub struct Assembled {
    pub size: u64,
    pub etag: String,
    pub checksum: Option<Checksum>,
    pub manifest: Manifest,
    /// Pages of a manifest too long for its row.
    pub pages: Vec<ManifestPage>,
    /// Numbers of the parts in use; the others are freed.
    pub used: Vec<u32>,
}

/// Checks the client's list against the parts that were uploaded, and puts them together. `pages_of` names the pages.
pub fn assemble(
    upload: &UploadRow,
    uploaded: &HashMap<u32, Part>,
    complete: &CompleteUpload,
    pages_of: &[u8],
) -> Result<Assembled, Refused> {
    let mut parts = chosen(uploaded, complete)?;
    let mut size = 0u64;
    for part in &mut parts {
        part.offset = size;
        size += part_bytes(part);
    }
    check_sizes(&parts, size, complete)?;
    let checksum = checksum_of(upload, &parts, complete)?;
    let etag = etag_of(&parts);
    let used = parts.iter().map(|part| part.number).collect();
    let (manifest, pages) = paged(parts, pages_of);
    Ok(Assembled { size, etag, checksum, manifest, pages, used })
}

fn part_bytes(part: &Part) -> u64 {
    part.blob.as_ref().map_or(0, |blob| blob.size)
}

fn chosen(uploaded: &HashMap<u32, Part>, complete: &CompleteUpload) -> Result<Vec<Part>, Refused> {
    let mut before = 0;
    let mut parts = Vec::with_capacity(complete.parts.len());
    for name in &complete.parts {
        if name.number <= before || name.number > PARTS_MAX {
            return Err(refuse(Refusal::InvalidPartOrder, "parts must be named in ascending order"));
        }
        before = name.number;
        let part = uploaded.get(&name.number).filter(|part| matches(part, name));
        parts.push(part.cloned().ok_or_else(|| {
            let detail = format!("part {} was not uploaded, or with another ETag or checksum", name.number);
            let etag = name.etag.trim().trim_matches('"');
            let elements = [
                ("UploadId", &*complete.upload_id),
                ("PartNumber", &name.number.to_string()),
                ("ETag", etag),
            ];
            refuse_with(Refusal::InvalidPart, detail, &elements)
        })?);
    }
    Ok(parts)
}

fn matches(part: &Part, name: &CompletedPart) -> bool {
    let etag = name.etag.trim().trim_matches('"');
    etag.eq_ignore_ascii_case(&hex::encode(&part.md5))
        && name.checksums.iter().all(|said| {
            part.checksums
                .iter()
                .filter(|known| known.algorithm == said.algorithm)
                .all(|known| known.value == said.value)
        })
}

fn check_sizes(parts: &[Part], size: u64, complete: &CompleteUpload) -> Result<(), Refused> {
    let but_last = &parts[..parts.len().saturating_sub(1)];
    if let Some(small) = but_last.iter().find(|part| part_bytes(part) < PART_BYTES_MIN) {
        let detail = format!(
            "part {} has {} bytes; all but the last have at least 5 MiB",
            small.number,
            part_bytes(small)
        );
        let elements = [
            ("PartNumber", &*small.number.to_string()),
            ("ETag", &hex::encode(&small.md5)),
            ("ProposedSize", &part_bytes(small).to_string()),
            ("MinSizeAllowed", &PART_BYTES_MIN.to_string()),
        ];
        return Err(refuse_with(Refusal::EntityTooSmall, detail, &elements));
    }
    if size > OBJECT_BYTES_MAX {
        return Err(refuse(Refusal::EntityTooLarge, "an object has at most 5 TiB"));
    }
    if complete.has_expected_size && complete.expected_size != size {
        let detail =
            format!("the object has {size} bytes, not the {} that were named", complete.expected_size);
        return Err(refuse(Refusal::InvalidRequest, detail));
    }
    Ok(())
}

/// MD5 of the parts' MD5s, and their number.
fn etag_of(parts: &[Part]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&part.md5);
    }
    format!("{}-{}", hex::encode(md5.finalize()), parts.len())
}

fn checksum_of(
    upload: &UploadRow,
    parts: &[Part],
    complete: &CompleteUpload,
) -> Result<Option<Checksum>, Refused> {
    let expected = complete.expected.as_ref();
    let (algorithm, kind) = match (upload.checksum_algorithm, expected) {
        // Nobody asked for one: S3's own, which every part of such an upload carries, whatever else its client sent with it. Those
        // that were uploaded to an older program do not.
        (0, None) if parts.iter().all(|part| value_of(part, Algorithm::Crc64nvme).is_some()) => {
            (Algorithm::Crc64nvme, Kind::FullObject)
        }
        (0, None) => return Ok(None),
        (0, Some(expected)) => (expected.algorithm(), expected.kind()),
        (named, _) => (
            Algorithm::try_from(named).unwrap_or_default(),
            Kind::try_from(upload.checksum_kind).unwrap_or_default(),
        ),
    };
    if expected.is_some_and(|expected| expected.algorithm() != algorithm || expected.kind() != kind) {
        return Err(refuse(
            Refusal::InvalidRequest,
            "the checksum is of another algorithm or type than the upload's",
        ));
    }
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        let value = value_of(part, algorithm).ok_or_else(|| {
            refuse(
                Refusal::InvalidRequest,
                format!("part {} was uploaded without the upload's checksum", part.number),
            )
        })?;
        values.push((value, part_bytes(part)));
    }
    let value = match kind {
        Kind::Composite => {
            checksum::composite(algorithm, &values.iter().map(|(value, _)| *value).collect::<Vec<_>>())
        }
        Kind::FullObject => checksum::combined(algorithm, &values),
    };
    let value = value.ok_or_else(|| {
        refuse(
            Refusal::InvalidRequest,
            "this checksum algorithm cannot be put together from parts in this way",
        )
    })?;
    if expected.is_some_and(|expected| expected.value != value) {
        return Err(refuse(Refusal::BadDigest, "the checksum of the assembled object is another"));
    }
    Ok(Some(Checksum { algorithm: algorithm.into(), kind: kind.into(), value: Bytes::from(value) }))
}

/// A part's checksum, raw.
fn value_of(part: &Part, algorithm: Algorithm) -> Option<&[u8]> {
    let found = part.checksums.iter().find(|checksum| checksum.algorithm() == algorithm);
    found.map(|checksum| checksum.value.as_ref())
}

/// Few parts stand in the manifest itself, more in pages.
fn paged(parts: Vec<Part>, pages_of: &[u8]) -> (Manifest, Vec<ManifestPage>) {
    let part_count = u32::try_from(parts.len()).expect("at most 10,000 parts");
    if parts.len() <= MANIFEST_INLINE_PARTS {
        return (Manifest { parts, part_count, page_offsets: vec![], pages_of: Bytes::new() }, vec![]);
    }
    let pages: Vec<ManifestPage> =
        parts.chunks(MANIFEST_PAGE_PARTS).map(|parts| ManifestPage { parts: parts.to_vec() }).collect();
    let page_offsets = pages.iter().map(|page| page.parts[0].offset).collect();
    (Manifest { parts: vec![], part_count, page_offsets, pages_of: Bytes::copy_from_slice(pages_of) }, pages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Algorithm::{Crc32, Crc64nvme, Sha256};
    use Kind::{Composite, FullObject};

    fn sum(algorithm: Algorithm, kind: Kind) -> Checksum {
        let value = match algorithm {
            Crc64nvme => vec![1; 8],
            _ => vec![1; 4],
        };
        Checksum { algorithm: algorithm.into(), kind: kind.into(), value: value.into() }
    }

    fn upload(named: Algorithm, kind: Kind) -> UploadRow {
        UploadRow {
            upload_id: uuid::Uuid::nil(),
            bucket_id: 1,
            key: Bytes::new(),
            tenant_id: 1,
            initiated_ms: 0,
            open: true,
            checksum_algorithm: named.into(),
            checksum_kind: kind.into(),
            meta: holdfast_common::wire::ObjectMeta::default(),
            outcome: None,
        }
    }

    /// Of two parts that have these checksums each.
    #[track_caller]
    fn check(
        (named, kind): (Algorithm, Kind),
        parts: [&[Algorithm]; 2],
        expected: Result<Option<(Algorithm, Kind)>, Refusal>,
    ) {
        let part = |kept: &[Algorithm]| Part {
            checksums: kept.iter().map(|algorithm| sum(*algorithm, FullObject)).collect(),
            ..Default::default()
        };
        let got = checksum_of(&upload(named, kind), &parts.map(part), &CompleteUpload::default());
        let got = got.map(|found| found.map(|sum| (sum.algorithm(), sum.kind())));
        assert_eq!(got.map_err(|refused| refused.reason()), expected);
    }

    #[test]
    fn the_checksum_is_the_uploads_or_the_default() {
        let none = (Algorithm::Unspecified, FullObject);
        check(none, [&[Crc64nvme], &[Crc64nvme]], Ok(Some((Crc64nvme, FullObject))));
        check(none, [&[Crc32, Crc64nvme], &[Crc64nvme, Sha256]], Ok(Some((Crc64nvme, FullObject))));
        check(none, [&[Crc64nvme], &[Crc32]], Ok(None));
        check(none, [&[], &[]], Ok(None));
        check((Crc32, Composite), [&[Crc32], &[Crc64nvme, Crc32]], Ok(Some((Crc32, Composite))));
        check((Sha256, Composite), [&[Sha256], &[Sha256]], Ok(Some((Sha256, Composite))));
        check((Crc32, FullObject), [&[Crc32], &[Crc64nvme]], Err(Refusal::InvalidRequest));
        check((Crc64nvme, Composite), [&[Crc64nvme], &[Crc64nvme]], Err(Refusal::InvalidRequest));
        check((Sha256, FullObject), [&[Sha256], &[Sha256]], Err(Refusal::InvalidRequest));
    }
}
