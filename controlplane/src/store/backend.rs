//! `backend` and `placement`: places that hold fragments, and the dictionary of ordered lists of them.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Client, StoreError, signed, unsigned};

/// As many lists of backends have their ids from one epoch before those of the next one begin, as a power of two.
const PLACEMENTS_PER_EPOCH_SHIFT: u32 = 8;

#[derive(Clone, Debug)]
pub struct BackendRow {
    pub id: u32,
    pub kind: String,
    pub drive_id: Option<Uuid>,
    pub node_id: Option<Uuid>,
    pub label: String,
    /// As its node says.
    pub state: String,
    /// What an administrator has decided.
    pub intent: Option<Intent>,
    pub region: String,
    pub country: String,
    pub provider: String,
    pub capacity_bytes: u64,
    pub free_bytes: u64,
    pub revision: u64,
}

impl BackendRow {
    /// What nodes are told, and people see first.
    #[must_use]
    pub fn shown_state(&self) -> &str {
        self.intent.map_or(self.state.as_str(), |intent| intent.as_str())
    }
}

/// What an administrator has decided about a drive; no report of its node changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// No new fragments; what is there moves to the node's other drives.
    Draining,
    /// Nothing was left on it.
    Drained,
    /// Gone for good: nobody waits for it, its fragments are rebuilt elsewhere.
    Replaced,
}

impl Intent {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Replaced => "replaced",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Draining, Self::Drained, Self::Replaced].into_iter().find(|intent| intent.as_str() == text)
    }
}

const COLUMNS: &str =
    "id, kind, drive_id, node_id, label, state, region, country, provider, capacity_bytes, free_bytes,
     revision, intent";

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
        intent: Intent::read(row.get(12)),
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
///
/// `None`: the drive is another node's, and stays so until that node itself finds it missing, or is revoked: whoever could take
/// drives by naming them would get everyone's fragments.
pub async fn upsert_drive(client: &Client, said: &DriveSaid) -> Result<Option<BackendRow>, StoreError> {
    let text = format!(
        "INSERT INTO backend (id, kind, drive_id, node_id, label, state, region, capacity_bytes, free_bytes)
         SELECT coalesce(max(id), 0) + 1, 'drive', $1, $2, $3, $4, $5, $6, $7 FROM backend
         ON CONFLICT (drive_id) DO UPDATE SET
             node_id = excluded.node_id, label = excluded.label, region = excluded.region,
             capacity_bytes = excluded.capacity_bytes, free_bytes = excluded.free_bytes,
             state = excluded.state,
             revision = backend.revision + CASE WHEN (backend.node_id, backend.region, backend.state)
                 IS DISTINCT FROM (excluded.node_id, excluded.region, excluded.state) THEN 1 ELSE 0 END
         WHERE backend.node_id IS NULL OR backend.node_id = excluded.node_id OR backend.state = 'missing'
             OR EXISTS (SELECT 1 FROM node n WHERE n.node_id = backend.node_id AND n.revoked_at IS NOT NULL)
         RETURNING {COLUMNS}"
    );
    let row = client
        .query_opt(
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
    Ok(row.as_ref().map(read))
}

/// A node has said all its drives, and these of ours are not among them. Returns those that were there before. Callers
/// hold the configuration lock.
pub async fn missing(client: &Client, node_id: Uuid, said: &[Uuid]) -> Result<Vec<BackendRow>, StoreError> {
    let text = format!(
        "UPDATE backend SET state = 'missing', revision = revision + 1
         WHERE node_id = $1 AND drive_id <> ALL($2) AND state <> 'missing' RETURNING {COLUMNS}"
    );
    Ok(client.query(&text, &[&node_id, &said]).await?.iter().map(read).collect())
}

/// Notes what an administrator has decided; `None` takes it back. Callers hold the configuration lock.
pub async fn intend(client: &Client, id: u32, intent: Option<Intent>) -> Result<BackendRow, StoreError> {
    let text = format!(
        "UPDATE backend SET intent = $2, intent_at = clock_timestamp(), revision = revision + 1 WHERE id = $1
         RETURNING {COLUMNS}"
    );
    let number = i32::try_from(id).unwrap_or(0);
    let row = client.query_one(&text, &[&number, &intent.map_or("", Intent::as_str)]).await?;
    Ok(read(&row))
}

/// Notes or takes back the drain of all drives of a node, but those that were replaced; returns what has changed. Callers hold
/// the configuration lock.
pub async fn intend_node(client: &Client, node_id: Uuid, drain: bool) -> Result<Vec<BackendRow>, StoreError> {
    let (from, to) = if drain { (vec![""], "draining") } else { (vec!["draining", "drained"], "") };
    let text = format!(
        "UPDATE backend SET intent = $3, intent_at = clock_timestamp(), revision = revision + 1
         WHERE node_id = $1 AND intent = ANY($2) RETURNING {COLUMNS}"
    );
    Ok(client.query(&text, &[&node_id, &from, &to]).await?.iter().map(read).collect())
}

/// Ends a drain of at least `settled_ms` ago; `None`: it is younger, or there is none. Callers hold the configuration lock.
pub async fn drained(client: &Client, id: u32, settled_ms: u64) -> Result<Option<BackendRow>, StoreError> {
    let text = format!(
        "UPDATE backend SET intent = 'drained', intent_at = clock_timestamp(), revision = revision + 1
         WHERE id = $1 AND intent = 'draining' AND intent_at <= clock_timestamp() - $2 * interval '1 millisecond'
         RETURNING {COLUMNS}"
    );
    let number = i32::try_from(id).unwrap_or(0);
    let row = client.query_opt(&text, &[&number, &(signed(settled_ms) as f64)]).await?;
    Ok(row.as_ref().map(read))
}

/// How many backends of its own node the widest placement has that this one is in; 0: it is in none. Those of other nodes
/// take nothing from it that they would not take anyway.
pub async fn widest_with(client: &Client, id: u32) -> Result<usize, StoreError> {
    let text = "SELECT coalesce(max((SELECT count(*) FROM backend b WHERE b.id = ANY(p.backends)
             AND b.node_id IS NOT DISTINCT FROM (SELECT node_id FROM backend WHERE id = $1))), 0)
         FROM placement p WHERE p.backends && ARRAY[$1::integer]";
    let row = client.query_one(text, &[&i32::try_from(id).unwrap_or(0)]).await?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

pub async fn placements(client: &Client) -> Result<Vec<(u32, Vec<u32>)>, StoreError> {
    let rows = client.query("SELECT id, backends FROM placement ORDER BY id", &[]).await?;
    Ok(rows
        .iter()
        .map(|row| (id(row.get(0)), row.get::<_, Vec<i32>>(1).into_iter().map(id).collect()))
        .collect())
}

/// The id of an ordered list of backends, if it has one.
pub async fn placement_of(client: &Client, backends: &[u32]) -> Result<Option<u32>, StoreError> {
    let statement = client.prepare_cached("SELECT id FROM placement WHERE backends = $1").await?;
    let found = client.query_opt(&statement, &[&numbers(backends)]).await?;
    Ok(found.map(|row| id(row.get(0))))
}

/// Gives an ordered list of backends an id. Callers hold the configuration lock, so `max + 1` is free. It lies above those of
/// earlier epochs, also of ones that this database has lost: nodes may remember what they named.
pub async fn new_placement(client: &Client, backends: &[u32], epoch: u64) -> Result<u32, StoreError> {
    let above = i32::try_from(epoch << PLACEMENTS_PER_EPOCH_SHIFT).unwrap_or(0);
    let text = "INSERT INTO placement (id, backends) SELECT greatest(coalesce(max(id), 0), $2) + 1, $1 FROM placement
         RETURNING id";
    Ok(id(client.query_one(text, &[&numbers(backends), &above]).await?.get(0)))
}

/// How many lists have an id.
pub async fn count_placements(client: &Client) -> Result<u64, StoreError> {
    Ok(unsigned(client.query_one("SELECT count(*) FROM placement", &[]).await?.get(0)))
}

fn numbers(backends: &[u32]) -> Vec<i32> {
    backends.iter().map(|id| i32::try_from(*id).unwrap_or(0)).collect()
}

/// Of these placements, those that exist.
pub async fn known_placements(client: &Client, ids: &BTreeSet<u32>) -> Result<Vec<u32>, StoreError> {
    let numbers: Vec<i32> = ids.iter().filter_map(|id| i32::try_from(*id).ok()).collect();
    let statement = client.prepare_cached("SELECT id FROM placement WHERE id = ANY($1)").await?;
    Ok(client.query(&statement, &[&numbers]).await?.iter().map(|row| id(row.get(0))).collect())
}

/// How many of these ids exist.
pub async fn known(client: &Client, backends: &[u32]) -> Result<usize, StoreError> {
    let row =
        client.query_one("SELECT count(*) FROM backend WHERE id = ANY($1)", &[&numbers(backends)]).await?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}
