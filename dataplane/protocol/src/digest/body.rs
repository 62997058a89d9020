//! One body's digests, all in one pass.

use super::algorithm::{ChecksumAlgorithm, ChecksumSet, ChecksumValue};
use super::fixed;
use crc_fast::CrcAlgorithm;
use md5_many::Md5State;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

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
    md5: Option<Md5State>,
    sha256: Option<Context>,
    sha1: Option<Context>,
    crcs: [Option<crc_fast::Digest>; 3],
}

/// The finished digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Bytes that were digested.
    pub length: u64,
    pub md5: Option<[u8; 16]>,
    pub payload_sha256: Option<[u8; 32]>,
    checksums: [Option<ChecksumValue>; 5],
}

impl BodyDigests {
    #[must_use]
    pub fn new(plan: DigestPlan) -> Self {
        Self::without(plan, Elsewhere::default())
    }

    /// All of the plan but what is computed elsewhere, which [`Self::finish_with`] wants.
    #[must_use]
    pub fn without(plan: DigestPlan, elsewhere: Elsewhere) -> Self {
        let sha256 =
            (plan.payload_sha256 || plan.checksums.has(ChecksumAlgorithm::Sha256)) && !elsewhere.sha256;
        let wants = |algorithm| plan.checksums.has(algorithm);
        let crc = |algorithm, as_crc| wants(algorithm).then(|| crc_fast::Digest::new(as_crc));
        Self {
            plan,
            length: 0,
            md5: (plan.md5 && !elsewhere.md5).then(Md5State::new),
            sha256: sha256.then(|| Context::new(&SHA256)),
            sha1: wants(ChecksumAlgorithm::Sha1).then(|| Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            crcs: [
                crc(ChecksumAlgorithm::Crc32, CrcAlgorithm::Crc32IsoHdlc),
                crc(ChecksumAlgorithm::Crc32c, CrcAlgorithm::Crc32Iscsi),
                crc(ChecksumAlgorithm::Crc64Nvme, CrcAlgorithm::Crc64Nvme),
            ],
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
        for context in [&mut self.sha256, &mut self.sha1].into_iter().flatten() {
            context.update(bytes);
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
        let sha256 = self.sha256.map(|context| fixed(context.finish().as_ref())).or(sha256);
        let sha1 = self.sha1.map(Context::finish);
        let crc = |algorithm, at: usize| {
            self.crcs[at]
                .as_ref()
                .map(|crc: &crc_fast::Digest| ChecksumValue::from_crc(algorithm, crc.finalize()))
        };
        let sha256_checksum = sha256.filter(|_| self.plan.checksums.has(ChecksumAlgorithm::Sha256));
        Digests {
            length: self.length,
            md5: md5.filter(|_| self.plan.md5),
            payload_sha256: sha256.filter(|_| self.plan.payload_sha256),
            checksums: [
                crc(ChecksumAlgorithm::Crc32, 0),
                crc(ChecksumAlgorithm::Crc32c, 1),
                crc(ChecksumAlgorithm::Crc64Nvme, 2),
                sha1.and_then(|digest| ChecksumValue::from_bytes(ChecksumAlgorithm::Sha1, digest.as_ref())),
                sha256_checksum.and_then(|raw| ChecksumValue::from_bytes(ChecksumAlgorithm::Sha256, &raw)),
            ],
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
}
