//! One body's digests, all in one pass.

use super::algorithm::{ALGORITHMS, ChecksumAlgorithm, ChecksumSet};
use super::fixed;
use super::value::ChecksumValue;
use crc_fast::CrcAlgorithm;
use holdfast_common::wire::{self, checksum::Kind};
use md5_many::Md5State;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use xxhash_rust::xxh3::Xxh3;
use xxhash_rust::xxh64::Xxh64;

/// What to compute of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestPlan {
    /// For the ETag or Content-MD5.
    pub md5: bool,
    /// For `x-amz-content-sha256: <hex>`.
    pub payload_sha256: bool,
    pub checksums: ChecksumSet,
}

/// Digests of a plan that somebody else computes and gives at the end: several bodies hashed together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    pub md5: bool,
    pub sha256: bool,
}

/// The running states of one body. Costs nothing for what was not planned.
#[derive(Clone)]
pub struct BodyDigests {
    plan: DigestPlan,
    length: u64,
    /// For ETag, Content-MD5 and the checksum of that name alike.
    md5: Option<Md5State>,
    /// For the payload's hash and the checksum of that name alike.
    sha256: Option<Context>,
    sha1: Option<Context>,
    sha512: Option<Context>,
    crcs: [Option<crc_fast::Digest>; 3],
    xxh64: Option<Xxh64>,
    /// 64 and 128 bits differ in how they end only. Boxed, because it is half a kilobyte that few bodies want.
    xxh3: Option<Box<Xxh3>>,
}

/// The finished digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Bytes that were digested.
    pub length: u64,
    pub md5: Option<[u8; 16]>,
    pub payload_sha256: Option<[u8; 32]>,
    checksums: [Option<ChecksumValue>; ALGORITHMS],
}

const CRCS: [(ChecksumAlgorithm, CrcAlgorithm); 3] = [
    (ChecksumAlgorithm::Crc32, CrcAlgorithm::Crc32IsoHdlc),
    (ChecksumAlgorithm::Crc32c, CrcAlgorithm::Crc32Iscsi),
    (ChecksumAlgorithm::Crc64Nvme, CrcAlgorithm::Crc64Nvme),
];

impl BodyDigests {
    #[must_use]
    pub fn new(plan: DigestPlan) -> Self {
        Self::without(plan, Elsewhere::default())
    }

    /// All of the plan but what is computed elsewhere, which [`Self::finish_with`] wants.
    #[must_use]
    pub fn without(plan: DigestPlan, elsewhere: Elsewhere) -> Self {
        let wants = |algorithm| plan.checksums.has(algorithm);
        let md5 = (plan.md5 || wants(ChecksumAlgorithm::Md5)) && !elsewhere.md5;
        let sha256 = (plan.payload_sha256 || wants(ChecksumAlgorithm::Sha256)) && !elsewhere.sha256;
        let xxh3 = wants(ChecksumAlgorithm::Xxhash3) || wants(ChecksumAlgorithm::Xxhash128);
        Self {
            plan,
            length: 0,
            md5: md5.then(Md5State::new),
            sha256: sha256.then(|| Context::new(&SHA256)),
            sha1: wants(ChecksumAlgorithm::Sha1).then(|| Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            sha512: wants(ChecksumAlgorithm::Sha512).then(|| Context::new(&SHA512)),
            crcs: CRCS.map(|(algorithm, crc)| wants(algorithm).then(|| crc_fast::Digest::new(crc))),
            xxh64: wants(ChecksumAlgorithm::Xxhash64).then(|| Xxh64::new(0)),
            xxh3: xxh3.then(|| Box::new(Xxh3::new())),
        }
    }

    /// The plan this was made with.
    #[must_use]
    pub const fn plan(&self) -> DigestPlan {
        self.plan
    }

    /// Bytes so far.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        for crc in self.crcs.iter_mut().flatten() {
            crc.update(bytes);
        }
        for context in [&mut self.sha256, &mut self.sha1, &mut self.sha512].into_iter().flatten() {
            context.update(bytes);
        }
        if let Some(xxh64) = &mut self.xxh64 {
            xxh64.update(bytes);
        }
        if let Some(xxh3) = &mut self.xxh3 {
            xxh3.update(bytes);
        }
    }

    /// Ends the body.
    #[must_use]
    pub fn finish(self) -> Digests {
        self.finish_with(None, None)
    }

    /// Ends the body, with what was computed elsewhere.
    #[must_use]
    pub fn finish_with(self, md5: Option<[u8; 16]>, sha256: Option<[u8; 32]>) -> Digests {
        let md5 = self.md5.map(|md5| md5.finalize()).or(md5);
        let sha256: Option<[u8; 32]> = self.sha256.map(|context| fixed(context.finish().as_ref())).or(sha256);
        let mut found = Checksums { planned: self.plan.checksums, values: [None; ALGORITHMS] };
        for ((algorithm, _), crc) in CRCS.into_iter().zip(&self.crcs) {
            let value = crc.as_ref().map(|crc| ChecksumValue::from_crc(algorithm, crc.finalize()));
            found.values[algorithm as usize] = value;
        }
        let (sha1, sha512) = (self.sha1.map(Context::finish), self.sha512.map(Context::finish));
        found.keep(ChecksumAlgorithm::Sha1, sha1.as_ref().map(AsRef::as_ref));
        found.keep(ChecksumAlgorithm::Sha256, sha256.as_ref().map(<[u8; 32]>::as_slice));
        found.keep(ChecksumAlgorithm::Sha512, sha512.as_ref().map(AsRef::as_ref));
        found.keep(ChecksumAlgorithm::Md5, md5.as_ref().map(<[u8; 16]>::as_slice));
        let xxh64 = self.xxh64.map(|state| state.digest().to_be_bytes());
        found.keep(ChecksumAlgorithm::Xxhash64, xxh64.as_ref().map(<[u8; 8]>::as_slice));
        if let Some(state) = self.xxh3 {
            found.keep(ChecksumAlgorithm::Xxhash3, Some(&state.digest().to_be_bytes()));
            found.keep(ChecksumAlgorithm::Xxhash128, Some(&state.digest128().to_be_bytes()));
        }
        Digests {
            length: self.length,
            md5: md5.filter(|_| self.plan.md5),
            payload_sha256: sha256.filter(|_| self.plan.payload_sha256),
            checksums: found.values,
        }
    }
}

/// Collects what was planned, and nothing that a digest computed for another reason could give besides.
struct Checksums {
    planned: ChecksumSet,
    values: [Option<ChecksumValue>; ALGORITHMS],
}

impl Checksums {
    fn keep(&mut self, algorithm: ChecksumAlgorithm, raw: Option<&[u8]>) {
        if self.planned.has(algorithm) {
            self.values[algorithm as usize] = raw.and_then(|raw| ChecksumValue::from_bytes(algorithm, raw));
        }
    }
}

impl Digests {
    /// The value of one algorithm; `None` when it was not planned.
    #[must_use]
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<ChecksumValue> {
        self.checksums[algorithm as usize]
    }

    /// All planned checksums.
    pub fn checksums(&self) -> impl Iterator<Item = ChecksumValue> {
        self.checksums.into_iter().flatten()
    }

    /// The same as records keep them, of an object put whole or of one part.
    #[must_use]
    pub fn to_wire(&self) -> Vec<wire::Checksum> {
        self.checksums().map(|value| value.to_wire(Kind::FullObject)).collect()
    }
}
