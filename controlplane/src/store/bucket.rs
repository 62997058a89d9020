//! `bucket`: names and what was configured. Ids are commit sequences, so a re-created name is another bucket.

use std::sync::LazyLock;

use holdfast_common::wire;
use prost::Message as _;

use super::{Client, StoreError, signed, unsigned};
use crate::store::head::decode;

/// Whether a bucket keeps what is overwritten and deleted. Numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Versioning {
    /// One version of a key, the null version.
    Never = 0,
    /// Every write is a version of its own.
    Enabled = 1,
    /// Writes are the null version, in place of the former one; all other versions stay.
    Suspended = 2,
}

impl Versioning {
    /// As stored or sent; `None`: no state of a bucket.
    #[must_use]
    pub fn of(number: u32) -> Option<Self> {
        [Self::Never, Self::Enabled, Self::Suspended].into_iter().find(|state| state.number() == number)
    }

    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct BucketRow {
    pub id: u64,
    pub name: String,
    pub tenant_id: u64,
    pub created_ms: u64,
    pub revision: u64,
    pub region: String,
    pub versioning: Versioning,
    pub shard: u32,
    pub class_id: u32,
    pub configuration: wire::BucketConfiguration,
    /// For how long a node that cannot ask shows what it has cached; 0: not at all.
    pub stale_reads_ms: u64,
}

const COLUMNS: &str = "id, name, tenant_id, created_ms, revision, region, versioning, shard, class_id, configuration, stale_reads_ms";

fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

pub fn read(row: &tokio_postgres::Row) -> Result<BucketRow, StoreError> {
    let versioning = number(row.get(6));
    Ok(BucketRow {
        id: unsigned(row.get(0)),
        name: row.get(1),
        tenant_id: unsigned(row.get(2)),
        created_ms: unsigned(row.get(3)),
        revision: unsigned(row.get(4)),
        region: row.get(5),
        versioning: Versioning::of(versioning)
            .ok_or_else(|| StoreError::Corrupt(format!("bucket.versioning: {versioning}")))?,
        shard: number(row.get(7)),
        class_id: number(row.get(8)),
        configuration: decode(row.get(9), "bucket.configuration")?,
        stale_reads_ms: unsigned(row.get(10)),
    })
}

/// The grounds that a batch stands on, by one statement: buckets by id (`$1`) or name (`$2`), which of these access keys
/// (`$3`) live, with their tenants, and whether any bytes are shared. [`ground`] reads its rows.
pub static GROUNDS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS}, NULL::text, NULL::bigint FROM bucket WHERE id = ANY($1) OR name = ANY($2)
         UNION ALL SELECT {NO_BUCKET}, access_key_id, tenant_id FROM access_key
             WHERE access_key_id = ANY($3) AND revoked_at IS NULL
         UNION ALL SELECT {NO_BUCKET}, NULL, NULL WHERE EXISTS (SELECT 1 FROM blob)"
    )
});
const NO_BUCKET: &str = "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";
/// The first column behind those of a bucket.
const KEY_COLUMN: usize = 11;

/// A row of [`GROUNDS`].
pub enum Ground {
    Bucket(BucketRow),
    /// A live access key and its tenant.
    Key(String, u64),
    /// There are bytes with more than one reference.
    Counted,
}

pub fn ground(row: &tokio_postgres::Row) -> Result<Ground, StoreError> {
    if row.get::<_, Option<i64>>(0).is_some() {
        return Ok(Ground::Bucket(read(row)?));
    }
    Ok(match row.get(KEY_COLUMN) {
        Some(id) => Ground::Key(id, unsigned(row.get(KEY_COLUMN + 1))),
        None => Ground::Counted,
    })
}

/// Which of these hold objects or versions; read inside a commit.
pub const OCCUPIED: &str = "SELECT i.id FROM UNNEST($1::bigint[]) AS i(id)
     WHERE EXISTS (SELECT 1 FROM head h WHERE h.bucket_id = i.id)
        OR EXISTS (SELECT 1 FROM version v WHERE v.bucket_id = i.id)";

/// Bytes of all buckets' documents: every node has all of them in memory, and is told all of them at once.
pub const CONFIGURED_BYTES: &str = "SELECT coalesce(sum(octet_length(configuration)), 0)::bigint FROM bucket";

pub const INSERT: &str =
    "INSERT INTO bucket (id, name, tenant_id, created_ms, revision, region, versioning, configuration)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// What can be configured of a bucket: `$1` id, `$2` revision, `$3` versioning, `$4` documents, `$5` stale reads.
pub const CONFIGURE: &str =
    "UPDATE bucket SET revision = $2, versioning = $3, configuration = $4, stale_reads_ms = $5 WHERE id = $1";

/// The column `configuration`.
#[must_use]
pub fn encoded(configuration: &wire::BucketConfiguration) -> Vec<u8> {
    configuration.encode_to_vec()
}

pub const DELETE: &str = "DELETE FROM bucket WHERE id = ANY($1)";

pub async fn all(client: &Client) -> Result<Vec<BucketRow>, StoreError> {
    let rows = client.query(&format!("SELECT {COLUMNS} FROM bucket ORDER BY name"), &[]).await?;
    rows.iter().map(read).collect()
}

/// Ids of a tenant's buckets with these names, in their order; the first unknown name is the error.
pub async fn ids_of(
    client: &Client,
    tenant_id: u64,
    names: &[String],
) -> Result<Result<Vec<u64>, String>, StoreError> {
    let rows = client
        .query(
            "SELECT name, id FROM bucket WHERE tenant_id = $1 AND name = ANY($2)",
            &[&signed(tenant_id), &names],
        )
        .await?;
    let known: std::collections::HashMap<String, u64> =
        rows.iter().map(|row| (row.get(0), unsigned(row.get(1)))).collect();
    Ok(names.iter().map(|name| known.get(name).copied().ok_or_else(|| name.clone())).collect())
}
