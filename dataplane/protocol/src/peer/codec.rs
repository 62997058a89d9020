//! Fields to bytes and back: fixed order, little-endian, no byte left over.

use holdfast_common::id::{FragmentId, OpId};

use crate::limits::PEER_TEXT_BYTES_MAX;
use crate::record::{PieceCoding, PieceScheme};

/// Fields that make no message of ours: too short, too long, or a number that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a malformed message")]
pub struct Malformed;

/// Fields in their order.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of at most `most`.
    pub(super) fn count(&mut self, most: usize) -> Result<usize, Malformed> {
        let count = usize::from(self.u16()?);
        if count <= most { Ok(count) } else { Err(Malformed) }
    }

    /// A length of at most `most`, and so many bytes.
    pub(super) fn bytes(&mut self, most: usize) -> Result<&'a [u8], Malformed> {
        let length = self.count(most)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let bytes = self.bytes(PEER_TEXT_BYTES_MAX)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed)
    }

    /// An op id, which is a UUID of version 7.
    pub(super) fn op(&mut self) -> Result<OpId, Malformed> {
        OpId::from_wire(&self.array::<16>()?).ok_or(Malformed)
    }

    pub(super) fn fragment(&mut self) -> Result<FragmentId, Malformed> {
        Ok(FragmentId { blob: self.op()?, index: self.u8()?, attempt: self.u8()? })
    }

    pub(super) fn coding(&mut self) -> Result<PieceCoding, Malformed> {
        let scheme = match self.u8()? {
            1 => PieceScheme::Copies,
            2 => PieceScheme::ReedSolomon,
            _ => return Err(Malformed),
        };
        Ok(PieceCoding { scheme, data: self.u8()?, parity: self.u8()?, piece_bytes: self.u32()? })
    }
}

/// Fields being written.
#[derive(Debug, Default)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u8(&mut self, number: u8) -> &mut Self {
        self.raw(&[number])
    }

    pub(super) fn u16(&mut self, number: u16) -> &mut Self {
        self.raw(&number.to_le_bytes())
    }

    pub(super) fn u32(&mut self, number: u32) -> &mut Self {
        self.raw(&number.to_le_bytes())
    }

    pub(super) fn u64(&mut self, number: u64) -> &mut Self {
        self.raw(&number.to_le_bytes())
    }

    /// How many of something follow.
    pub(super) fn count(&mut self, count: usize, most: usize) -> &mut Self {
        assert!(count <= most, "{count} of at most {most}");
        self.u16(count as u16)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8], most: usize) -> &mut Self {
        self.count(bytes.len(), most).raw(bytes)
    }

    /// Cut to what the wire allows.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let end = text.floor_char_boundary(PEER_TEXT_BYTES_MAX);
        self.bytes(&text.as_bytes()[..end], PEER_TEXT_BYTES_MAX)
    }

    pub(super) fn fragment(&mut self, id: FragmentId) -> &mut Self {
        self.raw(&id.blob.0).u8(id.index).u8(id.attempt)
    }

    pub(super) fn coding(&mut self, coding: PieceCoding) -> &mut Self {
        self.u8(coding.scheme as u8).u8(coding.data).u8(coding.parity).u32(coding.piece_bytes)
    }
}
