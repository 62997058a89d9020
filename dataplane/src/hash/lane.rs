//! One body's place among the lanes: its states between two passes, and the pass itself.

use std::collections::VecDeque;

use super::{Kernel, LANES};
use crate::rt::Chunk;

/// Both digests read blocks of this many bytes.
const BLOCK_BYTES: usize = 64;

/// RFC 1321, 3.3.
const MD5_START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// FIPS 180-4, 5.3.3.
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// What was computed of a whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashes {
    pub md5: [u8; 16],
    /// `None` where it was not asked for.
    pub sha256: Option<[u8; 32]>,
}

/// The states of one body.
#[derive(Clone)]
pub(super) struct Lane {
    md5: [u32; 4],
    sha256: Option<[u32; 8]>,
    /// Bytes that do not fill a block yet.
    tail: [u8; BLOCK_BYTES],
    tail_len: usize,
    bytes: u64,
}

/// States of all lanes, word by word.
pub(super) struct States {
    pub(super) md5: [[u32; LANES]; 4],
    pub(super) sha256: [[u32; LANES]; 8],
}

/// One lane in a pass: what it is to take in.
pub(super) struct Run {
    pub(super) lane: Lane,
    pub(super) parts: VecDeque<Chunk>,
}

impl Lane {
    pub(super) fn new(sha256: bool) -> Self {
        let sha256 = sha256.then_some(SHA256_START);
        Self { md5: MD5_START, sha256, tail: [0; BLOCK_BYTES], tail_len: 0, bytes: 0 }
    }

    /// Ends the message: a one, zeros, its length in bits in the last eight bytes, each digest's way round.
    pub(super) fn finish(mut self, kernel: Kernel) -> Hashes {
        let bits = self.bytes.wrapping_mul(8);
        let mut end = [0; 2 * BLOCK_BYTES];
        end[..self.tail_len].copy_from_slice(&self.tail[..self.tail_len]);
        end[self.tail_len] = 0x80;
        let blocks = if self.tail_len + 9 > BLOCK_BYTES { 2 } else { 1 };
        let length_at = blocks * BLOCK_BYTES - 8;
        end[length_at..][..8].copy_from_slice(&bits.to_le_bytes());
        let mut as_sha256 = self.clone();
        compress(kernel, &mut [&mut self], &[&end], blocks);
        end[length_at..][..8].copy_from_slice(&bits.to_be_bytes());
        compress(kernel, &mut [&mut as_sha256], &[&end], blocks);
        let mut md5 = [0; 16];
        for (bytes, word) in md5.chunks_exact_mut(4).zip(self.md5) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let sha256 = as_sha256.sha256.map(|words| {
            let mut digest = [0; 32];
            for (bytes, word) in digest.chunks_exact_mut(4).zip(words) {
                bytes.copy_from_slice(&word.to_be_bytes());
            }
            digest
        });
        Hashes { md5, sha256 }
    }
}

impl Run {
    /// Whole blocks at the front of what is left, in one piece: 0 at the end. A block that lies across two parts is put
    /// together in the tail.
    fn blocks(&mut self) -> usize {
        while self.lane.tail_len < BLOCK_BYTES {
            let Some(part) = self.parts.front_mut() else { return 0 };
            if self.lane.tail_len == 0 && part.len() >= BLOCK_BYTES {
                return part.len() / BLOCK_BYTES;
            }
            let (from, count) = (self.lane.tail_len, part.len().min(BLOCK_BYTES - self.lane.tail_len));
            self.lane.tail[from..from + count].copy_from_slice(&part[..count]);
            self.lane.tail_len += count;
            self.lane.bytes += count as u64;
            part.advance(count);
            if part.is_empty() {
                self.parts.pop_front();
            }
        }
        1
    }

    /// Where those blocks are.
    fn front(&self) -> &[u8] {
        if self.lane.tail_len == BLOCK_BYTES { &self.lane.tail } else { &self.parts[0] }
    }

    /// So many of them are done.
    fn advance(&mut self, blocks: usize) {
        if self.lane.tail_len == BLOCK_BYTES {
            self.lane.tail_len = 0;
            return;
        }
        let bytes = blocks * BLOCK_BYTES;
        self.lane.bytes += bytes as u64;
        self.parts[0].advance(bytes);
        if self.parts[0].is_empty() {
            self.parts.pop_front();
        }
    }
}

/// Hashes all parts of all runs; as many blocks at a time as the shortest of those that go on has in one piece.
pub(super) fn pass(kernel: Kernel, runs: &mut [Run]) {
    assert!(runs.len() <= LANES, "{} lanes in a pass", runs.len());
    loop {
        let blocks: [usize; LANES] =
            std::array::from_fn(|index| runs.get_mut(index).map_or(0, |run| run.blocks()));
        let Some(count) = blocks.iter().copied().filter(|count| *count > 0).min() else { return };
        let mut live: Vec<&mut Run> =
            runs.iter_mut().zip(blocks).filter(|(_, blocks)| *blocks > 0).map(|(run, _)| run).collect();
        let mut lanes: Vec<Lane> = live.iter().map(|run| run.lane.clone()).collect();
        {
            let data: Vec<&[u8]> = live.iter().map(|run| run.front()).collect();
            compress(kernel, &mut lanes.iter_mut().collect::<Vec<_>>(), &data, count);
        }
        for (run, lane) in live.iter_mut().zip(lanes) {
            (run.lane.md5, run.lane.sha256) = (lane.md5, lane.sha256);
            run.advance(count);
        }
    }
}

/// Hashes `blocks` blocks of `data` into each lane. Lanes that are not used hash the first one's data for nobody.
fn compress(kernel: Kernel, lanes: &mut [&mut Lane], data: &[&[u8]], blocks: usize) {
    let mut states = States { md5: [[0; LANES]; 4], sha256: [[0; LANES]; 8] };
    let mut wanted = 0;
    for (index, lane) in lanes.iter().enumerate() {
        lane.md5.iter().zip(&mut states.md5).for_each(|(word, all)| all[index] = *word);
        if let Some(sha256) = &lane.sha256 {
            wanted |= 1 << index;
            sha256.iter().zip(&mut states.sha256).for_each(|(word, all)| all[index] = *word);
        }
    }
    let data: [&[u8]; LANES] = std::array::from_fn(|index| data.get(index).copied().unwrap_or(data[0]));
    kernel.compress(wanted, &mut states, &data, blocks);
    for (index, lane) in lanes.iter_mut().enumerate() {
        lane.md5.iter_mut().zip(&states.md5).for_each(|(word, all)| *word = all[index]);
        if let Some(sha256) = &mut lane.sha256 {
            sha256.iter_mut().zip(&states.sha256).for_each(|(word, all)| *word = all[index]);
        }
    }
}

/// Bodies that are hashed in one pass whenever all of them have bytes: what a [`super::Pool`] does at best, for tests and benches.
pub struct Together {
    kernel: Kernel,
    lanes: Vec<Lane>,
}

impl Together {
    /// At most [`LANES`] bodies; their SHA-256 too where the kernel does it.
    #[must_use]
    pub fn new(kernel: Kernel, bodies: usize) -> Self {
        Self { kernel, lanes: vec![Lane::new(kernel.sha256()); bodies] }
    }

    /// The next bytes of each body.
    pub fn update(&mut self, parts: &[Chunk]) {
        let runs = self.lanes.drain(..).zip(parts);
        let mut runs: Vec<Run> =
            runs.map(|(lane, part)| Run { lane, parts: VecDeque::from([part.clone()]) }).collect();
        pass(self.kernel, &mut runs);
        self.lanes.extend(runs.into_iter().map(|run| run.lane));
    }

    /// Ends all bodies.
    #[must_use]
    pub fn finish(self) -> Vec<Hashes> {
        self.lanes.into_iter().map(|lane| lane.finish(self.kernel)).collect()
    }
}
