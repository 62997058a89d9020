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

/// The running states of one body. Costs nothing for what was not planned.
#[derive(Clone)]
pub struct BodyDigests {
    plan: DigestPlan,
    length: u64,
    pub(super) md5: Md5State,
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
        let wants = |algorithm| plan.checksums.has(algorithm);
        let crc = |algorithm, as_crc| wants(algorithm).then(|| crc_fast::Digest::new(as_crc));
        Self {
            plan,
            length: 0,
            md5: Md5State::new(),
            sha256: (plan.payload_sha256 || wants(ChecksumAlgorithm::Sha256)).then(|| Context::new(&SHA256)),
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
        if self.plan.md5 {
            self.md5.update(bytes);
        }
        self.update_all_but_md5(bytes);
    }

    /// The part that [`super::lanes`] leaves to each body: MD5 is the one worth doing together.
    pub(super) fn update_all_but_md5(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
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
        let sha256: Option<[u8; 32]> = self.sha256.map(|context| fixed(context.finish().as_ref()));
        let sha1 = self.sha1.map(Context::finish);
        let crc = |algorithm, at: usize| {
            self.crcs[at]
                .as_ref()
                .map(|crc: &crc_fast::Digest| ChecksumValue::from_crc(algorithm, crc.finalize()))
        };
        let sha256_checksum = sha256.filter(|_| self.plan.checksums.has(ChecksumAlgorithm::Sha256));
        Digests {
            length: self.length,
            md5: self.plan.md5.then(|| self.md5.finalize()),
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
