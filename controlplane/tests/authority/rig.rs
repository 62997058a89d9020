//! One private PostgreSQL for the whole test binary, a fresh database per test, and the authority over it.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use holdfast_common::secret::Secret;
use holdfast_controlplane::server::{self, Database, DatabaseTls, Lengths, Running, Settings};

const LEASE_MS: u64 = 2000;
const PASSWORD: &str = "not-a-secret";
/// The one name that the server's certificate has.
pub(crate) const HOST: &str = "localhost";

struct Cluster {
    directory: String,
    /// On 127.0.0.1, over TLS and with [`PASSWORD`] only; tests that do not care come by the socket.
    port: u16,
    /// Held open: when this process ends, its shell reads the end of input and stops the server.
    _shell: Child,
}

impl Cluster {
    fn socket(&self) -> String {
        format!("host={} port={} user=holdfast", self.directory, self.port)
    }
}

fn binaries() -> String {
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed (apt-get install postgresql)")
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|path| path.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().expect("an initdb under /usr/lib/postgresql").display().to_string()
}

/// A shell as the unprivileged user that PostgreSQL insists on.
fn shell() -> Command {
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    }
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let directory =
            tempfile::Builder::new().prefix("hf-pg-").tempdir_in("/tmp").expect("a directory").keep();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).expect("permissions");
        let directory = directory.display().to_string();
        let port = free_port();
        let certified = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
        let (cert, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
        std::fs::write(format!("{directory}/cert.pem"), &cert).expect("a file");
        // The key is handed over as input, for the server wants a file of its own that nobody else reads.
        let script = format!(
            "set -e; cd {directory}; PATH={bin}:$PATH; umask 077
             initdb -D data -U holdfast -A trust --no-sync -E UTF8 --locale=C >log 2>&1
             sed '/-----END/q' >data/key.pem
             printf 'local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n' >data/pg_hba.conf
             echo \"ALTER ROLE holdfast PASSWORD '{PASSWORD}'\" | postgres --single -D data postgres >>log 2>&1
             postgres -D data -k {directory} -p {port} -c listen_addresses=127.0.0.1 -c max_connections=400 \
                 -c ssl=on -c ssl_cert_file={directory}/cert.pem -c ssl_key_file=key.pem >>log 2>&1 & P=$!
             cat >/dev/null; kill -QUIT $P; wait $P || true; rm -rf data log",
            bin = binaries()
        );
        let mut child = shell()
            .args(["-c", &script])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a shell");
        child.stdin.as_mut().expect("a pipe").write_all(key.as_bytes()).expect("the key is handed over");
        Cluster { directory, port, _shell: child }
    })
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

async fn connect(cluster: &Cluster, database: &str) -> Option<tokio_postgres::Client> {
    let text = format!("{} dbname={database}", cluster.socket());
    let (client, connection) = tokio_postgres::connect(&text, tokio_postgres::NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// A database of a test.
pub(crate) struct Db {
    name: String,
}

impl Db {
    pub(crate) async fn fresh() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let cluster = tokio::task::spawn_blocking(cluster).await.expect("a cluster");
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        for _ in 0..600 {
            if let Some(client) = connect(cluster, "postgres").await {
                client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
                return Self { name };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(format!("{}/log", cluster.directory)).unwrap_or_default();
        let _ = std::io::stderr().write_all(log.as_bytes());
        panic!("PostgreSQL did not start");
    }

    pub(crate) fn address(&self) -> Database {
        let text = format!("{} dbname={}", cluster().socket(), self.name);
        Database { url: Secret::from(text), tls: DatabaseTls::Auto, ca_file: None, connections_max: 12 }
    }

    /// The same database over the network, by one of the server's names; `more` ends the address.
    pub(crate) fn address_over_tls(&self, host: &str, more: &str) -> Database {
        let Cluster { directory, port, .. } = cluster();
        let name = &self.name;
        let text = format!(
            "host={host} hostaddr=127.0.0.1 port={port} user=holdfast password={PASSWORD} dbname={name} {more}"
        );
        let ca_file = Some(format!("{directory}/cert.pem").into());
        Database { url: Secret::from(text), ca_file, ..self.address() }
    }

    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        connect(cluster(), &self.name).await.expect("a connection")
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.client()
            .await
            .query_one(&format!("SELECT count(*) FROM {table}"), &[])
            .await
            .expect("a count")
            .get(0)
    }

    pub(crate) fn settings(&self, dev: bool) -> Settings {
        Settings {
            database: self.address(),
            master_key: Secret::new(vec![42; 32]),
            grpc_listen: "127.0.0.1:0".parse().expect("an address"),
            grpc_tls: None,
            regions: vec!["us-east-1".into()],
            holder: String::new(),
            lengths: Lengths { lease_ms: LEASE_MS, access_ms: LEASE_MS },
            delete_delay_ms: 0,
            dev,
        }
    }

    /// With a delay before what was freed is deleted; [`Self::start`] has none.
    pub(crate) async fn start_with_delay(&self, delete_delay_ms: u64) -> Running {
        self.start_as(Settings { delete_delay_ms, ..self.settings(true) }).await
    }

    /// The placement that blobs of `crate::node` name exists then, on a drive of no node.
    pub(crate) async fn start_as(&self, settings: Settings) -> Running {
        let running = server::start(settings).await.expect("the authority starts");
        self.place().await;
        running
    }

    /// Makes placement 1, if it is not there.
    pub(crate) async fn place(&self) {
        let text = "INSERT INTO placement (id, backends) VALUES (1, '{1000000}') ON CONFLICT DO NOTHING";
        self.client().await.batch_execute(text).await.expect("a placement");
    }

    /// One number.
    pub(crate) async fn number(&self, text: &str) -> i64 {
        self.client().await.query_one(text, &[]).await.expect("a row").get(0)
    }

    /// Waits until a table has this many rows: for what tasks do by themselves.
    pub(crate) async fn until_count(&self, table: &str, rows: i64) {
        for _ in 0..400 {
            if self.count(table).await == rows {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{table} has {} rows, not {rows}", self.count(table).await);
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_as(self.settings(true)).await
    }
}
