//! `freed`: what nobody references any more. Blobs wait here until a node has deleted their fragments, the pages of long
//! manifests until the control plane drops them; both at least `delete_delay`, for the readers that are under way.

use holdfast_common::wire;
use prost::Message as _;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::backend::DESERTED;
use super::{Client, StoreError, Transaction, signed, unsigned};
use crate::limits::{JOB_PAUSE_MS, JOB_PAUSE_MS_MAX, JOBS_COUNTED_MAX};
use crate::plan::writes::Reference;
use crate::store::head::decode;

/// See [`columns`] for the first four; `$5` sequence, `$6` unix milliseconds, `$7` delay in milliseconds.
pub const FREE: &str = "INSERT INTO freed (op_id, blob, placement_id, pages, seq, freed_ms, not_before)
     SELECT i.op_id, i.blob, i.placement_id, i.pages, $5, $6, clock_timestamp() + $7 * interval '1 millisecond'
     FROM UNNEST($1::uuid[], $2::bytea[], $3::integer[], $4::boolean[]) AS i(op_id, blob, placement_id, pages)
     ON CONFLICT (op_id) DO NOTHING";

pub type Columns = (Vec<Uuid>, Vec<Vec<u8>>, Vec<i32>, Vec<bool>);

/// Op ids, encoded blobs, placements, and which are pages.
#[must_use]
pub fn columns(gone: &[Reference]) -> Columns {
    let mut columns = Columns::default();
    for Reference { op_id, blob } in gone {
        columns.0.push(*op_id);
        columns.1.push(blob.as_ref().map(wire::Blob::encode_to_vec).unwrap_or_default());
        columns.2.push(blob.as_ref().map_or(0, |blob| placement_number(blob.placement_id)));
        columns.3.push(blob.is_none());
    }
    columns
}

/// Ids are given from 1 up; one that fits no column is nobody's.
pub(crate) fn placement_number(id: u32) -> i32 {
    i32::try_from(id).unwrap_or(0)
}

/// Writes down what is gone, in a transaction other than a commit's.
pub async fn insert(
    work: &Transaction<'_>,
    gone: &[Reference],
    now_ms: u64,
    delay_ms: u64,
) -> Result<(), StoreError> {
    let (names, blobs, placements, pages) = columns(gone);
    let values: [&(dyn ToSql + Sync); 7] =
        [&names, &blobs, &placements, &pages, &0i64, &signed(now_ms), &(signed(delay_ms) as f64)];
    work.execute(FREE, &values).await?;
    Ok(())
}

/// A deletion that was leased.
#[derive(Clone, Debug)]
pub struct Leased {
    pub blob: wire::Blob,
    pub attempts: u32,
}

/// Leases up to `rows` due deletions of blobs that lie on one of these backends, the longest due first. Those whose nodes are
/// all gone are anybody's: a repair may have moved fragments to who asks.
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
             SELECT f.op_id FROM freed f JOIN placement p ON p.id = f.placement_id
             WHERE NOT f.pages AND f.not_before <= statement_timestamp()
               AND (p.backends && $2::integer[] OR p.backends <@ {DESERTED})
             ORDER BY f.not_before LIMIT {rows} FOR UPDATE OF f SKIP LOCKED)
         UPDATE freed f SET leased_to = $1, attempts = f.attempts + 1,
             not_before = clock_timestamp() + $3 * interval '1 millisecond'
         FROM due WHERE f.op_id = due.op_id RETURNING f.blob, f.attempts"
    );
    let lease_ms = signed(lease_ms) as f64;
    let rows = client.query(&text, &[&node_id, &backends, &lease_ms]).await?;
    rows.iter()
        .map(|row| {
            let attempts = u32::try_from(row.get::<_, i32>(1)).unwrap_or(0);
            Ok(Leased { blob: decode(row.get(0), "freed.blob")?, attempts })
        })
        .collect()
}

/// Every fragment of these is gone, says the node that had them leased. Returns those whose rows went.
pub async fn deleted(
    work: &Transaction<'_>,
    node_id: Uuid,
    op_ids: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    let text = "DELETE FROM freed WHERE op_id = ANY($1) AND leased_to = $2 AND NOT pages RETURNING op_id";
    let statement = work.prepare_cached(text).await?;
    Ok(work.query(&statement, &[&op_ids, &node_id]).await?.iter().map(|row| row.get(0)).collect())
}

/// These cannot be deleted now; they come again after a pause that grows with the attempts.
pub async fn put_off(
    work: &Transaction<'_>,
    node_id: Uuid,
    op_ids: &[Uuid],
    details: &[&str],
) -> Result<(), StoreError> {
    let statement = work
        .prepare_cached(
            "UPDATE freed f SET leased_to = NULL, error = i.detail, not_before = clock_timestamp()
                 + least($4 * power(2, least(f.attempts, 20) - 1), $5) * (0.5 + random() / 2) * interval '1 millisecond'
             FROM UNNEST($1::uuid[], $2::text[]) AS i(op_id, detail)
             WHERE f.op_id = i.op_id AND f.leased_to = $3",
        )
        .await?;
    work.execute(&statement, &[&op_ids, &details, &node_id, &JOB_PAUSE_MS, &JOB_PAUSE_MS_MAX]).await?;
    Ok(())
}

/// Manifests whose pages are due to be dropped, held until the transaction ends.
pub async fn due_pages(work: &Transaction<'_>, rows: i64) -> Result<Vec<Uuid>, StoreError> {
    let text = "SELECT op_id FROM freed WHERE pages AND not_before <= statement_timestamp()
         ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED";
    Ok(work.query(text, &[&rows]).await?.iter().map(|row| row.get(0)).collect())
}

/// Their pages are dropped.
pub async fn pages_dropped(work: &Transaction<'_>, pages_of: &[Uuid]) -> Result<(), StoreError> {
    work.execute("DELETE FROM freed WHERE op_id = ANY($1) AND pages", &[&pages_of]).await?;
    Ok(())
}

/// Somebody still reads by these pages: they stay for another delay.
pub async fn pages_read(client: &Client, pages_of: Uuid, delay_ms: u64) -> Result<(), StoreError> {
    let statement = client
        .prepare_cached(
            "UPDATE freed SET not_before = clock_timestamp() + $2 * interval '1 millisecond'
             WHERE op_id = $1 AND pages",
        )
        .await?;
    client.execute(&statement, &[&pages_of, &(signed(delay_ms) as f64)]).await?;
    Ok(())
}

/// How much waits (counted up to a bound), and since when the oldest of what was counted: unix milliseconds.
pub async fn backlog(client: &Client) -> Result<(u64, Option<u64>), StoreError> {
    let row = client
        .query_one(
            "SELECT count(*), min(freed_ms) FROM (SELECT freed_ms FROM freed LIMIT $1) AS counted",
            &[&JOBS_COUNTED_MAX],
        )
        .await?;
    Ok((unsigned(row.get(0)), row.get::<_, Option<i64>>(1).map(unsigned)))
}

/// Reads the placements of rows that older programs wrote out of their blobs. Returns how many had none yet.
pub async fn place_old_rows(client: &Client, rows: i64) -> Result<usize, StoreError> {
    let text = "SELECT op_id, blob FROM freed WHERE placement_id IS NULL LIMIT $1";
    let found = client.query(text, &[&rows]).await?;
    let mut names = Vec::with_capacity(found.len());
    let mut placements = Vec::with_capacity(found.len());
    for row in &found {
        // What does not decode lies nowhere.
        let blob: wire::Blob = decode(row.get(1), "freed.blob").unwrap_or_default();
        names.push(row.get::<_, Uuid>(0));
        placements.push(placement_number(blob.placement_id));
    }
    if !names.is_empty() {
        let text = "UPDATE freed f SET placement_id = i.placement_id
             FROM UNNEST($1::uuid[], $2::integer[]) AS i(op_id, placement_id) WHERE f.op_id = i.op_id";
        client.execute(text, &[&names, &placements]).await?;
    }
    Ok(names.len())
}
