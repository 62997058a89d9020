//! Hashing the blocks of several requests together: 16 lanes of AVX-512 do MD5 at ~5 GB/s where one stream does ~0.7.
//!
//! Below [`LANES_MIN`](crate::limits::LANES_MIN) blocks the lanes gain nothing (MEASURED.md B1) and each body hashes alone. `md5-many` and
//! `tape-sha256` are young: the property tests hold them against `md-5` and `ring`.

use super::body::BodyDigests;
use crate::limits::{LANES_MAX, LANES_MIN};
use md5_many::{Md5Many, Md5State};

/// One body's next bytes.
pub struct Block<'a> {
    pub digests: &'a mut BodyDigests,
    pub bytes: &'a [u8],
}

/// Knows what the CPU can do. Make it once per core.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    md5: Md5Many,
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}

impl Lanes {
    #[must_use]
    pub fn new() -> Self {
        Self { md5: Md5Many::new() }
    }

    /// Same effect as `block.digests.update(block.bytes)` for each; faster when many of them want MD5.
    pub fn update(&self, blocks: &mut [Block<'_>]) {
        for group in blocks.chunks_mut(LANES_MAX) {
            self.update_md5(group);
            for block in group {
                block.digests.update_all_but_md5(block.bytes);
            }
        }
    }

    fn update_md5(&self, group: &mut [Block<'_>]) {
        let mut states = [Md5State::new(); LANES_MAX];
        let mut inputs: [&[u8]; LANES_MAX] = [&[]; LANES_MAX];
        let mut lanes = 0;
        for block in group.iter().filter(|block| block.digests.plan().md5) {
            states[lanes] = block.digests.md5;
            inputs[lanes] = block.bytes;
            lanes += 1;
        }
        if lanes >= LANES_MIN {
            self.md5.update_many(&mut states[..lanes], &inputs[..lanes]);
        } else {
            for (state, bytes) in states.iter_mut().zip(inputs).take(lanes) {
                state.update(bytes);
            }
        }
        let wanting = group.iter_mut().filter(|block| block.digests.plan().md5);
        for (block, state) in wanting.zip(states) {
            block.digests.md5 = state;
        }
    }

    /// SHA-256 of complete messages (whole aws-chunks, small bodies).
    ///
    /// # Panics
    /// When the slices have different lengths: our bug.
    pub fn sha256(&self, messages: &[&[u8]], out: &mut [[u8; 32]]) {
        assert_eq!(messages.len(), out.len(), "one digest per message");
        if messages.len() >= LANES_MIN {
            tape_sha256::hash_many(messages, out);
        } else {
            for (message, digest) in messages.iter().zip(out) {
                *digest = super::sha256(message);
            }
        }
    }
}
