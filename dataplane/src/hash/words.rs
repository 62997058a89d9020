//! 32-bit words of eight lanes in one 256-bit register, with and without AVX-512's three-operand logic and rotates.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_loadu_si256, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_rol_epi32, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_shuffle_epi8,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256, _mm256_ternarylogic_epi32,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

use super::LANES;

/// A word per lane, and the few operations that MD5 and SHA-256 are made of.
pub(super) trait Words: Copy {
    fn of(register: __m256i) -> Self;
    fn register(self) -> __m256i;
    fn xor3(self, b: Self, c: Self) -> Self;
    /// Bits of `b` where `self` has ones, of `c` elsewhere.
    fn choose(self, b: Self, c: Self) -> Self;
    fn majority(self, b: Self, c: Self) -> Self;
    /// RFC 1321's `I(self, b, c)`: `b ^ (self | !c)`.
    fn mix_i(self, b: Self, c: Self) -> Self;
    /// Rotates to the left; `RIGHT` is 32 - `LEFT`, which a constant expression cannot say yet.
    fn rol<const LEFT: i32, const RIGHT: i32>(self) -> Self;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: needs AVX2, as everything of `Words`: only `kernel` makes any, behind its detection.
        Self::of(unsafe { _mm256_set1_epi32(word.cast_signed()) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: AVX2, see `splat`.
        Self::of(unsafe { _mm256_add_epi32(self.register(), other.register()) })
    }

    #[inline(always)]
    fn shr<const N: i32>(self) -> Self {
        // SAFETY: AVX2, see `splat`.
        Self::of(unsafe { _mm256_srli_epi32::<N>(self.register()) })
    }

    /// The bytes of each word in reverse.
    #[inline(always)]
    fn swapped(self) -> Self {
        // SAFETY: AVX2, see `splat`.
        unsafe {
            let order = _mm256_setr_epi8(
                3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8,
                15, 14, 13, 12,
            );
            Self::of(_mm256_shuffle_epi8(self.register(), order))
        }
    }

    #[inline(always)]
    fn load(lanes: &[u32; LANES]) -> Self {
        // SAFETY: AVX2, see `splat`; an array of eight words is 32 bytes, and the load needs no alignment.
        Self::of(unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, lanes: &mut [u32; LANES]) {
        // SAFETY: as in `load`.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), self.register()) }
    }

    /// The sixteen little-endian words of the 64 bytes from `at` on, of all lanes: word `i` of lane `l` becomes element
    /// `l` of `i`.
    #[inline(always)]
    fn block(data: &[&[u8]; LANES], at: usize) -> [Self; 16] {
        let mut words = [Self::splat(0); 16];
        for half in 0..2 {
            let rows: [__m256i; LANES] = std::array::from_fn(|lane| {
                let row = &data[lane][at + half * 32..][..32];
                // SAFETY: AVX2, see `splat`; the slice has the 32 bytes that are loaded.
                unsafe { _mm256_loadu_si256(row.as_ptr().cast()) }
            });
            for (word, column) in words[half * 8..].iter_mut().zip(transpose(&rows)) {
                *word = Self::of(column);
            }
        }
        words
    }
}

/// Eight rows of eight words become eight columns.
#[inline(always)]
fn transpose(r: &[__m256i; 8]) -> [__m256i; 8] {
    // SAFETY: AVX2, see `Words::splat`.
    unsafe {
        let pairs: [__m256i; 8] = [
            _mm256_unpacklo_epi32(r[0], r[1]),
            _mm256_unpackhi_epi32(r[0], r[1]),
            _mm256_unpacklo_epi32(r[2], r[3]),
            _mm256_unpackhi_epi32(r[2], r[3]),
            _mm256_unpacklo_epi32(r[4], r[5]),
            _mm256_unpackhi_epi32(r[4], r[5]),
            _mm256_unpacklo_epi32(r[6], r[7]),
            _mm256_unpackhi_epi32(r[6], r[7]),
        ];
        let fours: [__m256i; 8] = [
            _mm256_unpacklo_epi64(pairs[0], pairs[2]),
            _mm256_unpackhi_epi64(pairs[0], pairs[2]),
            _mm256_unpacklo_epi64(pairs[1], pairs[3]),
            _mm256_unpackhi_epi64(pairs[1], pairs[3]),
            _mm256_unpacklo_epi64(pairs[4], pairs[6]),
            _mm256_unpackhi_epi64(pairs[4], pairs[6]),
            _mm256_unpacklo_epi64(pairs[5], pairs[7]),
            _mm256_unpackhi_epi64(pairs[5], pairs[7]),
        ];
        std::array::from_fn(|i| {
            if i < 4 {
                _mm256_permute2x128_si256::<0x20>(fours[i], fours[i + 4])
            } else {
                _mm256_permute2x128_si256::<0x31>(fours[i - 4], fours[i])
            }
        })
    }
}

/// AVX-512 VL: each of the functions is one instruction.
#[derive(Clone, Copy)]
pub(super) struct Avx512(__m256i);

impl Words for Avx512 {
    #[inline(always)]
    fn of(register: __m256i) -> Self {
        Self(register)
    }

    #[inline(always)]
    fn register(self) -> __m256i {
        self.0
    }

    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        // SAFETY: AVX-512 F and VL: only `kernel` makes this type, behind its detection. So below.
        Self(unsafe { _mm256_ternarylogic_epi32::<0x96>(self.0, b.0, c.0) })
    }

    #[inline(always)]
    fn choose(self, b: Self, c: Self) -> Self {
        // SAFETY: see `xor3`.
        Self(unsafe { _mm256_ternarylogic_epi32::<0xca>(self.0, b.0, c.0) })
    }

    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        // SAFETY: see `xor3`.
        Self(unsafe { _mm256_ternarylogic_epi32::<0xe8>(self.0, b.0, c.0) })
    }

    #[inline(always)]
    fn mix_i(self, b: Self, c: Self) -> Self {
        // SAFETY: see `xor3`.
        Self(unsafe { _mm256_ternarylogic_epi32::<0x39>(self.0, b.0, c.0) })
    }

    #[inline(always)]
    fn rol<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // SAFETY: see `xor3`.
        Self(unsafe { _mm256_rol_epi32::<LEFT>(self.0) })
    }
}

/// AVX2 alone.
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256i);

impl Words for Avx2 {
    #[inline(always)]
    fn of(register: __m256i) -> Self {
        Self(register)
    }

    #[inline(always)]
    fn register(self) -> __m256i {
        self.0
    }

    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        // SAFETY: AVX2: only `kernel` makes this type, behind its detection. So below.
        Self(unsafe { _mm256_xor_si256(_mm256_xor_si256(self.0, b.0), c.0) })
    }

    #[inline(always)]
    fn choose(self, b: Self, c: Self) -> Self {
        // SAFETY: see `xor3`.
        Self(unsafe { _mm256_xor_si256(c.0, _mm256_and_si256(self.0, _mm256_xor_si256(b.0, c.0))) })
    }

    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        // SAFETY: see `xor3`.
        Self(unsafe {
            let either = _mm256_or_si256(self.0, b.0);
            _mm256_or_si256(_mm256_and_si256(self.0, b.0), _mm256_and_si256(c.0, either))
        })
    }

    #[inline(always)]
    fn mix_i(self, b: Self, c: Self) -> Self {
        // SAFETY: see `xor3`.
        Self(unsafe {
            let not_c = _mm256_xor_si256(c.0, _mm256_set1_epi32(-1));
            _mm256_xor_si256(b.0, _mm256_or_si256(self.0, not_c))
        })
    }

    #[inline(always)]
    fn rol<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // SAFETY: see `xor3`.
        Self(unsafe {
            _mm256_or_si256(_mm256_slli_epi32::<LEFT>(self.0), _mm256_srli_epi32::<RIGHT>(self.0))
        })
    }
}
