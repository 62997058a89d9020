//! Leave to do something with a few blobs on one node's drives: the authority makes it, another node shows it, that node
//! checks it. It holds for one asker, so what a thief of the wire gets is of no use without the asker's certificate.
//!
//! ```text
//!  0 version u8 (1)    1 leave u8 (0..=2)   2 blobs u8 (1..=64)    3 zero u8
//!  4 peer, node id [16]                    20 asker, node id [16]
//! 36 expires, unix ms of the authority's clock, u64 little-endian
//! 44 op id of each blob [16]..             then HMAC-SHA256 of all before it, with the peer's ticket key [32]
//! ```

use ring::hmac;
use uuid::Uuid;

use crate::id::OpId;
pub use crate::wire::ticket_query::Leave;

/// Blobs that one ticket names: what a row of a large object's manifest needs at a time, and 1100 bytes.
pub const TICKET_BLOBS_MAX: usize = 64;
/// The longest ticket, bytes.
pub const TICKET_BYTES_MAX: usize = FIXED_BYTES + TICKET_BLOBS_MAX * 16 + MAC_BYTES;

const VERSION: u8 = 1;
const FIXED_BYTES: usize = 44;
const MAC_BYTES: usize = 32;

/// What makes and checks the tickets for one node; the authority and that node alone have it.
#[derive(Clone)]
pub struct TicketKey(hmac::Key);

impl TicketKey {
    /// `None` unless it has 32 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 32).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The node whose drives it is about.
    pub peer: Uuid,
    /// The node that may show it.
    pub asker: Uuid,
    pub leave: Leave,
    /// By the authority's clock, milliseconds since 1970; at that moment it is over.
    pub expires_ms: u64,
    /// 1 to [`TICKET_BLOBS_MAX`].
    pub blobs: Vec<OpId>,
}

/// Why a ticket gives no leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TicketError {
    #[error("the ticket is malformed")]
    Malformed,
    #[error("the ticket was not made by the authority for this node")]
    Forged,
    #[error("the ticket is for the drives of another node")]
    OtherPeer,
    #[error("the ticket was given to another node")]
    OtherAsker,
    #[error("the ticket has expired")]
    Expired,
    #[error("the ticket does not name the blob")]
    OtherBlob,
    #[error("the ticket does not allow as much")]
    TooLittle,
}

impl Ticket {
    /// Its bytes.
    ///
    /// # Panics
    /// When it names no blob or more than [`TICKET_BLOBS_MAX`]: who makes tickets has checked the request.
    #[must_use]
    pub fn seal(&self, key: &TicketKey) -> Vec<u8> {
        let count = self.blobs.len();
        assert!((1..=TICKET_BLOBS_MAX).contains(&count), "a ticket for {count} blobs");
        let mut bytes = Vec::with_capacity(FIXED_BYTES + count * 16 + MAC_BYTES);
        bytes.extend_from_slice(&[VERSION, self.leave as u8, count as u8, 0]);
        bytes.extend_from_slice(self.peer.as_bytes());
        bytes.extend_from_slice(self.asker.as_bytes());
        bytes.extend_from_slice(&self.expires_ms.to_le_bytes());
        self.blobs.iter().for_each(|blob| bytes.extend_from_slice(&blob.0));
        let mac = hmac::sign(&key.0, &bytes);
        bytes.extend_from_slice(mac.as_ref());
        bytes
    }

    /// Reads a ticket that was made with `key`.
    ///
    /// # Errors
    /// [`TicketError::Malformed`] and [`TicketError::Forged`].
    pub fn open(bytes: &[u8], key: &TicketKey) -> Result<Self, TicketError> {
        let ticket = Self::parse(bytes).ok_or(TicketError::Malformed)?;
        let (said, mac) = bytes.split_at(bytes.len() - MAC_BYTES);
        hmac::verify(&key.0, said, mac).map_err(|_| TicketError::Forged)?;
        Ok(ticket)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
        let [version, leave, count, zero] = *fixed.first_chunk::<4>()?;
        let leave = Leave::try_from(i32::from(leave)).ok()?;
        let blobs = rest.get(..usize::from(count) * 16)?;
        let well = version == VERSION
            && zero == 0
            && (1..=TICKET_BLOBS_MAX).contains(&usize::from(count))
            && rest.len() == blobs.len() + MAC_BYTES;
        if !well {
            return None;
        }
        Some(Self {
            peer: Uuid::from_slice(&fixed[4..20]).ok()?,
            asker: Uuid::from_slice(&fixed[20..36]).ok()?,
            leave,
            expires_ms: u64::from_le_bytes(fixed[36..44].try_into().ok()?),
            blobs: blobs.as_chunks::<16>().0.iter().map(|blob| OpId(*blob)).collect(),
        })
    }

    /// Whether `asker` may do something with `blob` on the drives of `peer` at `now_ms` of the authority's clock.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn admits(
        &self,
        peer: Uuid,
        asker: Uuid,
        blob: OpId,
        leave: Leave,
        now_ms: u64,
    ) -> Result<(), TicketError> {
        let refusals = [
            (self.peer != peer, TicketError::OtherPeer),
            (self.asker != asker, TicketError::OtherAsker),
            (now_ms >= self.expires_ms, TicketError::Expired),
            (!self.blobs.contains(&blob), TicketError::OtherBlob),
            (leave > self.leave, TicketError::TooLittle),
        ];
        refusals.into_iter().find(|(refused, _)| *refused).map_or(Ok(()), |(_, why)| Err(why))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Leave, TICKET_BLOBS_MAX, TICKET_BYTES_MAX, Ticket, TicketError, TicketKey};
    use crate::id::OpId;

    fn key(byte: u8) -> TicketKey {
        TicketKey::new(&[byte; 32]).unwrap()
    }

    fn ticket(leave: Leave, blobs: usize) -> Ticket {
        let blobs = (0..blobs).map(|n| OpId::new(n as u64, [7; 10])).collect();
        Ticket { peer: Uuid::from_u128(1), asker: Uuid::from_u128(2), leave, expires_ms: 1000, blobs }
    }

    #[test]
    fn a_ticket_is_read_as_it_was_made() {
        for (leave, blobs) in [(Leave::Read, 1), (Leave::Append, 2), (Leave::Delete, TICKET_BLOBS_MAX)] {
            let made = ticket(leave, blobs);
            let bytes = made.seal(&key(1));
            assert!(bytes.len() <= TICKET_BYTES_MAX);
            assert_eq!(Ticket::open(&bytes, &key(1)), Ok(made));
        }
        assert!(TicketKey::new(&[1; 31]).is_none());
        assert_eq!(format!("{:?}", key(1)), "TicketKey(..)");
    }

    #[test]
    fn a_ticket_that_was_cut_or_altered_is_none() {
        let bytes = ticket(Leave::Read, 2).seal(&key(1));
        assert_eq!(Ticket::open(&bytes, &key(2)), Err(TicketError::Forged));
        for end in 0..bytes.len() {
            assert_eq!(Ticket::open(&bytes[..end], &key(1)), Err(TicketError::Malformed), "{end}");
        }
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Ticket::open(&altered, &key(1)).is_err(), "byte {at}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Ticket::open(&longer, &key(1)), Err(TicketError::Malformed));
    }

    #[test]
    fn a_ticket_admits_what_it_names_and_nothing_else() {
        let (read, append) = (ticket(Leave::Read, 2), ticket(Leave::Append, 1));
        let (peer, asker) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let blob = |n| OpId::new(n, [7; 10]);
        assert_eq!(read.admits(peer, asker, blob(1), Leave::Read, 999), Ok(()));
        assert_eq!(append.admits(peer, asker, blob(0), Leave::Append, 999), Ok(()));
        assert_eq!(append.admits(peer, asker, blob(0), Leave::Read, 999), Ok(()));
        assert_eq!(ticket(Leave::Delete, 1).admits(peer, asker, blob(0), Leave::Delete, 999), Ok(()));
        assert_eq!(read.admits(peer, asker, blob(1), Leave::Append, 999), Err(TicketError::TooLittle));
        assert_eq!(append.admits(peer, asker, blob(0), Leave::Delete, 999), Err(TicketError::TooLittle));
        assert_eq!(append.admits(peer, asker, blob(1), Leave::Read, 999), Err(TicketError::OtherBlob));
        assert_eq!(read.admits(peer, asker, blob(1), Leave::Read, 1000), Err(TicketError::Expired));
        assert_eq!(read.admits(peer, peer, blob(1), Leave::Read, 999), Err(TicketError::OtherAsker));
        assert_eq!(read.admits(asker, asker, blob(1), Leave::Read, 999), Err(TicketError::OtherPeer));
    }
}
