//! Which instructions hash the lanes together: asked of the CPU once.
//!
//! A pass costs the same with one lane as with eight. MD5 waits for its step before, however wide the step is: one lane
//! costs what scalar code does (0.54 GB/s on Zen 4, eight lanes 4.3), and there is no number of bodies below which lanes
//! lose. SHA-256 in eight lanes does 2.5 GB/s where `ring` does 0.35 without SHA-NI; with SHA-NI two bodies side by side
//! do 2.3, and one does what `ring` does (1.4).
#![allow(unsafe_code)]

use std::arch::is_x86_feature_detected;

use super::lane::States;
use super::words::{Avx2, Avx512, Words};
use super::{LANES, rounds, sha_ni};

/// How this CPU hashes several bodies at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// MD5 without AVX-512's rotates and three-operand logic.
    avx2_alone: bool,
    sha256: Sha256,
}

/// How SHA-256 goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sha256 {
    /// Each body alone, by `ring`.
    Alone,
    /// In the lanes of MD5.
    Lanes,
    /// Two bodies at a time, by SHA-NI.
    Pairs,
}

impl Kernel {
    /// The best there is; `None` where each body had better hash alone.
    #[must_use]
    pub fn detect() -> Option<Self> {
        Self::all().into_iter().next()
    }

    /// Every kernel that runs on this CPU, the best first: for tests and benches.
    #[must_use]
    pub fn all() -> Vec<Self> {
        if !is_x86_feature_detected!("avx2") {
            return Vec::new();
        }
        let sha_ni = is_x86_feature_detected!("sha");
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        let kernels = [
            (avx512 && sha_ni, false, Sha256::Pairs),
            (avx512, false, Sha256::Lanes),
            (sha_ni, true, Sha256::Pairs),
            // Rotates of three instructions: `ring` is ahead of SHA-256 in such lanes until five are filled.
            (true, true, Sha256::Alone),
        ];
        let found = kernels.into_iter().filter(|(here, ..)| *here);
        found.map(|(_, avx2_alone, sha256)| Self { avx2_alone, sha256 }).collect()
    }

    #[must_use]
    pub fn sha256(self) -> bool {
        self.sha256 != Sha256::Alone
    }

    /// Hashes the first `blocks` blocks of every lane's data into its MD5 state, and into the SHA-256 states of the lanes
    /// whose bit is set in `sha256`.
    pub(super) fn compress(self, sha256: u8, states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
        // SAFETY: a kernel exists only where `all` found its instructions.
        unsafe {
            match (self.avx2_alone, self.sha256) {
                (true, _) => avx2(states, data, blocks),
                (false, Sha256::Lanes) if sha256 != 0 => avx512::<true>(states, data, blocks),
                (false, _) => avx512::<false>(states, data, blocks),
            }
        }
        if self.sha256 == Sha256::Pairs {
            compress_pairs(sha256, states, data, blocks);
        }
    }
}

#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn avx512<const SHA256: bool>(states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    compress::<Avx512, SHA256>(states, data, blocks);
}

#[target_feature(enable = "avx2")]
fn avx2(states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    compress::<Avx2, false>(states, data, blocks);
}

/// SHA-NI: the lanes of `wanted` two by two, a last one alone.
fn compress_pairs(wanted: u8, states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    let lanes: Vec<usize> = (0..LANES).filter(|lane| wanted & (1 << lane) != 0).collect();
    for pair in lanes.chunks(2) {
        let mut both = [[0; 8]; 2];
        for (state, lane) in both.iter_mut().zip(pair) {
            *state = std::array::from_fn(|word| states.sha256[word][*lane]);
        }
        // SAFETY: only kernels of CPUs with SHA-NI (and AVX2, so SSE4.1) come here.
        unsafe {
            match *pair {
                [a, b] => sha_ni::compress::<2>(&mut both, &[data[a], data[b]], blocks),
                [a] => sha_ni::compress::<1>(both.first_chunk_mut().expect("two"), &[data[a]], blocks),
                _ => unreachable!("chunks of two"),
            }
        }
        for (state, lane) in both.iter().zip(pair) {
            states.sha256.iter_mut().zip(state).for_each(|(lanes, word)| lanes[*lane] = *word);
        }
    }
}

#[inline(always)]
fn compress<W: Words, const SHA256: bool>(states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    let mut md5: [W; 4] = std::array::from_fn(|word| W::load(&states.md5[word]));
    let mut sha256: [W; 8] = std::array::from_fn(|word| W::load(&states.sha256[word]));
    for block in 0..blocks {
        let le = W::block(data, block * 64);
        let be = if SHA256 { std::array::from_fn(|word| le[word].swapped()) } else { le };
        rounds::block::<W, SHA256>(&mut md5, &mut sha256, &le, be);
    }
    for (lanes, word) in states.md5.iter_mut().zip(md5) {
        word.store(lanes);
    }
    for (lanes, word) in states.sha256.iter_mut().zip(sha256) {
        word.store(lanes);
    }
}
