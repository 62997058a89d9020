//! Reads of nodes: lookups by one statement or two per message, listings, uploads, parts, pages, placements, tickets.
//!
//! `as_of` is the watermark before the first statement. An answer that may show a commit which some cache still
//! contradicts waits until that commit is released (DESIGN 3.2): perhaps needlessly, never too little.

mod list;
mod lookup;
pub(crate) mod ticket;
mod versions;

use std::time::Instant;

use holdfast_common::wire::answer::Answer as Body;
use holdfast_common::wire::query::Query as Ask;
use holdfast_common::wire::{self, Answer, Query, Refusal};
use uuid::Uuid;

use crate::app::Authority;
use crate::app::sessions::{signal, wait};
use crate::limits::{PLACEMENT_BACKENDS_MAX, PLACEMENTS_MAX, QUERY_UP_ITEMS_MAX};
use crate::plan::decide::upload_name;
use crate::plan::{refuse, refuse_for_now};
use crate::store::{Client, StoreError, backend, freed, manifest_page, upload};

/// An answer, and what it has to wait for before it may be shown.
pub(crate) type Held = (Answer, Vec<signal::Receiver<bool>>);

/// One message's queries of a session, in any order. The database is not held while an answer waits.
pub(crate) async fn answer_all(authority: &Authority, session: Uuid, queries: Vec<Query>) -> Vec<Held> {
    let started = Instant::now();
    let as_of = authority.inner.sessions.watermark();
    let ids: Vec<u64> = queries.iter().map(|query| query.query_id).collect();
    let refused = |reason, detail: String| {
        let one =
            |id: &u64| (reply(*id, as_of, Body::Refused(refuse_for_now(reason, detail.clone()))), vec![]);
        ids.iter().map(one).collect()
    };
    if !(authority.is_leading() || crate::mutant!("answer-reads-after-the-term")) {
        return refused(Refusal::NotLeader, "this control plane is not the leader".into());
    }
    if queries.len() > QUERY_UP_ITEMS_MAX {
        return refused(Refusal::Malformed, "too many queries in one message".into());
    }
    let answers = match answers(authority, session, queries, as_of).await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::warn!(%error, "queries were not answered");
            return refused(Refusal::Unavailable, error.to_string());
        }
    };
    authority.inner.metrics.query_seconds.observe(started.elapsed().as_secs_f64());
    // A leader that lost its term meanwhile may have been overtaken: its answers are worth nothing.
    let still = authority.is_leading() || crate::mutant!("answer-reads-after-the-term");
    if still { answers } else { refused(Refusal::NotLeader, "leadership was lost".into()) }
}

/// Waits until the answer may be shown.
pub(crate) async fn show(authority: &Authority, (answer, pending): Held) -> Answer {
    if !pending.is_empty() {
        authority.inner.metrics.reveal_waits.inc();
        wait::released(pending).await;
    }
    answer
}

fn reply(query_id: u64, as_of: u64, body: Body) -> Answer {
    Answer { query_id, as_of, answer: Some(body) }
}

async fn answers(
    authority: &Authority,
    session: Uuid,
    queries: Vec<Query>,
    as_of: u64,
) -> Result<Vec<Held>, StoreError> {
    let mut answers = Vec::with_capacity(queries.len());
    let (mut lookups, mut tickets) = (Vec::new(), Vec::new());
    for query in queries {
        let (body, pending) = match query.query {
            Some(Ask::Lookup(lookup)) => {
                lookups.push((query.query_id, lookup));
                continue;
            }
            Some(Ask::Ticket(ticket)) => {
                tickets.push((query.query_id, ticket));
                continue;
            }
            Some(Ask::List(list)) => {
                authority.inner.metrics.listings.inc();
                let (page, pending) = list::objects(authority, &list).await?;
                (Body::List(page), pending)
            }
            Some(Ask::ListVersions(list)) => {
                authority.inner.metrics.listings.inc();
                let (page, pending) =
                    versions::page(authority, &authority.inner.store.client().await?, &list).await?;
                (Body::ListVersions(page), pending)
            }
            Some(Ask::Placement(ask)) => match authority.inner.sessions.node_of(session) {
                Some(node_id) => {
                    let client = authority.inner.store.client().await?;
                    placement(authority, &client, Some(node_id), ask.backends).await?
                }
                None => {
                    (Body::Refused(refuse_for_now(Refusal::Unavailable, "the session has ended")), vec![])
                }
            },
            Some(ask) => (other(authority, &authority.inner.store.client().await?, ask).await?, vec![]),
            None => (Body::Refused(refuse(Refusal::Malformed, "no query")), vec![]),
        };
        answers.push((reply(query.query_id, as_of, body), pending));
    }
    if !lookups.is_empty() {
        answers.extend(look_up(authority, lookups, as_of).await?);
    }
    if !tickets.is_empty() {
        let client = authority.inner.store.client().await?;
        let given = ticket::give(authority, &client, session, tickets).await?.into_iter();
        answers.extend(given.map(|(query_id, body)| (reply(query_id, as_of, body), vec![])));
    }
    Ok(answers)
}

async fn look_up(
    authority: &Authority,
    lookups: Vec<(u64, wire::LookupQuery)>,
    as_of: u64,
) -> Result<Vec<Held>, StoreError> {
    let inner = &authority.inner;
    inner.metrics.lookups.inc_by(lookups.len() as u64);
    let found = lookup::Found::look_up(&*inner.truth, lookups.iter().map(|(_, lookup)| lookup)).await?;
    let answer = |(query_id, lookup): (u64, wire::LookupQuery)| {
        // Asked after the rows were read: what they show was pending by then, or is released.
        let pending = inner.sessions.pending_key(lookup.bucket_id, &lookup.key);
        let pending = pending.filter(|_| !crate::mutant!("reveal-pending"));
        let record = found.record(&lookup);
        (reply(query_id, as_of, Body::Lookup(wire::LookupAnswer { record })), pending.into_iter().collect())
    };
    Ok(lookups.into_iter().map(answer).collect())
}

async fn other(authority: &Authority, client: &Client, ask: Ask) -> Result<Body, StoreError> {
    match ask {
        Ask::Lookup(_) | Ask::List(_) | Ask::ListVersions(_) | Ask::Placement(_) | Ask::Ticket(_) => {
            unreachable!("answered by the caller")
        }
        Ask::Uploads(query) => list::uploads(client, &query).await.map(Body::Uploads),
        Ask::Parts(query) => parts(client, &query).await.map(Body::Parts),
        Ask::ManifestPage(query) => page(client, &query, authority.inner.delete_delay_ms).await,
    }
}

async fn parts(client: &Client, query: &wire::PartsQuery) -> Result<wire::PartsAnswer, StoreError> {
    let Some(id) = upload_name(&query.upload_id) else { return Ok(wire::PartsAnswer::default()) };
    let bucket = query.bucket_id.min(i64::MAX as u64);
    let Some(row) = upload::open(client, bucket, &query.key, id).await? else {
        return Ok(wire::PartsAnswer::default());
    };
    let max = i64::from(query.max_parts.min(1000));
    let mut parts = if max == 0 {
        Vec::new()
    } else {
        upload::parts_after(client, id, query.after_number, max + 1).await?
    };
    let truncated = parts.len() as i64 > max;
    parts.truncate(usize::try_from(max).unwrap_or(0));
    let next_after_number = parts.last().filter(|_| truncated).map_or(0, |part| part.number);
    Ok(wire::PartsAnswer { upload: Some(row.into_wire()), parts, truncated, next_after_number })
}

/// Pages that are about to be dropped stay for a further delay: whoever asks reads on.
async fn page(
    client: &Client,
    query: &wire::ManifestPageQuery,
    delete_delay_ms: u64,
) -> Result<Body, StoreError> {
    let page = match Uuid::from_slice(&query.pages_of) {
        Ok(pages_of) => {
            let (page, kept) = tokio::join!(
                manifest_page::page(client, pages_of, query.page),
                freed::pages_read(client, pages_of, delete_delay_ms)
            );
            kept?;
            page?
        }
        Err(_) => None,
    };
    // Gone: the object was overwritten long since its record was read.
    Ok(page.map_or_else(
        || Body::Refused(refuse(Refusal::NoSuchKey, "the manifest is gone; look the object up again")),
        Body::ManifestPage,
    ))
}

/// The id of an ordered list of backends. A new one is known to every node before it is given out to anybody. A node that
/// asks for too many new ones waits.
pub(crate) async fn placement(
    authority: &Authority,
    client: &Client,
    asker: Option<Uuid>,
    backends: Vec<u32>,
) -> Result<(Body, Vec<signal::Receiver<bool>>), StoreError> {
    let inner = &authority.inner;
    let malformed = |detail| Ok((Body::Refused(refuse(Refusal::Malformed, detail)), vec![]));
    let mut distinct = backends.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if backends.is_empty() || backends.len() > PLACEMENT_BACKENDS_MAX || distinct.len() != backends.len() {
        return malformed("a placement names 1 to 64 different backends");
    }
    if backend::known(client, &backends).await? != backends.len() {
        return malformed("a placement names backends that do not exist");
    }
    let _order = inner.configuration.lock().await;
    let known = backend::placement_of(client, &backends).await?;
    let fresh = known.is_none();
    let placement_id = match known {
        Some(placement_id) => placement_id,
        None => {
            let now = tokio::time::Instant::now();
            let may = asker.is_none_or(|node_id| inner.placements_made.take(node_id, 1, now));
            if !may || backend::count_placements(client).await? >= PLACEMENTS_MAX {
                let detail = "too many different lists of drives for now";
                return Ok((Body::Refused(refuse_for_now(Refusal::Unavailable, detail)), vec![]));
            }
            backend::new_placement(client, &backends, inner.sessions.epoch()).await?
        }
    };
    inner.placements.add(placement_id);
    let placement = wire::Placement { placement_id, backends };
    if fresh {
        let upsert = wire::ConfigSnapshot { placements: vec![placement.clone()], ..Default::default() };
        let change = wire::ConfigChange { upsert: Some(upsert), ..Default::default() };
        let waits = inner.sessions.publish_placement(change);
        let (known, pending) = signal::channel(false);
        inner.placing.lock().insert(placement_id, pending);
        // Neither the lock nor the connection is held until everyone knows.
        let inner = inner.clone();
        tokio::spawn(async move {
            wait::all(waits).await;
            inner.placing.lock().remove(&placement_id);
            known.send_replace(true);
        });
    }
    let pending = inner.placing.lock().get(&placement_id).cloned();
    Ok((Body::Placement(placement), pending.into_iter().collect()))
}
