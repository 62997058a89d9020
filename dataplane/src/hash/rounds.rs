//! The rounds of MD5 (RFC 1321) and SHA-256 (FIPS 180-4) over one block of every lane.
//!
//! MD5 is one long chain of dependent steps that leaves most of a core idle; SHA-256 keeps it busy. Both have 64 rounds a
//! block, so where both are wanted they go side by side: 15 % less time than one after the other.

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

/// One block of every lane: `le` are its words as MD5 reads them, `be` as SHA-256 does. What is not asked for stays as it is.
#[inline(always)]
pub(super) fn block<W: Words, const SHA256: bool>(
    md5: &mut [W; 4],
    sha: &mut [W; 8],
    le: &[W; 16],
    be: [W; 16],
) {
    let [mut ma, mut mb, mut mc, mut md] = *md5;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *sha;
    let mut w = be;
    macro_rules! sha_round {
        ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $i:expr, $first:expr) => {
            if SHA256 {
                let i = $i % 16;
                if !$first {
                    let (x, y) = (w[(i + 1) % 16], w[(i + 14) % 16]);
                    let s0 = x.rol::<25, 7>().xor3(x.rol::<14, 18>(), x.shr::<3>());
                    let s1 = y.rol::<15, 17>().xor3(y.rol::<13, 19>(), y.shr::<10>());
                    w[i] = w[i].add(s0).add(w[(i + 9) % 16].add(s1));
                }
                let s1 = $e.rol::<26, 6>().xor3($e.rol::<21, 11>(), $e.rol::<7, 25>());
                let t1 = $h.add(w[i].add(W::splat(SHA256_ROOTS[$i]))).add($e.choose($f, $g)).add(s1);
                let s0 = $a.rol::<30, 2>().xor3($a.rol::<19, 13>(), $a.rol::<10, 22>());
                $d = $d.add(t1);
                $h = t1.add(s0.add($a.majority($b, $c)));
            }
        };
    }
    macro_rules! md5_step {
        ($mix:ident $a:ident $b:ident $c:ident $d:ident, $i:expr, $word:expr, $left:literal $right:literal) => {
            let mixed = md5_mix!($mix, $b, $c, $d);
            let sum = $a.add(le[($word) % 16].add(W::splat(MD5_SINES[$i]))).add(mixed);
            $a = sum.rol::<$left, $right>().add($b);
        };
    }
    macro_rules! md5_mix {
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
    // Four rounds of each.
    macro_rules! four {
        ($mix:ident $i:expr, $first:expr, $step:literal $start:literal, $l0:literal $r0:literal $l1:literal $r1:literal $l2:literal $r2:literal $l3:literal $r3:literal, [$a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident]) => {
            sha_round!($a $b $c $d $e $f $g $h, $i, $first);
            md5_step!($mix ma mb mc md, $i, $step * $i + $start, $l0 $r0);
            sha_round!($h $a $b $c $d $e $f $g, $i + 1, $first);
            md5_step!($mix md ma mb mc, $i + 1, $step * ($i + 1) + $start, $l1 $r1);
            sha_round!($g $h $a $b $c $d $e $f, $i + 2, $first);
            md5_step!($mix mc md ma mb, $i + 2, $step * ($i + 2) + $start, $l2 $r2);
            sha_round!($f $g $h $a $b $c $d $e, $i + 3, $first);
            md5_step!($mix mb mc md ma, $i + 3, $step * ($i + 3) + $start, $l3 $r3);
        };
    }
    macro_rules! sixteen {
        ($mix:ident $i:expr, $first:expr, $step:literal $start:literal, $l0:literal $r0:literal $l1:literal $r1:literal $l2:literal $r2:literal $l3:literal $r3:literal) => {
            four!($mix $i, $first, $step $start, $l0 $r0 $l1 $r1 $l2 $r2 $l3 $r3, [a b c d e f g h]);
            four!($mix $i + 4, $first, $step $start, $l0 $r0 $l1 $r1 $l2 $r2 $l3 $r3, [e f g h a b c d]);
            four!($mix $i + 8, $first, $step $start, $l0 $r0 $l1 $r1 $l2 $r2 $l3 $r3, [a b c d e f g h]);
            four!($mix $i + 12, $first, $step $start, $l0 $r0 $l1 $r1 $l2 $r2 $l3 $r3, [e f g h a b c d]);
        };
    }
    sixteen!(f 0, true, 1 0, 7 25 12 20 17 15 22 10);
    sixteen!(g 16, false, 5 1, 5 27 9 23 14 18 20 12);
    sixteen!(h 32, false, 3 5, 4 28 11 21 16 16 23 9);
    sixteen!(i 48, false, 7 0, 6 26 10 22 15 17 21 11);
    for (state, word) in md5.iter_mut().zip([ma, mb, mc, md]) {
        *state = state.add(word);
    }
    if SHA256 {
        for (state, word) in sha.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *state = state.add(word);
        }
    }
}
