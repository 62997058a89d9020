//! A node as the authority sees one: three streams, with acknowledgements on or held back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::node_client::NodeClient;
use holdfast_common::wire::{
    self, mutation::Op, mutation_result::Outcome, query::Query as Ask, session_down, session_up, work_answer,
    work_request,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use uuid::Uuid;

type Replies<K, V> = Arc<Mutex<HashMap<K, oneshot::Sender<V>>>>;

pub(crate) struct Node {
    pub(crate) welcome: wire::Welcome,
    /// Everything after the welcome, in order.
    pub(crate) heard: Arc<Mutex<Vec<wire::SessionDown>>>,
    pub(crate) acknowledging: Arc<AtomicBool>,
    pub(crate) renewing: Arc<AtomicBool>,
    up: mpsc::UnboundedSender<wire::SessionUp>,
    commits: mpsc::UnboundedSender<wire::CommitUp>,
    queries: mpsc::UnboundedSender<wire::QueryUp>,
    results: Replies<Bytes, wire::MutationResult>,
    answers: Replies<u64, wire::Answer>,
    next_query: AtomicU64,
    pub(crate) client: NodeClient<tonic::transport::Channel>,
}

pub(crate) fn hello() -> wire::Hello {
    wire::Hello {
        protocol_version: wire::PROTOCOL_VERSION,
        node_id: Uuid::from_bytes(random()).to_string(),
        node_name: "test".into(),
        ..Default::default()
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("random bytes");
    bytes
}

pub(crate) fn now_ms() -> u64 {
    u64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis()).expect("fits")
}

/// An op id of the first node that a database ever saw.
pub(crate) fn op() -> OpId {
    OpId::of_node(now_ms(), random(), 1)
}

impl Node {
    pub(crate) async fn join(addr: std::net::SocketAddr) -> Self {
        Self::join_as(addr, hello()).await.expect("a welcome")
    }

    pub(crate) async fn join_as(
        addr: std::net::SocketAddr,
        hello: wire::Hello,
    ) -> Result<Self, wire::Goodbye> {
        let client = NodeClient::connect(format!("http://{addr}")).await.expect("a connection");
        Self::join_by(client, hello).await.expect("a session")
    }

    /// Over a connection of the caller's making.
    pub(crate) async fn join_by(
        mut client: NodeClient<tonic::transport::Channel>,
        hello: wire::Hello,
    ) -> Result<Result<Self, wire::Goodbye>, tonic::Status> {
        let (up, stream) = mpsc::unbounded_channel();
        up.send(wire::SessionUp { message: Some(session_up::Message::Hello(hello)) }).expect("queued");
        let mut down = client.session(UnboundedReceiverStream::new(stream)).await?.into_inner();
        let welcome = match down.message().await.expect("a message").and_then(|down| down.message) {
            Some(session_down::Message::Welcome(welcome)) => welcome,
            Some(session_down::Message::Goodbye(bye)) => return Ok(Err(bye)),
            other => panic!("neither welcome nor goodbye: {other:?}"),
        };
        let (commits, stream) = mpsc::unbounded_channel();
        let mut results_in =
            client.commit(UnboundedReceiverStream::new(stream)).await.expect("a commit stream").into_inner();
        let (queries, stream) = mpsc::unbounded_channel();
        let mut answers_in =
            client.query(UnboundedReceiverStream::new(stream)).await.expect("a query stream").into_inner();
        let node = Self {
            welcome,
            heard: Arc::default(),
            acknowledging: Arc::new(AtomicBool::new(true)),
            renewing: Arc::new(AtomicBool::new(true)),
            up,
            commits,
            queries,
            results: Arc::default(),
            answers: Arc::default(),
            next_query: AtomicU64::new(1),
            client,
        };
        let results = node.results.clone();
        tokio::spawn(async move {
            while let Ok(Some(down)) = results_in.message().await {
                for result in down.results {
                    if let Some(reply) = results.lock().remove(&result.op_id) {
                        let _ = reply.send(result);
                    }
                }
            }
        });
        let answers = node.answers.clone();
        tokio::spawn(async move {
            while let Ok(Some(down)) = answers_in.message().await {
                for answer in down.items {
                    if let Some(reply) = answers.lock().remove(&answer.query_id) {
                        let _ = reply.send(answer);
                    }
                }
            }
        });
        node.listen(down);
        node.renew();
        node.until(|down| matches!(down.message, Some(session_down::Message::Lease(_)))).await;
        Ok(Ok(node))
    }

    /// Says hello until there is a welcome: the leader begins another epoch first, or there is none yet.
    pub(crate) async fn join_at_last(addr: std::net::SocketAddr, hello: wire::Hello) -> Self {
        for _ in 0..300 {
            match Self::join_as(addr, hello.clone()).await {
                Ok(node) => return node,
                Err(bye) => assert!(!bye.permanent, "{bye:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no welcome");
    }

    fn listen(&self, mut down: tonic::Streaming<wire::SessionDown>) {
        let (heard, up, acknowledging) = (self.heard.clone(), self.up.clone(), self.acknowledging.clone());
        tokio::spawn(async move {
            while let Ok(Some(message)) = down.message().await {
                if message.ordinal > 0 && acknowledging.load(Ordering::SeqCst) {
                    let ack = wire::Ack { ordinal: message.ordinal };
                    let _ = up.send(wire::SessionUp { message: Some(session_up::Message::Ack(ack)) });
                }
                heard.lock().push(message);
            }
        });
    }

    fn renew(&self) {
        let (up, renewing) = (self.up.clone(), self.renewing.clone());
        tokio::spawn(async move {
            for nonce in 1.. {
                if renewing.load(Ordering::SeqCst) {
                    let renew = wire::Renew { nonce };
                    if up.send(wire::SessionUp { message: Some(session_up::Message::Renew(renew)) }).is_err()
                    {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// Acknowledges everything heard so far.
    pub(crate) fn acknowledge(&self) {
        let ordinal = self.heard.lock().iter().map(|down| down.ordinal).max().unwrap_or(0);
        let _ =
            self.up.send(wire::SessionUp { message: Some(session_up::Message::Ack(wire::Ack { ordinal })) });
    }

    pub(crate) async fn interest(&self, bucket: u64) {
        let change = wire::Interest { add: vec![bucket], remove: vec![] };
        self.up
            .send(wire::SessionUp { message: Some(session_up::Message::Interest(change)) })
            .expect("queued");
        self.until(|down| {
            matches!(&down.message, Some(session_down::Message::Interest(granted)) if granted.buckets.contains(&bucket))
        })
        .await;
    }

    /// Waits for a message.
    pub(crate) async fn until(
        &self,
        mut wanted: impl FnMut(&wire::SessionDown) -> bool,
    ) -> wire::SessionDown {
        for _ in 0..2000 {
            if let Some(found) = self.heard.lock().iter().find(|down| wanted(down)) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the message did not come; heard {:?}", self.heard.lock());
    }

    pub(crate) async fn until_invalidated(&self, key: &str) {
        let key = key.as_bytes().to_vec();
        self.until(|down| {
            matches!(&down.message, Some(session_down::Message::Invalidate(all))
                if all.keys.iter().any(|one| one.key == key))
        })
        .await;
    }

    pub(crate) fn send(&self, items: Vec<wire::Mutation>) -> Vec<oneshot::Receiver<wire::MutationResult>> {
        let mut waits = Vec::new();
        for item in &items {
            let (reply, wait) = oneshot::channel();
            self.results.lock().insert(item.op_id.clone(), reply);
            waits.push(wait);
        }
        let session_id = self.welcome.session_id.clone();
        self.commits.send(wire::CommitUp { session_id, items }).expect("queued");
        waits
    }

    pub(crate) async fn result(&self, mutation: wire::Mutation) -> wire::MutationResult {
        let wait = self.send(vec![mutation]).remove(0);
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .expect("an answer in time")
            .expect("an answer")
    }

    /// Commits, or the refusal.
    pub(crate) async fn commit(&self, mutation: wire::Mutation) -> Result<wire::Committed, wire::Refusal> {
        outcome(self.result(mutation).await)
    }

    pub(crate) fn ask(&self, query: Ask) -> oneshot::Receiver<wire::Answer> {
        let query_id = self.next_query.fetch_add(1, Ordering::SeqCst);
        let (reply, wait) = oneshot::channel();
        self.answers.lock().insert(query_id, reply);
        let items = vec![wire::Query { query_id, query: Some(query) }];
        self.queries
            .send(wire::QueryUp { session_id: self.welcome.session_id.clone(), items })
            .expect("queued");
        wait
    }

    pub(crate) async fn query(&self, query: Ask) -> wire::answer::Answer {
        let answer = tokio::time::timeout(Duration::from_secs(20), self.ask(query)).await;
        answer.expect("an answer in time").expect("an answer").answer.expect("a body")
    }

    pub(crate) async fn lookup(&self, bucket: u64, key: &str) -> Option<wire::ObjectRecord> {
        match self.query(lookup(bucket, key)).await {
            wire::answer::Answer::Lookup(found) => found.record,
            other => panic!("not a lookup's answer: {other:?}"),
        }
    }

    pub(crate) async fn lookup_version(
        &self,
        bucket: u64,
        key: &str,
        version_id: &str,
    ) -> Option<wire::ObjectRecord> {
        let (key, version_id) = (Bytes::copy_from_slice(key.as_bytes()), version_id.to_owned());
        let lookup = wire::LookupQuery { bucket_id: bucket, key, version_id, by_version: true };
        match self.query(Ask::Lookup(lookup)).await {
            wire::answer::Answer::Lookup(found) => found.record,
            other => panic!("not a lookup's answer: {other:?}"),
        }
    }

    pub(crate) async fn versions(&self, query: wire::ListVersionsQuery) -> wire::ListVersionsAnswer {
        match self.query(Ask::ListVersions(query)).await {
            wire::answer::Answer::ListVersions(page) => page,
            other => panic!("not a listing of versions: {other:?}"),
        }
    }

    /// 1 enabled, 2 suspended.
    pub(crate) async fn versioning(&self, bucket: u64, state: u32) {
        let change = wire::configure_bucket::Change::Versioning(state);
        self.commit(configure(bucket, change)).await.expect("configured");
    }

    /// Says what its drives are like now.
    pub(crate) fn say_drives(&self, drives: Vec<wire::Drive>) {
        let report = session_up::Message::Drives(wire::DrivesReport { drives });
        self.up.send(wire::SessionUp { message: Some(report) }).expect("queued");
    }

    /// Says what it may still commit: nothing below `oldest`.
    pub(crate) fn say_open(&self, oldest: OpId) {
        let open = session_up::Message::OpenOps(wire::OpenOps { oldest: oldest.to_wire(), count: 0 });
        self.up.send(wire::SessionUp { message: Some(open) }).expect("queued");
    }

    /// An op id as this node makes it.
    pub(crate) fn op_at(&self, ms: u64) -> OpId {
        OpId::of_node(ms, random(), self.welcome.node_number.try_into().expect("a number"))
    }

    /// Asks for or about background work.
    pub(crate) async fn work(&self, what: work_request::What) -> work_answer::What {
        let session_id = self.welcome.session_id.clone();
        let request = wire::WorkRequest { session_id, what: Some(what) };
        let answer = self.client.clone().work(request).await.expect("an answer").into_inner();
        answer.what.expect("an answer about something")
    }

    /// The id of an ordered list of backends.
    pub(crate) async fn placement(&self, backends: Vec<u32>) -> u32 {
        match self.query(Ask::Placement(wire::PlacementQuery { backends })).await {
            wire::answer::Answer::Placement(placement) => placement.placement_id,
            other => panic!("not a placement: {other:?}"),
        }
    }

    pub(crate) async fn bucket(&self, name: &str) -> u64 {
        let create = Op::CreateBucket(wire::CreateBucket {
            name: name.into(),
            region: "us-east-1".into(),
            ..Default::default()
        });
        self.commit(mutation(0, "", create)).await.expect("a bucket").bucket_id
    }

    pub(crate) async fn put(
        &self,
        bucket: u64,
        key: &str,
        etag: &str,
    ) -> Result<wire::Committed, wire::Refusal> {
        self.commit(put(bucket, key, etag)).await
    }
}

pub(crate) fn outcome(result: wire::MutationResult) -> Result<wire::Committed, wire::Refusal> {
    match result.outcome.expect("an outcome") {
        Outcome::Committed(committed) => {
            assert!(result.seq > 0);
            Ok(committed)
        }
        Outcome::Refused(refused) => Err(refused.reason()),
    }
}

pub(crate) fn lookup(bucket: u64, key: &str) -> Ask {
    Ask::Lookup(wire::LookupQuery {
        bucket_id: bucket,
        key: Bytes::copy_from_slice(key.as_bytes()),
        ..Default::default()
    })
}

pub(crate) fn mutation(bucket: u64, key: &str, op_: Op) -> wire::Mutation {
    wire::Mutation {
        op_id: op().to_wire(),
        bucket_id: bucket,
        key: Bytes::copy_from_slice(key.as_bytes()),
        tenant_id: 1,
        op: Some(op_),
        ..Default::default()
    }
}

pub(crate) fn blob(op_id: &Bytes, size: u64) -> wire::Blob {
    wire::Blob {
        op_id: op_id.clone(),
        size,
        coding: Some(wire::Coding { scheme: 2, data: 2, parity: 2, piece_bytes: 262_144 }),
        placement_id: 1,
        proven: 0b1111,
        ..Default::default()
    }
}

pub(crate) fn put(bucket: u64, key: &str, etag: &str) -> wire::Mutation {
    put_as(op(), bucket, key, etag)
}

/// The same under a given op id.
pub(crate) fn put_as(op_id: OpId, bucket: u64, key: &str, etag: &str) -> wire::Mutation {
    let op_id = op_id.to_wire();
    let part =
        wire::Part { blob: Some(blob(&op_id, 100)), md5: Bytes::from_static(&[1; 16]), ..Default::default() };
    let put = wire::PutObject {
        size: 100,
        etag: etag.into(),
        manifest: Some(wire::Manifest { parts: vec![part], ..Default::default() }),
        meta: Some(wire::ObjectMeta { content_type: "text/plain".into(), ..Default::default() }),
        ..Default::default()
    };
    wire::Mutation { op_id, ..mutation(bucket, key, Op::Put(put)) }
}

pub(crate) fn put_when(bucket: u64, key: &str, etag: &str, when: wire::Precondition) -> wire::Mutation {
    let mut mutation = put(bucket, key, etag);
    if let Some(Op::Put(put)) = &mut mutation.op {
        put.when = Some(when);
    }
    mutation
}

pub(crate) fn delete(bucket: u64, key: &str) -> wire::Mutation {
    mutation(bucket, key, Op::Delete(wire::DeleteObject::default()))
}

pub(crate) fn delete_version(bucket: u64, key: &str, version_id: &str) -> wire::Mutation {
    let delete = wire::DeleteObject { version_id: version_id.into(), ..Default::default() };
    mutation(bucket, key, Op::Delete(delete))
}

pub(crate) fn configure(bucket: u64, change: wire::configure_bucket::Change) -> wire::Mutation {
    mutation(bucket, "", Op::ConfigureBucket(wire::ConfigureBucket { change: Some(change) }))
}
