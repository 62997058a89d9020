//! `head`: the live current objects, in bytewise order of their keys. Older versions and delete markers are in `version`.

use std::sync::LazyLock;

use bytes::Bytes;
use holdfast_common::wire;
use prost::Message as _;
use uuid::Uuid;

use super::{Client, StoreError, signed, unsigned};

#[derive(Clone, Debug, PartialEq)]
pub struct HeadRow {
    pub bucket_id: u64,
    pub key: Bytes,
    pub seq: u64,
    pub op_id: Uuid,
    pub version_id: String,
    pub size: u64,
    pub modified_ms: u64,
    pub etag: String,
    pub tenant_id: u64,
    pub manifest: wire::Manifest,
    pub meta: wire::ObjectMeta,
}

impl HeadRow {
    /// As lookups answer it.
    #[must_use]
    pub fn into_record(self) -> wire::ObjectRecord {
        wire::ObjectRecord {
            bucket_id: self.bucket_id,
            key: self.key,
            seq: self.seq,
            op_id: Bytes::copy_from_slice(self.op_id.as_bytes()),
            version_id: self.version_id,
            delete_marker: false,
            size: self.size,
            modified_ms: self.modified_ms,
            etag: self.etag,
            meta: Some(self.meta),
            manifest: Some(self.manifest),
            tenant_id: self.tenant_id,
        }
    }
}

pub(super) const COLUMNS: &str =
    "h.bucket_id, h.key, h.seq, h.op_id, h.version_id, h.size, h.modified_ms, h.etag, h.tenant_id,
     h.manifest, h.meta";

pub(crate) fn decode<M: prost::Message + Default>(bytes: &[u8], what: &str) -> Result<M, StoreError> {
    M::decode(bytes).map_err(|error| StoreError::Corrupt(format!("{what}: {error}")))
}

/// The first columns of a row, as [`COLUMNS`] has them.
pub fn read(row: &tokio_postgres::Row) -> Result<HeadRow, StoreError> {
    Ok(HeadRow {
        bucket_id: unsigned(row.get(0)),
        key: Bytes::copy_from_slice(row.get(1)),
        seq: unsigned(row.get(2)),
        op_id: row.get(3),
        version_id: row.get(4),
        size: unsigned(row.get(5)),
        modified_ms: unsigned(row.get(6)),
        etag: row.get(7),
        tenant_id: unsigned(row.get(8)),
        manifest: decode(row.get(9), "head.manifest")?,
        meta: decode(row.get(10), "head.meta")?,
    })
}

/// The heads of many keys by one statement: `$1` bucket ids, `$2` keys.
pub static SELECT_MANY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS} FROM UNNEST($1::bigint[], $2::bytea[]) AS i(bucket_id, key)
         JOIN head h ON h.bucket_id = i.bucket_id AND h.key = i.key"
    )
});

pub const UPSERT: &str = "INSERT INTO head AS h (bucket_id, key, seq, op_id, version_id, size, modified_ms, etag,
         tenant_id, manifest, meta)
     SELECT * FROM UNNEST($1::bigint[], $2::bytea[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[],
         $8::text[], $9::bigint[], $10::bytea[], $11::bytea[])
     ON CONFLICT (bucket_id, key) DO UPDATE SET seq = excluded.seq, op_id = excluded.op_id,
         version_id = excluded.version_id, size = excluded.size, modified_ms = excluded.modified_ms,
         etag = excluded.etag, tenant_id = excluded.tenant_id, manifest = excluded.manifest, meta = excluded.meta";

pub const DELETE: &str = "DELETE FROM head h USING UNNEST($1::bigint[], $2::bytea[]) AS i(bucket_id, key)
     WHERE h.bucket_id = i.bucket_id AND h.key = i.key";

/// Columns of an upsert, one vector each, as UNNEST wants them.
#[derive(Default)]
pub struct Columns {
    pub bucket_id: Vec<i64>,
    pub key: Vec<Vec<u8>>,
    pub seq: Vec<i64>,
    pub op_id: Vec<Uuid>,
    pub version_id: Vec<String>,
    pub size: Vec<i64>,
    pub modified_ms: Vec<i64>,
    pub etag: Vec<String>,
    pub tenant_id: Vec<i64>,
    pub manifest: Vec<Vec<u8>>,
    pub meta: Vec<Vec<u8>>,
}

impl Columns {
    pub fn push(&mut self, row: &HeadRow) {
        self.bucket_id.push(signed(row.bucket_id));
        self.key.push(row.key.to_vec());
        self.seq.push(signed(row.seq));
        self.op_id.push(row.op_id);
        self.version_id.push(row.version_id.clone());
        self.size.push(signed(row.size));
        self.modified_ms.push(signed(row.modified_ms));
        self.etag.push(row.etag.clone());
        self.tenant_id.push(signed(row.tenant_id));
        self.manifest.push(row.manifest.encode_to_vec());
        self.meta.push(row.meta.encode_to_vec());
    }
}

/// Heads of many keys, outside a commit.
pub async fn lookup(client: &Client, keys: &[(u64, Bytes)]) -> Result<Vec<HeadRow>, StoreError> {
    let statement = client.prepare_cached(&SELECT_MANY).await?;
    let buckets: Vec<i64> = keys.iter().map(|(bucket, _)| signed(*bucket)).collect();
    let names: Vec<&[u8]> = keys.iter().map(|(_, key)| key.as_ref()).collect();
    client.query(&statement, &[&buckets, &names]).await?.iter().map(read).collect()
}

/// One line of a listing.
#[derive(Clone, Debug)]
pub struct Line {
    pub key: Bytes,
    pub size: u64,
    pub modified_ms: u64,
    pub etag: String,
    pub meta: wire::ObjectMeta,
    pub tenant_id: u64,
}

/// Up to `rows` objects with `from <= key < until`, bytewise.
pub async fn range(
    client: &Client,
    bucket: u64,
    from: &[u8],
    until: &[u8],
    rows: i64,
) -> Result<Vec<Line>, StoreError> {
    let statement = client
        .prepare_cached(
            "SELECT key, size, modified_ms, etag, meta, tenant_id FROM head
             WHERE bucket_id = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4",
        )
        .await?;
    let rows = client.query(&statement, &[&signed(bucket), &from, &until, &rows]).await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                key: Bytes::copy_from_slice(row.get(0)),
                size: unsigned(row.get(1)),
                modified_ms: unsigned(row.get(2)),
                etag: row.get(3),
                meta: decode(row.get(4), "head.meta")?,
                tenant_id: unsigned(row.get(5)),
            })
        })
        .collect()
}
