//! The whole system in this process: a private PostgreSQL, the real authority, a real node with real drives, S3 over TCP.
//!
//! One for all attacks, because a start takes seconds; each attack has buckets of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use holdfast_common::secret::Secret;
use holdfast_controlplane::app::{Authority, NewKey, Permission};
use holdfast_controlplane::server::{self, Database, DatabaseTls, Lengths, Running, Settings};
use holdfast_dataplane::config::Config;
use holdfast_dataplane::node::{Node, NodeSetup};
use holdfast_dataplane::rt::epoll::EpollRt;
use holdfast_dataplane::rt::monoio::UringRt;
use holdfast_dataplane::rt::{Rt, Uring, probe};
use holdfast_dataplane::server::Proxies;
use holdfast_dataplane::server::cores::{self, Cores, CoresConfig};
use holdfast_protocol::proxy::TrustedProxies;
use parking_lot::RwLock;

use crate::client::{Ask, Key, REGION};

/// The one proxy that the node trusts. Everybody else comes from 127.0.0.1.
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

/// The running system, and who its people are.
pub(crate) struct Rig {
    pub(crate) addr: SocketAddr,
    /// Of the tenant `root`, everything allowed.
    pub(crate) owner: Key,
    /// Of another tenant, everything allowed there.
    pub(crate) stranger: Key,
    /// Held for reading by every request, for writing by who counts what the server does.
    pub(crate) quiet: RwLock<()>,
    tokio: tokio::runtime::Runtime,
    running: Running,
    _node: Arc<Node>,
    _cores: Cores,
    /// Held open: when this process ends, its shell reads the end of input and stops PostgreSQL.
    _postgres: Child,
}

pub(crate) fn rig() -> &'static Rig {
    static RIG: OnceLock<Rig> = OnceLock::new();
    RIG.get_or_init(start)
}

impl Rig {
    /// A new bucket of the owner, with everything shut as S3 makes it.
    pub(crate) fn bucket(&self, word: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{word}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Ask::put(&format!("/{name}")).by(&self.owner).send().is(200, "");
        name
    }

    /// A connection of the trusted proxy's.
    pub(crate) fn by_proxy(&self) -> TcpStream {
        self.tokio.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind((PROXY, 0).into()).expect("all of 127.0.0.0/8 is this machine");
            let stream = socket.connect(self.addr).await.expect("the server listens");
            let stream = stream.into_std().expect("a socket");
            stream.set_nonblocking(false).expect("a socket");
            stream
        })
    }

    /// A new bucket without a public access block, that takes ACLs: what its owner opens is open.
    pub(crate) fn open_bucket(&self, word: &str) -> String {
        let name = self.bucket(word);
        Ask::delete(&format!("/{name}?publicAccessBlock")).by(&self.owner).send().is(204, "");
        let rules = "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>";
        Ask::put(&format!("/{name}?ownershipControls")).document(rules).by(&self.owner).send().is(200, "");
        name
    }

    /// A key of the owner's tenant for these buckets alone.
    pub(crate) fn scoped_key(&self, buckets: &[&str], permissions: &[Permission]) -> Key {
        let new = NewKey {
            name: "scoped".into(),
            tenant: None,
            buckets: Some(buckets.iter().map(|name| (*name).to_owned()).collect()),
            permissions: permissions.to_vec(),
        };
        self.tokio.block_on(make_key(&self.running.authority, new))
    }

    pub(crate) fn revoke(&self, key: &Key) {
        self.tokio.block_on(self.running.authority.revoke_key(&key.id)).expect("revoked");
    }

    /// Everything that a bucket is and holds, as its owner sees it. Refusals count, without their request's id.
    pub(crate) fn all_of(&self, bucket: &str) -> String {
        let questions = [
            "versions",
            "uploads",
            "policy",
            "acl",
            "cors",
            "publicAccessBlock",
            "ownershipControls",
            "tagging",
            "versioning",
        ];
        questions.map(|question| self.answer_of(&format!("/{bucket}?{question}"))).join("\n")
    }

    fn answer_of(&self, target: &str) -> String {
        let text = Ask::get(target).by(&self.owner).send().text();
        let cut = text.find("<RequestId>").unwrap_or(text.len());
        text[..cut].to_owned()
    }
}

async fn make_key(authority: &Authority, new: NewKey) -> Key {
    let made = authority.create_key(new).await.expect("a key");
    let secret = String::from_utf8(made.secret_access_key.expose().to_vec()).expect("text");
    Key { id: made.key.access_key_id, secret }
}

fn start() -> Rig {
    if let Ok(filter) = std::env::var("HOLDFAST_LOG") {
        let _ = tracing_subscriber::fmt().with_env_filter(filter).try_init();
    }
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    let (postgres, database) = postgres();
    let running = tokio.block_on(authority(&database));
    let cluster = tokio.block_on(running.authority.status()).expect("a status").cluster_id;
    let (node, cores) = node(running.grpc_addr, &cluster);
    let until = Instant::now() + Duration::from_secs(60);
    while let Err(why) = node.ready() {
        assert!(Instant::now() < until, "the node is not ready: {why}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (owner, stranger) = tokio.block_on(async {
        let authority = &running.authority;
        authority.create_tenant("stranger").await.expect("a tenant");
        let of = |tenant: Option<&str>| NewKey {
            name: "all".into(),
            tenant: tenant.map(str::to_owned),
            ..NewKey::default()
        };
        (make_key(authority, of(None)).await, make_key(authority, of(Some("stranger"))).await)
    });
    let addr = cores.addr();
    let quiet = RwLock::default();
    Rig { addr, owner, stranger, quiet, tokio, running, _node: node, _cores: cores, _postgres: postgres }
}

/// PostgreSQL's programs, run by the unprivileged user that they insist on.
fn postgres() -> (Child, String) {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed (apt-get install postgresql)");
    let bins = versions.flatten().map(|entry| entry.path().join("bin"));
    let bin: PathBuf = bins.filter(|bin| bin.join("initdb").exists()).max().expect("an initdb");
    let directory =
        tempfile::Builder::new().prefix("hf-holes-").tempdir_in("/tmp").expect("a directory").keep();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).expect("permissions");
    let directory = directory.display().to_string();
    let script = format!(
        "set -e; cd {directory}; PATH={bin}:$PATH
         initdb -D data -U holdfast -A trust --no-sync -E UTF8 --locale=C >log 2>&1
         postgres -D data -k {directory} -c listen_addresses= >>log 2>&1 & P=$!
         cat >/dev/null; kill -QUIT $P; wait $P || true; rm -rf data log",
        bin = bin.display()
    );
    let root = std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let mut shell = Command::new(if root { "runuser" } else { "sh" });
    if root {
        shell.args(["-u", "postgres", "--", "sh"]);
    }
    let shell = shell.args(["-c", &script]).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null());
    (shell.spawn().expect("a shell"), format!("host={directory} user=holdfast dbname=postgres"))
}

/// Starts as soon as PostgreSQL answers.
async fn authority(database: &str) -> Running {
    let settings = Settings {
        database: Database {
            url: Secret::from(database.to_owned()),
            tls: DatabaseTls::Auto,
            ca_file: None,
            connections_max: 12,
        },
        master_key: Secret::new(vec![42; 32]),
        grpc_listen: "127.0.0.1:0".parse().expect("an address"),
        grpc_tls: None,
        regions: vec![REGION.into()],
        holder: String::new(),
        lengths: Lengths { lease_ms: 5000, access_ms: 5000 },
        delete_delay_ms: 60_000,
        dev: true,
    };
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match server::start(settings.clone()).await {
            Ok(running) => return running,
            Err(error) if Instant::now() > until => panic!("the authority does not start: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn node(control: SocketAddr, cluster: &str) -> (Arc<Node>, Cores) {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("holes");
    let _ = std::fs::remove_dir_all(&home);
    let drives: Vec<PathBuf> = (0..4).map(|number| home.join(format!("d{number}"))).collect();
    for drive in &drives {
        std::fs::create_dir_all(drive).expect("a directory");
    }
    let config = Config {
        control_url: vec![format!("http://{control}")],
        data_dir: home.join("node"),
        drives,
        region: REGION.into(),
        cluster_id: Some(cluster.parse().expect("a UUID")),
        ..Config::default()
    };
    let node = Node::open(&config).expect("the node opens");
    let cores = match probe() {
        Uring::Available { .. } => serve::<UringRt>(&node),
        Uring::Forbidden { .. } => serve::<EpollRt>(&node),
    };
    (node, cores)
}

fn serve<R: Rt>(node: &Arc<Node>) -> Cores {
    let trusted = TrustedProxies::parse(&[PROXY.to_string()]).expect("an address");
    let config = CoresConfig {
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        cpus: vec![None],
        tls: None,
        host_id: node.host_id(),
        connections_max_per_core: 1000,
        proxies: Arc::new(Proxies { trusted, header_required: false }),
    };
    cores::start::<R, _>(config, &NodeSetup::<R>::new(Arc::clone(node))).expect("the cores start")
}
