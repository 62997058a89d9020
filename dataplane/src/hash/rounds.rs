//! The rounds of MD5 (RFC 1321) and SHA-256 (FIPS 180-4) over one block of every lane.
//!
//! MD5 is one long chain of dependent steps that leaves most of a core idle, so SHA-256, where it is wanted too, goes beside
//! it: four rounds of the one, four steps of the other.

use super::words::Words;

/// RFC 1321, 3.4: the integer part of 2^32 * |sin(i)|, i from 1.
const MD5_SINES: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
];

/// FIPS 180-4, 4.2.2: the first 32 bits of the fractions of the cube roots of the first 64 primes.
pub(super) const SHA256_ROOTS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// What is done beside MD5's sixteen times four steps of one block.
pub(super) trait Beside {
    /// What goes with steps `4 * four` and on; called with 0 to 15, in order.
    fn go(&mut self, four: usize);
}

/// Nothing.
impl Beside for () {
    #[inline(always)]
    fn go(&mut self, _: usize) {}
}

/// MD5 of one block of every lane: `words` as it reads them, the least significant byte first.
#[inline(always)]
pub(super) fn md5<W: Words>(state: &mut [W; 4], words: &[W; 16], beside: &mut impl Beside) {
    let [mut a, mut b, mut c, mut d] = *state;
    macro_rules! mix {
        (f, $b:ident, $c:ident, $d:ident) => {
            $b.choose($c, $d)
        };
        (g, $b:ident, $c:ident, $d:ident) => {
            $d.choose($b, $c)
        };
        (h, $b:ident, $c:ident, $d:ident) => {
            $b.xor3($c, $d)
        };
        (i, $b:ident, $c:ident, $d:ident) => {
            $b.mix_i($c, $d)
        };
    }
    macro_rules! step {
        ($mix:ident $a:ident $b:ident $c:ident $d:ident, $i:expr, $word:expr, $left:literal $right:literal) => {
            let mixed = mix!($mix, $b, $c, $d);
            let sum = $a.add(words[($word) % 16].add(W::splat(MD5_SINES[$i]))).add(mixed);
            $a = sum.rol::<$left, $right>().add($b);
        };
    }
    macro_rules! four {
        ($mix:ident $i:expr, $step:literal $start:literal, $l0:literal $r0:literal $l1:literal $r1:literal $l2:literal $r2:literal $l3:literal $r3:literal) => {
            step!($mix a b c d, $i, $step * $i + $start, $l0 $r0);
            step!($mix d a b c, $i + 1, $step * ($i + 1) + $start, $l1 $r1);
            step!($mix c d a b, $i + 2, $step * ($i + 2) + $start, $l2 $r2);
            step!($mix b c d a, $i + 3, $step * ($i + 3) + $start, $l3 $r3);
            beside.go($i / 4);
        };
    }
    macro_rules! sixteen {
        ($mix:ident $i:expr, $($rest:tt)*) => {
            four!($mix $i, $($rest)*);
            four!($mix $i + 4, $($rest)*);
            four!($mix $i + 8, $($rest)*);
            four!($mix $i + 12, $($rest)*);
        };
    }
    sixteen!(f 0, 1 0, 7 25 12 20 17 15 22 10);
    sixteen!(g 16, 5 1, 5 27 9 23 14 18 20 12);
    sixteen!(h 32, 3 5, 4 28 11 21 16 16 23 9);
    sixteen!(i 48, 7 0, 6 26 10 22 15 17 21 11);
    for (state, word) in state.iter_mut().zip([a, b, c, d]) {
        *state = state.add(word);
    }
}

/// SHA-256 of one block of every lane.
pub(super) struct Sha256<W> {
    state: [W; 8],
    words: [W; 16],
}

impl<W: Words> Sha256<W> {
    /// `words` as MD5 reads them.
    #[inline(always)]
    pub(super) fn new(state: &[W; 8], words: &[W; 16]) -> Self {
        Self { state: *state, words: std::array::from_fn(|i| words[i].swapped()) }
    }

    /// Adds what the rounds made of it to the state.
    #[inline(always)]
    pub(super) fn end(self, state: &mut [W; 8]) {
        state.iter_mut().zip(self.state).for_each(|(state, word)| *state = state.add(word));
    }

    #[inline(always)]
    fn round(&mut self, i: usize) {
        let w = &mut self.words;
        if i >= 16 {
            let (x, y) = (w[(i + 1) % 16], w[(i + 14) % 16]);
            let s0 = x.rol::<25, 7>().xor3(x.rol::<14, 18>(), x.shr::<3>());
            let s1 = y.rol::<15, 17>().xor3(y.rol::<13, 19>(), y.shr::<10>());
            w[i % 16] = w[i % 16].add(s0).add(w[(i + 9) % 16].add(s1));
        }
        // The letters move one place a round; the words stay.
        let [a, b, c, d, e, f, g, h]: [usize; 8] = std::array::from_fn(|letter| (letter + 64 - i) % 8);
        let s = &mut self.state;
        let s1 = s[e].rol::<26, 6>().xor3(s[e].rol::<21, 11>(), s[e].rol::<7, 25>());
        let t1 = s[h].add(w[i % 16].add(W::splat(SHA256_ROOTS[i]))).add(s[e].choose(s[f], s[g])).add(s1);
        let s0 = s[a].rol::<30, 2>().xor3(s[a].rol::<19, 13>(), s[a].rol::<10, 22>());
        s[d] = s[d].add(t1);
        s[h] = t1.add(s0.add(s[a].majority(s[b], s[c])));
    }
}

impl<W: Words> Beside for Sha256<W> {
    #[inline(always)]
    fn go(&mut self, four: usize) {
        self.round(4 * four);
        self.round(4 * four + 1);
        self.round(4 * four + 2);
        self.round(4 * four + 3);
    }
}
