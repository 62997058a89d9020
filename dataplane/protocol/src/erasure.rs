//! How a blob becomes fragments that survive lost drives, and the way back.
//!
//! A blob is cut in *rows* of `data * piece_bytes` bytes; a row becomes one *piece* per fragment: `data` pieces of the
//! bytes themselves and `parity` pieces computed from them. Any `data` pieces of a row give the row back. Rows keep memory
//! bounded whatever the blob's size, and the code works byte by byte, so a range of a lost piece costs the same range of
//! `data` others, never the whole piece.

mod accelerated;
mod coder;
mod gather;
mod layout;
mod scalar;

pub use coder::{Coder, CoderKind, Coders, CpuFeatures, TooFewPieces, choose};
pub use gather::{Arrival, Fetch, Gather, RowLost};
pub use layout::{Layout, Span, piece_len};

use holdfast_common::wire;

use crate::limits::{
    COPY_BYTES_MAX, FRAGMENTS_MAX, PIECE_ALIGN_BYTES, PIECE_BYTES, PIECE_BYTES_MAX, PIECE_BYTES_MIN,
};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// Fragment 0 and `parity` further ones all hold the blob as it is.
    Copies,
    /// Any `data` of `data + parity` fragments suffice.
    ReedSolomon,
}

/// A blob's cut, checked: counts fit a `proven` bitmap, pieces have a legal size.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Coding {
    scheme: Scheme,
    data: u8,
    parity: u8,
    piece_bytes: u32,
}

/// Why a stored or configured coding is not one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodingError {
    #[error(
        "a coding needs one data fragment at least and {FRAGMENTS_MAX} fragments at most, not {data}+{parity}"
    )]
    Fragments { data: u32, parity: u32 },
    #[error("copies have one data fragment, not {data}")]
    CopiesData { data: u32 },
    #[error(
        "a piece has {PIECE_BYTES_MIN} to {PIECE_BYTES_MAX} bytes in steps of {PIECE_ALIGN_BYTES}, not {piece_bytes}"
    )]
    PieceBytes { piece_bytes: u32 },
    #[error("coding scheme {scheme} is not known to this version")]
    Scheme { scheme: i32 },
    #[error("the blob has no coding")]
    Absent,
}

impl Coding {
    /// Whole copies: one and `further` more.
    pub fn copies(further: u32, piece_bytes: u32) -> Result<Self, CodingError> {
        Self::checked(Scheme::Copies, 1, further, piece_bytes)
    }

    /// Reed-Solomon over `data` + `parity` fragments; `parity` 0 is plain striping.
    pub fn reed_solomon(data: u32, parity: u32, piece_bytes: u32) -> Result<Self, CodingError> {
        Self::checked(Scheme::ReedSolomon, data, parity, piece_bytes)
    }

    /// What a class of `data` + `parity` uses for a blob of `size` bytes: up to `COPY_BYTES_MAX` bytes whole copies of the
    /// same tolerance, because one read of a few KiB beats `data` smaller ones. Unknown sizes are coded.
    pub fn for_blob(data: u32, parity: u32, size: Option<u64>) -> Result<Self, CodingError> {
        match size {
            Some(size) if size <= COPY_BYTES_MAX => Self::copies(parity, PIECE_BYTES),
            _ if data == 1 => Self::copies(parity, PIECE_BYTES),
            _ => Self::reed_solomon(data, parity, PIECE_BYTES),
        }
    }

    pub fn from_wire(coding: Option<&wire::Coding>) -> Result<Self, CodingError> {
        let coding = coding.ok_or(CodingError::Absent)?;
        let scheme = match wire::coding::Scheme::try_from(coding.scheme) {
            Ok(wire::coding::Scheme::Copies) => Scheme::Copies,
            Ok(wire::coding::Scheme::ReedSolomon) => Scheme::ReedSolomon,
            _ => return Err(CodingError::Scheme { scheme: coding.scheme }),
        };
        Self::checked(scheme, coding.data, coding.parity, coding.piece_bytes)
    }

    #[must_use]
    pub fn to_wire(self) -> wire::Coding {
        let scheme = match self.scheme {
            Scheme::Copies => wire::coding::Scheme::Copies,
            Scheme::ReedSolomon => wire::coding::Scheme::ReedSolomon,
        };
        wire::Coding {
            scheme: scheme.into(),
            data: self.data.into(),
            parity: self.parity.into(),
            piece_bytes: self.piece_bytes,
        }
    }

    fn checked(scheme: Scheme, data: u32, parity: u32, piece_bytes: u32) -> Result<Self, CodingError> {
        let total = data.saturating_add(parity);
        if data == 0 || total > FRAGMENTS_MAX {
            return Err(CodingError::Fragments { data, parity });
        }
        if scheme == Scheme::Copies && data != 1 {
            return Err(CodingError::CopiesData { data });
        }
        if !(PIECE_BYTES_MIN..=PIECE_BYTES_MAX).contains(&piece_bytes)
            || !piece_bytes.is_multiple_of(PIECE_ALIGN_BYTES)
        {
            return Err(CodingError::PieceBytes { piece_bytes });
        }
        Ok(Self { scheme, data: data as u8, parity: parity as u8, piece_bytes })
    }

    #[must_use]
    pub fn scheme(self) -> Scheme {
        self.scheme
    }

    /// Fragments that suffice to read the blob.
    #[must_use]
    pub fn data(self) -> usize {
        self.data.into()
    }

    /// Fragments that may be lost.
    #[must_use]
    pub fn parity(self) -> usize {
        self.parity.into()
    }

    #[must_use]
    pub fn fragments(self) -> usize {
        self.data() + self.parity()
    }

    /// Payload of a full piece, bytes.
    #[must_use]
    pub fn piece_bytes(self) -> u32 {
        self.piece_bytes
    }

    /// Bytes of the blob in a full row: at most 32 * 4 MiB.
    #[must_use]
    pub fn row_bytes(self) -> u32 {
        u32::from(self.data) * self.piece_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Coding, CodingError, Scheme};

    #[test]
    fn the_wire_form_comes_back() {
        for coding in
            [Coding::copies(2, 4096), Coding::reed_solomon(4, 2, 262_144), Coding::reed_solomon(1, 0, 4096)]
        {
            let coding = coding.unwrap();
            assert_eq!(Coding::from_wire(Some(&coding.to_wire())), Ok(coding));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let fragments = |data, parity| CodingError::Fragments { data, parity };
        assert_eq!(Coding::reed_solomon(0, 2, 4096), Err(fragments(0, 2)));
        assert_eq!(Coding::reed_solomon(30, 3, 4096), Err(fragments(30, 3)));
        assert_eq!(Coding::reed_solomon(u32::MAX, 3, 4096), Err(fragments(u32::MAX, 3)));
        assert!(matches!(Coding::copies(1, 4097), Err(CodingError::PieceBytes { .. })));
        assert!(matches!(Coding::copies(1, 0), Err(CodingError::PieceBytes { .. })));
        assert_eq!(Coding::from_wire(None), Err(CodingError::Absent));
        assert_eq!(Coding::from_wire(Some(&Default::default())), Err(CodingError::Scheme { scheme: 0 }));
    }

    #[test]
    fn small_blobs_are_copied() {
        assert_eq!(Coding::for_blob(4, 2, Some(16 << 10)).unwrap().scheme(), Scheme::Copies);
        assert_eq!(Coding::for_blob(4, 2, Some((16 << 10) + 1)).unwrap().scheme(), Scheme::ReedSolomon);
        assert_eq!(Coding::for_blob(4, 2, None).unwrap().scheme(), Scheme::ReedSolomon);
        assert_eq!(Coding::for_blob(1, 2, None).unwrap().scheme(), Scheme::Copies);
    }
}
