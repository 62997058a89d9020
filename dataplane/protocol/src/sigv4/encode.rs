//! Canonical encoding straight from the wire's bytes: decode each byte once, encode it again, keep nothing in between.
//!
//! Same result as `uri::decode_percent` followed by `uri::encode_canonical` (a test says so), without their buffers. A `%`
//! without two hex digits stands for itself here; routing refuses such a request.

/// Where canonical text goes: into a hash, or into a buffer for the error answer.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// How a piece of the target reads and is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `/` stays, `+` is a plus.
    Path,
    /// `/` is escaped, `+` reads as a space.
    Query,
}

/// Bytes that stand for themselves everywhere: `A-Z a-z 0-9 - . _ ~`.
const UNRESERVED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric() || matches!(character, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

impl Part {
    fn stands(self, byte: u8) -> bool {
        UNRESERVED[usize::from(byte)] || (self == Self::Path && byte == b'/')
    }
}

/// Writes the canonical form of raw bytes.
pub(super) fn put_encoded(sink: &mut impl Sink, mut raw: &[u8], part: Part) {
    loop {
        let plain = raw.iter().position(|byte| !part.stands(*byte)).unwrap_or(raw.len());
        sink.put(&raw[..plain]);
        raw = &raw[plain..];
        let Some(byte) = next_decoded(&mut raw, part) else { return };
        if part.stands(byte) {
            sink.put(&[byte]);
        } else {
            sink.put(&escape(byte));
        }
    }
}

/// The canonical form as an iterator, to sort by.
pub(super) fn encoded(mut raw: &[u8], part: Part) -> impl Iterator<Item = u8> {
    let mut pending = [0u8; 3];
    let mut left = 0;
    std::iter::from_fn(move || {
        if left > 0 {
            left -= 1;
            return Some(pending[2 - left]);
        }
        let byte = next_decoded(&mut raw, part)?;
        if part.stands(byte) {
            return Some(byte);
        }
        pending = escape(byte);
        left = 2;
        Some(b'%')
    })
}

/// The decoded bytes.
pub(super) fn decoded(mut raw: &[u8], part: Part) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || next_decoded(&mut raw, part))
}

fn escape(byte: u8) -> [u8; 3] {
    [b'%', HEX_UPPER[usize::from(byte >> 4)], HEX_UPPER[usize::from(byte & 15)]]
}

fn next_decoded(raw: &mut &[u8], part: Part) -> Option<u8> {
    let (&first, rest) = raw.split_first()?;
    *raw = rest;
    match first {
        b'%' => match rest {
            [high, low, after @ ..] => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => {
                    *raw = after;
                    Some(high << 4 | low)
                }
                _ => Some(b'%'),
            },
            _ => Some(b'%'),
        },
        b'+' if part == Part::Query => Some(b' '),
        other => Some(other),
    }
}

/// The value of a hex digit of either case.
pub(super) fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, decoded, encoded, put_encoded};
    use crate::uri::{decode_percent, encode_canonical};
    use proptest::prelude::*;

    fn canonical(raw: &str, part: Part) -> String {
        let mut out = Vec::new();
        put_encoded(&mut out, raw.as_bytes(), part);
        String::from_utf8(out).expect("canonical text is ASCII")
    }

    #[test]
    fn every_byte_a_key_may_hold() {
        for (raw, expected) in [
            ("/a+b(c)'!*=:@&$,;", "/a%2Bb%28c%29%27%21%2A%3D%3A%40%26%24%2C%3B"),
            ("/%2f%2F//x/./../y%20 ", "/////x/./../y%20%20"),
            ("/ä%C3%a4", "/%C3%A4%C3%A4"),
            ("/%41%7e~", "/A~~"),
            ("/%", "/%25"),
            ("/%4", "/%254"),
            ("/%zz", "/%25zz"),
            ("/%252F", "/%252F"),
        ] {
            assert_eq!(canonical(raw, Part::Path), expected, "{raw}");
        }
        assert_eq!(canonical("a/b+c%2B", Part::Query), "a%2Fb%20c%2B");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn agrees_with_decode_then_encode(raw in prop::collection::vec(prop_oneof![
            Just(b"%2f".to_vec()), Just(b"%".to_vec()), Just(b"/".to_vec()), Just(b"+".to_vec()), Just(b"%E4".to_vec()),
            any::<u8>().prop_map(|byte| vec![byte])], 0..24)) {
            let raw = raw.concat();
            for (part, keep_slash) in [(Part::Path, true), (Part::Query, false)] {
                let mut streamed = Vec::new();
                put_encoded(&mut streamed, &raw, part);
                prop_assert_eq!(&streamed, &encoded(&raw, part).collect::<Vec<_>>());
                let bytes: Vec<u8> = decoded(&raw, part).collect();
                let mut again = Vec::new();
                encode_canonical(&mut again, &bytes, keep_slash);
                prop_assert_eq!(&streamed, &again);
                if let (Part::Path, Ok(expected)) = (part, decode_percent(&raw)) {
                    prop_assert_eq!(&bytes[..], &expected[..]);
                }
            }
        }
    }
}
