//! The codes themselves behind one trait: three implementations that give the same bytes, chosen at start.
//!
//! All use the matrix of `reed-solomon-erasure` (Vandermonde over GF(2^8) mod 0x11d, made systematic), so what one wrote
//! another reads: a data directory may move to a machine with another CPU. Buffers are worked through in slices of
//! `ENCODE_SLICE_BYTES` per fragment, because whole 256 KiB pieces of eleven fragments leave a 1 MiB L2 and run at a
//! third of the speed (MEASURED.md B2).

use std::cell::RefCell;
use std::sync::Arc;

use super::accelerated::{Dispatched, SimdAccel};
use super::scalar::Scalar;
use crate::limits::FRAGMENTS_MAX;

/// A Reed-Solomon code of fixed `data` + `parity`. Slices of one call have equal lengths; other shapes are our own bug.
pub trait Coder: Send + Sync {
    fn name(&self) -> &'static str;

    fn data(&self) -> usize;

    fn parity(&self) -> usize;

    /// Computes all parity pieces from all data pieces.
    fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]);

    /// Rebuilds the pieces named in `wanted` into `out`, from any `data` of `present` (one entry per fragment).
    fn reconstruct(
        &self,
        present: &[Option<&[u8]>],
        wanted: &[u8],
        out: &mut [&mut [u8]],
    ) -> Result<(), TooFewPieces>;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{have} pieces are not enough, the code needs {need}")]
pub struct TooFewPieces {
    pub have: usize,
    pub need: usize,
}

/// What the edge found out about the CPU; detection is not pure, deciding is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuFeatures {
    /// All of `-march=haswell` beyond x86-64-v2: AVX2, BMI1, BMI2, FMA, LZCNT, MOVBE. The C of `simd-accel` is compiled for
    /// that and faults elsewhere. True on aarch64, where NEON is always there.
    pub haswell: bool,
    /// SSSE3 or another set that `rusty_erasure` has a kernel for.
    pub vector: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CoderKind {
    /// `reed-solomon-erasure` with its AVX2 code: 17-30 times the scalar speed.
    SimdAccel,
    /// `rusty_erasure`, which asks the CPU at run time.
    Dispatched,
    /// Our own tables, one byte at a time, ~0.5 GB/s: right everywhere, fast nowhere.
    Scalar,
}

impl CoderKind {
    /// As `status` and the start-up log name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SimdAccel => "reed-solomon-erasure/simd-accel",
            Self::Dispatched => "rusty_erasure",
            Self::Scalar => "scalar",
        }
    }

    /// What the operator should be told, if anything.
    #[must_use]
    pub fn warning(self) -> Option<&'static str> {
        (self == Self::Scalar).then_some(
            "this CPU has neither AVX2 nor SSSE3: erasure coding runs in scalar code at about 0.5 GB/s per core; use a newer CPU or pass its features through to the virtual machine",
        )
    }
}

/// The best coder this CPU can run.
#[must_use]
pub fn choose(cpu: CpuFeatures) -> CoderKind {
    match cpu {
        CpuFeatures { haswell: true, .. } => CoderKind::SimdAccel,
        CpuFeatures { vector: true, .. } => CoderKind::Dispatched,
        _ => CoderKind::Scalar,
    }
}

/// A core's coders, one per (data, parity) that was asked for: building one costs a matrix inversion.
pub struct Coders {
    kind: CoderKind,
    built: RefCell<Vec<Arc<dyn Coder>>>,
}

impl Coders {
    #[must_use]
    pub fn new(kind: CoderKind) -> Self {
        Self { kind, built: RefCell::default() }
    }

    #[must_use]
    pub fn kind(&self) -> CoderKind {
        self.kind
    }

    /// The coder for `data` + `parity`, which a checked `Coding` holds within bounds. A node has few classes, so the list is
    /// short and a scan of it cheaper than a hash.
    #[must_use]
    pub fn coder(&self, data: usize, parity: usize) -> Arc<dyn Coder> {
        assert!(data > 0 && data + parity <= FRAGMENTS_MAX as usize, "coder of {data}+{parity}");
        let mut built = self.built.borrow_mut();
        if let Some(coder) = built.iter().find(|c| c.data() == data && c.parity() == parity) {
            return coder.clone();
        }
        let coder: Arc<dyn Coder> = match self.kind {
            _ if parity == 0 => Arc::new(Scalar::new(data, parity)), // nothing to compute
            CoderKind::SimdAccel => Arc::new(SimdAccel::new(data, parity)),
            CoderKind::Dispatched => Arc::new(Dispatched::new(data, parity)),
            CoderKind::Scalar => Arc::new(Scalar::new(data, parity)),
        };
        built.push(coder.clone());
        coder
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(data: usize, parity: usize) -> Vec<Arc<dyn Coder>> {
        let mut kinds = vec![CoderKind::Dispatched, CoderKind::Scalar];
        if is_x86_feature_detected!("avx2") {
            kinds.push(CoderKind::SimdAccel);
        }
        kinds.into_iter().map(|kind| Coders::new(kind).coder(data, parity)).collect()
    }

    fn encode(coder: &dyn Coder, data: &[Vec<u8>], len: usize) -> Vec<Vec<u8>> {
        let mut parity = vec![vec![0xee; len]; coder.parity()];
        let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        coder.encode(&data, &mut parity.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
        parity
    }

    fn bytes(len: usize, seed: u64) -> Vec<u8> {
        let mut x = seed | 1;
        std::iter::repeat_with(|| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 24) as u8
        })
        .take(len)
        .collect()
    }

    /// Encodes and rebuilds with every coder; `order` is a shuffle whose first entries are lost.
    fn check(data: usize, parity: usize, len: usize, seed: u64, order: &[u8], lost: usize) {
        let pieces: Vec<Vec<u8>> = (0..data).map(|i| bytes(len, seed ^ (i as u64) << 32)).collect();
        let coders = all(data, parity);
        let expected = encode(&*coders[0], &pieces, len);
        let whole: Vec<&Vec<u8>> = pieces.iter().chain(&expected).collect();
        let mut wanted: Vec<u8> =
            order.iter().copied().filter(|i| usize::from(*i) < data + parity).take(lost).collect();
        wanted.sort_unstable();
        for coder in &coders {
            assert_eq!(encode(&**coder, &pieces, len), expected, "{} {data}+{parity} x {len}", coder.name());
            let present: Vec<Option<&[u8]>> = whole
                .iter()
                .enumerate()
                .map(|(i, p)| (!wanted.contains(&(i as u8))).then_some(p.as_slice()))
                .collect();
            let mut out = vec![vec![0x55; len]; wanted.len()];
            let mut slices: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
            coder.reconstruct(&present, &wanted, &mut slices).unwrap();
            for (i, rebuilt) in wanted.iter().zip(&out) {
                assert_eq!(
                    rebuilt,
                    whole[usize::from(*i)],
                    "{} lost {wanted:?} of {data}+{parity}",
                    coder.name()
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn coders_agree_and_survive_any_losses(
            data in 1usize..11, parity in 0usize..6, len in 1usize..700, seed: u64,
            order in Just((0u8..16).collect::<Vec<_>>()).prop_shuffle(), lost in 0usize..6,
        ) {
            check(data, parity, len, seed, &order, lost.min(parity));
        }
    }

    #[test]
    fn slices_join_without_a_seam() {
        for len in [65_536, 65_537, 200_000] {
            check(4, 2, len, 7, &[1, 4], 2);
            check(2, 2, len, 8, &[0, 1], 2);
        }
    }

    #[test]
    fn one_data_piece_makes_parity_a_copy() {
        let data = vec![bytes(1000, 3)];
        for coder in all(1, 2) {
            assert_eq!(encode(&*coder, &data, 1000), [data[0].clone(), data[0].clone()]);
        }
    }

    #[test]
    fn the_largest_code_works() {
        check(28, 4, 128, 9, &[31, 2, 27, 0], 4);
    }

    #[test]
    fn too_few_pieces_are_an_error() {
        for coder in all(3, 2) {
            let piece = [1u8; 64];
            let present = [Some(&piece[..]), None, None, Some(&piece[..]), None];
            let mut out = [0u8; 64];
            assert_eq!(
                coder.reconstruct(&present, &[1], &mut [&mut out]),
                Err(TooFewPieces { have: 2, need: 3 })
            );
        }
    }

    #[test]
    fn the_cpu_decides() {
        let cpu = |haswell, vector| choose(CpuFeatures { haswell, vector });
        assert_eq!(cpu(true, true), CoderKind::SimdAccel);
        assert_eq!(cpu(false, true), CoderKind::Dispatched);
        assert_eq!(cpu(false, false), CoderKind::Scalar);
        assert!(CoderKind::Scalar.warning().is_some() && CoderKind::SimdAccel.warning().is_none());
    }
}
