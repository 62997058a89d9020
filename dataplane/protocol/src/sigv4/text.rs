//! Small texts of bounded length: the string to sign, hex.

use super::encode::nibble;
use crate::limits::STRING_TO_SIGN_BYTES_MAX;

/// The algorithm's name at the head of a request's string to sign.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// SHA-256 of nothing, in hex.
pub(super) const EMPTY_SHA256: &[u8; 64] =
    b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";

/// Lines joined by newlines, on the stack.
pub(super) struct StringToSign {
    bytes: [u8; STRING_TO_SIGN_BYTES_MAX],
    length: usize,
}

impl StringToSign {
    /// A request's: algorithm, time, scope, hash of the canonical request.
    pub(super) fn request(time: &[u8; 16], scope: &str, canonical: &[u8; 32]) -> Self {
        Self::lines(&[ALGORITHM.as_bytes(), time, scope.as_bytes(), &hex(canonical)])
    }

    /// Any other; the lines' lengths are bounded by the limits, so too long a text is our bug.
    pub(super) fn lines(lines: &[&[u8]]) -> Self {
        let mut text = Self { bytes: [0; STRING_TO_SIGN_BYTES_MAX], length: 0 };
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                text.put(b"\n");
            }
            text.put(line);
        }
        text
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// 32 bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let mut out = [0; 64];
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX_LOWER[usize::from(byte >> 4)];
        pair[1] = HEX_LOWER[usize::from(byte & 15)];
    }
    out
}

/// 64 hex digits of either case.
pub(super) fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(out)
}

/// A signature as AWS writes it: 64 lower-case hex digits, nothing else.
pub(super) fn hex_signature(text: &[u8]) -> Option<[u8; 32]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    unhex(text)
}

/// Compares without telling by its time where the first difference is.
pub(super) fn constant_time_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |seen, (x, y)| std::hint::black_box(seen | (x ^ y)));
    std::hint::black_box(difference) == 0
}
