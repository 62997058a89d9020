//! `recovery_proposal`, `recovery_fragment`, `recovery_walk`: what nodes propose while history is lost. Empty otherwise.

use std::collections::HashMap;

use holdfast_common::wire::RecoveryManifest;
use prost::Message as _;
use uuid::Uuid;

use super::changelog::Kind;
use super::head::decode;
use super::{Client, StoreError, Transaction, signed, unsigned};

/// What came of a proposal. Numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Outcome {
    Proposed = 0,
    Recovered = 1,
    /// Something newer stands there.
    Skipped = 2,
    /// It cannot be committed, or not yet.
    Refused = 3,
}

impl Outcome {
    fn read(number: i16) -> Self {
        let all = [Self::Recovered, Self::Skipped, Self::Refused];
        all.into_iter().find(|outcome| *outcome as i16 == number).unwrap_or(Self::Proposed)
    }
}

/// Where a fragment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub index: u8,
    pub backend_id: u32,
    pub whole: bool,
}

/// A lost row.
#[derive(Clone, Debug)]
pub struct Proposal {
    pub op_id: Uuid,
    pub manifest: RecoveryManifest,
    pub outcome: Outcome,
    pub reason: String,
}

/// Writes down what a node found; the same again changes nothing. A whole fragment outweighs one that is not.
pub async fn propose(
    work: &Transaction<'_>,
    manifests: &[(Uuid, RecoveryManifest)],
    fragments: &[(Uuid, Fragment)],
) -> Result<(), StoreError> {
    let names: Vec<Uuid> = manifests.iter().map(|(op_id, _)| *op_id).collect();
    let texts: Vec<Vec<u8>> = manifests.iter().map(|(_, manifest)| manifest.encode_to_vec()).collect();
    work.execute(
        "INSERT INTO recovery_proposal (op_id, manifest) SELECT * FROM UNNEST($1::uuid[], $2::bytea[])
         ON CONFLICT (op_id) DO NOTHING",
        &[&names, &texts],
    )
    .await?;
    let names: Vec<Uuid> = fragments.iter().map(|(op_id, _)| *op_id).collect();
    let indexes: Vec<i16> = fragments.iter().map(|(_, fragment)| fragment.index.into()).collect();
    let backend = |(_, fragment): &(Uuid, Fragment)| i32::try_from(fragment.backend_id).unwrap_or(0);
    let backends: Vec<i32> = fragments.iter().map(backend).collect();
    let whole: Vec<bool> = fragments.iter().map(|(_, fragment)| fragment.whole).collect();
    work.execute(
        "INSERT INTO recovery_fragment AS f (op_id, index, backend_id, whole)
         SELECT DISTINCT ON (i.op_id, i.index) i.op_id, i.index, i.backend_id, i.whole
             FROM UNNEST($1::uuid[], $2::smallint[], $3::integer[], $4::boolean[]) AS i(op_id, index, backend_id, whole)
             ORDER BY i.op_id, i.index, i.whole DESC
         ON CONFLICT (op_id, index) DO UPDATE SET backend_id = excluded.backend_id, whole = excluded.whole
             WHERE excluded.whole OR NOT f.whole",
        &[&names, &indexes, &backends, &whole],
    )
    .await?;
    Ok(())
}

/// A node has proposed everything that it holds.
pub async fn walked(work: &Transaction<'_>, node_id: Uuid) -> Result<(), StoreError> {
    work.execute(
        "INSERT INTO recovery_walk (node_id) VALUES ($1)
         ON CONFLICT (node_id) DO UPDATE SET finished_at = clock_timestamp()",
        &[&node_id],
    )
    .await?;
    Ok(())
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub proposed: u64,
    pub recovered: u64,
    pub skipped: u64,
    pub refused: u64,
    /// Nodes that were not revoked, and those of them that have finished.
    pub nodes: u64,
    pub nodes_walked: u64,
}

pub async fn counts(client: &Client) -> Result<Counts, StoreError> {
    let row = client
        .query_one(
            "SELECT count(*) FILTER (WHERE outcome = 0), count(*) FILTER (WHERE outcome = 1),
                 count(*) FILTER (WHERE outcome = 2), count(*) FILTER (WHERE outcome = 3),
                 (SELECT count(*) FROM node WHERE revoked_at IS NULL),
                 (SELECT count(*) FROM recovery_walk JOIN node USING (node_id) WHERE revoked_at IS NULL)
             FROM recovery_proposal",
            &[],
        )
        .await?;
    let count = |at| unsigned(row.get(at));
    Ok(Counts {
        proposed: count(0),
        recovered: count(1),
        skipped: count(2),
        refused: count(3),
        nodes: count(4),
        nodes_walked: count(5),
    })
}

/// The first of those that are not recovered, what needs people's eyes first.
pub async fn first(client: &Client, max: i64) -> Result<Vec<Proposal>, StoreError> {
    let rows = client
        .query(
            "SELECT op_id, manifest, outcome, reason FROM recovery_proposal WHERE outcome <> 1
             ORDER BY outcome DESC, op_id LIMIT $1",
            &[&max],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// The next that wait, in the order of their op ids.
pub async fn waiting(client: &Client, max: i64) -> Result<Vec<Proposal>, StoreError> {
    let rows = client
        .query(
            "SELECT op_id, manifest, outcome, reason FROM recovery_proposal WHERE outcome = 0
             ORDER BY op_id LIMIT $1",
            &[&max],
        )
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &tokio_postgres::Row) -> Result<Proposal, StoreError> {
    Ok(Proposal {
        op_id: row.get(0),
        manifest: decode(row.get(1), "recovery_proposal.manifest")?,
        outcome: Outcome::read(row.get(2)),
        reason: row.get(3),
    })
}

/// What was found of these.
pub async fn fragments(client: &Client, op_ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<Fragment>>, StoreError> {
    let rows = client
        .query(
            "SELECT op_id, index, backend_id, whole FROM recovery_fragment WHERE op_id = ANY($1)
             ORDER BY op_id, index",
            &[&op_ids],
        )
        .await?;
    let mut found: HashMap<Uuid, Vec<Fragment>> = HashMap::new();
    for row in &rows {
        let fragment = Fragment {
            index: u8::try_from(row.get::<_, i16>(1)).unwrap_or(u8::MAX),
            backend_id: u32::try_from(row.get::<_, i32>(2)).unwrap_or(0),
            whole: row.get(3),
        };
        found.entry(row.get(0)).or_default().push(fragment);
    }
    Ok(found)
}

/// The latest op id that wrote or deleted each of these keys, of those above `after`.
pub async fn changed_since(
    client: &Client,
    after: Uuid,
    keys: &[(u64, Vec<u8>)],
) -> Result<HashMap<(u64, Vec<u8>), Uuid>, StoreError> {
    let kinds = [Kind::Put, Kind::Delete, Kind::Copy, Kind::CompleteUpload].map(|kind| kind as i16);
    let buckets: Vec<i64> = keys.iter().map(|(bucket_id, _)| signed(*bucket_id)).collect();
    let names: Vec<&[u8]> = keys.iter().map(|(_, key)| key.as_slice()).collect();
    let rows = client
        .query(
            "SELECT bucket_id, key, op_id FROM changelog
             WHERE op_id > $1 AND kind = ANY($2)
                 AND (bucket_id, key) IN (SELECT * FROM UNNEST($3::bigint[], $4::bytea[]))",
            &[&after, &&kinds[..], &buckets, &names],
        )
        .await?;
    let mut latest: HashMap<(u64, Vec<u8>), Uuid> = HashMap::new();
    for row in &rows {
        let op_id: Uuid = row.get(2);
        let known = latest.entry((unsigned(row.get(0)), row.get(1))).or_insert(op_id);
        *known = (*known).max(op_id);
    }
    Ok(latest)
}

/// Remembers what came of them.
pub async fn settle(client: &Client, outcomes: &[(Uuid, Outcome, String)]) -> Result<(), StoreError> {
    let names: Vec<Uuid> = outcomes.iter().map(|(op_id, ..)| *op_id).collect();
    let numbers: Vec<i16> = outcomes.iter().map(|(_, outcome, _)| *outcome as i16).collect();
    let reasons: Vec<&str> = outcomes.iter().map(|(.., reason)| reason.as_str()).collect();
    client
        .execute(
            "UPDATE recovery_proposal p SET outcome = i.outcome, reason = i.reason
             FROM UNNEST($1::uuid[], $2::smallint[], $3::text[]) AS i(op_id, outcome, reason)
             WHERE p.op_id = i.op_id",
            &[&names, &numbers, &reasons],
        )
        .await?;
    Ok(())
}

/// What was refused is looked at again: a drive may be back.
pub async fn retry_refused(client: &Client) -> Result<(), StoreError> {
    client.execute("UPDATE recovery_proposal SET outcome = 0, reason = '' WHERE outcome = 3", &[]).await?;
    Ok(())
}

/// Nothing is proposed any more.
pub async fn clear(work: &Transaction<'_>) -> Result<(), StoreError> {
    work.batch_execute("TRUNCATE recovery_proposal, recovery_fragment, recovery_walk").await?;
    Ok(())
}
