//! Percent-coding and query strings: decoded once, strictly, and the same decoded bytes are signed, authorised and used.
//!
//! A path is percent-decoded and `+` stays a plus. In a query `+` is a space, as S3 reads it (form decoding).
//! Both are re-encoded by [`encode_canonical`] for SigV4. The verifier must canonicalise a query from the *decoded* name
//! and value: were `+` read as a plus for the signature and as a space for the operation, `prefix=a%2Bb` could be
//! turned into `prefix=a+b` on the way without the signature noticing. The raw bytes are there for logs and presigning.

use std::borrow::Cow;

use crate::limits::QUERY_ARGUMENTS_MAX;

/// Why a path or query cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    #[error("a '%' in the URI is not followed by two hex digits")]
    BadEscape,
    #[error("the query of the URI does not decode to UTF-8")]
    NotUtf8,
    #[error("the query of the URI has more than {QUERY_ARGUMENTS_MAX} arguments")]
    TooManyArguments,
}

/// A header or query argument whose meaning depends on being given once was given several times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is given more than once")]
pub struct Repeated {
    pub name: String,
}

/// Percent-decodes once, `+` left alone. Borrows when there is nothing to decode.
pub fn decode_percent(raw: &[u8]) -> Result<Cow<'_, [u8]>, UriError> {
    decode(raw, false)
}

fn decode(raw: &[u8], plus_is_space: bool) -> Result<Cow<'_, [u8]>, UriError> {
    let special = |b: &u8| *b == b'%' || (plus_is_space && *b == b'+');
    let Some(first) = raw.iter().position(special) else {
        return Ok(Cow::Borrowed(raw));
    };
    let mut out = Vec::with_capacity(raw.len());
    out.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (&[high, low], after) = rest.split_first_chunk::<2>().ok_or(UriError::BadEscape)?;
                out.push(hex_digit(high)? << 4 | hex_digit(low)?);
                rest = after;
            }
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(other),
        }
    }
    Ok(Cow::Owned(out))
}

fn hex_digit(byte: u8) -> Result<u8, UriError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(UriError::BadEscape),
    }
}

/// SigV4's UriEncode of *decoded* bytes, appended to `out`: all but `A-Za-z0-9-._~` become `%XX` in upper case; `/`
/// stays where `keep_slash` (paths), and is escaped otherwise (query names and values).
pub fn encode_canonical(out: &mut Vec<u8>, bytes: &[u8], keep_slash: bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.reserve(bytes.len());
    for &byte in bytes {
        if is_unreserved(byte) || (keep_slash && byte == b'/') {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// One `name=value` of a query. Without `=` the value is empty, which S3 and SigV4 do not tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument<'a> {
    pub name: Cow<'a, str>,
    pub value: Cow<'a, str>,
    pub raw_name: &'a [u8],
    pub raw_value: &'a [u8],
}

/// A decoded query, in the order of the wire. Names are case-sensitive, as S3's are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query<'a> {
    arguments: Vec<Argument<'a>>,
}

impl<'a> Query<'a> {
    /// `raw` is what stands after `?`. Empty pieces (`a&&b`) are passed over.
    pub fn parse(raw: &'a [u8]) -> Result<Self, UriError> {
        let mut arguments = Vec::new();
        for piece in raw.split(|&b| b == b'&').filter(|piece| !piece.is_empty()) {
            if arguments.len() == QUERY_ARGUMENTS_MAX {
                return Err(UriError::TooManyArguments);
            }
            arguments.push(Argument::parse(piece)?);
        }
        Ok(Self { arguments })
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Argument<'a>> {
        self.arguments.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        self.arguments.iter().any(|argument| argument.name == name)
    }

    /// The value of an argument that means something to us. Two of them are refused even when equal: what stands
    /// between the client and us may have checked the other one.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut found = self.arguments.iter().filter(|argument| argument.name == name);
        let first = found.next().map(|argument| &*argument.value);
        match found.next() {
            Some(_) => Err(Repeated { name: name.to_owned() }),
            None => Ok(first),
        }
    }
}

impl<'q, 'a> IntoIterator for &'q Query<'a> {
    type Item = &'q Argument<'a>;
    type IntoIter = std::slice::Iter<'q, Argument<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> Argument<'a> {
    fn parse(piece: &'a [u8]) -> Result<Self, UriError> {
        let (raw_name, raw_value) = match memchr::memchr(b'=', piece) {
            Some(at) => (&piece[..at], &piece[at + 1..]),
            None => (piece, &piece[piece.len()..]),
        };
        Ok(Self { name: decode_text(raw_name)?, value: decode_text(raw_value)?, raw_name, raw_value })
    }
}

fn decode_text(raw: &[u8]) -> Result<Cow<'_, str>, UriError> {
    match decode(raw, true)? {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| UriError::NotUtf8),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| UriError::NotUtf8),
    }
}

#[cfg(test)]
mod tests;
