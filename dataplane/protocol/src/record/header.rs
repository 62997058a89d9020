//! One record to bytes and back.

use holdfast_common::id::{FragmentId, OpId};
use holdfast_common::recovery::MANIFEST_SEALED_BYTES_MAX;

use super::{
    BLOCK_BYTES, BLOCK_SHIFT, FOOTER_BYTES, Kind, PieceCoding, PieceScheme, Place, RECORD_ALIGN, Record,
    block_crc,
};
use crate::limits::{RECORD_HEADER_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX};

const MAGIC: u32 = u32::from_le_bytes(*b"HFR1");
const FOOTER_MAGIC: u32 = u32::from_le_bytes(*b"HFE1");
const VERSION: u16 = 1;
const FIXED_BYTES: usize = 72;
const CRC_BYTES: usize = 4;

const _: () = assert!(
    FIXED_BYTES + RECORD_PAYLOAD_BYTES_MAX.div_ceil(BLOCK_BYTES) * CRC_BYTES + CRC_BYTES
        <= RECORD_HEADER_BYTES_MAX,
    "the checksums of the largest piece fit in the largest header"
);
/// Bytes of a TLV's type and length.
const TLV_HEAD_BYTES: usize = 4;

const _: () = assert!(
    FIXED_BYTES
        + RECORD_PAYLOAD_BYTES_MAX.div_ceil(BLOCK_BYTES) * CRC_BYTES
        + (TLV_HEAD_BYTES + MANIFEST_SEALED_BYTES_MAX)
        + (TLV_HEAD_BYTES + 12)
        + CRC_BYTES
        <= RECORD_HEADER_BYTES_MAX - 512,
    "beside the longest recovery manifest there is room for where a copy came from and for an encryption envelope"
);
const _: () = assert!(
    RECORD_HEADER_BYTES_MAX <= u16::MAX as usize && RECORD_HEADER_BYTES_MAX.is_multiple_of(RECORD_ALIGN)
);

/// Why bytes are not a record of this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("shorter than its header")]
    Short,
    #[error("no record starts here")]
    Magic,
    #[error("a newer version")]
    Version(u16),
    #[error("header lengths do not add up")]
    Lengths,
    #[error("header checksum")]
    Checksum,
    #[error("another life of the segment")]
    Generation,
    #[error("unknown kind or coding")]
    Meaning,
}

/// TLVs that do not fit in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes of record fields do not fit in its header")]
pub struct TlvTooLong(pub usize);

/// Appends one field to a run of TLVs.
///
/// # Panics
/// When the value has more than 64 KiB: nothing that fits a header does.
pub fn put_tlv(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(kind.to_le_bytes());
    out.extend(u16::try_from(value.len()).expect("it fits a header").to_le_bytes());
    out.extend(value);
}

/// Bytes of the header for so much payload and so many bytes of TLVs.
#[must_use]
pub fn header_bytes(payload_len: usize, tlv_len: usize) -> usize {
    let blocks = payload_len.div_ceil(BLOCK_BYTES);
    (FIXED_BYTES + blocks * CRC_BYTES + tlv_len + CRC_BYTES).next_multiple_of(RECORD_ALIGN)
}

/// Bytes a whole record takes in its segment.
///
/// # Errors
/// When the TLVs do not fit.
pub fn record_bytes(payload_len: usize, tlv_len: usize) -> Result<usize, TlvTooLong> {
    assert!(payload_len <= RECORD_PAYLOAD_BYTES_MAX, "a piece of {payload_len} bytes");
    let header = header_bytes(payload_len, tlv_len);
    if header > RECORD_HEADER_BYTES_MAX {
        return Err(TlvTooLong(tlv_len));
    }
    Ok((header + payload_len + FOOTER_BYTES).next_multiple_of(RECORD_ALIGN))
}

/// Where the payload of a record without TLVs begins, from its start.
#[must_use]
pub fn payload_at(payload_len: usize) -> usize {
    header_bytes(payload_len, 0)
}

/// Writes the record for `place` to the start of `out` (which holds at least [`record_bytes`]) and says how many bytes
/// its header and all of it take. `tlvs` is a run of encoded TLVs.
pub fn encode(out: &mut [u8], place: Place, record: &Record, tlvs: &[u8], payload: &[u8]) -> (usize, usize) {
    let total = record_bytes(payload.len(), tlvs.len()).expect("the caller asked record_bytes first");
    let header_len = header_bytes(payload.len(), tlvs.len());
    let (header, rest) = out[..total].split_at_mut(header_len);
    let (copies, footer) = rest.split_at_mut(payload.len());
    // Checksum and copy block by block: the copy reads what the checksum has just brought near.
    let blocks = payload.chunks(BLOCK_BYTES).zip(copies.chunks_mut(BLOCK_BYTES)).map(|(block, copy)| {
        copy.copy_from_slice(block);
        block_crc(block)
    });
    put_header(header, footer, place, record, payload.len(), blocks, tlvs);
    (header_len, total)
}

/// As [`encode`], without TLVs, for a payload that stands in `out` already, at [`payload_at`].
pub fn encode_around(out: &mut [u8], place: Place, record: &Record, payload_len: usize) -> (usize, usize) {
    let total = record_bytes(payload_len, 0).expect("no TLVs always fit");
    let header_len = header_bytes(payload_len, 0);
    let (header, rest) = out[..total].split_at_mut(header_len);
    let (payload, footer) = rest.split_at_mut(payload_len);
    put_header(header, footer, place, record, payload_len, payload.chunks(BLOCK_BYTES).map(block_crc), &[]);
    (header_len, total)
}

/// All of a record but its payload.
fn put_header(
    header: &mut [u8],
    footer: &mut [u8],
    place: Place,
    record: &Record,
    payload_len: usize,
    block_crcs: impl Iterator<Item = u32>,
    tlvs: &[u8],
) {
    put_fixed(header, place, record, payload_len, tlvs.len());
    let mut at = FIXED_BYTES;
    for crc in block_crcs {
        header[at..at + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
        at += CRC_BYTES;
    }
    header[at..at + tlvs.len()].copy_from_slice(tlvs);
    header[at + tlvs.len()..].fill(0);
    let crc = header_crc(header, place);
    let end = header.len() - CRC_BYTES;
    header[end..].copy_from_slice(&crc.to_le_bytes());
    footer[..4].copy_from_slice(&crc.to_le_bytes());
    footer[4..8].copy_from_slice(&FOOTER_MAGIC.to_le_bytes());
    footer[8..].fill(0);
}

fn put_fixed(header: &mut [u8], place: Place, record: &Record, payload_len: usize, tlv_len: usize) {
    let header_len = u16::try_from(header.len()).expect("bounded by RECORD_HEADER_BYTES_MAX");
    header[..FIXED_BYTES].fill(0);
    header[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    header[4..6].copy_from_slice(&VERSION.to_le_bytes());
    header[6..8].copy_from_slice(&header_len.to_le_bytes());
    header[8..10].copy_from_slice(&record.flags.to_le_bytes());
    header[10] = record.kind as u8;
    header[11] = BLOCK_SHIFT;
    header[12..16].copy_from_slice(&place.generation.to_le_bytes());
    header[16..32].copy_from_slice(&record.fragment.blob.0);
    header[32] = record.fragment.index;
    header[33] = record.fragment.attempt;
    if let Some(coding) = record.coding {
        header[34] = coding.scheme as u8;
        header[35] = coding.data;
        header[36] = coding.parity;
        header[44..48].copy_from_slice(&coding.piece_bytes.to_le_bytes());
    }
    header[40..44].copy_from_slice(&record.row.to_le_bytes());
    header[48..52].copy_from_slice(&record.class_id.to_le_bytes());
    header[52..56].copy_from_slice(
        &u32::try_from(payload_len).expect("bounded by RECORD_PAYLOAD_BYTES_MAX").to_le_bytes(),
    );
    header[56..64].copy_from_slice(&record.blob_size.to_le_bytes());
    header[64..66].copy_from_slice(&u16::try_from(tlv_len).expect("fits the header").to_le_bytes());
    let blocks = u16::try_from(payload_len.div_ceil(BLOCK_BYTES)).expect("fits the header");
    header[66..68].copy_from_slice(&blocks.to_le_bytes());
}

fn header_crc(header: &[u8], place: Place) -> u32 {
    let mut digest = place.digest();
    digest.update(&header[..header.len() - CRC_BYTES]);
    u32::try_from(digest.finalize()).expect("CRC32C has 32 bits")
}

/// A header that proved itself, with what checks its payload.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub record: Record,
    pub header_len: usize,
    pub payload_len: usize,
    crc: u32,
    block_crcs: Vec<u32>,
    tlvs: Vec<u8>,
}

impl Parsed {
    /// Bytes the whole record takes.
    #[must_use]
    pub fn total_len(&self) -> usize {
        (self.header_len + self.payload_len + FOOTER_BYTES).next_multiple_of(RECORD_ALIGN)
    }

    /// Whether `bytes`, which start at block `first` of the payload and end at a block's or the payload's end, are what
    /// was written.
    #[must_use]
    pub fn blocks_hold(&self, first: usize, bytes: &[u8]) -> bool {
        let start = first * BLOCK_BYTES;
        let ends_well = bytes.len().is_multiple_of(BLOCK_BYTES) || start + bytes.len() == self.payload_len;
        ends_well
            && start + bytes.len() <= self.payload_len
            && bytes
                .chunks(BLOCK_BYTES)
                .zip(&self.block_crcs[first.min(self.block_crcs.len())..])
                .all(|(block, crc)| block_crc(block) == *crc)
    }

    /// Whether the record of which `bytes` are all bytes is whole: every block and the footer.
    #[must_use]
    pub fn whole(&self, bytes: &[u8]) -> bool {
        let end = self.header_len + self.payload_len;
        bytes.len() >= end + FOOTER_BYTES
            && bytes[end..end + 4] == self.crc.to_le_bytes()
            && bytes[end + 4..end + 8] == FOOTER_MAGIC.to_le_bytes()
            && self.blocks_hold(0, &bytes[self.header_len..end])
    }

    /// The type-length-value fields, unknown ones included.
    #[must_use]
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs(&self.tlvs)
    }
}

/// Walks TLVs; stops at one that runs over the end.
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Iterator for Tlvs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((u16::from_le_bytes([head[0], head[1]]), value))
    }
}

/// Reads the header at the start of `bytes` as the record that stands at `place`. `bytes` holds at least the header;
/// [`RECORD_HEADER_BYTES_MAX`] bytes, or all there are to the segment's end, always suffice.
///
/// # Errors
/// When it is none of this place: the reason.
pub fn parse(bytes: &[u8], place: Place) -> Result<Parsed, Invalid> {
    let fixed = bytes.get(..FIXED_BYTES).ok_or(Invalid::Short)?;
    if u32_at(fixed, 0) != MAGIC {
        return Err(Invalid::Magic);
    }
    let header_len = usize::from(u16_at(fixed, 6));
    let (tlv_len, blocks) = (usize::from(u16_at(fixed, 64)), usize::from(u16_at(fixed, 66)));
    let needed = FIXED_BYTES + blocks * CRC_BYTES + tlv_len + CRC_BYTES;
    if header_len < needed || header_len > RECORD_HEADER_BYTES_MAX || !header_len.is_multiple_of(RECORD_ALIGN)
    {
        return Err(Invalid::Lengths);
    }
    let header = bytes.get(..header_len).ok_or(Invalid::Short)?;
    let crc = u32_at(header, header_len - CRC_BYTES);
    if crc != header_crc(header, place) {
        return Err(Invalid::Checksum);
    }
    // From here on the bytes are what some version of us wrote at this very place.
    if u16_at(fixed, 4) != VERSION {
        return Err(Invalid::Version(u16_at(fixed, 4)));
    }
    if u32_at(fixed, 12) != place.generation {
        return Err(Invalid::Generation);
    }
    let payload_len = u32_at(fixed, 52) as usize;
    if payload_len > RECORD_PAYLOAD_BYTES_MAX
        || fixed[11] != BLOCK_SHIFT
        || blocks != payload_len.div_ceil(BLOCK_BYTES)
    {
        return Err(Invalid::Lengths);
    }
    let tlvs_at = FIXED_BYTES + blocks * CRC_BYTES;
    Ok(Parsed {
        record: record_of(fixed)?,
        header_len,
        payload_len,
        crc,
        block_crcs: (0..blocks).map(|block| u32_at(header, FIXED_BYTES + block * CRC_BYTES)).collect(),
        tlvs: header[tlvs_at..tlvs_at + tlv_len].to_vec(),
    })
}

fn record_of(fixed: &[u8]) -> Result<Record, Invalid> {
    let blob = OpId(fixed[16..32].try_into().expect("16 bytes"));
    let kind = Kind::from_disk(fixed[10]).ok_or(Invalid::Meaning)?;
    let coding = match (kind, PieceScheme::from_disk(fixed[34])) {
        (Kind::Delete | Kind::Filler, _) => None,
        (Kind::Piece | Kind::Move, None) => return Err(Invalid::Meaning),
        (Kind::Piece | Kind::Move, Some(scheme)) => {
            Some(PieceCoding { scheme, data: fixed[35], parity: fixed[36], piece_bytes: u32_at(fixed, 44) })
        }
    };
    Ok(Record {
        kind,
        flags: u16_at(fixed, 8),
        fragment: FragmentId { blob, index: fixed[32], attempt: fixed[33] },
        row: u32_at(fixed, 40),
        coding,
        class_id: u32_at(fixed, 48),
        blob_size: u64::from_le_bytes(fixed[56..64].try_into().expect("8 bytes")),
    })
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}
