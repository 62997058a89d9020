//! Names of buckets and objects: parsed once, wrong ones cannot exist.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits::{BUCKET_NAME_BYTES_MAX, BUCKET_NAME_BYTES_MIN, OBJECT_KEY_BYTES_MAX};

/// A bucket name by AWS's rules for general purpose buckets, so that it always is a DNS label (or several).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(Arc<str>);

/// Why a name cannot be a bucket's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a bucket name has 3 to 63 characters")]
    Length,
    #[error("a bucket name holds lower-case letters, digits, dots and hyphens only")]
    Character,
    #[error("a bucket name begins and ends with a letter or a digit")]
    Ends,
    #[error("a bucket name does not hold a dot beside another or beside a hyphen")]
    AdjacentDots,
    #[error("a bucket name does not look like an IPv4 address")]
    IpAddress,
    #[error("a bucket name does not use a prefix or suffix that S3 reserves")]
    Reserved,
}

/// `xn--` would be read as punycode; the others name access points and gateways of AWS.
const RESERVED_PREFIXES: [&str; 2] = ["xn--", "sthree-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

impl BucketName {
    pub fn parse(name: &str) -> Result<Self, NameError> {
        check_bucket_name(name)?;
        Ok(Self(Arc::from(name)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_bucket_name(name: &str) -> Result<(), NameError> {
    if !(BUCKET_NAME_BYTES_MIN..=BUCKET_NAME_BYTES_MAX).contains(&name.len()) {
        return Err(NameError::Length);
    }
    let legal = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    if !name.as_bytes().iter().all(legal) {
        return Err(NameError::Character);
    }
    if name.starts_with(['.', '-']) || name.ends_with(['.', '-']) {
        return Err(NameError::Ends);
    }
    if ["..", ".-", "-."].iter().any(|pair| name.contains(pair)) {
        return Err(NameError::AdjacentDots);
    }
    if looks_like_ipv4(name) {
        return Err(NameError::IpAddress);
    }
    let reserved = RESERVED_PREFIXES.iter().any(|p| name.starts_with(p))
        || RESERVED_SUFFIXES.iter().any(|s| name.ends_with(s));
    if reserved { Err(NameError::Reserved) } else { Ok(()) }
}

/// Four groups of digits, whatever their values: `999.1.1.1` confuses resolvers as well as `10.1.1.1` does.
fn looks_like_ipv4(name: &str) -> bool {
    name.split('.').count() == 4 && name.bytes().all(|b| b == b'.' || b.is_ascii_digit())
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl AsRef<str> for BucketName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// An object's key: 1 to 1024 bytes of UTF-8 without NUL, already percent-decoded. Nothing in it is special: no dot
/// segments, no double slashes, no normal form. It orders by bytes, as S3's listings do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Bytes);

/// Why bytes cannot be an object's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("an object key is not empty")]
    Empty,
    #[error("an object key has at most 1024 bytes, this one has {bytes}")]
    TooLong { bytes: usize },
    #[error("an object key is UTF-8")]
    NotUtf8,
    #[error("an object key does not hold NUL")]
    Nul,
}

impl ObjectKey {
    pub fn parse(key: Bytes) -> Result<Self, KeyError> {
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        if key.len() > OBJECT_KEY_BYTES_MAX {
            return Err(KeyError::TooLong { bytes: key.len() });
        }
        if std::str::from_utf8(&key).is_err() {
            return Err(KeyError::NotUtf8);
        }
        // PostgreSQL's text and C clients end at it; S3 itself refuses it in XML answers.
        if memchr::memchr(0, &key).is_some() {
            return Err(KeyError::Nul);
        }
        Ok(Self(key))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked by parse")
    }

    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl AsRef<[u8]> for ObjectKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Result<(), NameError>) {
        assert_eq!(BucketName::parse(name).map(drop), expected, "{name:?}");
    }

    #[test]
    fn bucket_names() {
        check("abc", Ok(()));
        check("a.b-c.0", Ok(()));
        check("1-bucket", Ok(()));
        check("1.2.3.4.5", Ok(()));
        check("1.2.3", Ok(()));
        check(&"a".repeat(63), Ok(()));
        check("ab", Err(NameError::Length));
        check("", Err(NameError::Length));
        check(&"a".repeat(64), Err(NameError::Length));
        check("Abc", Err(NameError::Character));
        check("a_b", Err(NameError::Character));
        check("a/b", Err(NameError::Character));
        check("bücher", Err(NameError::Character));
        check("a\0b", Err(NameError::Character));
        check("-abc", Err(NameError::Ends));
        check("abc.", Err(NameError::Ends));
        check("a..b", Err(NameError::AdjacentDots));
        check("foo.-bar", Err(NameError::AdjacentDots));
        check("foo-.bar", Err(NameError::AdjacentDots));
        check("192.168.5.4", Err(NameError::IpAddress));
        check("999.0.0.1", Err(NameError::IpAddress));
        check("xn--abc", Err(NameError::Reserved));
        check("sthree-x", Err(NameError::Reserved));
        check("x-s3alias", Err(NameError::Reserved));
        check("x--ol-s3", Err(NameError::Reserved));
    }

    #[test]
    fn object_keys() {
        let parse = |key: &'static [u8]| ObjectKey::parse(Bytes::from_static(key)).map(|k| k.to_string());
        assert_eq!(parse(b"../a//b /./ "), Ok("../a//b /./ ".to_owned()));
        assert_eq!(parse("ключ".as_bytes()), Ok("ключ".to_owned()));
        assert_eq!(parse(b""), Err(KeyError::Empty));
        assert_eq!(parse(b"a\0"), Err(KeyError::Nul));
        assert_eq!(parse(b"\xff"), Err(KeyError::NotUtf8));
        assert!(ObjectKey::parse(Bytes::from(vec![b'k'; 1024])).is_ok());
        assert_eq!(ObjectKey::parse(Bytes::from(vec![b'k'; 1025])), Err(KeyError::TooLong { bytes: 1025 }));
    }
}
