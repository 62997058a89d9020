//! Who may do what with this node's fragments, asked at each request.

use holdfast_common::id::OpId;
use holdfast_common::ticket::{Leave, Ticket};
use holdfast_protocol::limits::{FRAGMENTS_MAX, PIECE_BYTES_MAX};
use holdfast_protocol::peer::{Denial, Request, Spot};
use holdfast_protocol::record::PieceCoding;
use uuid::Uuid;

use super::seen::standing;
use crate::limits::PEER_OWN_BLOB_MS;
use crate::link::state::View;

/// Whether `asker` may have `request` done on the drives of `this`. `led`: this node has a lease or had one lately.
///
/// # Errors
/// The first reason why not.
pub(super) fn permit(
    (view, led): (&View, bool),
    this: Uuid,
    asker: Uuid,
    request: &Request,
    boottime_ms: u64,
) -> Result<(), Denial> {
    let peer = standing(view, asker)?;
    let (blob, leave, ticket) = match request {
        Request::Hello { .. } => return Err(Denial::OutOfPlace),
        // They name no blob and tell nothing of one.
        Request::Flush { .. } | Request::Writable | Request::Unpin { .. } => return Ok(()),
        Request::Append { spot, coding, ticket, .. } => {
            if !sensible(spot, *coding) {
                return Err(Denial::Malformed);
            }
            (spot.id.blob, Leave::Append, ticket)
        }
        Request::Read { start, end, .. } if start > end => return Err(Denial::Malformed),
        Request::Delete { spot, ticket } => (spot.id.blob, Leave::Delete, ticket),
        Request::Superseded { blob, ticket } => (*blob, Leave::Append, ticket),
        Request::DeleteBlob { blob, ticket } => (*blob, Leave::Delete, ticket),
        Request::Read { spot, ticket, .. }
        | Request::ReadHere { spot, ticket }
        | Request::Facts { spot, ticket }
        | Request::Manifest { spot, ticket }
        | Request::Persist { spot, ticket } => (spot.id.blob, Leave::Read, ticket),
        Request::Find { blob, ticket } | Request::Pin { blob, ticket } => (*blob, Leave::Read, ticket),
    };
    let now_ms = view.authority_ms(boottime_ms);
    if ticket.is_empty() {
        return match leave {
            Leave::Append if is_own(blob, peer.node_number, now_ms) && led => Ok(()),
            Leave::Append if is_own(blob, peer.node_number, now_ms) => Err(Denial::NotReady),
            _ => Err(Denial::NoTicket),
        };
    }
    let key = view.ticket_key.as_ref().ok_or(Denial::NotReady)?;
    Ticket::open(ticket, key)?.admits(this, asker, blob, leave, now_ms)?;
    Ok(())
}

/// Whether a node of that number made the op id, and not long ago: it may append to it without a ticket. 0 is no node's.
pub(super) fn is_own(blob: OpId, node_number: u32, now_ms: u64) -> bool {
    let is_young = blob.unix_ms().abs_diff(now_ms) <= PEER_OWN_BLOB_MS;
    node_number != 0 && u32::from(blob.node()) == node_number && is_young
}

/// What a drive would write is what some blob could have.
fn sensible(spot: &Spot, coding: PieceCoding) -> bool {
    let fragments = u32::from(coding.data) + u32::from(coding.parity);
    coding.data > 0
        && fragments <= FRAGMENTS_MAX
        && u32::from(spot.id.index) < fragments
        && (1..=PIECE_BYTES_MAX).contains(&coding.piece_bytes)
}
