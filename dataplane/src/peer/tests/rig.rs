//! A CA, nodes with drives in memory, and an authority that gives tickets as a test wishes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::ready;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_common::certificate::{Role, Subject};
use holdfast_common::id::{BackendId, FragmentId, OpId};
use holdfast_common::ticket::{Ticket, TicketKey};
use holdfast_common::wire::{self, answer, query};
use holdfast_protocol::record::{PieceCoding, PieceScheme};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use uuid::Uuid;

use super::super::{Fleet, PeerIdentity, PeerServer, Peers, serve};
use crate::blob::fake::FakeDrives;
use crate::cache::CacheWriter;
use crate::drives::{DriveState, Piece};
use crate::enrol::{Files, Identity};
use crate::link::state::NodeState;
use crate::link::{Link, LinkError};
use crate::rt::{AlignedBuf, ListenConfig, Listener, Rt, Stop, boottime_ms};

pub(super) const CLUSTER: Uuid = Uuid::from_u128(0xc1);
/// What the authority's clock says when a test begins.
pub(super) const NOW_MS: u64 = 1_800_000_000_000;

/// Node 1, 2, ...: its id.
pub(super) fn node_id(n: u32) -> Uuid {
    Uuid::from_u128(0x1000 + u128::from(n))
}

/// Node 1 has backends 10 and 11, node 2 has 20 and 21, and so on.
pub(super) fn backend(node: u32, drive: u32) -> BackendId {
    BackendId(node * 10 + drive)
}

/// A blob made by a node.
pub(super) fn blob_of(node: u16, number: u8) -> OpId {
    OpId::of_node(NOW_MS - 60_000, [number; 10], node)
}

pub(super) fn fragment(blob: OpId, index: u8) -> FragmentId {
    FragmentId { blob, index, attempt: 1 }
}

pub(super) fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed) ^ (at >> 8) as u8).collect()
}

pub(super) fn piece(id: FragmentId, row: u32, payload: &[u8]) -> Piece {
    let coding = PieceCoding { scheme: PieceScheme::ReedSolomon, data: 4, parity: 2, piece_bytes: 262_144 };
    Piece {
        id,
        row,
        coding,
        class_id: 3,
        blob_size: 77,
        fields: Bytes::new(),
        payload: AlignedBuf::copy_of(payload).into(),
    }
}

pub(super) fn ticket_key(node: u32) -> TicketKey {
    TicketKey::new(&[node as u8; 32]).unwrap()
}

/// A certificate authority.
pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes a certificate that names `subject`, its key and this CA's certificate.
    pub(super) fn write(&self, dir: &Path, subject: Subject, last_year: i32) -> Files {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(subject.to_string().try_into().unwrap())];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let home = dir.join(format!("{}", Uuid::from_u128(u128::from(rand())).simple()));
        std::fs::create_dir_all(&home).unwrap();
        let files = Files {
            cert: home.join("node.pem"),
            key: home.join("node.key"),
            ca: home.join("ca.pem"),
            own: false,
        };
        std::fs::write(&files.cert, cert.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&files.ca, &self.pem).unwrap();
        files
    }
}

fn rand() -> u64 {
    let mut bytes = [0; 8];
    crate::rt::random(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// What makes a ticket wrong.
type Spoil = fn(&mut Ticket);

/// What the authority knows: the nodes, and how it gives tickets.
#[derive(Clone, Default)]
pub(super) struct Authority {
    asker: Uuid,
    pub(super) asked: Rc<RefCell<Vec<wire::TicketQuery>>>,
    /// Changes what a ticket says before it is sealed; none: as it should be.
    pub(super) spoil: Rc<RefCell<Option<Spoil>>>,
    /// A refusal instead.
    pub(super) refuses: Rc<RefCell<bool>>,
}

impl Authority {
    fn answer(&self, query: query::Query) -> Result<wire::Answer, LinkError> {
        let query::Query::Ticket(query) = query else { return Err(LinkError::Unavailable("tickets only")) };
        self.asked.borrow_mut().push(query.clone());
        let peer: Uuid = query.node_id.parse().unwrap();
        let expires_ms = NOW_MS + 3_600_000;
        let blobs = query.op_ids.iter().map(|op| OpId::from_wire(op).unwrap()).collect();
        let mut ticket = Ticket { peer, asker: self.asker, leave: query.leave(), expires_ms, blobs };
        if let Some(spoil) = self.spoil.borrow_mut().take() {
            spoil(&mut ticket);
        }
        let node = (peer.as_u128() - 0x1000) as u32;
        let answer = match *self.refuses.borrow() {
            true => answer::Answer::Refused(wire::Refused {
                detail: "not yours".to_owned(),
                ..Default::default()
            }),
            false => answer::Answer::Ticket(wire::Ticket {
                ticket: ticket.seal(&ticket_key(node)).into(),
                expires_ms,
            }),
        };
        Ok(wire::Answer { answer: Some(answer), ..Default::default() })
    }
}

impl Link for Authority {
    fn commit(
        &self,
        _: wire::Mutation,
    ) -> impl Future<Output = Result<wire::MutationResult, LinkError>> + 'static {
        ready(Err(LinkError::Unavailable("no commits here")))
    }

    fn query(&self, query: query::Query) -> impl Future<Output = Result<wire::Answer, LinkError>> + 'static {
        ready(self.answer(query))
    }

    fn work(
        &self,
        _: wire::work_request::What,
    ) -> impl Future<Output = Result<wire::work_answer::What, LinkError>> + 'static {
        ready(Err(LinkError::Unavailable("no work here")))
    }

    fn interest(&self, _: u64) {}
}

/// A node that runs.
pub(super) struct TestNode<R> {
    pub(super) n: u32,
    pub(super) addr: SocketAddr,
    pub(super) state: Arc<NodeState>,
    pub(super) drives: Rc<FakeDrives>,
    pub(super) authority: Authority,
    pub(super) fleet: Rc<Fleet<FakeDrives, Authority, R>>,
    pub(super) stop: Stop,
    pub(super) peers: Arc<Peers>,
}

/// Some nodes that know each other.
pub(super) struct Rig<R> {
    pub(super) dir: tempfile::TempDir,
    pub(super) ca: Ca,
    pub(super) nodes: Vec<TestNode<R>>,
    /// Addresses that are not those of `nodes`.
    addrs: HashMap<u32, SocketAddr>,
}

impl<R: Rt> Rig<R> {
    pub(super) fn new(nodes: u32) -> Self {
        Self::with_lease(nodes, true)
    }

    /// Nodes that have heard from the authority lately, or not.
    pub(super) fn with_lease(nodes: u32, led: bool) -> Self {
        let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new());
        let nodes = (1..=nodes).map(|n| start::<R>(n, &ca, dir.path())).collect();
        let rig = Self { dir, ca, nodes, addrs: HashMap::new() };
        for node in rig.nodes.iter().filter(|_| led) {
            node.state.lease_extend(boottime_ms() + 3_600_000);
        }
        rig.tell();
        rig
    }

    /// Node 1, 2, ...
    pub(super) fn node(&self, n: u32) -> &TestNode<R> {
        &self.nodes[n as usize - 1]
    }

    /// From now on the others look for a node there; one that does not run is made known.
    pub(super) fn move_node(&mut self, n: u32, addr: SocketAddr) {
        self.addrs.insert(n, addr);
        self.tell();
    }

    /// Node `n` answers at `addr` as well.
    pub(super) fn serve_at(&self, n: u32, addr: SocketAddr) {
        let node = self.node(n);
        let listener = R::listen(&ListenConfig { addr, backlog: 64 }).unwrap();
        let (peers, state, drives) = (node.peers.clone(), node.state.clone(), node.drives.clone());
        R::spawn(serve::<R, _>(PeerServer::new(peers, state, drives, node.stop.clone()), listener));
    }

    /// Gives every node the same view.
    fn tell(&self) {
        let mut addrs: HashMap<u32, SocketAddr> = self.nodes.iter().map(|node| (node.n, node.addr)).collect();
        addrs.extend(&self.addrs);
        let peers = addrs.iter().map(|(n, addr)| peer(*n, *addr, "active"));
        let peers: Vec<wire::Peer> = peers.collect();
        let backends = addrs.keys().flat_map(|n| {
            (0..2).map(move |drive| wire::Backend {
                backend_id: backend(*n, drive).0,
                node_id: node_id(*n).to_string(),
                kind: "drive".to_owned(),
                state: "active".to_owned(),
                ..Default::default()
            })
        });
        let snapshot = wire::ConfigSnapshot { peers, backends: backends.collect(), ..Default::default() };
        for node in &self.nodes {
            node.state.change(|view| {
                view.reset(snapshot.clone());
                view.node_number = node.n as u16;
                view.ticket_key = Some(ticket_key(node.n));
                view.clock = (NOW_MS, boottime_ms());
                view.ready = true;
            });
        }
    }

    /// What the authority says of node `n`, told to node `to`.
    pub(super) fn set_state(&self, to: u32, n: u32, state: &str) {
        let peer = peer(n, self.node(n).addr, state);
        let upsert = Some(wire::ConfigSnapshot { peers: vec![peer], ..Default::default() });
        self.node(to).state.change(|view| view.apply(wire::ConfigChange { upsert, ..Default::default() }));
    }

    /// Ends the servers and connections.
    pub(super) fn stop(&self) {
        for node in &self.nodes {
            node.fleet.close();
            node.stop.set();
        }
    }
}

fn peer(n: u32, addr: SocketAddr, state: &str) -> wire::Peer {
    wire::Peer {
        node_id: node_id(n).to_string(),
        node_name: format!("node-{n}"),
        addr: addr.to_string(),
        node_number: n,
        state: state.to_owned(),
        ..Default::default()
    }
}

fn start<R: Rt>(n: u32, ca: &Ca, dir: &Path) -> TestNode<R> {
    let files = ca.write(dir, Subject { cluster: CLUSTER, role: Role::Node(node_id(n)) }, 2100);
    let peers = Peers::new(PeerIdentity::new(&Identity::read(&files).unwrap()).unwrap());
    let state = Arc::new(NodeState::new(CacheWriter::nowhere(), *CLUSTER.as_bytes()));
    let drives = Rc::new(FakeDrives::default());
    (0..2).for_each(|drive| drives.set_state(backend(n, drive).0, Some(DriveState::Active)));
    let listener = R::listen(&ListenConfig { addr: ([127, 0, 0, 1], 0).into(), backlog: 64 }).unwrap();
    let (addr, stop) = (listener.local_addr().unwrap(), Stop::new());
    let server = PeerServer::new(Arc::clone(&peers), Arc::clone(&state), Rc::clone(&drives), stop.clone());
    R::spawn(serve::<R, _>(server, listener));
    let authority = Authority { asker: node_id(n), ..Authority::default() };
    let fleet = Fleet::new(Rc::clone(&drives), Arc::clone(&peers), Arc::clone(&state), authority.clone());
    TestNode { n, addr, state, drives, authority, fleet: Rc::new(fleet), stop, peers }
}
