//! What the cache knows of a key, and how it looks on disk.

use std::sync::Arc;

use holdfast_common::wire::ObjectRecord;
use prost::Message as _;

/// The state of a key at a watermark: its current version, which may be a delete marker, or the knowledge that it has none.
#[derive(Clone, Debug)]
pub enum Known {
    Object(Arc<ObjectRecord>),
    Absent,
}

impl Known {
    #[must_use]
    pub fn record(self) -> Option<Arc<ObjectRecord>> {
        match self {
            Self::Object(record) => Some(record),
            Self::Absent => None,
        }
    }
}

/// What is known and since when.
#[derive(Clone, Debug)]
pub struct Cached {
    pub as_of: u64,
    pub known: Known,
}

/// Layout version of a stored entry; anything else is treated as not there.
const VERSION: u8 = 1;
const OBJECT: u8 = 1;
const ABSENT: u8 = 0;

impl Cached {
    /// `version u8, kind u8, as_of u64 BE, record protobuf`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.push(VERSION);
        match &self.known {
            Known::Absent => {
                out.push(ABSENT);
                out.extend_from_slice(&self.as_of.to_be_bytes());
            }
            Known::Object(record) => {
                out.push(OBJECT);
                out.extend_from_slice(&self.as_of.to_be_bytes());
                record.encode(&mut out).expect("a Vec grows");
            }
        }
        out
    }

    /// `None` for anything this version did not write: a cache may forget.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(10)?;
        let as_of = u64::from_be_bytes(head[2..].try_into().ok()?);
        let known = match (head[0], head[1]) {
            (VERSION, ABSENT) => Known::Absent,
            (VERSION, OBJECT) => Known::Object(Arc::new(ObjectRecord::decode(rest).ok()?)),
            _ => return None,
        };
        Some(Self { as_of, known })
    }
}

/// Key of an entry: `'r', bucket u64 BE, key`.
#[must_use]
pub(crate) fn record_key(bucket_id: u64, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(9 + key.len());
    out.push(b'r');
    out.extend_from_slice(&bucket_id.to_be_bytes());
    out.extend_from_slice(key);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_the_disk_and_strangers_are_not_there() {
        let record = ObjectRecord { size: 7, etag: "e".into(), ..Default::default() };
        for known in [Known::Absent, Known::Object(Arc::new(record))] {
            let bytes = Cached { as_of: 42, known }.encode();
            let back = Cached::decode(&bytes).expect("own bytes");
            assert_eq!(back.as_of, 42);
            assert_eq!(back.encode(), bytes);
            let mut newer = bytes.clone();
            newer[0] = 9;
            assert!(Cached::decode(&newer).is_none());
        }
        assert!(Cached::decode(&[1, 1, 0]).is_none());
    }
}
