//! A client of one node: does one thing after the other, and writes down what it saw.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use holdfast_common::wire::{self, Refusal};
use holdfast_dataplane::env::{Conditional, Core, MetadataError};
use holdfast_dataplane::link::LinkError;
use holdfast_protocol::access::{
    AbortUpload, BucketAsk, BucketFacts, BucketTarget, Considered, DeleteObject, GetObject, Grant, InBucket,
    Kept, ListObjects, ObjectAsk, ObjectTarget, PutObject, authorize_bucket, authorize_object,
};
use holdfast_protocol::digest;
use holdfast_protocol::name::{BucketName, ObjectKey};
use holdfast_protocol::operation::VersionSelector;
use holdfast_protocol::policy::Decision;
use holdfast_protocol::sigv4::Authenticated;

use super::database::BUCKET;
use super::node::Simulated;
use super::world::World;
use crate::history::{Line, Op, Outcome};
use crate::sim::rng::Rng;

/// Between two looks of one who watches.
const WATCH_PAUSE: Duration = Duration::from_millis(40);

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// Anything, until then (on the world's clock).
    Until { seed: u64, end_ms: u64, keys: u64, think_ms: u64 },
    /// Reads one key again and again, until then.
    Watch { key: u64, end_ms: u64 },
    /// Reads and lists everything, each until it is answered.
    ReadAll { keys: u64 },
}

pub(super) struct Client {
    number: u64,
    core: Rc<Core<Simulated>>,
    world: World,
    program: Program,
    /// ETags that it has met lately.
    met: Vec<String>,
    written: u64,
}

fn key_name(number: u64) -> String {
    format!("k{number}")
}

/// As histories name it.
fn line_name(key: &str) -> String {
    format!("{BUCKET}/{key}")
}

impl Client {
    pub(super) fn new(number: u64, core: Rc<Core<Simulated>>, world: World, program: Program) -> Self {
        Self { number, core, world, program, met: Vec::new(), written: 0 }
    }

    pub(super) async fn run(mut self) {
        match self.program {
            Program::Until { seed, end_ms, keys, think_ms } => {
                let mut rng = Rng::new(seed);
                while self.world.now_ms() < end_ms {
                    self.act(&mut rng, keys).await;
                    tokio::time::sleep(Duration::from_millis(rng.within(1..2 * think_ms))).await;
                }
            }
            Program::Watch { key, end_ms } => {
                while self.world.now_ms() < end_ms {
                    self.get(&key_name(key)).await;
                    tokio::time::sleep(WATCH_PAUSE).await;
                }
            }
            Program::ReadAll { keys } => {
                for key in 0..keys {
                    while !self.get(&key_name(key)).await {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
                while !self.list().await {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn act(&mut self, rng: &mut Rng, keys: u64) {
        let key = key_name(rng.below(keys));
        match rng.below(100) {
            0..50 => drop(self.get(&key).await),
            50..58 => drop(self.list().await),
            58..73 => self.put(&key, wire::Precondition::default()).await,
            73..79 => self.put(&key, wire::Precondition { absent: true, ..Default::default() }).await,
            79..85 => self.put(&key, self.if_met(rng)).await,
            85..90 => self.delete(&key, wire::Precondition::default()).await,
            90..93 => self.delete(&key, self.if_met(rng)).await,
            93..96 => self.upload(&key, rng.chance(1, 3)).await,
            _ => {
                let source = key_name(rng.below(keys));
                if source != key {
                    self.copy(&source, &key).await;
                }
            }
        }
    }

    // -------------------------------------------------------------------------------------------- reading

    /// False: it was not answered.
    async fn get(&mut self, key: &str) -> bool {
        let Some(bucket) = self.bucket() else { return false };
        let Some(grant) = object::<GetObject>(&bucket, key) else { return false };
        let line = self.world.called(self.number, Op::Get, &line_name(key), |_| {});
        match self.core.lookup(&grant, &VersionSelector::Current).await {
            Ok(record) => {
                let seen = record.map(|record| record.etag.clone());
                self.meet(seen.as_ref());
                self.world.returned(line, Outcome::Ok, |line| line.seen = seen);
                true
            }
            Err(_) => {
                self.world.returned(line, Outcome::Failed, |_| {});
                false
            }
        }
    }

    async fn list(&mut self) -> bool {
        let Some(bucket) = self.bucket() else { return false };
        let Some(grant) = whole::<ListObjects>(&bucket) else { return false };
        let prefix = Some(line_name(""));
        let line = self.world.called(self.number, Op::List, "", |line| line.prefix = prefix);
        let query = wire::ListQuery { max_keys: 1000, ..Default::default() };
        match self.core.list(&grant, query).await {
            Ok(page) => {
                let entry =
                    |entry: wire::ListEntry| (line_name(&String::from_utf8_lossy(&entry.key)), entry.etag);
                let listed = page.entries.into_iter().map(entry).collect();
                self.world.returned(line, Outcome::Ok, |line| line.listed = listed);
                true
            }
            Err(_) => {
                self.world.returned(line, Outcome::Failed, |_| {});
                false
            }
        }
    }

    // -------------------------------------------------------------------------------------------- writing

    async fn put(&mut self, key: &str, when: wire::Precondition) {
        let Some(grant) = self.bucket().and_then(|bucket| object::<PutObject>(&bucket, key)) else { return };
        self.written += 1;
        let etag = format!("{}-{}", self.number, self.written);
        let line = self.world.called(self.number, Op::Put, &line_name(key), |line| {
            line.value = Some(etag.clone());
            line.if_none_match = when.absent;
            line.if_match = Some(when.if_match.clone()).filter(|etag| !etag.is_empty());
        });
        let op = self.core.op_begin();
        let put = wire::PutObject { when: Some(when), etag: etag.clone(), ..Default::default() };
        let done = self.core.put(&grant, op.id(), put).await;
        self.written_down(line, &done, |_, _| {});
        self.meet(Some(&etag));
    }

    async fn delete(&mut self, key: &str, when: wire::Precondition) {
        let Some(grant) = self.bucket().and_then(|bucket| object::<DeleteObject>(&bucket, key)) else {
            return;
        };
        let line = self.world.called(self.number, Op::Delete, &line_name(key), |line| {
            line.if_match = Some(when.if_match.clone()).filter(|etag| !etag.is_empty());
        });
        let op = self.core.op_begin();
        let delete = wire::DeleteObject { when: Some(when), ..Default::default() };
        let done = self.core.delete(&grant, op.id(), delete).await;
        self.written_down(line, &done, |_, _| {});
    }

    async fn copy(&mut self, source: &str, key: &str) {
        let Some(bucket) = self.bucket() else { return };
        let grants = (object::<GetObject>(&bucket, source), object::<PutObject>(&bucket, key));
        let (Some(from), Some(to)) = grants else { return };
        let line = self.world.called(self.number, Op::Copy, &line_name(key), |line| {
            line.source = Some(line_name(source));
        });
        let op = self.core.op_begin();
        let done = self.core.copy(&from, &to, op.id(), wire::CopyObject::default()).await;
        if let Err(MetadataError::Refused(refused)) = &done
            && refused.reason() == Refusal::NoSuchKey
        {
            // It saw that its source is not there, and did nothing.
            self.world.returned(line, Outcome::Ok, |line| {
                (line.op, line.source) = (Op::Get, None);
                line.key = line_name(source);
            });
            return;
        }
        self.written_down(line, &done, |line, committed| {
            line.value = committed.record.as_ref().map(|record| record.etag.clone());
        });
    }

    /// An upload of one part. Its completion is the write; one that was aborted cannot be completed.
    async fn upload(&mut self, key: &str, abort: bool) {
        let Some(bucket) = self.bucket() else { return };
        let grants = (object::<PutObject>(&bucket, key), object::<AbortUpload>(&bucket, key));
        let (Some(grant), Some(aborts)) = grants else { return };
        let op = self.core.op_begin();
        let Ok((_, begun)) = self.core.create_upload(&grant, op.id(), wire::CreateUpload::default()).await
        else {
            return;
        };
        self.written += 1;
        let part_md5 = digest::md5(format!("{}-{}", self.number, self.written).as_bytes());
        let part = wire::Part { number: 1, md5: part_md5.to_vec().into(), ..Default::default() };
        let part = wire::PutPart { upload_id: begun.upload_id.clone(), part: Some(part) };
        let op = self.core.op_begin();
        if self.core.put_part(&grant, op.id(), part).await.is_err() {
            return;
        }
        if abort {
            let op = self.core.op_begin();
            if self.core.abort_upload(&aborts, op.id(), &begun.upload_id).await.is_err() {
                return;
            }
        }
        let etag = format!("{}-1", hex::encode(digest::md5(&part_md5)));
        let value = Some(etag.clone());
        let line = self.world.called(self.number, Op::Complete, &line_name(key), |line| line.value = value);
        let parts =
            vec![wire::CompletedPart { number: 1, etag: hex::encode(part_md5), ..Default::default() }];
        let complete = wire::CompleteUpload { upload_id: begun.upload_id, parts, ..Default::default() };
        let op = self.core.op_begin();
        let done = self.core.complete_upload(&grant, op.id(), complete).await;
        assert!(!abort || done.is_err(), "an aborted upload was completed");
        self.written_down(line, &done, |_, _| {});
        self.meet(Some(&etag));
    }

    /// What a client may conclude from an answer.
    fn written_down(&self, line: usize, done: &Conditional, told: impl FnOnce(&mut Line, &wire::Committed)) {
        let outcome = match done {
            Ok((_, committed)) => {
                return self.world.returned(line, Outcome::Ok, |line| told(line, committed));
            }
            Err(MetadataError::Refused(refused)) => match refused.reason() {
                Refusal::PreconditionFailed | Refusal::NoSuchKey => Outcome::Refused,
                // It may come again: 503 to the client, who is not told that nothing was done.
                _ if refused.retryable => Outcome::Unknown,
                _ => Outcome::Failed,
            },
            Err(MetadataError::Link(LinkError::Unavailable(_))) => Outcome::Failed,
            Err(MetadataError::Link(LinkError::OutcomeUnknown(_)) | MetadataError::Protocol(_)) => {
                Outcome::Unknown
            }
        };
        self.world.returned(line, outcome, |_| {});
    }

    /// Of an object that it has met.
    fn if_met(&self, rng: &mut Rng) -> wire::Precondition {
        let if_match = match self.met.last() {
            Some(_) => rng.pick(&self.met).clone(),
            None => "nobody's".to_owned(),
        };
        wire::Precondition { if_match, ..Default::default() }
    }

    fn meet(&mut self, etag: Option<&String>) {
        if let Some(etag) = etag {
            self.met.push(etag.clone());
            if self.met.len() > 4 {
                self.met.remove(0);
            }
        }
    }

    /// `None`: the node has not heard of it yet.
    fn bucket(&self) -> Option<Arc<BucketFacts>> {
        self.core.view().buckets.get(BUCKET).cloned()
    }
}

/// The bucket's policy lets anybody do anything; that policies are evaluated rightly is shown elsewhere.
fn object<A>(bucket: &Arc<BucketFacts>, key: &str) -> Option<Grant<A>>
where
    A: InBucket<Resource = ObjectTarget>,
{
    let name = BucketName::parse(BUCKET).ok()?;
    let key = ObjectKey::parse(key.as_bytes().to_vec().into()).ok()?;
    let ask = ObjectAsk { bucket: BucketAsk { name: &name, found: Some(bucket) }, key, names_version: false };
    match authorize_object::<A>(&Authenticated::Anonymous, ask, &|_, _, _, _| Decision::Allow).ok()? {
        Considered::Granted(grant) => Some(grant),
        Considered::Depends(pending) => pending.settle(&Kept::default(), &|_, _, _, _| Decision::Allow).ok(),
    }
}

fn whole<A>(bucket: &Arc<BucketFacts>) -> Option<Grant<A>>
where
    A: InBucket<Resource = BucketTarget>,
{
    let name = BucketName::parse(BUCKET).ok()?;
    let ask = BucketAsk { name: &name, found: Some(bucket) };
    authorize_bucket::<A>(&Authenticated::Anonymous, ask, &|_, _, _, _| Decision::Allow).ok()
}
