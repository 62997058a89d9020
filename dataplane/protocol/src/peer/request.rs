//! What a node asks of another.

use holdfast_common::id::{FragmentId, OpId};
use holdfast_common::ticket::TICKET_BYTES_MAX;

use super::codec::{Fields, Malformed, Out};
use crate::limits::RECORD_HEADER_BYTES_MAX;
use crate::record::PieceCoding;

/// One row of one fragment on one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    pub backend: u32,
    pub id: FragmentId,
    pub row: u32,
}

/// A request. `ticket` is empty where the asker has none: an append of an op id that is its own and young needs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The first frame of a connection, and only that.
    Hello {
        cluster: [u8; 16],
    },
    /// Its payload is the piece's.
    Append {
        spot: Spot,
        coding: PieceCoding,
        class_id: u32,
        blob_size: u64,
        /// Further fields of its record, encoded; as a rule none.
        fields: Vec<u8>,
        ticket: Vec<u8>,
    },
    /// Of the appends of this connection, back to the one whose receipt named so many failures.
    Flush {
        backend: u32,
        failures: u64,
    },
    /// Rows `0..spot.row`, whoever appended them.
    Persist {
        spot: Spot,
        ticket: Vec<u8>,
    },
    Read {
        spot: Spot,
        start: u32,
        end: u32,
        ticket: Vec<u8>,
    },
    ReadHere {
        spot: Spot,
        ticket: Vec<u8>,
    },
    /// Rows `0..spot.row`.
    Delete {
        spot: Spot,
        ticket: Vec<u8>,
    },
    DeleteBlob {
        blob: OpId,
        ticket: Vec<u8>,
    },
    Find {
        blob: OpId,
        ticket: Vec<u8>,
    },
    Facts {
        spot: Spot,
        ticket: Vec<u8>,
    },
    /// The recovery manifest in the record of one piece.
    Manifest {
        spot: Spot,
        ticket: Vec<u8>,
    },
    /// The asker reads the blob: it is not to be deleted for a while.
    Pin {
        blob: OpId,
        ticket: Vec<u8>,
    },
    Unpin {
        blob: OpId,
    },
    /// The asker has made fragments of the blob again: the asked looks which of its own copies may go.
    Superseded {
        blob: OpId,
        ticket: Vec<u8>,
    },
    /// Backends that take new fragments now.
    Writable,
}

impl Request {
    /// Kind and fields.
    #[must_use]
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut out = Out::default();
        match self {
            Self::Hello { cluster } => out.raw(cluster),
            Self::Append { spot, coding, class_id, blob_size, fields, ticket } => {
                put_spot(&mut out, spot).coding(*coding).u32(*class_id).u64(*blob_size);
                out.bytes(fields, RECORD_HEADER_BYTES_MAX).bytes(ticket, TICKET_BYTES_MAX)
            }
            Self::Flush { backend, failures } => out.u32(*backend).u64(*failures),
            Self::Read { spot, start, end, ticket } => {
                put_spot(&mut out, spot).u32(*start).u32(*end).bytes(ticket, TICKET_BYTES_MAX)
            }
            Self::ReadHere { spot, ticket }
            | Self::Delete { spot, ticket }
            | Self::Facts { spot, ticket }
            | Self::Manifest { spot, ticket }
            | Self::Persist { spot, ticket } => put_spot(&mut out, spot).bytes(ticket, TICKET_BYTES_MAX),
            Self::DeleteBlob { blob, ticket }
            | Self::Find { blob, ticket }
            | Self::Pin { blob, ticket }
            | Self::Superseded { blob, ticket } => out.raw(&blob.0).bytes(ticket, TICKET_BYTES_MAX),
            Self::Unpin { blob } => out.raw(&blob.0),
            Self::Writable => &mut out,
        };
        (self.kind(), out.0)
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 1,
            Self::Append { .. } => 2,
            Self::Flush { .. } => 3,
            Self::Read { .. } => 4,
            Self::ReadHere { .. } => 5,
            Self::Delete { .. } => 6,
            Self::DeleteBlob { .. } => 7,
            Self::Find { .. } => 8,
            Self::Facts { .. } => 9,
            Self::Pin { .. } => 10,
            Self::Unpin { .. } => 11,
            Self::Writable => 12,
            Self::Manifest { .. } => 13,
            Self::Superseded { .. } => 14,
            Self::Persist { .. } => 15,
        }
    }

    /// Reads a request from a frame whose checksums held; `payload_len` is of its payload, which only appends have.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(kind: u8, meta: &[u8], payload_len: usize) -> Result<Self, Malformed> {
        let fields = &mut Fields::new(meta);
        let request = match kind {
            1 => Self::Hello { cluster: fields.array()? },
            2 => Self::Append {
                spot: spot(fields)?,
                coding: fields.coding()?,
                class_id: fields.u32()?,
                blob_size: fields.u64()?,
                fields: fields.bytes(RECORD_HEADER_BYTES_MAX)?.to_vec(),
                ticket: ticket(fields)?,
            },
            3 => Self::Flush { backend: fields.u32()?, failures: fields.u64()? },
            4 => Self::Read {
                spot: spot(fields)?,
                start: fields.u32()?,
                end: fields.u32()?,
                ticket: ticket(fields)?,
            },
            5 => Self::ReadHere { spot: spot(fields)?, ticket: ticket(fields)? },
            6 => Self::Delete { spot: spot(fields)?, ticket: ticket(fields)? },
            7 => Self::DeleteBlob { blob: fields.op()?, ticket: ticket(fields)? },
            8 => Self::Find { blob: fields.op()?, ticket: ticket(fields)? },
            9 => Self::Facts { spot: spot(fields)?, ticket: ticket(fields)? },
            10 => Self::Pin { blob: fields.op()?, ticket: ticket(fields)? },
            11 => Self::Unpin { blob: fields.op()? },
            12 => Self::Writable,
            13 => Self::Manifest { spot: spot(fields)?, ticket: ticket(fields)? },
            14 => Self::Superseded { blob: fields.op()?, ticket: ticket(fields)? },
            15 => Self::Persist { spot: spot(fields)?, ticket: ticket(fields)? },
            _ => return Err(Malformed),
        };
        fields.end()?;
        let appends = matches!(request, Self::Append { .. });
        if appends == (payload_len > 0) { Ok(request) } else { Err(Malformed) }
    }
}

fn put_spot<'o>(out: &'o mut Out, spot: &Spot) -> &'o mut Out {
    out.u32(spot.backend).fragment(spot.id).u32(spot.row)
}

fn spot(fields: &mut Fields<'_>) -> Result<Spot, Malformed> {
    Ok(Spot { backend: fields.u32()?, id: fields.fragment()?, row: fields.u32()? })
}

fn ticket(fields: &mut Fields<'_>) -> Result<Vec<u8>, Malformed> {
    fields.bytes(TICKET_BYTES_MAX).map(<[u8]>::to_vec)
}
