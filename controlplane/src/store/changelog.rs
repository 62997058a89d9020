//! `changelog`: one row per op id that was committed, with the answer that was given; seven days of it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use uuid::Uuid;

use super::{Client, StoreError, Transaction, signed, unsigned};
use crate::limits::{CHANGELOG_DAYS_AHEAD, DAY_MS, OP_AGE_MS_MAX};
use crate::store::authority::SHARD;

/// What was done. Numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Kind {
    Put = 1,
    Delete = 2,
    Copy = 3,
    CreateUpload = 4,
    PutPart = 5,
    CompleteUpload = 6,
    AbortUpload = 7,
    CopyPart = 8,
    SetTags = 9,
    SetAcl = 10,
    CreateBucket = 20,
    DeleteBucket = 21,
    ConfigureBucket = 22,
    /// The reaper was first: this op id may never be committed.
    Abandoned = 100,
}

/// Kinds that change what a node may have cached of a key.
const TOUCHING: &[i16] = &[
    Kind::Put as i16,
    Kind::Delete as i16,
    Kind::Copy as i16,
    Kind::CompleteUpload as i16,
    Kind::SetTags as i16,
    Kind::SetAcl as i16,
];

/// Recorded outcomes of retried op ids; read inside a commit.
pub const RECORDED: &str = "SELECT op_id, kind, outcome FROM changelog WHERE op_id = ANY($1)";

pub const INSERT: &str = "INSERT INTO changelog (op_id, seq, epoch, bucket_id, key, kind, outcome)
     SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::smallint[], $7::bytea[])";

/// Writes `abandoned` for op ids that have no row: from then on they can never be committed. A commit that is under
/// way with one of them is waited for, and the first insert wins. They are no commits and have no place in the order of
/// those: their sequence is 0, which no replay asks for. Returns how many were written.
pub async fn abandon(work: &Transaction<'_>, op_ids: &[Uuid], epoch: u64) -> Result<u64, StoreError> {
    let statement = work
        .prepare_cached(
            "INSERT INTO changelog (op_id, seq, epoch, bucket_id, key, kind, outcome)
             SELECT i.op_id, 0, $2, 0, '', $3, '' FROM UNNEST($1::uuid[]) AS i(op_id)
             ON CONFLICT (op_id) DO NOTHING",
        )
        .await?;
    Ok(work.execute(&statement, &[&op_ids, &signed(epoch), &(Kind::Abandoned as i16)]).await?)
}

/// What these op ids (ascending) came to; those without a row are absent.
pub async fn kinds(work: &Transaction<'_>, op_ids: &[Uuid]) -> Result<HashMap<Uuid, i16>, StoreError> {
    let (Some(first), Some(last)) = (op_ids.first(), op_ids.last()) else { return Ok(HashMap::new()) };
    // The bounds leave out partitions before any is probed, which a list of op ids does not.
    let statement = work
        .prepare_cached(
            "SELECT op_id, kind FROM changelog WHERE op_id = ANY($1) AND op_id >= $2 AND op_id <= $3",
        )
        .await?;
    let rows = work.query(&statement, &[&op_ids, first, last]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Of these op ids (ascending, at least one), those that were committed; and the id below which rows may have been trimmed.
pub async fn committed(client: &Client, op_ids: &[Uuid]) -> Result<(HashSet<Uuid>, Uuid), StoreError> {
    let (first, last) = (op_ids.first().copied(), op_ids.last().copied());
    let statement = client
        .prepare_cached(
            "SELECT trimmed_before, ARRAY(SELECT op_id FROM changelog
                 WHERE op_id = ANY($2) AND op_id >= $3 AND op_id <= $4 AND kind <> $5)
             FROM authority WHERE shard = $1",
        )
        .await?;
    let abandoned = Kind::Abandoned as i16;
    let row = client.query_one(&statement, &[&SHARD, &op_ids, &first, &last, &abandoned]).await?;
    Ok((row.get::<_, Vec<Uuid>>(1).into_iter().collect(), row.get(0)))
}

/// A key that changed after a node's watermark.
#[derive(Clone, Debug)]
pub struct Changed {
    pub bucket_id: u64,
    pub key: Bytes,
    pub seq: u64,
}

/// Everything cached that changed after `since`, oldest first; `None`: too much, or trimmed.
pub async fn since(client: &Client, since: u64, rows_max: i64) -> Result<Option<Vec<Changed>>, StoreError> {
    let trimmed = client.query_one("SELECT trimmed_seq FROM authority WHERE shard = $1", &[&SHARD]).await?;
    if unsigned(trimmed.get(0)) > since {
        return Ok(None);
    }
    let rows = client
        .query(
            "SELECT bucket_id, key, seq FROM changelog WHERE seq > $1 AND kind = ANY($2) ORDER BY seq LIMIT $3",
            &[&signed(since), &TOUCHING, &(rows_max + 1)],
        )
        .await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) > rows_max {
        return Ok(None);
    }
    let changed = rows.iter().map(|row| Changed {
        bucket_id: unsigned(row.get(0)),
        key: Bytes::copy_from_slice(row.get(1)),
        seq: unsigned(row.get(2)),
    });
    Ok(Some(changed.collect()))
}

/// The least UUID of a day: version and variant bits do not matter for the order.
fn day_bound(day: u64) -> Uuid {
    let ms = day * DAY_MS;
    let mut bytes = [0u8; 16];
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    Uuid::from_bytes(bytes)
}

/// Makes the partitions of today and the days ahead, and drops those beyond the horizon. Idempotent.
/// Returns (made, dropped).
pub async fn upkeep(client: &Client, now_ms: u64) -> Result<(usize, usize), StoreError> {
    let today = now_ms / DAY_MS;
    let rows = client
        .query(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'changelog'::regclass AND c.relname ~ '^changelog_d[0-9]+$'",
            &[],
        )
        .await?;
    let days: Vec<u64> = rows
        .iter()
        .filter_map(|row| row.get::<_, &str>(0).strip_prefix("changelog_d")?.parse().ok())
        .collect();
    let mut made = 0;
    // Yesterday too: op ids are made before they are committed.
    for day in today.saturating_sub(1)..=today + CHANGELOG_DAYS_AHEAD {
        if !days.contains(&day) {
            in_transaction(client, &make_partition(day)).await?;
            made += 1;
        }
    }
    // One day more than op ids are accepted for, because clocks of nodes and of this process may differ.
    let horizon = now_ms.saturating_sub(OP_AGE_MS_MAX) / DAY_MS;
    let mut dropped = 0;
    for day in days.into_iter().filter(|day| day + 1 < horizon) {
        in_transaction(client, &drop_partition(day)).await?;
        dropped += 1;
    }
    in_transaction(client, &trim_default(horizon.saturating_sub(1))).await?;
    Ok((made, dropped))
}

async fn in_transaction(client: &Client, text: &str) -> Result<(), StoreError> {
    let done = client.batch_execute(&format!("BEGIN;\n{text}\nCOMMIT;")).await;
    if done.is_err() {
        client.batch_execute("ROLLBACK").await?;
    }
    Ok(done?)
}

/// Rows that a far-off clock put into the default partition move over before the new one is attached.
fn make_partition(day: u64) -> String {
    let (from, to) = (day_bound(day), day_bound(day + 1));
    format!(
        "SET LOCAL statement_timeout = 0;
         CREATE TABLE changelog_d{day} (LIKE changelog INCLUDING ALL);
         WITH moved AS (DELETE FROM changelog_default WHERE op_id >= '{from}' AND op_id < '{to}' RETURNING *)
             INSERT INTO changelog_d{day} SELECT * FROM moved;
         ALTER TABLE changelog ATTACH PARTITION changelog_d{day} FOR VALUES FROM ('{from}') TO ('{to}');"
    )
}

fn drop_partition(day: u64) -> String {
    format!(
        "UPDATE authority SET trimmed_seq = greatest(trimmed_seq, coalesce((SELECT max(seq) FROM changelog_d{day}), 0)),
                 trimmed_before = greatest(trimmed_before, '{}')
             WHERE shard = {SHARD};
         DROP TABLE changelog_d{day};",
        day_bound(day + 1)
    )
}

fn trim_default(before_day: u64) -> String {
    let bound = day_bound(before_day);
    format!(
        "UPDATE authority SET trimmed_seq = greatest(trimmed_seq,
                 (SELECT max(seq) FROM changelog_default WHERE op_id < '{bound}')),
                 trimmed_before = greatest(trimmed_before, '{bound}')
             WHERE shard = {SHARD} AND EXISTS (SELECT 1 FROM changelog_default WHERE op_id < '{bound}');
         DELETE FROM changelog_default WHERE op_id < '{bound}';"
    )
}
