//! What was permitted, done by this node's drives.

use std::rc::Rc;

use holdfast_common::id::BackendId;
use holdfast_protocol::limits::{PEER_BACKENDS_MAX, PEER_DELETED_FAILED_MAX, PEER_HELD_MAX};
use holdfast_protocol::peer::{Answer, Denial, Holding, Request, Spot};
use uuid::Uuid;

use super::super::fault_of;
use super::PeerServer;
use crate::drives::{DriveError, Drives, Held, Piece, PieceRead, Receipt};
use crate::limits::PEER_PIN;
use crate::rt::{Chunk, Rt};

pub(super) async fn perform<R: Rt, D: Drives>(
    server: &Rc<PeerServer<D>>,
    asker: Uuid,
    request: Request,
    payload: Option<Chunk>,
) -> (Answer, Option<Chunk>) {
    let (drives, leases) = (&server.drives, &server.leases);
    let until = R::now() + PEER_PIN;
    let done = match request {
        Request::Append { spot, coding, class_id, blob_size, fields, ticket } => {
            let Some(payload) = payload else { return (Answer::Denied(Denial::Malformed), None) };
            let Spot { id, row, .. } = spot;
            // A repair writes under a new name, so that who made one up takes nothing's place.
            if !ticket.is_empty() && drives.facts(BackendId(spot.backend), id, row).await.is_ok() {
                return (Answer::Denied(Denial::Taken), None);
            }
            let piece = Piece { id, row, coding, class_id, blob_size, fields: fields.into(), payload };
            let receipt = drives.append(BackendId(spot.backend), piece).await;
            receipt.map(|receipt| Answer::Appended { failures: receipt.failures() })
        }
        Request::Flush { backend, failures } => {
            drives.flush(BackendId(backend), Receipt::after(failures)).await.map(|()| Answer::Done)
        }
        Request::Read { spot, start, end, .. } => {
            // Beyond the bound of pins the delay of deletions has to do.
            leases.pin(asker, spot.id.blob, until);
            return piece(drives.read(BackendId(spot.backend), spot.id, spot.row, start..end).await);
        }
        Request::ReadHere { spot, .. } => {
            return piece(drives.read_here(BackendId(spot.backend), spot.id, spot.row).await);
        }
        Request::Persist { spot, .. } => {
            drives.persist(BackendId(spot.backend), spot.id, spot.row).await.map(|()| Answer::Done)
        }
        Request::Delete { spot, .. } => {
            drives.delete(BackendId(spot.backend), spot.id, spot.row).await.map(|()| Answer::Done)
        }
        Request::DeleteBlob { blob, .. } if leases.is_pinned(blob) => Err(DriveError::Busy),
        Request::DeleteBlob { blob, .. } => {
            let failed = drives.delete_blob(blob).await.into_iter().take(PEER_DELETED_FAILED_MAX);
            let failed = failed.map(|(backend, error)| (backend.0, fault_of(error))).collect();
            Ok(Answer::Deleted { failed })
        }
        Request::Find { blob, .. } => drives.find(blob).await.and_then(found),
        Request::Facts { spot, .. } => {
            let facts = drives.facts(BackendId(spot.backend), spot.id, spot.row).await;
            facts.map(|facts| Answer::Facts {
                coding: facts.coding,
                class_id: facts.class_id,
                blob_size: facts.blob_size,
                payload_len: facts.payload_len,
            })
        }
        Request::Manifest { spot, .. } => {
            let sealed = drives.manifest(BackendId(spot.backend), spot.id, spot.row).await;
            sealed.map(|sealed| Answer::Manifest { sealed: sealed.map(Vec::from).unwrap_or_default() })
        }
        Request::Pin { blob, .. } => {
            if leases.pin(asker, blob, until) {
                Ok(Answer::Done)
            } else {
                Err(DriveError::Busy)
            }
        }
        Request::Unpin { blob } => {
            leases.unpin(asker, blob);
            Ok(Answer::Done)
        }
        Request::Superseded { blob, .. } => {
            server.seen.state.superseded.push(blob);
            Ok(Answer::Done)
        }
        Request::Writable => {
            let backends = drives.writable().into_iter().take(PEER_BACKENDS_MAX).map(|backend| backend.0);
            Ok(Answer::Writable { backends: backends.collect() })
        }
        Request::Hello { .. } => return (Answer::Denied(Denial::OutOfPlace), None),
    };
    (done.unwrap_or_else(|error| Answer::Fault(fault_of(error))), None)
}

fn piece(read: Result<PieceRead, DriveError>) -> (Answer, Option<Chunk>) {
    match read {
        Ok(PieceRead { bytes, payload_len }) => {
            (Answer::Piece { payload_len }, Some(bytes).filter(|bytes| !bytes.is_empty()))
        }
        Err(error) => (Answer::Fault(fault_of(error)), None),
    }
}

/// Half a list would be believed to be the whole.
fn found(held: Vec<(BackendId, Held)>) -> Result<Answer, DriveError> {
    if held.len() > PEER_HELD_MAX {
        let error = format!("{} fragments of one blob", held.len());
        return Err(DriveError::Io { step: "find", error });
    }
    let held = held.into_iter().map(|(backend, held)| Holding {
        backend: backend.0,
        fragment: held.fragment,
        last_row: held.last_row,
        pieces: held.pieces,
        bytes: held.bytes,
    });
    Ok(Answer::Found { held: held.collect() })
}
