//! The session stream: hello, leases, ordered invalidations and configuration, and the loop that reconnects.
//!
//! Lease time is counted on this node's own boot-time clock from the moment a renewal was *sent*, so a slow network can
//! only shorten it. Every ordered message is applied (slots raised, view changed) before it is acknowledged.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::recovery::ManifestKey;
use holdfast_common::ticket::TicketKey;
use holdfast_common::wire::{self, node_client::NodeClient, session_down, session_up};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use super::LinkConfig;
use super::outside::Outside;
use super::state::NodeState;
use super::streams::{CommitQueue, QueryQueue};
use super::turns::Turns;
use super::work::WorkQueue;
use crate::cache::Recovered;
use crate::enrol::join::chain_of;
use crate::limits;

pub(crate) struct Queues {
    pub(crate) commits: CommitQueue,
    pub(crate) queries: QueryQueue,
    pub(crate) interest: mpsc::UnboundedReceiver<u64>,
    pub(crate) work: WorkQueue,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{}", chain_of(.0))]
    Refused(Box<tonic::Status>),
    /// The connection of a session that was up.
    #[error("the connection broke: {}", chain_of(.0))]
    Broken(Box<tonic::Status>),
    #[error("the connection broke")]
    Closed,
    #[error("cannot connect: {}", chain_of(.0))]
    Connect(tonic::transport::Error),
    #[error("the control plane said goodbye: {}", .0.reason)]
    Goodbye(wire::Goodbye),
    #[error("the control plane broke the protocol: {0}")]
    Protocol(&'static str),
    #[error("it wants a certificate and this node has none; get one with `holdfast-dataplane join`")]
    NoCertificate,
    #[error("this node belongs to cluster {mine} and the control plane to {theirs}")]
    OtherCluster { mine: uuid::Uuid, theirs: uuid::Uuid },
}

impl From<tonic::Status> for Ended {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl Ended {
    /// Of a stream that was open: what the other side says itself has no cause within this process.
    fn of_stream(status: tonic::Status) -> Self {
        let broken = std::error::Error::source(&status).is_some();
        if broken { Self::Broken(Box::new(status)) } else { Self::from(status) }
    }
}

/// Keeps a session for ever: one control plane after the other, with jittered pauses between failures.
pub(crate) async fn run(
    config: LinkConfig,
    state: Arc<NodeState>,
    mut queues: Queues,
    outside: Arc<dyn Outside>,
) {
    let mut interest: BTreeSet<u64> = state.cache.recovered().interest.iter().copied().collect();
    let mut failures = 0u32;
    let mut turns = Turns::new(config.control.clone());
    loop {
        let url = turns.next(tokio::time::Instant::now());
        let began = tokio::time::Instant::now();
        let ended = one_session(&url, &config, &state, &mut queues, &mut interest, &outside).await;
        state.change(|view| view.ready = false);
        if began.elapsed() > limits::LINK_STEADY {
            failures = 0;
        }
        let mut pause = pause(failures, &*outside);
        match &ended {
            Ended::Goodbye(bye) => {
                turns.turned_away(&bye.leader);
                if bye.permanent {
                    tracing::error!(%url, reason = %ended, "this node may not come back; it serves no more writes");
                    pause = limits::LINK_PAUSE_PERMANENT;
                }
            }
            Ended::Broken(_) | Ended::Closed => turns.broke_off(&url, tokio::time::Instant::now()),
            _ => turns.failed(&url, tokio::time::Instant::now()),
        }
        failures = (failures + 1).min(8);
        tracing::warn!(%url, reason = %ended, pause_ms = pause.as_millis(), "the control link is down");
        tokio::select! {
            biased;
            () = tokio::time::sleep(pause) => {}
            never = absorb(&mut queues) => match never {},
        }
    }
}

/// While there is no connection requests wait, and expire.
async fn absorb(queues: &mut Queues) -> std::convert::Infallible {
    loop {
        queues.commits.absorb();
        queues.queries.absorb();
        queues.work.refuse();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// 50 ms doubled per failure up to `LINK_PAUSE_MAX`, and half of it random so that nodes do not come back in step.
fn pause(failures: u32, outside: &dyn Outside) -> Duration {
    let whole = Duration::from_millis(50 << failures.min(5)).min(limits::LINK_PAUSE_MAX);
    let mut random = [0u8; 1];
    outside.random(&mut random);
    whole / 2 + whole.mul_f64(f64::from(random[0]) / 512.0)
}

async fn connect(
    url: &str,
    config: &LinkConfig,
    outside: &dyn Outside,
) -> Result<NodeClient<Channel>, Ended> {
    let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(Ended::Connect)?;
    if url.starts_with("https://") {
        let identity = config.identity.as_ref().ok_or(Ended::NoCertificate)?.get();
        endpoint = identity.secure(endpoint).map_err(Ended::Connect)?;
    }
    let endpoint = endpoint
        .connect_timeout(limits::LINK_CONNECT_DEADLINE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(limits::LINK_KEEPALIVE)
        .keep_alive_timeout(limits::LINK_KEEPALIVE)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    let channel = outside.connect(endpoint).await.map_err(Ended::Connect)?;
    Ok(NodeClient::new(channel)
        .max_decoding_message_size(wire::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(wire::MESSAGE_BYTES_MAX))
}

async fn one_session(
    url: &str,
    config: &LinkConfig,
    state: &Arc<NodeState>,
    queues: &mut Queues,
    interest: &mut BTreeSet<u64>,
    outside: &Arc<dyn Outside>,
) -> Ended {
    let opening = async {
        let opened = open_session(url, config, state, interest, outside).await?;
        let clients = tokio::try_join!(connect(url, config, &**outside), connect(url, config, &**outside))?;
        Ok::<_, Ended>((opened, clients))
    };
    let opened = tokio::select! {
        biased;
        opened = tokio::time::timeout(limits::LINK_OPEN_DEADLINE, opening) => opened,
        never = absorb(queues) => match never {},
    };
    let ((mut session, session_id), (commit_client, query_client)) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(ended)) => return ended,
        Err(_) => return Ended::Protocol("no session in time"),
    };
    tracing::info!(%url, epoch = state.view().epoch, "the control link is up");
    tokio::select! {
        biased;
        ended = session.run(&mut queues.interest, interest, &*config.drives) => ended,
        ended = queues.commits.run(commit_client, session_id.clone(), state) => stream_end(ended),
        ended = queues.queries.run(query_client.clone(), session_id.clone()) => stream_end(ended),
        () = queues.work.run(query_client, session_id.clone()) => Ended::Protocol("all cores have stopped"),
    }
}

fn stream_end(ended: Result<(), tonic::Status>) -> Ended {
    match ended {
        Ok(()) => Ended::Protocol("all cores have stopped"),
        Err(status) => Ended::of_stream(status),
    }
}

struct Session {
    state: Arc<NodeState>,
    outside: Arc<dyn Outside>,
    up: mpsc::Sender<wire::SessionUp>,
    down: tonic::Streaming<wire::SessionDown>,
    lease_ms: u64,
    /// Boot-time moment at which each renewal without an answer was sent.
    renewals: HashMap<u64, u64>,
    nonce: u64,
    watermark: u64,
}

/// Hello and Welcome. The leases end before the hello is sent: from then on the authority may forget the old session. Who
/// says that nothing has come of the hello has not, and they go on; without an answer nobody knows.
async fn open_session(
    url: &str,
    config: &LinkConfig,
    state: &Arc<NodeState>,
    interest: &BTreeSet<u64>,
    outside: &Arc<dyn Outside>,
) -> Result<(Session, Bytes), Ended> {
    let mut client = connect(url, config, &**outside).await?;
    let mut leases = None;
    if !crate::mutant!("lease-kept-across-sessions") {
        leases = Some(state.leases_drop(outside.boottime_ms()));
    }
    let (up, stream) = mpsc::channel(limits::LINK_MESSAGES_IN_FLIGHT);
    let known_cluster = state.view().cluster_id;
    let hello = wire::Hello {
        protocol_version: wire::PROTOCOL_VERSION,
        node_id: config.node_id.clone(),
        node_name: config.node_name.clone(),
        cluster_id: if known_cluster == [0; 16] {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(&known_cluster)
        },
        applied_watermark: state.applied(),
        acknowledged_seq_max: state.acknowledged(),
        drives: (config.drives)(),
        region: config.region.clone(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        interest: interest.iter().copied().collect(),
        peer_addr: config.peer_addr.clone(),
    };
    let hello = wire::SessionUp { message: Some(session_up::Message::Hello(hello)) };
    up.try_send(hello).map_err(|_| Ended::Protocol("the session stream is closed"))?;
    let mut down = client.session(ReceiverStream::new(stream)).await?.into_inner();
    let first = tokio::time::timeout(limits::LINK_CONNECT_DEADLINE, down.message())
        .await
        .map_err(|_| Ended::Protocol("no welcome in time"))??;
    let welcome = match first.and_then(|down| down.message) {
        Some(session_down::Message::Welcome(welcome)) => welcome,
        Some(session_down::Message::Goodbye(bye)) => {
            if let Some(leases) = leases.filter(|_| bye.lease_untouched) {
                state.leases_take_back(leases);
            }
            return Err(Ended::Goodbye(bye));
        }
        _ => return Err(Ended::Protocol("the first message was no welcome")),
    };
    let session_id = welcome.session_id.clone();
    let node_id = uuid::Uuid::try_parse(&config.node_id).unwrap_or_default();
    let session = welcomed(welcome, (known_cluster, node_id), state, interest, up, down, outside)?;
    Ok((session, session_id))
}

fn welcomed(
    welcome: wire::Welcome,
    (known_cluster, node_id): ([u8; 16], uuid::Uuid),
    state: &Arc<NodeState>,
    interest: &BTreeSet<u64>,
    up: mpsc::Sender<wire::SessionUp>,
    down: tonic::Streaming<wire::SessionDown>,
    outside: &Arc<dyn Outside>,
) -> Result<Session, Ended> {
    let cluster_id: [u8; 16] =
        welcome.cluster_id.as_ref().try_into().map_err(|_| Ended::Protocol("a cluster id of 16 bytes"))?;
    if known_cluster != [0; 16] && known_cluster != cluster_id {
        let (mine, theirs) = (uuid::Uuid::from_bytes(known_cluster), uuid::Uuid::from_bytes(cluster_id));
        return Err(Ended::OtherCluster { mine, theirs });
    }
    if welcome.history_lost {
        tracing::error!(
            "HISTORY LOST: this node acknowledged commits that the control plane's database does not have"
        );
    }
    if welcome.cache_reset {
        state.floor_raise(welcome.watermark);
        state.applied_raise(welcome.watermark);
        state.cache.clear(Recovered {
            applied: welcome.watermark,
            acknowledged: state.acknowledged(),
            interest: interest.iter().copied().collect(),
        });
    }
    // Before anybody can make an op id under this session.
    if let Some(settled) = OpId::from_wire(&welcome.settled_to) {
        state.ops.settled(settled);
    }
    let node_number =
        u16::try_from(welcome.node_number).map_err(|_| Ended::Protocol("a node's number of 16 bits"))?;
    let ticket_key = TicketKey::new(&welcome.ticket_key);
    let config = welcome.config.unwrap_or_default();
    let manifest_key = ManifestKey::new(node_id, &welcome.manifest_key).map(Arc::new);
    state.change(|view| {
        view.reset(config);
        view.cluster_id = cluster_id;
        view.epoch = welcome.epoch;
        view.history_lost = welcome.history_lost;
        view.node_number = node_number;
        view.ticket_key = ticket_key;
        view.clock = (welcome.now_ms, outside.boottime_ms());
        view.manifest_key = manifest_key;
        view.interest = Arc::new(interest.iter().map(|bucket| (*bucket, 0)).collect());
        view.ready = true;
    });
    Ok(Session {
        state: state.clone(),
        outside: outside.clone(),
        up,
        down,
        lease_ms: welcome.lease_ms.max(limits::LEASE_MS_MIN),
        renewals: HashMap::new(),
        nonce: 0,
        watermark: welcome.watermark,
    })
}

impl Session {
    async fn run(
        &mut self,
        wanted: &mut mpsc::UnboundedReceiver<u64>,
        interest: &mut BTreeSet<u64>,
        drives: &(dyn Fn() -> Vec<wire::Drive> + Send + Sync),
    ) -> Ended {
        let mut renew = tokio::time::interval(Duration::from_millis(self.lease_ms / 3));
        let mut report = tokio::time::interval(limits::LINK_REPORT_TICK);
        // Renewals are answered at once. One that leads without being heard, or is paused, is left when the lease has run out.
        let patience = Duration::from_millis(self.lease_ms + self.lease_ms / 3);
        let silence = tokio::time::sleep(patience);
        tokio::pin!(silence);
        loop {
            let step = tokio::select! {
                biased;
                _ = renew.tick() => self.renew().await,
                _ = report.tick() => self.report(drives()).await,
                Some(bucket) = wanted.recv() => self.ask_interest(bucket, interest).await,
                down = self.down.message() => match down {
                    Ok(Some(down)) => {
                        silence.as_mut().reset(tokio::time::Instant::now() + patience);
                        self.handle(down, interest).await
                    }
                    Ok(None) => Err(Ended::Protocol("the session stream ended")),
                    Err(status) => Err(Ended::of_stream(status)),
                },
                // Last: an answer that lies there counts, however late it is looked at.
                () = &mut silence => Err(Ended::Protocol("renewals are not answered")),
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    async fn send(&self, message: session_up::Message) -> Result<(), Ended> {
        let up = wire::SessionUp { message: Some(message) };
        self.up.send(up).await.map_err(|_| Ended::Closed)
    }

    async fn renew(&mut self) -> Result<(), Ended> {
        self.nonce += 1;
        // A session that is late with changes of configuration is not renewed, however long it takes to catch up; those
        // renewals are never answered.
        if self.renewals.len() > 64 {
            self.renewals.retain(|nonce, _| *nonce + 64 > self.nonce);
        }
        self.renewals.insert(self.nonce, self.outside.boottime_ms());
        self.send(session_up::Message::Renew(wire::Renew { nonce: self.nonce })).await
    }

    /// The oldest open op for the reaper, and how the drives are for the operator.
    async fn report(&self, drives: Vec<wire::Drive>) -> Result<(), Ended> {
        self.send(session_up::Message::Drives(wire::DrivesReport { drives })).await?;
        let (oldest, count) = self.state.ops.oldest(self.outside.unix_ms());
        let open = wire::OpenOps { oldest: oldest.to_wire(), count: count as u64 };
        self.send(session_up::Message::OpenOps(open)).await
    }

    async fn ask_interest(&self, bucket: u64, interest: &mut BTreeSet<u64>) -> Result<(), Ended> {
        if interest.contains(&bucket) || interest.len() >= limits::CACHE_BUCKETS_MAX {
            return Ok(());
        }
        self.send(session_up::Message::Interest(wire::Interest { add: vec![bucket], remove: vec![] })).await
    }

    async fn handle(&mut self, down: wire::SessionDown, interest: &mut BTreeSet<u64>) -> Result<(), Ended> {
        match down.message {
            Some(session_down::Message::Lease(lease)) => self.leased(lease, interest),
            Some(session_down::Message::Invalidate(invalidate)) => self.invalidate(invalidate, interest),
            Some(session_down::Message::Config(change)) => {
                for bucket in &change.removed_buckets {
                    interest.remove(bucket);
                }
                self.state.change(|view| view.apply(change));
            }
            Some(session_down::Message::Interest(granted)) => {
                interest.extend(granted.buckets.iter().copied());
                self.state.change(|view| {
                    let since = granted.buckets.iter().map(|bucket| (*bucket, granted.watermark));
                    Arc::make_mut(&mut view.interest).extend(since);
                });
            }
            Some(session_down::Message::Goodbye(bye)) => {
                if !bye.lease_untouched {
                    self.state.leases_drop(self.outside.boottime_ms());
                }
                return Err(Ended::Goodbye(bye));
            }
            Some(session_down::Message::Welcome(_)) | None => {
                return Err(Ended::Protocol("a message out of place"));
            }
        }
        if down.ordinal > 0 {
            self.send(session_up::Message::Ack(wire::Ack { ordinal: down.ordinal })).await?;
        }
        Ok(())
    }

    fn leased(&mut self, lease: wire::LeaseGranted, interest: &BTreeSet<u64>) {
        let Some(mut sent_ms) = self.renewals.remove(&lease.nonce) else { return };
        if crate::mutant!("lease-from-the-answer") {
            sent_ms = self.outside.boottime_ms();
        }
        self.renewals.retain(|nonce, _| *nonce > lease.nonce);
        if lease.lease_ms > 0 {
            self.state.lease_extend(sent_ms + lease.lease_ms);
        }
        self.state.access_extend(sent_ms + lease.access_ms.unwrap_or(lease.lease_ms));
        // Everything invalidated up to this watermark stood before it in the stream.
        if lease.watermark > self.watermark {
            self.applied(lease.watermark, Vec::new(), interest);
        }
    }

    fn invalidate(&mut self, invalidate: wire::Invalidate, interest: &BTreeSet<u64>) {
        let mut keys = Vec::with_capacity(invalidate.keys.len());
        for key in invalidate.keys {
            if crate::mutant!("acknowledge-before-applying") {
                raise_later(&self.state, &key);
            } else {
                self.state.raise(key.bucket_id, &key.key, key.seq);
            }
            keys.push((key.bucket_id, key.key, key.seq));
        }
        self.applied(invalidate.watermark, keys, interest);
    }

    fn applied(&mut self, watermark: u64, keys: Vec<(u64, Bytes, u64)>, interest: &BTreeSet<u64>) {
        self.watermark = self.watermark.max(watermark);
        self.state.applied_raise(watermark);
        self.state.cache.evict(
            keys,
            watermark,
            Recovered {
                applied: self.state.applied(),
                acknowledged: self.state.acknowledged(),
                interest: interest.iter().copied().collect(),
            },
        );
    }
}

/// A bug on purpose: whoever looks meanwhile does not see it.
fn raise_later(state: &Arc<NodeState>, key: &wire::InvalidatedKey) {
    let (state, key) = (state.clone(), key.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        state.raise(key.bucket_id, &key.key, key.seq);
    });
}
