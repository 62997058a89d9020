//! Brings the schema to this program's version. Twice is harmless, and so are two starts at once: the first holds a
//! lock until its transaction ends, the second then finds nothing to do.

use ring::digest;

use super::{Store, StoreError};
use crate::server::StartError;

/// Name and text, in order. A published file is never edited: its digest is on record and compared.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_cluster", include_str!("../../../migrations/0001_cluster.sql")),
    ("0002_places", include_str!("../../../migrations/0002_places.sql")),
    ("0003_objects", include_str!("../../../migrations/0003_objects.sql")),
    ("0004_changelog", include_str!("../../../migrations/0004_changelog.sql")),
    ("0005_work", include_str!("../../../migrations/0005_work.sql")),
    ("0006_drives", include_str!("../../../migrations/0006_drives.sql")),
    ("0007_freed_age", include_str!("../../../migrations/0007_freed_age.sql")),
    ("0008_versions", include_str!("../../../migrations/0008_versions.sql")),
    ("0009_peers", include_str!("../../../migrations/0009_peers.sql")),
    ("0010_enrolment", include_str!("../../../migrations/0010_enrolment.sql")),
    ("0011_candidates", include_str!("../../../migrations/0011_candidates.sql")),
    ("0012_recovery", include_str!("../../../migrations/0012_recovery.sql")),
    ("0013_access", include_str!("../../../migrations/0013_access.sql")),
    ("0014_emptied_nodes", include_str!("../../../migrations/0014_emptied_nodes.sql")),
];

/// Any number that no other program uses; held only while migrating, never on the commit path.
const LOCK: i64 = 0x686f_6c64_6661_7374;

/// Runs what has not run yet, all in one transaction. Returns how many.
///
/// # Errors
/// A sentence that names the file and PostgreSQL's own words.
pub async fn run(store: &Store) -> Result<usize, StartError> {
    let client = store.client().await.map_err(|error| StartError::Migration(error.to_string()))?;
    match steps(&client).await {
        Ok(count) => Ok(count),
        Err(sentence) => {
            // The connection is in a failed transaction; the pool must not hand it out.
            drop(deadpool_postgres::Object::take(client));
            Err(StartError::Migration(sentence))
        }
    }
}

async fn steps(client: &super::Client) -> Result<usize, String> {
    let say = |error: tokio_postgres::Error| StoreError::from(error).to_string();
    client
        .batch_execute("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        .await
        .map_err(say)?;
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(say)?;
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS schema_migration (name text PRIMARY KEY, digest bytea NOT NULL,
                 applied_at timestamptz NOT NULL DEFAULT clock_timestamp())",
        )
        .await
        .map_err(say)?;
    let done =
        client.query("SELECT name, digest FROM schema_migration ORDER BY name", &[]).await.map_err(say)?;
    if let Some(unknown) = done.iter().map(|row| row.get::<_, String>(0)).find(|name| !known(name)) {
        return Err(format!(
            "the database has the migration {unknown}, which this program does not know; run a newer one"
        ));
    }
    let mut count = 0;
    for (name, text) in MIGRATIONS {
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        if let Some(row) = done.iter().find(|row| row.get::<_, &str>(0) == *name) {
            if row.get::<_, &[u8]>(1) != digest.as_ref() {
                return Err(format!(
                    "the migration {name} ran with another text than this program's; restore the program that made this database"
                ));
            }
            continue;
        }
        client
            .batch_execute(text)
            .await
            .map_err(|error| format!("the migration {name} failed: {}", say(error)))?;
        client
            .execute("INSERT INTO schema_migration (name, digest) VALUES ($1, $2)", &[name, &digest.as_ref()])
            .await
            .map_err(say)?;
        count += 1;
    }
    client.batch_execute("COMMIT").await.map_err(say)?;
    Ok(count)
}

fn known(name: &str) -> bool {
    MIGRATIONS.iter().any(|(ours, _)| *ours == name)
}
