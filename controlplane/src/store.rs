//! PostgreSQL as the control plane sees it: a pool, migrations, and one file per table.
//!
//! Nothing outside `store` knows SQL. The commit path uses no advisory lock, NOTIFY, sequence or collation (DESIGN 3.1).

pub mod access_key;
pub mod authority;
pub mod backend;
pub mod blob;
pub mod bucket;
pub mod candidate;
pub mod changelog;
pub mod cluster;
pub mod cluster_ca;
pub mod enrolled_node;
pub mod freed;
pub mod head;
pub mod job;
pub mod join_token;
pub mod lineage;
pub mod manifest_page;
pub mod migrate;
pub mod node;
pub mod recovery;
pub mod tenant;
pub mod tls;
pub mod upload;
pub mod version;

use std::str::FromStr;
use std::sync::Arc;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;

use crate::limits;
use crate::server::{Database, DatabaseTls, StartError};
use lineage::Lineage;

pub type Client = deadpool_postgres::Object;

/// Rolled back when dropped, so that a caller who went away leaves no connection in the middle of one.
pub type Transaction<'a> = deadpool_postgres::Transaction<'a>;

/// The pool. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    reserved: Pool,
    lineage: Arc<Lineage>,
}

/// Why the database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no connection: {}", describe_pool(.0))]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error("{}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The statement may have been carried out.
    #[error("{0}")]
    Gone(&'static str),
    #[error("a stored row does not decode: {0}")]
    Corrupt(String),
}

fn describe_pool(error: &deadpool_postgres::PoolError) -> String {
    match error {
        deadpool_postgres::PoolError::Backend(error) => describe(error),
        other => other.to_string(),
    }
}

/// tokio-postgres prints `db error`; people want the sentence behind it.
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => {
            let cause =
                std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{cause}")
        }
    }
}

impl StoreError {
    #[must_use]
    pub fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Database(error) => error.code(),
            Self::Pool(deadpool_postgres::PoolError::Backend(error)) => error.code(),
            _ => None,
        }
    }
}

/// Applied to every connection. Plans are forced to the indexes because cached generic plans may have been made while
/// a table was empty, when a sequential scan looked cheaper. Nor is sorted what an index holds in order: a lease of 256
/// deletions would read and sort the whole backlog. A leader that is paused in a transaction holds up its successor no longer
/// than its own term does.
const OPTIONS: &str = "-c synchronous_commit=on -c default_transaction_isolation=read\\ committed -c jit=off \
    -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_sort=off \
    -c plan_cache_mode=force_generic_plan -c statement_timeout=15s -c lock_timeout=6s \
    -c idle_in_transaction_session_timeout=8s -c client_encoding=UTF8";

impl Store {
    /// Connects once to prove that it works.
    ///
    /// # Errors
    /// A sentence with the cause: wrong address, refused, no such database, certificate not believed.
    pub async fn connect(database: &Database) -> Result<Self, StartError> {
        let store = Self::unconnected(database)?;
        let client = store.client().await.map_err(|error| {
            StartError::Database(format!(
                "cannot reach PostgreSQL: {error}; check the database address and that the server is running (`pg_isready`)"
            ))
        })?;
        drop(client);
        Ok(store)
    }

    /// Connects when it is first asked.
    ///
    /// # Errors
    /// When the address does not parse.
    pub(crate) fn unconnected(database: &Database) -> Result<Self, StartError> {
        let all = database.connections_max.max(limits::CONNECTIONS_MIN);
        let lineage = Arc::new(Lineage::default());
        let pool = pool(database, all - limits::CONNECTIONS_RESERVED, &lineage)?;
        let reserved = self::pool(database, limits::CONNECTIONS_RESERVED, &lineage)?;
        Ok(Self { pool, reserved, lineage })
    }

    /// A connection of those that commits and leadership keep for themselves: reads, however many, never take them.
    pub async fn reserved(&self) -> Result<Client, StoreError> {
        Ok(self.reserved.get().await?)
    }

    pub async fn client(&self) -> Result<Client, StoreError> {
        Ok(self.pool.get().await?)
    }

    #[must_use]
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// Closes the connections that nobody uses: they may be to a server that is the database no more.
    pub fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
        self.reserved.retain(|_, _| false);
    }
}

fn pool(database: &Database, connections: usize, lineage: &Arc<Lineage>) -> Result<Pool, StartError> {
    let text = database.url.expose_str().unwrap_or_default();
    let text = text.replace("sslmode=verify-full", "sslmode=require");
    let mut config = tokio_postgres::Config::from_str(&text).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        StartError::Database(format!(
            "the database address does not parse: {error}{cause}; it looks like `postgresql://user@host/database` or \
             `host=/run/postgresql user=holdfast dbname=holdfast`"
        ))
    })?;
    let options =
        config.get_options().map(|given| format!("{OPTIONS} {given}")).unwrap_or(OPTIONS.to_owned());
    config.options(options).application_name("holdfast").keepalives(true);
    // A database that fell silent must not hold a commit for TCP's quarter of an hour.
    config.keepalives_idle(limits::DATABASE_SILENCE).tcp_user_timeout(limits::DATABASE_SILENCE);
    config.keepalives_interval(limits::DATABASE_PROBES).keepalives_retries(2);
    // Of several hosts the first may be silent.
    config.connect_timeout(limits::DATABASE_CONNECT);
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = if wants_tls(&config, database.tls) {
        config.ssl_mode(SslMode::Require);
        Manager::from_config(config, tls::connector(database.ca_file.as_deref())?, recycling)
    } else {
        config.ssl_mode(SslMode::Disable);
        Manager::from_config(config, tokio_postgres::NoTls, recycling)
    };
    Pool::builder(manager)
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .post_create(lineage::hook(lineage.clone()))
        .wait_timeout(Some(limits::CONNECTION_WAIT))
        .create_timeout(Some(limits::CONNECTION_WAIT))
        .build()
        .map_err(|error| StartError::Database(error.to_string()))
}

fn wants_tls(config: &tokio_postgres::Config, tls: DatabaseTls) -> bool {
    let off_socket = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
    let told_not_to = tls == DatabaseTls::Disable || config.get_ssl_mode() == SslMode::Disable;
    match tls {
        DatabaseTls::VerifyFull => true,
        _ if told_not_to => {
            if off_socket {
                tracing::warn!(
                    "the connection to PostgreSQL is not protected (sslmode=disable): object names and sealed keys cross the network in the clear"
                );
            }
            false
        }
        _ => off_socket,
    }
}

/// Numbers of ours are unsigned and stay far below 2^63; PostgreSQL's are signed.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("validated to fit a signed column")
}

pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Milliseconds of a `timestamptz` expression, as an SQL fragment.
macro_rules! ms {
    ($column:literal) => {
        concat!("(extract(epoch FROM ", $column, ") * 1000)::bigint")
    };
}
pub(crate) use ms;
