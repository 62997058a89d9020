//! `upload` and `part`: multipart uploads under way, and the outcome of completed ones for a while.

use bytes::Bytes;
use holdfast_common::wire;
use uuid::Uuid;

use super::{Client, StoreError, signed, unsigned};
use crate::store::head::decode;

#[derive(Clone, Debug)]
pub struct UploadRow {
    pub upload_id: Uuid,
    pub bucket_id: u64,
    pub key: Bytes,
    pub tenant_id: u64,
    pub initiated_ms: u64,
    pub open: bool,
    /// `Checksum.Algorithm`; 0: none was named.
    pub checksum_algorithm: i32,
    pub checksum_kind: i32,
    pub meta: wire::ObjectMeta,
    /// Encoded `MutationResult` of the complete.
    pub outcome: Option<Vec<u8>>,
}

impl UploadRow {
    #[must_use]
    pub fn into_wire(self) -> wire::Upload {
        wire::Upload {
            upload_id: self.upload_id.simple().to_string(),
            key: self.key,
            initiated_ms: self.initiated_ms,
            meta: Some(self.meta),
            checksum_algorithm: self.checksum_algorithm,
            checksum_kind: self.checksum_kind,
            tenant_id: self.tenant_id,
            has_checksum_algorithm: self.checksum_algorithm != 0,
        }
    }
}

const COLUMNS: &str =
    "upload_id, bucket_id, key, tenant_id, initiated_ms, state, checksum_algorithm, checksum_kind,
     meta, outcome";

pub fn read(row: &tokio_postgres::Row) -> Result<UploadRow, StoreError> {
    Ok(UploadRow {
        upload_id: row.get(0),
        bucket_id: unsigned(row.get(1)),
        key: Bytes::copy_from_slice(row.get(2)),
        tenant_id: unsigned(row.get(3)),
        initiated_ms: unsigned(row.get(4)),
        open: row.get::<_, i16>(5) == 0,
        checksum_algorithm: row.get(6),
        checksum_kind: row.get(7),
        meta: decode(row.get(8), "upload.meta")?,
        outcome: row.get(9),
    })
}

pub fn select_many() -> String {
    format!("SELECT {COLUMNS} FROM upload WHERE upload_id = ANY($1)")
}

pub fn select_of_buckets() -> String {
    format!("SELECT {COLUMNS} FROM upload WHERE bucket_id = ANY($1) AND state = 0")
}

pub const INSERT: &str =
    "INSERT INTO upload (upload_id, bucket_id, key, tenant_id, initiated_ms, checksum_algorithm,
     checksum_kind, meta)
     SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::integer[],
         $7::integer[], $8::bytea[])";

pub const CLOSE: &str = "UPDATE upload u SET state = 1, outcome = i.outcome, closed_ms = $3
     FROM UNNEST($1::uuid[], $2::bytea[]) AS i(upload_id, outcome) WHERE u.upload_id = i.upload_id";

pub const DELETE: &str = "DELETE FROM upload WHERE upload_id = ANY($1)";

pub const DELETE_PARTS: &str = "DELETE FROM part WHERE upload_id = ANY($1)";

pub const SELECT_PARTS: &str =
    "SELECT p.upload_id, p.number, p.part FROM UNNEST($1::uuid[], $2::integer[]) AS i(upload_id, number)
     JOIN part p ON p.upload_id = i.upload_id AND p.number = i.number";

pub const SELECT_ALL_PARTS: &str = "SELECT upload_id, number, part FROM part WHERE upload_id = ANY($1)";

pub const UPSERT_PARTS: &str = "INSERT INTO part (upload_id, number, part)
     SELECT * FROM UNNEST($1::uuid[], $2::integer[], $3::bytea[])
     ON CONFLICT (upload_id, number) DO UPDATE SET part = excluded.part";

/// One open upload of this bucket and key.
pub async fn open(
    client: &Client,
    bucket: u64,
    key: &[u8],
    upload_id: Uuid,
) -> Result<Option<UploadRow>, StoreError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM upload WHERE upload_id = $1 AND bucket_id = $2 AND key = $3 AND state = 0"
        ))
        .await?;
    let row = client.query_opt(&statement, &[&upload_id, &signed(bucket), &key]).await?;
    row.as_ref().map(read).transpose()
}

/// Open uploads with `(key, upload_id) > (from_key, from_id)` (or from_key itself when inclusive) and `key < until`.
pub async fn range(
    client: &Client,
    bucket: u64,
    from: (&[u8], Uuid),
    until: &[u8],
    rows: i64,
) -> Result<Vec<UploadRow>, StoreError> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM upload
             WHERE bucket_id = $1 AND (key, upload_id) > ($2, $3) AND key < $4 AND state = 0
             ORDER BY key, upload_id LIMIT $5"
        ))
        .await?;
    let rows = client.query(&statement, &[&signed(bucket), &from.0, &from.1, &until, &rows]).await?;
    rows.iter().map(read).collect()
}

pub async fn parts_after(
    client: &Client,
    upload_id: Uuid,
    after: u32,
    rows: i64,
) -> Result<Vec<wire::Part>, StoreError> {
    let statement = client
        .prepare_cached("SELECT part FROM part WHERE upload_id = $1 AND number > $2 ORDER BY number LIMIT $3")
        .await?;
    let after = i32::try_from(after).unwrap_or(i32::MAX);
    let rows = client.query(&statement, &[&upload_id, &after, &rows]).await?;
    rows.iter().map(|row| decode(row.get(0), "part.part")).collect()
}

/// Forgets the outcomes of uploads completed before `closed_before_ms`.
pub async fn forget_closed(client: &Client, closed_before_ms: u64) -> Result<u64, StoreError> {
    let before = signed(closed_before_ms);
    Ok(client.execute("DELETE FROM upload WHERE state <> 0 AND closed_ms < $1", &[&before]).await?)
}
