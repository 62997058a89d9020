//! Writing fragments of a blob anew, row by row: what repair, drain and uncrowding have in common.
//!
//! One row is in memory at a time. A fragment counts only after it was flushed, found in its drive's index with every
//! piece, and read back with the bytes that were meant; then older attempts of it go, wherever they are: each node deletes
//! its own, once it has read the new one itself.

use bytes::Bytes;
use futures_util::future::join_all;
use holdfast_common::id::{BackendId, FragmentId};
use holdfast_protocol::record::{put_tlv, tlv};

use super::rows::RowTrouble;
use super::stock::Stock;
use super::{Agent, Trouble};
use crate::blob::piece_coding;
use crate::drives::{DriveError, Drives as _, Held, Piece, Receipt};
use crate::env::Env;
use crate::limits::AGENT_HEADER_COST_BYTES;
use crate::rt::{Chunk, Rt as _};

/// One fragment on its way to a drive.
struct Copying {
    target: BackendId,
    id: FragmentId,
    /// The oldest append's.
    receipt: Option<Receipt>,
    /// A checksum per row, to read back against.
    sums: Vec<u64>,
    bytes: u64,
    /// The last row that the drive took.
    last_row: Option<u32>,
    failed: Option<DriveError>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// Bit i: fragment i was read back.
    pub(super) proven: u64,
    pub(super) bytes: u64,
    /// Why others were not.
    pub(super) trouble: Option<String>,
    /// Too few pieces of some row are anywhere.
    pub(super) lost: bool,
}

impl<E: Env> Agent<E> {
    /// Writes fragments `targets` of a blob that the caller has claimed.
    ///
    /// # Errors
    /// Only when the agent is to stop; of what was begun one piece stays.
    pub(super) async fn rewrite(
        &self,
        stock: &Stock,
        targets: &[(u8, BackendId)],
    ) -> Result<Rewritten, Trouble> {
        let mut result = Rewritten::default();
        let mut copying = Vec::new();
        for (index, target) in targets {
            let mut random = [0u8; 1];
            E::Rt::random(&mut random);
            match stock.next_attempt(*index, random[0]) {
                Some(attempt) => copying.push(Copying {
                    target: *target,
                    id: FragmentId { blob: stock.op, index: *index, attempt },
                    receipt: None,
                    sums: Vec::with_capacity(stock.rows as usize),
                    bytes: 0,
                    last_row: None,
                    failed: None,
                }),
                None => result.trouble = Some(format!("fragment {index}: its attempts are used up")),
            }
        }
        let copied = self.copy_rows(stock, &mut copying).await;
        if copied.is_ok() {
            for copy in &mut copying {
                self.prove(stock, copy).await;
            }
        }
        let lost = self.leases.is_lost(stock.op);
        for copy in &copying {
            let failed = copied.is_err() || copy.failed.is_some() || lost;
            if failed {
                // All but one piece, which keeps the name from being given again. Without its lease nothing: who has it now
                // may count on this copy, and drops it if it is of no use.
                if let Some(last) = copy.last_row.filter(|last| *last > 0 && !lost) {
                    self.forget(copy.target, copy.id, last).await;
                }
            } else {
                result.proven |= 1 << copy.id.index;
                result.bytes += copy.bytes;
                for (backend, held) in stock.copies(copy.id.index) {
                    self.forget(backend, held.fragment, held.last_row + 1).await;
                }
            }
            if let Some(error) = &copy.failed {
                result.trouble =
                    Some(format!("fragment {} on backend {}: {error}", copy.id.index, copy.target));
            }
        }
        match copied {
            _ if lost => result.trouble = Some("its lease ran out and is another node's now".to_owned()),
            Ok(()) => {}
            Err(Stopped::Row(trouble)) => {
                result.lost = trouble.lost;
                result.trouble = Some(trouble.to_string());
            }
            Err(Stopped::Agent(trouble)) => return Err(trouble),
        }
        Ok(result)
    }

    async fn copy_rows(&self, stock: &Stock, copying: &mut [Copying]) -> Result<(), Stopped> {
        let last_fields = self.last_fields(stock).await;
        for row in 0..stock.rows {
            self.go_on().map_err(Stopped::Agent)?;
            if copying.iter().all(|copy| copy.failed.is_some()) || !self.keep_lease(stock.op).await {
                return Ok(());
            }
            let wanted = copying.iter().map(|copy| copy.id.index).collect::<Vec<_>>();
            let pieces = self.row_pieces(stock, row, &wanted).await.map_err(Stopped::Row)?;
            let appends = copying
                .iter_mut()
                .zip(pieces)
                .filter(|(copy, piece)| copy.failed.is_none() && !piece.is_empty())
                .map(|(copy, payload)| {
                    let fields = if row + 1 == stock.rows { last_fields.clone() } else { Bytes::new() };
                    self.append(stock, (row, fields), copy, payload)
                });
            join_all(appends).await;
            E::Rt::yield_now().await;
        }
        Ok(())
    }

    /// The recovery manifest, as any copy that can be read has it: it goes where the blob's last row goes.
    async fn last_fields(&self, stock: &Stock) -> Bytes {
        let mut fields = Vec::new();
        if let Some(sealed) = self.manifest_of(&stock.held, Some(stock.rows - 1)).await {
            put_tlv(&mut fields, tlv::RECOVERY_MANIFEST, &sealed);
        }
        fields.into()
    }

    /// The sealed recovery manifest of a blob, from the first of `held` whose last piece has it; with `row`, only of those that
    /// reach that row. What cannot be read is passed over.
    pub(super) async fn manifest_of(&self, held: &[(BackendId, Held)], row: Option<u32>) -> Option<Bytes> {
        for (backend, held) in held.iter().filter(|(_, held)| row.is_none_or(|row| held.last_row == row)) {
            self.pay(AGENT_HEADER_COST_BYTES).await;
            match self.drives.manifest(*backend, held.fragment, held.last_row).await {
                Ok(Some(sealed)) => return Some(sealed),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%backend, blob = %held.fragment.blob, %error, "no manifest read")
                }
            }
        }
        None
    }

    async fn append(&self, stock: &Stock, (row, fields): (u32, Bytes), copy: &mut Copying, payload: Chunk) {
        self.pay(payload.len() as u64).await;
        copy.sums.push(sum(&payload));
        copy.bytes += payload.len() as u64;
        let piece = Piece {
            id: copy.id,
            row,
            coding: piece_coding(stock.coding()),
            class_id: stock.class_id,
            blob_size: stock.layout.size(),
            fields,
            payload,
        };
        match self.drives.append(copy.target, piece).await {
            Ok(receipt) => {
                copy.receipt = Some(copy.receipt.map_or(receipt, |first| first.min(receipt)));
                copy.last_row = Some(row);
            }
            Err(error) => copy.failed = Some(error),
        }
    }

    /// Flushes a fragment and reads it back; leaves the first thing that is wrong in `failed`.
    async fn prove(&self, stock: &Stock, copy: &mut Copying) {
        if copy.failed.is_none() {
            copy.failed = self.try_prove(stock, copy).await.err();
        }
    }

    async fn try_prove(&self, stock: &Stock, copy: &Copying) -> Result<(), DriveError> {
        let Some(receipt) = copy.receipt else { return Ok(()) };
        if crate::mutant!("repair-without-read-back") {
            return Ok(());
        }
        self.drives.flush(copy.target, receipt).await?;
        let held = self.holders(stock.op, stock.everywhere).await?;
        let there = |(backend, held): &(BackendId, _)| *backend == copy.target && stock.is_whole(held);
        if !held.iter().any(|found| found.1.fragment == copy.id && there(found)) {
            return Err(DriveError::NotFound);
        }
        for (row, expected) in copy.sums.iter().enumerate() {
            let row = row as u32;
            let len = stock.layout.stored_len(row, copy.id.index);
            self.pay(len.into()).await;
            if !self.keep_lease(stock.op).await {
                return Err(DriveError::Busy);
            }
            let read = self.drives.read_here(copy.target, copy.id, row).await?;
            if read.payload_len != len || sum(&read.bytes) != *expected {
                return Err(DriveError::Rotten("what was read back is not what was written"));
            }
        }
        Ok(())
    }

    /// Deletes what is of no use any more; of other nodes' drives they do so. What stays is deleted with its blob.
    pub(super) async fn forget(&self, backend: BackendId, id: FragmentId, rows: u32) {
        match self.drives.supersede(backend, id, rows).await {
            Ok(()) | Err(DriveError::NotFound) => {}
            Err(error) => {
                tracing::warn!(%backend, blob = %id.blob, index = id.index, %error, "an old copy stays")
            }
        }
    }
}

/// Why rows could not all be copied.
enum Stopped {
    Row(RowTrouble),
    Agent(Trouble),
}

/// Catches mix-ups; rot is caught by the record's own checksums. FNV-1a over words.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64, |hash, chunk| {
        let mut word = [0u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
    })
}
