//! `backend` and `placement`: places that hold fragments, and the dictionary of ordered lists of them.

use uuid::Uuid;

use super::{Client, StoreError, signed, unsigned};

#[derive(Clone, Debug)]
pub struct BackendRow {
    pub id: u32,
    pub kind: String,
    pub drive_id: Option<Uuid>,
    pub node_id: Option<Uuid>,
    pub label: String,
    pub state: String,
    pub region: String,
    pub country: String,
    pub provider: String,
    pub capacity_bytes: u64,
    pub free_bytes: u64,
    pub revision: u64,
}

const COLUMNS: &str = "id, kind, drive_id, node_id, label, state, region, country, provider, capacity_bytes, free_bytes, revision";

fn id(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn read(row: &tokio_postgres::Row) -> BackendRow {
    BackendRow {
        id: id(row.get(0)),
        kind: row.get(1),
        drive_id: row.get(2),
        node_id: row.get(3),
        label: row.get(4),
        state: row.get(5),
        region: row.get(6),
        country: row.get(7),
        provider: row.get(8),
        capacity_bytes: unsigned(row.get(9)),
        free_bytes: unsigned(row.get(10)),
        revision: unsigned(row.get(11)),
    }
}

pub async fn all(client: &Client) -> Result<Vec<BackendRow>, StoreError> {
    let rows = client.query(&format!("SELECT {COLUMNS} FROM backend ORDER BY id"), &[]).await?;
    Ok(rows.iter().map(read).collect())
}

/// Backends of a node, whatever their state.
pub async fn of_node(client: &Client, node_id: Uuid) -> Result<Vec<i32>, StoreError> {
    let statement = client.prepare_cached("SELECT id FROM backend WHERE node_id = $1").await?;
    Ok(client.query(&statement, &[&node_id]).await?.iter().map(|row| row.get(0)).collect())
}

/// What a node says of one of its drives.
#[derive(Clone, Debug)]
pub struct DriveSaid {
    pub drive_id: Uuid,
    pub node_id: Uuid,
    pub label: String,
    pub state: String,
    pub region: String,
    pub capacity_bytes: u64,
    pub free_bytes: u64,
}

/// Writes it down under the drive's stable id. The revision moves only when state, node or region changed.
/// Callers hold the configuration lock, so `max + 1` is free.
pub async fn upsert_drive(client: &Client, said: &DriveSaid) -> Result<BackendRow, StoreError> {
    let text = format!(
        "INSERT INTO backend (id, kind, drive_id, node_id, label, state, region, capacity_bytes, free_bytes)
         SELECT coalesce(max(id), 0) + 1, 'drive', $1, $2, $3, $4, $5, $6, $7 FROM backend
         ON CONFLICT (drive_id) DO UPDATE SET
             node_id = excluded.node_id, label = excluded.label, region = excluded.region,
             capacity_bytes = excluded.capacity_bytes, free_bytes = excluded.free_bytes,
             state = CASE WHEN backend.state = 'draining' AND excluded.state = 'active' THEN 'draining'
                          ELSE excluded.state END,
             revision = backend.revision + CASE WHEN (backend.node_id, backend.region, backend.state)
                 IS DISTINCT FROM (excluded.node_id, excluded.region,
                     CASE WHEN backend.state = 'draining' AND excluded.state = 'active' THEN 'draining'
                          ELSE excluded.state END) THEN 1 ELSE 0 END
         RETURNING {COLUMNS}"
    );
    let row = client
        .query_one(
            &text,
            &[
                &said.drive_id,
                &said.node_id,
                &said.label,
                &said.state,
                &said.region,
                &signed(said.capacity_bytes.min(i64::MAX as u64)),
                &signed(said.free_bytes.min(i64::MAX as u64)),
            ],
        )
        .await?;
    Ok(read(&row))
}

pub async fn placements(client: &Client) -> Result<Vec<(u32, Vec<u32>)>, StoreError> {
    let rows = client.query("SELECT id, backends FROM placement ORDER BY id", &[]).await?;
    Ok(rows
        .iter()
        .map(|row| (id(row.get(0)), row.get::<_, Vec<i32>>(1).into_iter().map(id).collect()))
        .collect())
}

/// The id of this list, made when it has none; true when it is new. Callers hold the configuration lock.
pub async fn intern_placement(client: &Client, backends: &[u32]) -> Result<(u32, bool), StoreError> {
    let backends: Vec<i32> = backends.iter().map(|id| i32::try_from(*id).unwrap_or(0)).collect();
    let found = client.query_opt("SELECT id FROM placement WHERE backends = $1", &[&backends]).await?;
    if let Some(row) = found {
        return Ok((id(row.get(0)), false));
    }
    let row = client
        .query_one(
            "INSERT INTO placement (id, backends) SELECT coalesce(max(id), 0) + 1, $1 FROM placement RETURNING id",
            &[&backends],
        )
        .await?;
    Ok((id(row.get(0)), true))
}

/// How many of these ids exist.
pub async fn known(client: &Client, backends: &[u32]) -> Result<usize, StoreError> {
    let backends: Vec<i32> = backends.iter().map(|id| i32::try_from(*id).unwrap_or(0)).collect();
    let row = client.query_one("SELECT count(*) FROM backend WHERE id = ANY($1)", &[&backends]).await?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}
