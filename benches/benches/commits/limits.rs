//! What the commit path is held against: PostgreSQL with the least statement, and the device with the least write.

use super::Took;
use crate::rig::Db;
use holdfast_benches::s3bench::cost;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio_postgres::{Client, Statement};

/// Bytes of a row's value: what `head` and the changelog row of a small object hold together.
const VALUE_BYTES: usize = 300;

/// PostgreSQL's main process.
pub(crate) struct Postmaster {
    pub(crate) pid: u32,
    /// On whose file system its log is; we may write there.
    pub(crate) directory: PathBuf,
}

pub(crate) async fn postmaster(db: &Db) -> Postmaster {
    let row = db.client().await.query_one("SHOW data_directory", &[]).await.expect("a setting");
    let data: PathBuf = row.get::<_, String>(0).into();
    let file =
        std::fs::read_to_string(data.join("postmaster.pid")).expect("readable by its user and by root");
    let pid = file.lines().next().and_then(|line| line.trim().parse().ok()).expect("a process id");
    Postmaster { pid, directory: data.parent().expect("a directory above").to_owned() }
}

/// Bytes of log written since the cluster was made.
pub(crate) async fn wal_bytes(db: &Db) -> f64 {
    db.number("SELECT (pg_current_wal_lsn() - '0/0')::bigint").await as f64
}

/// A table of keys and values, filled by one connection.
pub(crate) struct Bare {
    client: Client,
    insert: Statement,
}

impl Bare {
    pub(crate) async fn new(db: &Db) -> Self {
        let client = db.client().await;
        client
            .batch_execute("CREATE TABLE bare (key bytea PRIMARY KEY, value bytea NOT NULL)")
            .await
            .expect("made");
        let insert = client
            .prepare("INSERT INTO bare SELECT * FROM UNNEST($1::bytea[], $2::bytea[])")
            .await
            .expect("a statement");
        Self { client, insert }
    }

    /// Transactions of `batch` rows, one after the other.
    pub(crate) async fn insert(&self, db: &Db, batch: usize, seconds: f64, roots: &[(String, u32)]) -> Took {
        let value = vec![0x5a_u8; VALUE_BYTES];
        let values = vec![&value[..]; batch];
        let (before, wal) = (cost::cpu(roots), wal_bytes(db).await);
        let (began, mut number) = (Instant::now(), 0);
        while number == 0 || began.elapsed().as_secs_f64() < seconds {
            let keys: Vec<Vec<u8>> =
                (number..number + batch).map(|n| format!("{batch}/{n:010}").into_bytes()).collect();
            self.client.execute(&self.insert, &[&keys, &values]).await.expect("inserted");
            number += batch;
        }
        Took {
            rows: number as f64,
            batches: (number / batch) as f64,
            wall_s: began.elapsed().as_secs_f64(),
            postgres_s: cost::cpu(roots)["postgres"].since(&before["postgres"]).total_s(),
            control_s: 0.0,
            wal_bytes: wal_bytes(db).await - wal,
        }
    }
}

/// Seconds of one write of `bytes` over what is there, and its `fdatasync`: the median.
pub(crate) fn flush_s(directory: &Path, bytes: usize, seconds: f64) -> f64 {
    let bytes = vec![0x5a; bytes.max(1)];
    let mut file = tempfile::tempfile_in(directory).expect("a file beside the log");
    file.write_all(&bytes).and_then(|()| file.sync_all()).expect("written");
    let (began, mut took) = (Instant::now(), Vec::new());
    while took.is_empty() || began.elapsed().as_secs_f64() < seconds {
        let one = Instant::now();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).expect("written");
        file.sync_data().expect("flushed");
        took.push(one.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}
