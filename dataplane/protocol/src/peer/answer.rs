//! What the asked node says.

use super::Holding;
use super::codec::{Fields, Malformed, Out};
use super::fault::{Denial, Fault};
use crate::limits::{PEER_BACKENDS_MAX, PEER_DELETED_FAILED_MAX, PEER_HELD_MAX, RECORD_HEADER_BYTES_MAX};
use crate::record::PieceCoding;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To the greeting: who this is.
    Welcome {
        cluster: [u8; 16],
        node: [u8; 16],
    },
    /// It is done, and durable where that was asked.
    Done,
    /// To an append: it is written, and so many flushes of its device had failed when it began.
    Appended {
        failures: u64,
    },
    /// The payload is the range that was asked for; so many bytes has the whole piece.
    Piece {
        payload_len: u32,
    },
    Found {
        held: Vec<Holding>,
    },
    Facts {
        coding: PieceCoding,
        class_id: u32,
        blob_size: u64,
        payload_len: u32,
    },
    /// To the deletion of a blob: backends that could not.
    Deleted {
        failed: Vec<(u32, Fault)>,
    },
    Writable {
        backends: Vec<u32>,
    },
    /// Sealed; empty: the piece has none.
    Manifest {
        sealed: Vec<u8>,
    },
    Fault(Fault),
    Denied(Denial),
}

impl Answer {
    /// Kind and fields.
    #[must_use]
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut out = Out::default();
        let kind = match self {
            Self::Welcome { cluster, node } => {
                out.raw(cluster).raw(node);
                129
            }
            Self::Done => 130,
            Self::Appended { failures } => {
                out.u64(*failures);
                131
            }
            Self::Piece { payload_len } => {
                out.u32(*payload_len);
                132
            }
            Self::Found { held } => {
                out.count(held.len(), PEER_HELD_MAX);
                held.iter().for_each(|held| put_holding(&mut out, held));
                133
            }
            Self::Facts { coding, class_id, blob_size, payload_len } => {
                out.coding(*coding).u32(*class_id).u64(*blob_size).u32(*payload_len);
                134
            }
            Self::Deleted { failed } => {
                out.count(failed.len(), PEER_DELETED_FAILED_MAX);
                failed.iter().for_each(|(backend, fault)| fault.put(out.u32(*backend)));
                135
            }
            Self::Writable { backends } => {
                out.count(backends.len(), PEER_BACKENDS_MAX);
                for backend in backends {
                    out.u32(*backend);
                }
                136
            }
            Self::Manifest { sealed } => {
                out.bytes(sealed, RECORD_HEADER_BYTES_MAX);
                139
            }
            Self::Fault(fault) => {
                fault.put(&mut out);
                137
            }
            Self::Denied(denial) => {
                out.u8(*denial as u8);
                138
            }
        };
        (kind, out.0)
    }

    /// Reads an answer from a frame whose checksums held; `payload_len` is of its payload, which only pieces have.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(kind: u8, meta: &[u8], payload_len: usize) -> Result<Self, Malformed> {
        let fields = &mut Fields::new(meta);
        let answer = match kind {
            129 => Self::Welcome { cluster: fields.array()?, node: fields.array()? },
            130 => Self::Done,
            131 => Self::Appended { failures: fields.u64()? },
            132 => Self::Piece { payload_len: fields.u32()? },
            133 => {
                let count = fields.count(PEER_HELD_MAX)?;
                Self::Found { held: (0..count).map(|_| holding(fields)).collect::<Result<_, _>>()? }
            }
            134 => Self::Facts {
                coding: fields.coding()?,
                class_id: fields.u32()?,
                blob_size: fields.u64()?,
                payload_len: fields.u32()?,
            },
            135 => {
                let count = fields.count(PEER_DELETED_FAILED_MAX)?;
                let failed = (0..count).map(|_| Ok::<_, Malformed>((fields.u32()?, Fault::take(fields)?)));
                Self::Deleted { failed: failed.collect::<Result<_, _>>()? }
            }
            136 => {
                let count = fields.count(PEER_BACKENDS_MAX)?;
                Self::Writable { backends: (0..count).map(|_| fields.u32()).collect::<Result<_, _>>()? }
            }
            137 => Self::Fault(Fault::take(fields)?),
            139 => Self::Manifest { sealed: fields.bytes(RECORD_HEADER_BYTES_MAX)?.to_vec() },
            138 => Self::Denied(Denial::from_wire(fields.u8()?)?),
            _ => return Err(Malformed),
        };
        fields.end()?;
        match &answer {
            // No range is longer than its piece; an empty one has no payload.
            Self::Piece { payload_len: whole } if payload_len <= *whole as usize => Ok(answer),
            Self::Piece { .. } => Err(Malformed),
            _ if payload_len == 0 => Ok(answer),
            _ => Err(Malformed),
        }
    }
}

fn put_holding(out: &mut Out, held: &Holding) {
    out.u32(held.backend).fragment(held.fragment).u32(held.last_row).u32(held.pieces).u64(held.bytes);
}

fn holding(fields: &mut Fields<'_>) -> Result<Holding, Malformed> {
    Ok(Holding {
        backend: fields.u32()?,
        fragment: fields.fragment()?,
        last_row: fields.u32()?,
        pieces: fields.u32()?,
        bytes: fields.u64()?,
    })
}
