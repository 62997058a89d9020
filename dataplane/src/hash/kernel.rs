//! Which instructions hash the lanes together: asked of the CPU once.
//!
//! A pass costs the same with one lane as with eight. MD5 waits for its step before, however wide the step is: one lane
//! costs what scalar code does (0.54 GB/s on Zen 4, eight lanes 4.3), and there is no number of bodies below which lanes
//! lose. SHA-256 in eight lanes does 2.5 GB/s where `ring` does 0.35 without SHA-NI. With SHA-NI bodies go two by two
//! between the steps of MD5. Both digests of 1, 2, 4, 6, 8 bodies so: 0.44, 0.89, 1.41, 1.75, 2.04 GB/s; one digest after
//! the other: 0.41, 0.75, 1.08, 1.35, 1.38.
#![allow(unsafe_code)]

use std::arch::is_x86_feature_detected;

use super::lane::States;
use super::sha_ni::Pairs;
use super::words::{Avx2, Avx512, Words};
use super::{LANES, rounds};

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
    /// Two bodies at a time, by SHA-NI, between the steps of MD5.
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
        let pairs = if self.sha256 == Sha256::Pairs { sha256.count_ones().div_ceil(2) } else { 0 };
        // SAFETY: a kernel exists only where `all` found its instructions.
        unsafe {
            match (self.avx2_alone, pairs) {
                (false, 0) if self.sha256 == Sha256::Lanes && sha256 != 0 => {
                    avx512_lanes(states, data, blocks)
                }
                (false, 0) => avx512(states, data, blocks),
                (false, 1) => avx512_pairs::<1>(sha256, states, data, blocks),
                (false, 2) => avx512_pairs::<2>(sha256, states, data, blocks),
                (false, 3) => avx512_pairs::<3>(sha256, states, data, blocks),
                (false, _) => avx512_pairs::<4>(sha256, states, data, blocks),
                (true, 0) => avx2(states, data, blocks),
                (true, 1) => avx2_pairs::<1>(sha256, states, data, blocks),
                (true, 2) => avx2_pairs::<2>(sha256, states, data, blocks),
                (true, 3) => avx2_pairs::<3>(sha256, states, data, blocks),
                (true, _) => avx2_pairs::<4>(sha256, states, data, blocks),
            }
        }
    }
}

#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn avx512(states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    md5_alone::<Avx512>(states, data, blocks);
}

#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn avx512_lanes(states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    beside_lanes::<Avx512>(states, data, blocks);
}

#[target_feature(enable = "avx2,avx512f,avx512vl,sha")]
fn avx512_pairs<const P: usize>(wanted: u8, states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    beside_pairs::<Avx512, P>(wanted, states, data, blocks);
}

#[target_feature(enable = "avx2")]
fn avx2(states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    md5_alone::<Avx2>(states, data, blocks);
}

#[target_feature(enable = "avx2,sha")]
fn avx2_pairs<const P: usize>(wanted: u8, states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    beside_pairs::<Avx2, P>(wanted, states, data, blocks);
}

#[inline(always)]
fn md5_alone<W: Words>(states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    let mut md5 = states.md5.each_ref().map(W::load);
    for block in 0..blocks {
        rounds::md5(&mut md5, &W::block(data, block * 64), &mut ());
    }
    states.md5.iter_mut().zip(md5).for_each(|(lanes, word)| word.store(lanes));
}

/// SHA-256 in the lanes of MD5.
#[inline(always)]
fn beside_lanes<W: Words>(states: &mut States, data: &[&[u8]; LANES], blocks: usize) {
    let mut md5 = states.md5.each_ref().map(W::load);
    let mut sha256 = states.sha256.each_ref().map(W::load);
    for block in 0..blocks {
        let words = W::block(data, block * 64);
        let mut rounds = rounds::Sha256::new(&sha256, &words);
        rounds::md5(&mut md5, &words, &mut rounds);
        rounds.end(&mut sha256);
    }
    states.md5.iter_mut().zip(md5).for_each(|(lanes, word)| word.store(lanes));
    states.sha256.iter_mut().zip(sha256).for_each(|(lanes, word)| word.store(lanes));
}

/// SHA-256 by SHA-NI, the lanes of `wanted` two by two; a last one has itself for company.
#[inline(always)]
fn beside_pairs<W: Words, const P: usize>(
    wanted: u8,
    states: &mut States,
    data: &[&[u8]; LANES],
    blocks: usize,
) {
    let mut set = (0..LANES).filter(|lane| wanted & (1 << lane) != 0);
    let lanes: [[usize; 2]; P] = std::array::from_fn(|_| {
        let first = set.next().expect("no more pairs than it takes");
        [first, set.next().unwrap_or(first)]
    });
    let before = lanes.map(|pair| pair.map(|lane| states.sha256.map(|word| word[lane])));
    let body = |pair: usize, n: usize| (&before[pair][n], data[lanes[pair][n]]);
    let mut pairs = Pairs::<P>::new(std::array::from_fn(|pair| std::array::from_fn(|n| body(pair, n))));
    let mut md5 = states.md5.each_ref().map(W::load);
    for block in 0..blocks {
        let words = W::block(data, block * 64);
        pairs.begin(block * 64);
        rounds::md5(&mut md5, &words, &mut pairs);
    }
    states.md5.iter_mut().zip(md5).for_each(|(lanes, word)| word.store(lanes));
    for (state, lane) in pairs.states().iter().flatten().zip(lanes.iter().flatten()) {
        states.sha256.iter_mut().zip(state).for_each(|(lanes, word)| lanes[*lane] = *word);
    }
}
