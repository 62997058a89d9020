//! The pieces of one row that are wanted: read where a copy is left, computed from others where none is.

use futures_util::future::join_all;
use holdfast_protocol::erasure::Scheme;

use super::Agent;
use super::stock::Stock;
use crate::drives::{DriveError, Drives as _};
use crate::env::Env;
use crate::rt::{AlignedBuf, Chunk};

/// A row that cannot be made whole now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {have} of {need} pieces can be read{}", because(.cause.as_ref()))]
pub(super) struct RowTrouble {
    row: u32,
    have: usize,
    need: usize,
    cause: Option<DriveError>,
    /// No drive that may come back could help.
    pub(super) lost: bool,
}

fn because(cause: Option<&DriveError>) -> String {
    cause.map_or_else(String::new, |cause| format!("; the last error: {cause}"))
}

/// Pieces of a row as they come, by fragment.
struct Gathered {
    pieces: Vec<Option<Chunk>>,
    last_error: Option<DriveError>,
    /// An error that may go away by itself.
    transient: bool,
}

impl<E: Env> Agent<E> {
    /// The pieces of fragments `wanted`, in that order, as they are stored: data at the blob's end without its zeros.
    pub(super) async fn row_pieces(
        &self,
        stock: &Stock,
        row: u32,
        wanted: &[u8],
    ) -> Result<Vec<Chunk>, RowTrouble> {
        let coding = stock.coding();
        let fragments = coding.fragments() as u8;
        let mut gathered =
            Gathered { pieces: vec![None; usize::from(fragments)], last_error: None, transient: false };
        // What a row does not reach is zeros, and costs no read.
        for index in (0..fragments).filter(|index| stock.layout.stored_len(row, *index) == 0) {
            gathered.pieces[usize::from(index)] = Some(Chunk::from(bytes::Bytes::new()));
        }
        self.gather(stock, row, wanted, &mut gathered).await;
        if wanted.iter().any(|index| gathered.pieces[usize::from(*index)].is_none()) {
            let mut others = (0..fragments).filter(|index| !wanted.contains(index));
            loop {
                let have = gathered.pieces.iter().flatten().count();
                let next: Vec<u8> = others.by_ref().take(coding.data().saturating_sub(have)).collect();
                if next.is_empty() {
                    break;
                }
                self.gather(stock, row, &next, &mut gathered).await;
            }
            self.compute(stock, row, wanted, &mut gathered)?;
        }
        let piece = |index: &u8| gathered.pieces[usize::from(*index)].clone().expect("read or computed");
        Ok(wanted.iter().map(piece).collect())
    }

    /// Reads those of `indexes` that are not there yet, all at once.
    async fn gather(&self, stock: &Stock, row: u32, indexes: &[u8], gathered: &mut Gathered) {
        let open = indexes.iter().copied().filter(|index| gathered.pieces[usize::from(*index)].is_none());
        let reads = open.map(|index| async move { (index, self.read_copy(stock, row, index).await) });
        for (index, read) in join_all(reads).await {
            match read {
                Ok(piece) => gathered.pieces[usize::from(index)] = piece,
                Err(error) => {
                    gathered.transient |= matches!(error, DriveError::Busy | DriveError::Io { .. });
                    gathered.last_error = Some(error);
                }
            }
        }
    }

    /// A piece from whichever copy of its fragment has it. `None`: there is no copy.
    async fn read_copy(&self, stock: &Stock, row: u32, index: u8) -> Result<Option<Chunk>, DriveError> {
        let len = stock.layout.stored_len(row, index);
        let mut outcome = Ok(None);
        for (backend, held) in stock.copies(index) {
            self.pay(len.into()).await;
            match self.drives.read(backend, held.fragment, row, 0..len).await {
                Ok(read) if read.payload_len == len && read.bytes.len() == len as usize => {
                    return Ok(Some(read.bytes));
                }
                Ok(_) => outcome = Err(DriveError::Rotten("a piece of another length than its blob says")),
                Err(DriveError::NotFound) => {}
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Fills in the wanted pieces from the others.
    fn compute(
        &self,
        stock: &Stock,
        row: u32,
        wanted: &[u8],
        gathered: &mut Gathered,
    ) -> Result<(), RowTrouble> {
        let coding = stock.coding();
        let have = gathered.pieces.iter().flatten().count();
        if have < coding.data() {
            let lost = !gathered.transient && !self.fleet().is_silent(stock.everywhere);
            let cause = gathered.last_error.clone();
            return Err(RowTrouble { row, have, need: coding.data(), cause, lost });
        }
        let absent: Vec<u8> =
            wanted.iter().copied().filter(|index| gathered.pieces[usize::from(*index)].is_none()).collect();
        if coding.scheme() == Scheme::Copies {
            let copy = gathered.pieces.iter().flatten().next().cloned();
            absent.iter().for_each(|index| gathered.pieces[usize::from(*index)].clone_from(&copy));
            return Ok(());
        }
        let len = stock.layout.piece_len(row) as usize;
        let padded: Vec<Option<Chunk>> =
            gathered.pieces.iter().map(|piece| piece.as_ref().map(|piece| padded(piece, len))).collect();
        let present: Vec<Option<&[u8]>> = padded.iter().map(|piece| piece.as_deref()).collect();
        let mut rebuilt: Vec<AlignedBuf> = absent.iter().map(|_| zeros(len)).collect();
        let mut out: Vec<&mut [u8]> = rebuilt.iter_mut().map(|buf| &mut buf[..]).collect();
        let coder = self.coders.coder(coding.data(), coding.parity());
        coder.reconstruct(&present, &absent, &mut out).expect("counted above");
        for (index, buf) in absent.into_iter().zip(rebuilt) {
            let stored = stock.layout.stored_len(row, index) as usize;
            gathered.pieces[usize::from(index)] = Some(Chunk::new(buf, 0..stored));
        }
        Ok(())
    }
}

fn zeros(len: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::with_capacity(len);
    buf.pad_to(len);
    buf
}

/// Parity was computed over pieces of full length.
fn padded(piece: &Chunk, len: usize) -> Chunk {
    if piece.len() == len {
        return piece.clone();
    }
    let mut buf = AlignedBuf::with_capacity(len);
    buf.extend_from_slice(piece);
    buf.pad_to(len);
    Chunk::from(buf)
}
