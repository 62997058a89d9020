//! The two fast coders: `reed-solomon-erasure` with its C code for AVX2, and `rusty_erasure`, which asks the CPU.

use reed_solomon_erasure::galois_8::{self, ReedSolomon};

use super::coder::{Coder, TooFewPieces};
use super::scalar::{Rows, code_matrix, combine, plan};
use crate::limits::ENCODE_SLICE_BYTES;

/// Runs only where `CpuFeatures::haswell` is true.
pub(super) struct SimdAccel {
    code: ReedSolomon,
    matrix: Rows,
}

impl SimdAccel {
    pub(super) fn new(data: usize, parity: usize) -> Self {
        let code =
            ReedSolomon::new(data, parity).expect("a checked coding has data and parity within bounds");
        Self { code, matrix: code_matrix(data, parity) }
    }
}

impl Coder for SimdAccel {
    fn name(&self) -> &'static str {
        "reed-solomon-erasure/simd-accel"
    }

    fn data(&self) -> usize {
        self.code.data_shard_count()
    }

    fn parity(&self) -> usize {
        self.code.parity_shard_count()
    }

    fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) {
        for_slices(data, parity, |data, parity| {
            self.code.encode_sep(data, parity).expect("pieces of one row have one length");
        });
    }

    fn reconstruct(
        &self,
        present: &[Option<&[u8]>],
        wanted: &[u8],
        out: &mut [&mut [u8]],
    ) -> Result<(), TooFewPieces> {
        let plan = plan(&self.matrix, present, wanted)?;
        let inputs: Vec<&[u8]> = plan.survivors.iter().filter_map(|&i| present[i]).collect();
        combine(&plan.factors, &inputs, out, galois_8::mul_slice, galois_8::mul_slice_xor);
        Ok(())
    }
}

/// Pure Rust kernels for SSSE3, AVX2, GFNI and NEON, picked when the coder is built.
pub(super) struct Dispatched {
    code: rusty_erasure::Coder,
}

impl Dispatched {
    pub(super) fn new(data: usize, parity: usize) -> Self {
        let matrix = rusty_erasure::compat::reed_solomon_erasure_matrix(data, parity);
        let code = matrix.and_then(rusty_erasure::coder);
        Self { code: code.expect("a checked coding has data and parity within bounds") }
    }
}

impl Coder for Dispatched {
    fn name(&self) -> &'static str {
        "rusty_erasure"
    }

    fn data(&self) -> usize {
        self.code.k()
    }

    fn parity(&self) -> usize {
        self.code.p()
    }

    fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) {
        for_slices(data, parity, |data, parity| {
            self.code.encode(data, parity).expect("pieces of one row have one length");
        });
    }

    fn reconstruct(
        &self,
        present: &[Option<&[u8]>],
        wanted: &[u8],
        out: &mut [&mut [u8]],
    ) -> Result<(), TooFewPieces> {
        let (have, need) = (present.iter().flatten().count(), self.data());
        if have < need {
            return Err(TooFewPieces { have, need });
        }
        let there: Vec<bool> = present.iter().map(Option::is_some).collect();
        let rebuild: Vec<usize> = wanted.iter().map(|&i| i.into()).collect();
        let plan = self.code.decode_plan(&there, &rebuild).expect("enough pieces of a known code");
        let len = out.first().map_or(0, |o| o.len());
        for start in (0..len).step_by(ENCODE_SLICE_BYTES) {
            let at = start..len.min(start + ENCODE_SLICE_BYTES);
            let inputs: Vec<Option<&[u8]>> = present.iter().map(|p| p.map(|p| &p[at.clone()])).collect();
            let mut outputs: Vec<&mut [u8]> = out.iter_mut().map(|o| &mut o[at.clone()]).collect();
            self.code.recover_with(&plan, &inputs, &mut outputs).expect("pieces of one row have one length");
        }
        Ok(())
    }
}

/// Calls `encode` for each slice of `ENCODE_SLICE_BYTES` per piece.
fn for_slices(data: &[&[u8]], parity: &mut [&mut [u8]], encode: impl Fn(&[&[u8]], &mut [&mut [u8]])) {
    let len = data.first().map_or(0, |d| d.len());
    for start in (0..len).step_by(ENCODE_SLICE_BYTES) {
        let at = start..len.min(start + ENCODE_SLICE_BYTES);
        let inputs: Vec<&[u8]> = data.iter().map(|d| &d[at.clone()]).collect();
        let mut outputs: Vec<&mut [u8]> = parity.iter_mut().map(|p| &mut p[at.clone()]).collect();
        encode(&inputs, &mut outputs);
    }
}
