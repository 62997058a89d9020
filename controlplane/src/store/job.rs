//! `job`: repairs, made in the transaction that made them necessary or from what nodes find. One row per blob.

use std::collections::HashMap;

use holdfast_common::ticket::Leave;
use holdfast_common::wire;
use prost::Message as _;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::backend::DESERTED;
use super::{Client, StoreError, Transaction, ms, signed, unsigned};
use crate::limits::{JOB_PAUSE_MS, JOB_PAUSE_MS_MAX, JOBS_COUNTED_MAX};
use crate::plan::redundancy;
use crate::store::freed::placement_number;
use crate::store::head::decode;

/// Bits set in a bigint; `bit_count` came with PostgreSQL 14.
macro_rules! bits {
    ($number:literal) => {
        concat!("length(replace((", $number, ")::bit(64)::text, '0', ''))")
    };
}

/// See [`columns`] for the first five; `$6` unix milliseconds.
pub const INSERT_REPAIR: &str =
    "INSERT INTO job (job_id, kind, subject, payload, missing, slack, placement_id, created_ms)
     SELECT i.subject, 'repair', i.subject, i.payload, i.missing, i.slack, i.placement_id, $6
     FROM UNNEST($1::uuid[], $2::bytea[], $3::bigint[], $4::smallint[], $5::integer[])
         AS i(subject, payload, missing, slack, placement_id)
     ON CONFLICT (kind, subject) DO NOTHING";

/// What is freed needs no repair.
pub const FORGET: &str = "DELETE FROM job WHERE kind = 'repair' AND subject = ANY($1)";

pub type Columns = (Vec<Uuid>, Vec<Vec<u8>>, Vec<i64>, Vec<i16>, Vec<i32>);

/// Blobs, encoded, what they miss, how much more they can lose, and their placements. In order of name, so that two
/// transactions lock in the same order; a blob whose name is none is left out.
#[must_use]
pub fn columns(missing: &[(wire::Blob, u64)]) -> Columns {
    let mut rows: Vec<(Uuid, &wire::Blob, u64)> = missing
        .iter()
        .filter_map(|(blob, missing)| Some((Uuid::from_slice(&blob.op_id).ok()?, blob, *missing)))
        .collect();
    rows.sort_unstable_by_key(|(name, _, _)| *name);
    let mut columns = Columns::default();
    for (name, blob, missing) in rows {
        columns.0.push(name);
        columns.1.push(blob.encode_to_vec());
        columns.2.push(missing.cast_signed());
        columns.3.push(redundancy::slack(blob, missing));
        columns.4.push(placement_number(blob.placement_id));
    }
    columns
}

/// Notes what a node found missing: merged into a row that is there, and a repair that had failed is tried again, at once if
/// more is missing than was, else when its pause is over. Never for what is freed or abandoned. Each blob at most once.
pub async fn found_missing(
    work: &Transaction<'_>,
    node_id: Uuid,
    missing: &[(wire::Blob, u64)],
    now_ms: u64,
) -> Result<u64, StoreError> {
    let text = concat!(
        "INSERT INTO job AS j (job_id, kind, subject, payload, missing, slack, placement_id, found_by, created_ms)
         SELECT i.subject, 'repair', i.subject, i.payload, i.missing, i.slack, i.placement_id, $6, $7
         FROM UNNEST($1::uuid[], $2::bytea[], $3::bigint[], $4::smallint[], $5::integer[])
             AS i(subject, payload, missing, slack, placement_id)
         WHERE NOT EXISTS (SELECT 1 FROM freed f WHERE f.op_id = i.subject)
           AND NOT EXISTS (SELECT 1 FROM changelog c WHERE c.op_id = i.subject AND c.kind = 100)
         ON CONFLICT (kind, subject) DO UPDATE SET
             missing = j.missing | excluded.missing,
             slack = excluded.slack + ", bits!("excluded.missing"), " - ", bits!("j.missing | excluded.missing"), ",
             payload = CASE WHEN j.placement_id = 0 THEN excluded.payload ELSE j.payload END,
             placement_id = CASE WHEN j.placement_id = 0 THEN excluded.placement_id ELSE j.placement_id END,
             found_by = excluded.found_by,
             attempts = CASE WHEN j.state = 3 AND excluded.missing & ~j.missing <> 0 THEN 0 ELSE j.attempts END,
             not_before = CASE WHEN j.state = 3 AND excluded.missing & ~j.missing <> 0 THEN '-infinity'
                 ELSE j.not_before END,
             state = CASE WHEN j.state = 3 THEN 0 ELSE j.state END"
    );
    let (names, blobs, bits, slacks, placements) = columns(missing);
    let statement = work.prepare_cached(text).await?;
    let values: [&(dyn ToSql + Sync); 7] =
        [&names, &blobs, &bits, &slacks, &placements, &node_id, &signed(now_ms)];
    Ok(work.execute(&statement, &values).await?)
}

/// A repair that was leased.
#[derive(Clone, Debug)]
pub struct Leased {
    pub blob: wire::Blob,
    pub missing: u64,
    pub attempts: u32,
}

/// Leases up to `rows` due repairs of blobs that lie on one of these backends (or that this node found), those that can lose the
/// least first. One all of whose nodes are gone, or whose finder was revoked, is anybody's.
pub async fn lease(
    client: &Client,
    node_id: Uuid,
    backends: &[i32],
    rows: u32,
    lease_ms: u64,
) -> Result<Vec<Leased>, StoreError> {
    // The bound stands in the text: the planner has to know that a few of many are wanted, and walks the index in order.
    let text = format!(
        "WITH due AS (
             SELECT j.job_id FROM job j
             WHERE j.kind = 'repair' AND j.state IN (0, 1) AND j.not_before <= statement_timestamp()
               AND CASE WHEN j.placement_id = 0
                   THEN j.found_by = $1
                       OR EXISTS (SELECT 1 FROM node n WHERE n.node_id = j.found_by AND n.revoked_at IS NOT NULL)
                   ELSE (SELECT p.backends && $2::integer[] OR p.backends <@ {DESERTED}
                         FROM placement p WHERE p.id = j.placement_id) END
               AND NOT EXISTS (SELECT 1 FROM freed f WHERE f.op_id = j.subject)
             ORDER BY j.slack, j.not_before LIMIT {rows} FOR UPDATE OF j SKIP LOCKED)
         UPDATE job j SET state = 1, leased_to = $1, attempts = j.attempts + 1, missing_leased = j.missing,
             leased_until = clock_timestamp() + $3 * interval '1 millisecond',
             not_before = clock_timestamp() + $3 * interval '1 millisecond'
         FROM due WHERE j.job_id = due.job_id RETURNING j.payload, j.missing, j.attempts"
    );
    let lease_ms = signed(lease_ms) as f64;
    let rows = client.query(&text, &[&node_id, &backends, &lease_ms]).await?;
    rows.iter()
        .map(|row| {
            let attempts = u32::try_from(row.get::<_, i32>(2)).unwrap_or(0);
            let missing = row.get::<_, i64>(1).cast_unsigned();
            Ok(Leased { blob: decode(row.get(0), "job.payload")?, missing, attempts })
        })
        .collect()
}

/// Prolongs what of these this node has leased, repairs and deletions; also what has run out, if nobody got it meanwhile.
/// Returns whose lease lasts `lease_ms` from now.
pub async fn renew(
    client: &Client,
    node_id: Uuid,
    subjects: &[Uuid],
    lease_ms: u64,
) -> Result<Vec<Uuid>, StoreError> {
    let text = "WITH until AS (SELECT clock_timestamp() + $3 * interval '1 millisecond' AS ends),
         repairs AS (
             UPDATE job SET leased_until = until.ends, not_before = until.ends FROM until
             WHERE kind = 'repair' AND subject = ANY($2) AND leased_to = $1 AND state = 1 RETURNING subject),
         deletions AS (
             UPDATE freed SET not_before = until.ends FROM until
             WHERE op_id = ANY($2) AND leased_to = $1 AND NOT pages RETURNING op_id)
         SELECT subject FROM repairs UNION SELECT op_id FROM deletions";
    let statement = client.prepare_cached(text).await?;
    let rows = client.query(&statement, &[&node_id, &subjects, &(signed(lease_ms) as f64)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Of these blobs, those that a repair or a deletion is leased for to this node, what that gives leave to, and until when:
/// unix milliseconds.
pub async fn leased_to(
    client: &Client,
    node_id: Uuid,
    subjects: &[Uuid],
) -> Result<HashMap<(Uuid, Leave), u64>, StoreError> {
    // Both end their lease where they may be leased again.
    let text = concat!(
        "SELECT subject, false, ", ms!("not_before"), " FROM job
         WHERE kind = 'repair' AND subject = ANY($2) AND leased_to = $1 AND state = 1 AND not_before > clock_timestamp()
         UNION ALL
         SELECT op_id, true, ", ms!("not_before"), " FROM freed
         WHERE op_id = ANY($2) AND leased_to = $1 AND NOT pages AND not_before > clock_timestamp()"
    );
    let statement = client.prepare_cached(text).await?;
    let rows = client.query(&statement, &[&node_id, &subjects]).await?;
    let leave = |deletes| if deletes { Leave::Delete } else { Leave::Append };
    Ok(rows.iter().map(|row| ((row.get(0), leave(row.get(1))), unsigned(row.get(2)))).collect())
}

/// What a repair came to, as its node says.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    pub subject: Uuid,
    /// What of the leased is still missing.
    pub missing: u64,
    pub detail: &'a str,
}

/// Takes the repaired fragments out of the rows; what a node found meanwhile stays. A row that misses nothing goes, the
/// others come again after a pause. Returns how many rows went.
pub async fn repaired(
    work: &Transaction<'_>,
    node_id: Uuid,
    reports: &[Report<'_>],
) -> Result<u64, StoreError> {
    let text = concat!(
        "UPDATE job j SET state = 0, leased_to = NULL, leased_until = NULL, error = i.detail, missing_leased = 0,
             missing = (j.missing & ~j.missing_leased) | (j.missing & i.missing),
             slack = j.slack + ", bits!("j.missing"), " - ",
             bits!("(j.missing & ~j.missing_leased) | (j.missing & i.missing)"), ",
             not_before = clock_timestamp()
                 + least($5 * power(2, least(j.attempts, 20) - 1), $6) * (0.5 + random() / 2) * interval '1 millisecond'
         FROM UNNEST($1::uuid[], $2::bigint[], $3::text[]) AS i(subject, missing, detail)
         WHERE j.kind = 'repair' AND j.subject = i.subject AND j.leased_to = $4"
    );
    let subjects: Vec<Uuid> = reports.iter().map(|report| report.subject).collect();
    let missing: Vec<i64> = reports.iter().map(|report| report.missing.cast_signed()).collect();
    let details: Vec<&str> = reports.iter().map(|report| report.detail).collect();
    let statement = work.prepare_cached(text).await?;
    let values: [&(dyn ToSql + Sync); 6] =
        [&subjects, &missing, &details, &node_id, &JOB_PAUSE_MS, &JOB_PAUSE_MS_MAX];
    work.execute(&statement, &values).await?;
    let text = "DELETE FROM job WHERE kind = 'repair' AND subject = ANY($1) AND state = 0 AND missing = 0";
    Ok(work.execute(text, &[&subjects]).await?)
}

/// These cannot be repaired: fewer pieces are left than the code needs. They wait for a drive that comes back, or for a
/// node that finds more; what is found missing again and again is tried after a pause that grows with the attempts. Returns those that were not known to be lost.
pub async fn lost(
    work: &Transaction<'_>,
    node_id: Uuid,
    reports: &[Report<'_>],
) -> Result<Vec<Uuid>, StoreError> {
    let text = "UPDATE job j SET state = 3, leased_to = NULL, leased_until = NULL, error = i.detail,
             not_before = clock_timestamp()
                 + least($4 * power(2, least(j.attempts, 20) - 1), $5) * (0.5 + random() / 2) * interval '1 millisecond'
         FROM UNNEST($1::uuid[], $2::text[]) AS i(subject, detail)
         WHERE j.kind = 'repair' AND j.subject = i.subject AND j.leased_to = $3 AND j.state <> 3
         RETURNING j.subject";
    let subjects: Vec<Uuid> = reports.iter().map(|report| report.subject).collect();
    let details: Vec<&str> = reports.iter().map(|report| report.detail).collect();
    let rows = work.query(text, &[&subjects, &details, &node_id, &JOB_PAUSE_MS, &JOB_PAUSE_MS_MAX]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A backend is there again: what failed for want of pieces is tried anew. Returns how many.
pub async fn revive(client: &Client, backend: u32) -> Result<u64, StoreError> {
    let text = "UPDATE job j SET state = 0, attempts = 0, not_before = '-infinity' FROM placement p
         WHERE j.kind = 'repair' AND j.state = 3
           AND (p.id = j.placement_id AND p.backends && ARRAY[$1::integer])";
    Ok(client.execute(text, &[&placement_number(backend)]).await?)
}

/// How many jobs are in which state, each counted up to a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: u64,
    pub leased: u64,
    pub failed: u64,
}

pub async fn counts(client: &Client) -> Result<Counts, StoreError> {
    let row = client
        .query_one(
            "SELECT count(*) FILTER (WHERE NOT leased), count(*) FILTER (WHERE leased),
                 (SELECT count(*) FROM (SELECT 1 FROM job WHERE kind = 'repair' AND state = 3 LIMIT $1) AS counted)
             FROM (SELECT state = 1 AND not_before > statement_timestamp() AS leased
                   FROM job WHERE kind = 'repair' AND state IN (0, 1) LIMIT $1) AS counted",
            &[&JOBS_COUNTED_MAX],
        )
        .await?;
    Ok(Counts { waiting: unsigned(row.get(0)), leased: unsigned(row.get(1)), failed: unsigned(row.get(2)) })
}

/// Completes rows that older programs wrote: what is missing and where it lies stands in their blobs.
pub async fn place_old_rows(client: &Client, rows: i64) -> Result<usize, StoreError> {
    let text = "SELECT subject, payload FROM job WHERE placement_id IS NULL LIMIT $1";
    let found = client.query(text, &[&rows]).await?;
    let mut missing = Vec::with_capacity(found.len());
    for row in &found {
        // What does not decode lies nowhere.
        let mut blob: wire::Blob = decode(row.get(1), "job.payload").unwrap_or_default();
        blob.op_id = bytes::Bytes::copy_from_slice(row.get::<_, Uuid>(0).as_bytes());
        let bits = redundancy::unproven(&blob);
        missing.push((blob, bits));
    }
    if !missing.is_empty() {
        let (names, _, bits, slacks, placements) = columns(&missing);
        let text = "UPDATE job j SET missing = i.missing, slack = i.slack, placement_id = i.placement_id
             FROM UNNEST($1::uuid[], $2::bigint[], $3::smallint[], $4::integer[])
                 AS i(subject, missing, slack, placement_id)
             WHERE j.kind = 'repair' AND j.subject = i.subject";
        client.execute(text, &[&names, &bits, &slacks, &placements]).await?;
    }
    Ok(missing.len())
}

/// A repair that is open, or has failed.
#[derive(Clone, Debug)]
pub struct OpenJob {
    pub missing: u64,
    /// `waiting`, `leased`, `failed`.
    pub state: &'static str,
    pub attempts: u32,
    pub error: Option<String>,
}

/// Repairs of these blobs.
pub async fn open_for(client: &Client, subjects: &[Uuid]) -> Result<HashMap<Uuid, OpenJob>, StoreError> {
    let text = "SELECT subject, missing, state, not_before > clock_timestamp(), attempts, error FROM job
         WHERE kind = 'repair' AND subject = ANY($1)";
    let rows = client.query(text, &[&subjects]).await?;
    let open = |row: &tokio_postgres::Row| OpenJob {
        missing: row.get::<_, i64>(1).cast_unsigned(),
        state: match (row.get::<_, i16>(2), row.get::<_, bool>(3)) {
            (3, _) => "failed",
            (1, true) => "leased",
            _ => "waiting",
        },
        attempts: u32::try_from(row.get::<_, i32>(4)).unwrap_or(0),
        error: row.get::<_, Option<String>>(5).filter(|error| !error.is_empty()),
    };
    Ok(rows.iter().map(|row| (row.get(0), open(row))).collect())
}

/// What is to be done about blobs with a place on one backend, each counted up to a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOn {
    /// Open repairs that miss the fragment of this very backend.
    pub missing: u64,
    pub failed: u64,
    /// Blobs that miss any fragment.
    pub below: u64,
}

pub async fn open_on(client: &Client, backend: u32) -> Result<OpenOn, StoreError> {
    let row = client
        .query_one(
            "SELECT count(*) FILTER (WHERE state <> 3 AND here), count(*) FILTER (WHERE state = 3), count(*)
             FROM (SELECT j.state, (j.missing >> (array_position(p.backends, $1) - 1)) & 1 = 1 AS here
                   FROM job j JOIN placement p ON p.id = j.placement_id
                   WHERE j.kind = 'repair' AND p.backends && ARRAY[$1::integer] LIMIT $2) AS counted",
            &[&placement_number(backend), &JOBS_COUNTED_MAX],
        )
        .await?;
    Ok(OpenOn { missing: unsigned(row.get(0)), failed: unsigned(row.get(1)), below: unsigned(row.get(2)) })
}
