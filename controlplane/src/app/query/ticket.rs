//! Tickets: which blobs one node may read or write on another's drives, so that who has stolen one node has not all of them.
//!
//! - **Its own** blobs, whose op ids name it, it may write and read.
//! - Blobs of a **job** that is leased to it, likewise, until the lease ends.
//! - Any blob that was **committed** it may read: its clients ask it for them. That it was committed stands in the
//!   changelog; of op ids from before what that reaches nothing can be told, and they pass for committed, because an op id
//!   cannot be guessed and rows that name it are what a node learns it from.
//!
//! What is not committed and another's, is abandoned, or is too much at a time is refused, with a sentence.

use std::collections::{HashMap, HashSet};

use holdfast_common::id::OpId;
use holdfast_common::ticket::{TICKET_BLOBS_MAX, Ticket, TicketKey};
use holdfast_common::wire::answer::Answer as Body;
use holdfast_common::wire::{self, Refusal, Refused, TicketQuery};
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::Authority;
use crate::app::commit::now_ms;
use crate::limits::{OP_AGE_MS_MAX, TICKET_BLOBS_PER_SECOND, TICKET_MS};
use crate::plan::{refuse, refuse_for_now};
use crate::store::node::{self, PeerRow};
use crate::store::{Client, StoreError, changelog, job};

/// What the database says of the blobs that were asked about.
struct Known {
    /// The node that asks; `None`: its session has ended.
    asker: Option<PeerRow>,
    peers: HashMap<Uuid, PeerRow>,
    committed: HashSet<Uuid>,
    trimmed_before: Uuid,
    /// Until when each is leased to the asker, by our clock.
    leased: HashMap<Uuid, u64>,
    now_ms: u64,
}

/// Answers one message's questions for tickets.
pub(super) async fn give(
    authority: &Authority,
    client: &Client,
    session: Uuid,
    asked: Vec<(u64, TicketQuery)>,
) -> Result<Vec<(u64, Body)>, StoreError> {
    let known = known(authority, client, session, &asked).await?;
    let metrics = &authority.inner.metrics;
    let answer = |(query_id, query): (u64, TicketQuery)| match ticket(authority, &known, &query) {
        Ok(ticket) => {
            metrics.ticket_blobs.inc_by(query.op_ids.len() as u64);
            (query_id, Body::Ticket(ticket))
        }
        Err(refused) => {
            metrics.ticket_refusals.inc();
            tracing::debug!(peer = query.node_id, detail = refused.detail, "a ticket was refused");
            (query_id, Body::Refused(refused))
        }
    };
    Ok(asked.into_iter().map(answer).collect())
}

async fn known(
    authority: &Authority,
    client: &Client,
    session: Uuid,
    asked: &[(u64, TicketQuery)],
) -> Result<Known, StoreError> {
    let peers: HashMap<Uuid, PeerRow> =
        node::peers(client).await?.into_iter().map(|row| (row.node_id, row)).collect();
    let asker = authority.inner.sessions.node_of(session).and_then(|node_id| peers.get(&node_id).cloned());
    let now_ms = now_ms();
    let mut known = Known {
        peers,
        committed: HashSet::new(),
        trimmed_before: Uuid::nil(),
        leased: HashMap::new(),
        now_ms,
        asker,
    };
    let Some(asker) = &known.asker else { return Ok(known) };
    let ids = asked.iter().flat_map(|(_, query)| query.op_ids.iter().take(TICKET_BLOBS_MAX));
    // Its own it may have whatever became of them.
    let others = ids.filter_map(|id| OpId::from_wire(id)).filter(|op_id| op_id.node() != asker.number);
    let mut others: Vec<Uuid> = others.map(OpId::uuid).collect();
    others.sort_unstable();
    others.dedup();
    if !others.is_empty() {
        (known.committed, known.trimmed_before) = changelog::committed(client, &others).await?;
        known.leased = job::leased_to(client, asker.node_id, &others).await?;
    }
    Ok(known)
}

fn ticket(authority: &Authority, known: &Known, query: &TicketQuery) -> Result<wire::Ticket, Refused> {
    let asker = known.asker.as_ref();
    let asker = asker.ok_or_else(|| refuse_for_now(Refusal::Unavailable, "the session has ended"))?;
    let peer = Uuid::try_parse(&query.node_id).ok().and_then(|id| known.peers.get(&id));
    let peer = peer.ok_or_else(|| denied(format!("there is no node {}", query.node_id)))?;
    if asker.is_revoked() || peer.is_revoked() {
        let revoked = if peer.is_revoked() { peer } else { asker };
        return Err(denied(format!("the node {} ({}) is revoked", revoked.name, revoked.node_id)));
    }
    if query.op_ids.is_empty() || query.op_ids.len() > TICKET_BLOBS_MAX {
        return Err(refuse(Refusal::Malformed, format!("a ticket names 1 to {TICKET_BLOBS_MAX} blobs")));
    }
    let blobs: Option<Vec<OpId>> = query.op_ids.iter().map(|id| OpId::from_wire(id)).collect();
    let blobs = blobs.ok_or_else(|| refuse(Refusal::Malformed, "a ticket names blobs by their op ids"))?;
    let mut expires_ms = known.now_ms + TICKET_MS;
    for blob in &blobs {
        expires_ms = expires_ms.min(known.allowed_until(asker, *blob, query.write)?);
    }
    if !authority.inner.tickets.take(asker.node_id, blobs.len(), Instant::now()) {
        let sentence = format!("a node gets tickets for {TICKET_BLOBS_PER_SECOND} blobs a second");
        return Err(refuse_for_now(Refusal::Unavailable, sentence));
    }
    let key = TicketKey::new(authority.inner.vault.ticket_key(peer.node_id).expose())
        .ok_or_else(|| refuse_for_now(Refusal::Unavailable, "no key for tickets"))?;
    let ticket = Ticket { peer: peer.node_id, asker: asker.node_id, write: query.write, expires_ms, blobs };
    Ok(wire::Ticket { ticket: ticket.seal(&key).into(), expires_ms })
}

impl Known {
    /// Until when the asker may do it, by our clock.
    fn allowed_until(&self, asker: &PeerRow, blob: OpId, write: bool) -> Result<u64, Refused> {
        if blob.node() == asker.number {
            return Ok(u64::MAX);
        }
        let told = blob.unix_ms() + OP_AGE_MS_MAX >= self.now_ms && blob.uuid() >= self.trimmed_before;
        if !write && (self.committed.contains(&blob.uuid()) || !told) {
            return Ok(u64::MAX);
        }
        match self.leased.get(&blob.uuid()) {
            Some(until_ms) => Ok(*until_ms),
            None if write => {
                Err(denied(format!("the blob {blob} is another node's and no job about it is leased")))
            }
            None => Err(denied(format!("the blob {blob} is another node's and was not committed"))),
        }
    }
}

fn denied(sentence: String) -> Refused {
    refuse(Refusal::AccessDenied, sentence)
}
