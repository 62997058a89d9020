//! Identifiers, each its own type, so that a bucket id never stands where a tenant id is meant.

use std::fmt;

/// Names one mutation and the blob it wrote: a UUIDv7 chosen by the node that received the request.
///
/// Ordered by time of creation to the millisecond; order says nothing about commit order (DESIGN 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub [u8; 16]);

impl OpId {
    /// A fresh id from a wall clock (unix milliseconds) and 10 random bytes; both are arguments because callers own them.
    #[must_use]
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(*uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid().as_bytes())
    }

    /// As [`OpId::new`], naming the node that makes it: its number stands in the last two bytes. 0 is no node's.
    #[must_use]
    pub fn of_node(unix_ms: u64, random: [u8; 10], node: u16) -> Self {
        let mut id = Self::new(unix_ms, random);
        id.0[14..].copy_from_slice(&node.to_be_bytes());
        id
    }

    /// The number of the node that made it, which means nothing of an id that [`OpId::new`] made.
    #[must_use]
    pub fn node(self) -> u16 {
        u16::from_be_bytes([self.0[14], self.0[15]])
    }

    /// Milliseconds since 1970 that the id was made with.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        let mut ms = [0u8; 8];
        ms[2..].copy_from_slice(&self.0[..6]);
        u64::from_be_bytes(ms)
    }

    /// Reads the 16 bytes of the wire; `None` for any other length or a UUID that is not version 7.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let id: [u8; 16] = bytes.try_into().ok()?;
        (id[6] >> 4 == 7).then_some(Self(id))
    }

    /// The 16 bytes for the wire.
    #[must_use]
    pub fn to_wire(self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(&self.0)
    }

    #[must_use]
    pub fn uuid(self) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self.0)
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op:{}", self.uuid())
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid(), f)
    }
}

/// Declares a number that is an identifier.
macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $tag:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($tag, ":{}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number_id!(
    /// A bucket; a name that is deleted and created again gets another id.
    BucketId(u64),
    "bucket"
);
number_id!(
    /// A tenant: the owner of keys and buckets.
    TenantId(u64),
    "tenant"
);
number_id!(
    /// A place that holds fragments, numbered by the authority.
    BackendId(u32),
    "backend"
);
number_id!(
    /// An interned, ordered list of backends.
    PlacementId(u32),
    "placement"
);
number_id!(
    /// Commit sequence assigned by the leader; higher is later. 0 is before everything.
    Seq(u64),
    "seq"
);

/// A drive's own identity, written on it when it is formatted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DriveId(pub [u8; 16]);

impl fmt::Debug for DriveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drive:{}", uuid::Uuid::from_bytes(self.0))
    }
}

impl fmt::Display for DriveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&uuid::Uuid::from_bytes(self.0), f)
    }
}

/// One fragment of one blob: fragment `index` as written by `attempt` (a repair writes a new attempt).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FragmentId {
    pub blob: OpId,
    pub index: u8,
    pub attempt: u8,
}

#[cfg(test)]
mod tests {
    use super::OpId;

    #[test]
    fn op_id_keeps_its_time_and_orders_by_it() {
        let a = OpId::new(1_700_000_000_000, [0xff; 10]);
        let b = OpId::new(1_700_000_000_001, [0; 10]);
        assert_eq!(a.unix_ms(), 1_700_000_000_000);
        assert!(a < b);
        assert_eq!(OpId::from_wire(&a.to_wire()), Some(a));
        assert_eq!(OpId::from_wire(&[0; 16]), None);
        assert_eq!(OpId::from_wire(&[0; 15]), None);
    }
}
