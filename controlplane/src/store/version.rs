//! `version`: what is not current, and delete markers, current ones too. By key, of a key the newest first.
//!
//! `head` has a row of a key exactly while its newest version is an object, and that row is newer than all rows here. So
//! listings of objects never meet a delete marker, a bucket without versions never touches this table, and the versions
//! of a key are its head and then its rows here in their order.

use std::sync::LazyLock;

use bytes::Bytes;
use holdfast_common::wire;
use uuid::Uuid;

use super::{Client, StoreError, signed, unsigned};
use crate::store::head::{self, HeadRow, decode};

#[derive(Clone, Debug, PartialEq)]
pub struct VersionRow {
    pub object: HeadRow,
    pub delete_marker: bool,
}

impl VersionRow {
    /// As lookups answer it.
    #[must_use]
    pub fn into_record(self) -> wire::ObjectRecord {
        wire::ObjectRecord { delete_marker: self.delete_marker, ..self.object.into_record() }
    }
}

/// The version id that rows have for the one that a client names: the null version's is empty.
#[must_use]
pub fn stored_id(named: &str) -> &str {
    if named == wire::NULL_VERSION { "" } else { named }
}

/// The version id that clients see for the one of a row.
#[must_use]
pub fn shown_id(stored: &str) -> &str {
    if stored.is_empty() { wire::NULL_VERSION } else { stored }
}

const COLUMNS: &str =
    "v.bucket_id, v.key, v.seq, v.op_id, v.version_id, v.size, v.modified_ms, v.etag, v.tenant_id,
     v.manifest, v.meta, v.delete_marker";
/// Behind the columns of a head.
const DELETE_MARKER: usize = 11;

pub fn read(row: &tokio_postgres::Row) -> Result<VersionRow, StoreError> {
    Ok(VersionRow { object: head::read(row)?, delete_marker: row.get(DELETE_MARKER) })
}

/// Rows of this table by name: `$1` bucket ids, `$2` keys, `$3` stored version ids.
pub static SELECT_NAMED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS} FROM UNNEST($1::bigint[], $2::bytea[], $3::text[]) AS i(bucket_id, key, version_id)
         JOIN version v ON v.bucket_id = i.bucket_id AND v.key = i.key AND v.version_id = i.version_id"
    )
});

/// The two newest rows of this table of each key, `$1` bucket ids, `$2` keys: whichever of a key's versions is removed, the
/// one that becomes current is among them or is the head.
pub static SELECT_NEWEST: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS} FROM UNNEST($1::bigint[], $2::bytea[]) AS i(bucket_id, key)
         CROSS JOIN LATERAL (SELECT * FROM version w WHERE w.bucket_id = i.bucket_id AND w.key = i.key
             ORDER BY w.seq DESC LIMIT 2) AS v"
    )
});

/// Current versions, delete markers too, of many keys: `$1` bucket ids, `$2` keys. Only for a key without a head is this
/// table looked into.
pub static SELECT_CURRENT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT i.bucket_id, i.key, {}, h.seq IS NULL AND v.delete_marker
         FROM UNNEST($1::bigint[], $2::bytea[]) AS i(bucket_id, key)
         LEFT JOIN head h ON h.bucket_id = i.bucket_id AND h.key = i.key
         LEFT JOIN LATERAL (SELECT * FROM version w
             WHERE h.seq IS NULL AND w.bucket_id = i.bucket_id AND w.key = i.key ORDER BY w.seq DESC LIMIT 1) AS v ON true
         WHERE h.seq IS NOT NULL OR v.seq IS NOT NULL",
        ["seq", "op_id", "version_id", "size", "modified_ms", "etag", "tenant_id", "manifest", "meta"]
            .map(|column| format!("coalesce(h.{column}, v.{column})"))
            .join(", ")
    )
});

/// Versions by name, current or not: as [`SELECT_NAMED`].
pub static SELECT_ANY_NAMED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} UNION ALL
         SELECT {}, false FROM UNNEST($1::bigint[], $2::bytea[], $3::text[]) AS i(bucket_id, key, version_id)
         JOIN head h ON h.bucket_id = i.bucket_id AND h.key = i.key AND h.version_id = i.version_id",
        SELECT_NAMED.as_str(),
        head::COLUMNS
    )
});

/// Writes a row, in place of the one of the same name: of a null version, or of one whose tags or ACL change.
pub const UPSERT: &str =
    "INSERT INTO version AS v (bucket_id, key, seq, op_id, version_id, size, modified_ms, etag,
         tenant_id, manifest, meta, delete_marker)
     SELECT * FROM UNNEST($1::bigint[], $2::bytea[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[],
         $8::text[], $9::bigint[], $10::bytea[], $11::bytea[], $12::boolean[])
     ON CONFLICT (bucket_id, key, version_id) DO UPDATE SET seq = excluded.seq, op_id = excluded.op_id,
         size = excluded.size, modified_ms = excluded.modified_ms, etag = excluded.etag,
         tenant_id = excluded.tenant_id, manifest = excluded.manifest, meta = excluded.meta,
         delete_marker = excluded.delete_marker";

/// Removes rows: `$1` bucket ids, `$2` keys, `$3` stored version ids.
pub const DELETE: &str =
    "DELETE FROM version v USING UNNEST($1::bigint[], $2::bytea[], $3::text[]) AS i(bucket_id, key, version_id)
     WHERE v.bucket_id = i.bucket_id AND v.key = i.key AND v.version_id = i.version_id";

/// Current versions of many keys, for nodes.
pub async fn current(client: &Client, keys: &[(u64, Bytes)]) -> Result<Vec<VersionRow>, StoreError> {
    let statement = client.prepare_cached(&SELECT_CURRENT).await?;
    let buckets: Vec<i64> = keys.iter().map(|(bucket, _)| signed(*bucket)).collect();
    let names: Vec<&[u8]> = keys.iter().map(|(_, key)| key.as_ref()).collect();
    client.query(&statement, &[&buckets, &names]).await?.iter().map(read).collect()
}

/// Versions by bucket, key and stored id, for nodes.
pub async fn named(client: &Client, names: &[(u64, Bytes, String)]) -> Result<Vec<VersionRow>, StoreError> {
    let statement = client.prepare_cached(&SELECT_ANY_NAMED).await?;
    let buckets: Vec<i64> = names.iter().map(|(bucket, _, _)| signed(*bucket)).collect();
    let keys: Vec<&[u8]> = names.iter().map(|(_, key, _)| key.as_ref()).collect();
    let ids: Vec<&str> = names.iter().map(|(_, _, id)| id.as_str()).collect();
    client.query(&statement, &[&buckets, &keys, &ids]).await?.iter().map(read).collect()
}

/// One line of a listing of versions.
#[derive(Clone, Debug)]
pub struct Line {
    pub key: Bytes,
    pub seq: u64,
    pub version_id: String,
    pub delete_marker: bool,
    pub size: u64,
    pub modified_ms: u64,
    pub etag: String,
    pub meta: wire::ObjectMeta,
    /// It is the head, or the newest of its key in this answer while nothing newer is elsewhere.
    pub may_be_latest: bool,
    pub tenant_id: u64,
}

fn line(row: &tokio_postgres::Row) -> Result<Line, StoreError> {
    Ok(Line {
        key: Bytes::copy_from_slice(row.get(0)),
        seq: unsigned(row.get(1)),
        version_id: row.get(2),
        delete_marker: row.get(3),
        size: unsigned(row.get(4)),
        modified_ms: unsigned(row.get(5)),
        etag: row.get(6),
        meta: decode(row.get(7), "version.meta")?,
        may_be_latest: row.get(8),
        tenant_id: unsigned(row.get(9)),
    })
}

/// Of heads and of versions as many as are wanted of both together. One statement, because in between a version could
/// move from one to the other: it would be seen twice, or never.
pub const RANGE: &str =
    "(SELECT key, seq, version_id, false, size, modified_ms, etag, meta, true, tenant_id FROM head
         WHERE bucket_id = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4)
     UNION ALL
     (SELECT key, seq, version_id, delete_marker, size, modified_ms, etag, meta, true, tenant_id FROM version
         WHERE bucket_id = $1 AND key >= $2 AND key < $3 ORDER BY key, seq DESC LIMIT $4)";

/// The same within a key, of what is older than a place in its order.
pub const REST: &str =
    "SELECT key, seq, version_id, false, size, modified_ms, etag, meta, true, tenant_id FROM head
         WHERE bucket_id = $1 AND key = $2 AND seq < $3
     UNION ALL
     (SELECT key, seq, version_id, delete_marker, size, modified_ms, etag, meta,
             NOT EXISTS (SELECT 1 FROM head WHERE bucket_id = $1 AND key = $2)
             AND NOT EXISTS (SELECT 1 FROM version WHERE bucket_id = $1 AND key = $2 AND seq >= $3),
             tenant_id FROM version
         WHERE bucket_id = $1 AND key = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4)";

/// Up to `rows` versions with `from <= key < until`, by key, of a key the newest first.
pub async fn range(
    client: &Client,
    bucket: u64,
    from: &[u8],
    until: &[u8],
    rows: i64,
) -> Result<Vec<Line>, StoreError> {
    let statement = client.prepare_cached(RANGE).await?;
    let found = client.query(&statement, &[&signed(bucket), &from, &until, &rows]).await?;
    merged(&found, rows)
}

/// Up to `rows` versions of a key that are older than `seq`, the newest first.
pub async fn rest(
    client: &Client,
    bucket: u64,
    key: &[u8],
    seq: u64,
    rows: i64,
) -> Result<Vec<Line>, StoreError> {
    let statement = client.prepare_cached(REST).await?;
    let found = client.query(&statement, &[&signed(bucket), &key, &signed(seq), &rows]).await?;
    merged(&found, rows)
}

/// Two runs that are in order each, as one. Its first `rows` are right: each run has as many, or all it has.
fn merged(found: &[tokio_postgres::Row], rows: i64) -> Result<Vec<Line>, StoreError> {
    let mut lines = found.iter().map(line).collect::<Result<Vec<_>, _>>()?;
    lines.sort_by(|a, b| a.key.cmp(&b.key).then(b.seq.cmp(&a.seq)));
    lines.truncate(usize::try_from(rows).unwrap_or(0));
    Ok(lines)
}

/// `$1` bucket, `$2` key, `$3` stored id, `$4` the operation that it names.
pub const PLACE: &str = "SELECT seq FROM head WHERE bucket_id = $1 AND key = $2 AND version_id = $3
     UNION ALL SELECT seq FROM version WHERE bucket_id = $1 AND key = $2 AND version_id = $3
     UNION ALL SELECT seq FROM changelog WHERE op_id = $4 AND bucket_id = $1 AND key = $2
     LIMIT 1";

/// Where a version stands in the order of its key: what has been deleted is asked of the changelog, as far as that reaches.
pub async fn place(
    client: &Client,
    bucket: u64,
    key: &[u8],
    stored_id: &str,
) -> Result<Option<u64>, StoreError> {
    let statement = client.prepare_cached(PLACE).await?;
    // No operation has the nil UUID.
    let op_id = Uuid::try_parse(stored_id).unwrap_or(Uuid::nil());
    let row = client.query_opt(&statement, &[&signed(bucket), &key, &stored_id, &op_id]).await?;
    Ok(row.map(|row| unsigned(row.get(0))))
}

/// Columns of an upsert, one vector each.
#[derive(Default)]
pub struct Columns {
    pub object: head::Columns,
    pub delete_marker: Vec<bool>,
}

impl Columns {
    pub fn push(&mut self, row: &VersionRow) {
        self.object.push(&row.object);
        self.delete_marker.push(row.delete_marker);
    }
}
