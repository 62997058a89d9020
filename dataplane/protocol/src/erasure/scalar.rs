//! Reed-Solomon in plain Rust: the fallback for old CPUs, the oracle for the fast coders, and the decode matrices for
//! `reed-solomon-erasure`, whose own rebuild wants owned buffers and all missing data at once.

use super::coder::{Coder, TooFewPieces};
use crate::limits::ENCODE_SLICE_BYTES;

/// x^8 + x^4 + x^3 + x^2 + 1, the field of every common Reed-Solomon storage code.
const POLYNOMIAL: u16 = 0x11d;

/// Products of every pair of field elements, 64 KiB: one load per byte instead of two logarithms.
static PRODUCTS: [[u8; 256]; 256] = products();

const fn multiply_slowly(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut product) = (a as u16, b, 0u16);
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a <<= 1;
        if a & 0x100 != 0 {
            a ^= POLYNOMIAL;
        }
        b >>= 1;
    }
    product as u8
}

/// A row is built from doublings of its factor: a product by `b` is that by `b` without its lowest bit, plus that bit's.
const fn products() -> [[u8; 256]; 256] {
    let mut table = [[0u8; 256]; 256];
    let mut a: usize = 0;
    while a < 256 {
        let mut b: usize = 1;
        while b < 256 {
            let low = b & b.wrapping_neg();
            table[a][b] =
                if low == b { multiply_slowly(a as u8, b as u8) } else { table[a][low] ^ table[a][b ^ low] };
            b += 1;
        }
        a += 1;
    }
    table
}

fn product(a: u8, b: u8) -> u8 {
    PRODUCTS[usize::from(a)][usize::from(b)]
}

/// The element whose product with `a` is 1; `a` is not 0.
fn inverse(a: u8) -> u8 {
    PRODUCTS[usize::from(a)].iter().position(|&p| p == 1).expect("every element but 0 has an inverse") as u8
}

/// Rows of field elements.
pub(super) type Rows = Vec<Vec<u8>>;

/// The systematic code matrix: row i holds the factors that make fragment i out of the data. The first `data` rows are
/// the identity. Any `data` rows of a Vandermonde matrix with distinct points are independent, and stay so when the
/// whole is multiplied by the inverse of its top.
pub(super) fn code_matrix(data: usize, parity: usize) -> Rows {
    let vandermonde: Rows = (0..data + parity)
        .map(|point| {
            std::iter::successors(Some(1u8), |power| Some(product(*power, point as u8))).take(data).collect()
        })
        .collect();
    let top = invert(vandermonde[..data].to_vec());
    vandermonde.iter().map(|row| row_times(row, &top)).collect()
}

fn row_times(row: &[u8], matrix: &Rows) -> Vec<u8> {
    (0..matrix.len()).map(|c| row.iter().zip(matrix).fold(0, |sum, (f, r)| sum ^ product(*f, r[c]))).collect()
}

/// Gauss-Jordan; the matrices handed in are invertible by construction.
fn invert(mut rows: Rows) -> Rows {
    let n = rows.len();
    for (i, row) in rows.iter_mut().enumerate() {
        row.extend((0..n).map(|c| u8::from(c == i)));
    }
    for pivot in 0..n {
        let found =
            (pivot..n).find(|&r| rows[r][pivot] != 0).expect("a code matrix without independent rows");
        rows.swap(pivot, found);
        let factor = inverse(rows[pivot][pivot]);
        rows[pivot].iter_mut().for_each(|v| *v = product(*v, factor));
        let base = rows[pivot].clone();
        for (r, row) in rows.iter_mut().enumerate() {
            let factor = row[pivot];
            if r != pivot && factor != 0 {
                row.iter_mut().zip(&base).for_each(|(v, b)| *v ^= product(factor, *b));
            }
        }
    }
    rows.into_iter().map(|row| row[n..].to_vec()).collect()
}

/// How to make some fragments out of others.
pub(super) struct Plan {
    /// The `data` fragments read from, in index order.
    pub(super) survivors: Vec<usize>,
    /// One row per wanted fragment, one factor per survivor.
    pub(super) factors: Rows,
}

/// Plans the rebuild of `wanted` from the first `data` pieces that are there.
pub(super) fn plan(matrix: &Rows, present: &[Option<&[u8]>], wanted: &[u8]) -> Result<Plan, TooFewPieces> {
    let need = matrix[0].len();
    assert_eq!(present.len(), matrix.len(), "one entry per fragment");
    let survivors: Vec<usize> = (0..present.len()).filter(|&i| present[i].is_some()).take(need).collect();
    if survivors.len() < need {
        return Err(TooFewPieces { have: survivors.len(), need });
    }
    let to_data = invert(survivors.iter().map(|&i| matrix[i].clone()).collect());
    let factors = wanted.iter().map(|&i| row_times(&matrix[usize::from(i)], &to_data)).collect();
    Ok(Plan { survivors, factors })
}

/// `out[i] = sum of factors[i][j] * inputs[j]`, slice by slice, with the caller's multiplication.
pub(super) fn combine(
    factors: &[Vec<u8>],
    inputs: &[&[u8]],
    out: &mut [&mut [u8]],
    set: fn(u8, &[u8], &mut [u8]),
    add: fn(u8, &[u8], &mut [u8]),
) {
    let len = inputs.first().map_or(0, |i| i.len());
    for start in (0..len).step_by(ENCODE_SLICE_BYTES) {
        let at = start..len.min(start + ENCODE_SLICE_BYTES);
        for (row, out) in factors.iter().zip(out.iter_mut()) {
            for (j, (factor, input)) in row.iter().zip(inputs).enumerate() {
                let operation = if j == 0 { set } else { add };
                operation(*factor, &input[at.clone()], &mut out[at.clone()]);
            }
        }
    }
}

fn set(factor: u8, input: &[u8], out: &mut [u8]) {
    let table = &PRODUCTS[usize::from(factor)];
    out.iter_mut().zip(input).for_each(|(o, i)| *o = table[usize::from(*i)]);
}

fn add(factor: u8, input: &[u8], out: &mut [u8]) {
    let table = &PRODUCTS[usize::from(factor)];
    out.iter_mut().zip(input).for_each(|(o, i)| *o ^= table[usize::from(*i)]);
}

/// The coder over the table above.
pub(super) struct Scalar {
    matrix: Rows,
    data: usize,
}

impl Scalar {
    pub(super) fn new(data: usize, parity: usize) -> Self {
        Self { matrix: code_matrix(data, parity), data }
    }
}

impl Coder for Scalar {
    fn name(&self) -> &'static str {
        "scalar"
    }

    fn data(&self) -> usize {
        self.data
    }

    fn parity(&self) -> usize {
        self.matrix.len() - self.data
    }

    fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) {
        assert_eq!((data.len(), parity.len()), (self.data, self.parity()), "pieces of a {} row", self.name());
        combine(&self.matrix[self.data..], data, parity, set, add);
    }

    fn reconstruct(
        &self,
        present: &[Option<&[u8]>],
        wanted: &[u8],
        out: &mut [&mut [u8]],
    ) -> Result<(), TooFewPieces> {
        let plan = plan(&self.matrix, present, wanted)?;
        let inputs: Vec<&[u8]> = plan.survivors.iter().filter_map(|&i| present[i]).collect();
        combine(&plan.factors, &inputs, out, set, add);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{inverse, multiply_slowly, product};

    #[test]
    fn the_table_is_the_field() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                assert_eq!(product(a, b), multiply_slowly(a, b));
            }
            assert!(a == 0 || product(a, inverse(a)) == 1);
        }
    }
}
