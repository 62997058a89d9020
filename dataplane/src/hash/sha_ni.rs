//! SHA-256 by the CPU's own instructions (SHA-NI), two bodies side by side, beside MD5.
//!
//! Each instruction waits for the one before, four cycles long, and another could start every two: one stream leaves half of
//! the unit idle, and MD5, whose steps are one chain as well, all of it. So pairs of streams go between MD5's steps.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi32,
    _mm_setr_epi8, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32,
};

use super::rounds::{Beside, SHA256_ROOTS};

/// `P` pairs of bodies, one pair after the other in the time of one block of MD5.
pub(super) struct Pairs<'d, const P: usize> {
    streams: [[Stream<'d>; 2]; P],
    /// Where the block begins in everyone's data.
    at: usize,
}

/// One body. Only code behind `kernel`'s detection of SHA-NI (and AVX2, so SSE4.1) makes any.
#[derive(Clone, Copy)]
struct Stream<'d> {
    abef: __m128i,
    cdgh: __m128i,
    /// Both when the block began.
    before: [__m128i; 2],
    words: [__m128i; 4],
    data: &'d [u8],
}

impl<'d, const P: usize> Pairs<'d, P> {
    /// Everyone's state and data.
    #[inline(always)]
    pub(super) fn new(bodies: [[(&[u32; 8], &'d [u8]); 2]; P]) -> Self {
        Self { streams: bodies.map(|pair| pair.map(|(state, data)| Stream::new(state, data))), at: 0 }
    }

    /// The next block begins at `at`.
    #[inline(always)]
    pub(super) fn begin(&mut self, at: usize) {
        self.at = at;
    }

    /// Everyone's state after the last block.
    #[inline(always)]
    pub(super) fn states(&self) -> [[[u32; 8]; 2]; P] {
        self.streams.each_ref().map(|pair| pair.each_ref().map(Stream::state))
    }
}

impl<const P: usize> Beside for Pairs<'_, P> {
    #[inline(always)]
    fn go(&mut self, four: usize) {
        for part in 0..P {
            let (pair, four) = ((four * P + part) / 16, (four * P + part) % 16);
            for stream in &mut self.streams[pair] {
                stream.four(four, self.at);
            }
        }
    }
}

impl<'d> Stream<'d> {
    #[inline(always)]
    fn new(state: &[u32; 8], data: &'d [u8]) -> Self {
        let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
        // SAFETY: SSE2, see `Stream`.
        unsafe {
            let (abef, cdgh) = (_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h));
            Self { abef, cdgh, before: [abef, cdgh], words: [abef; 4], data }
        }
    }

    /// Rounds `4 * four` to `4 * four + 3` of the block at `at`.
    #[inline(always)]
    fn four(&mut self, four: usize, at: usize) {
        let [k0, k1, k2, k3]: [i32; 4] = std::array::from_fn(|i| SHA256_ROOTS[four * 4 + i].cast_signed());
        // SAFETY: SHA-NI and SSSE3, see `Stream`.
        unsafe {
            if four == 0 {
                self.before = [self.abef, self.cdgh];
                self.words = load(self.data, at);
            }
            let word = &mut self.words;
            if four >= 4 {
                let (second, third, last) =
                    (word[(four + 1) % 4], word[(four + 2) % 4], word[(four + 3) % 4]);
                let begun = _mm_sha256msg1_epu32(word[four % 4], second);
                let sum = _mm_add_epi32(begun, _mm_alignr_epi8::<4>(last, third));
                word[four % 4] = _mm_sha256msg2_epu32(sum, last);
            }
            let keyed = _mm_add_epi32(word[four % 4], _mm_set_epi32(k3, k2, k1, k0));
            self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, keyed);
            self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, _mm_shuffle_epi32::<0x0e>(keyed));
            if four == 15 {
                self.abef = _mm_add_epi32(self.abef, self.before[0]);
                self.cdgh = _mm_add_epi32(self.cdgh, self.before[1]);
            }
        }
    }

    #[inline(always)]
    fn state(&self) -> [u32; 8] {
        // SAFETY: SSE4.1, see `Stream`.
        let high = |v| unsafe { [_mm_extract_epi32::<3>(v), _mm_extract_epi32::<2>(v)] };
        // SAFETY: as above.
        let low = |v| unsafe { [_mm_extract_epi32::<1>(v), _mm_extract_epi32::<0>(v)] };
        let ([a, b], [e, f]) = (high(self.abef), low(self.abef));
        let ([c, d], [g, h]) = (high(self.cdgh), low(self.cdgh));
        [a, b, c, d, e, f, g, h].map(i32::cast_unsigned)
    }
}

/// The sixteen big-endian words of the 64 bytes from `at` on.
#[inline(always)]
fn load(data: &[u8], at: usize) -> [__m128i; 4] {
    let block = &data[at..][..64];
    std::array::from_fn(|i| {
        // SAFETY: SSSE3, see `Stream`; sixteen bytes of a slice of sixty-four, without alignment.
        unsafe {
            let order = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
            _mm_shuffle_epi8(_mm_loadu_si128(block[i * 16..].as_ptr().cast()), order)
        }
    })
}
