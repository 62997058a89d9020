//! A model of PostgreSQL, as far as leadership, sessions, commits and lookups see it. Each method is one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use holdfast_common::wire::{self, mutation::Op};
use holdfast_controlplane::app::sequence::EPOCH_SHIFT;
use holdfast_controlplane::app::truth::{Asked, Configuration, Context, Failure, Owed, Taken};
use holdfast_controlplane::plan::decide::{Facts, upload_name};
use holdfast_controlplane::plan::writes::{ChangeRow, Writes};
use holdfast_controlplane::store::authority::Claim;
use holdfast_controlplane::store::bucket::{BucketRow, Versioning};
use holdfast_controlplane::store::changelog::{Changed, Kind};
use holdfast_controlplane::store::cluster::History;
use holdfast_controlplane::store::head::{HeadRow, Line};
use holdfast_controlplane::store::node::{Entered, NodeRow, PeerRow};
use holdfast_controlplane::store::upload::UploadRow;
use holdfast_controlplane::store::version::VersionRow;
use holdfast_protocol::access::{Document, Setting};
use uuid::Uuid;

pub const BUCKET: &str = "sim";
pub const BUCKET_ID: u64 = 7;

#[derive(Default)]
pub struct Database {
    epoch: u64,
    holder: String,
    /// By the database's own clock.
    expires_ms: u64,
    /// The last sequence of each ended epoch.
    terms: BTreeMap<u64, u64>,
    heads: BTreeMap<Bytes, HeadRow>,
    uploads: HashMap<Uuid, UploadRow>,
    parts: HashMap<Uuid, HashMap<u32, wire::Part>>,
    changelog: HashMap<Uuid, ChangeRow>,
    /// The numbers of all of it, and the keys of what nodes may have cached.
    seqs: BTreeSet<u64>,
    changes: BTreeMap<u64, Bytes>,
    peers: Vec<PeerRow>,
    /// When each follower was last asked for the leader.
    heard_ms: BTreeMap<String, u64>,
    history_lost: bool,
}

/// The only bucket: anybody may do anything in it.
fn bucket() -> BucketRow {
    let policy = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\",\
         \"Resource\":[\"arn:aws:s3:::{BUCKET}\",\"arn:aws:s3:::{BUCKET}/*\"]}}]}}"
    );
    // A bucket that was never told otherwise blocks public policies.
    let documents = [Document::Policy(Some(policy.into())), Document::PublicAccess(Setting::Removed)];
    BucketRow {
        id: BUCKET_ID,
        name: BUCKET.to_owned(),
        tenant_id: 3,
        created_ms: 0,
        revision: 1,
        region: "sim-1".to_owned(),
        versioning: Versioning::Never,
        shard: 0,
        class_id: 0,
        configuration: wire::BucketConfiguration {
            documents: documents.iter().map(Document::to_wire).collect(),
        },
        stale_reads_ms: 0,
    }
}

/// The upload that a mutation names.
fn upload_of(mutation: &wire::Mutation) -> Option<Uuid> {
    upload_name(match mutation.op.as_ref()? {
        Op::PutPart(put) => &put.upload_id,
        Op::CompleteUpload(complete) => &complete.upload_id,
        Op::AbortUpload(abort) => &abort.upload_id,
        _ => return None,
    })
}

impl Database {
    pub fn take(&mut self, now_ms: u64, claim: Claim<'_>, remembered: u64) -> Option<Taken> {
        if self.expires_ms >= now_ms && !claim.force {
            return None;
        }
        let ended = self.epoch;
        self.epoch = ended.max(claim.above) + 1;
        (self.holder, self.expires_ms) = (claim.holder.to_owned(), now_ms + claim.term_ms);
        let last = self.seqs.range(..(ended + 1) << EPOCH_SHIFT).next_back().copied().unwrap_or(0);
        let term = self.terms.entry(ended).or_default();
        *term = last.max(*term);
        let history = History { lost: self.history_lost, accepted_epoch: 0 };
        let has_remembered = remembered == 0 || self.has(remembered);
        Some(Taken { epoch: self.epoch, timeline: 0, history, has_remembered, owed: Owed::default() })
    }

    pub fn renew(&mut self, now_ms: u64, epoch: u64, term_ms: u64) -> bool {
        if self.epoch == epoch {
            self.expires_ms = now_ms + term_ms;
        }
        self.epoch == epoch
    }

    pub fn release(&mut self, now_ms: u64, epoch: u64, leases_ms: u64) {
        if self.epoch == epoch {
            self.expires_ms = self.expires_ms.min(now_ms + leases_ms);
        }
    }

    #[must_use]
    pub fn holder(&self) -> (u64, String) {
        (self.epoch, self.holder.clone())
    }

    /// Until when, on its own clock, nobody else may lead.
    #[must_use]
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    #[must_use]
    pub fn has(&self, seq: u64) -> bool {
        self.terms.get(&(seq >> EPOCH_SHIFT)).is_some_and(|last| *last >= seq)
    }

    pub fn lose_history(&mut self) {
        self.history_lost = true;
    }

    #[must_use]
    pub fn is_history_lost(&self) -> bool {
        self.history_lost
    }

    pub fn node_heard(&mut self, now_ms: u64, holder: String) {
        self.heard_ms.insert(holder, now_ms);
    }

    #[must_use]
    pub fn node_heard_elsewhere(&self, now_ms: u64, holder: &str, ms: u64) -> bool {
        self.heard_ms.iter().any(|(other, at_ms)| other != holder && at_ms + ms > now_ms)
    }

    /// Nodes are numbered as they come.
    pub fn enter(&mut self, node: &NodeRow, addr: String) -> Entered {
        let known = self.peers.iter().position(|peer| peer.node_id == node.node_id);
        let number = known.unwrap_or(self.peers.len()) + 1;
        let peer = PeerRow {
            node_id: node.node_id,
            name: node.name.clone(),
            addr,
            number: u16::try_from(number).expect("few nodes"),
            state: "active".to_owned(),
            scattered: false,
        };
        let changed = known.is_none_or(|at| self.peers[at] != peer);
        match known {
            Some(at) => self.peers[at] = peer.clone(),
            None => self.peers.push(peer.clone()),
        }
        Entered { peer, changed, settled_to: None }
    }

    #[must_use]
    pub fn configuration(&self) -> Configuration {
        Configuration { buckets: vec![bucket()], peers: self.peers.clone(), ..Default::default() }
    }

    #[must_use]
    pub fn changed_since(&self, since: u64) -> Vec<Changed> {
        let changed =
            |(seq, key): (&u64, &Bytes)| Changed { bucket_id: BUCKET_ID, key: key.clone(), seq: *seq };
        self.changes.range(since + 1..).map(changed).collect()
    }

    #[must_use]
    pub fn facts(&self, items: &[Asked<'_>], again: bool) -> Facts {
        let mut facts = Facts::default();
        facts.buckets.insert(BUCKET_ID, bucket());
        for (op_id, mutation) in items {
            if let Some(row) = self.changelog.get(&op_id.uuid()).filter(|_| again || mutation.retry) {
                facts.recorded.insert(op_id.0, (row.kind as i16, row.outcome.clone()));
            }
            let source = match mutation.op.as_ref() {
                Some(Op::Copy(copy)) => Some(&copy.source_key),
                _ => None,
            };
            if let Some(upload) = upload_of(mutation).and_then(|id| self.uploads.get(&id)) {
                facts.uploads.insert(upload.upload_id, upload.clone());
                facts.parts.extend(self.parts.get(&upload.upload_id).map(|p| (upload.upload_id, p.clone())));
            }
            for key in [&mutation.key].into_iter().chain(source) {
                if let Some(head) = self.heads.get(key) {
                    facts.heads.insert((BUCKET_ID, key.clone()), head.clone());
                }
            }
        }
        facts
    }

    /// The fence and the unique op id are the database's, whatever the leader believes.
    pub fn commit(&mut self, writes: Writes, context: Context) -> Result<(), Failure> {
        if context.epoch != self.epoch && !holdfast_common::mutant!("commit-without-fence") {
            return Err(Failure::Fenced);
        }
        if let Some(row) = writes.changes.iter().find(|row| self.changelog.contains_key(&row.op_id)) {
            return Err(Failure::Taken(format!("{} is there", row.op_id)));
        }
        assert!(
            writes.versions.is_empty() && writes.buckets.is_empty(),
            "no such operation is in the programs"
        );
        for (_, key) in writes.heads_gone {
            self.heads.remove(&key);
        }
        for head in writes.heads {
            self.heads.insert(head.key.clone(), head);
        }
        for row in writes.uploads {
            self.uploads.insert(row.upload_id, row);
        }
        for (upload_id, part) in writes.parts {
            self.parts.entry(upload_id).or_default().insert(part.number, part);
        }
        for (upload_id, outcome) in writes.uploads_closed {
            if let Some(upload) = self.uploads.get_mut(&upload_id) {
                (upload.open, upload.outcome) = (false, Some(outcome));
            }
        }
        for upload_id in writes.uploads_gone {
            self.uploads.remove(&upload_id);
        }
        for upload_id in writes.parts_gone {
            self.parts.remove(&upload_id);
        }
        for row in writes.changes {
            self.seqs.insert(row.seq);
            if matches!(row.kind, Kind::Put | Kind::Delete | Kind::Copy | Kind::CompleteUpload) {
                self.changes.insert(row.seq, row.key.clone());
            }
            self.changelog.insert(row.op_id, row);
        }
        Ok(())
    }

    #[must_use]
    pub fn current(&self, keys: &[(u64, Bytes)]) -> Vec<VersionRow> {
        let heads = keys.iter().filter_map(|(_, key)| self.heads.get(key));
        heads.map(|head| VersionRow { object: head.clone(), delete_marker: false }).collect()
    }

    #[must_use]
    pub fn range(&self, from: &Bytes, until: &Bytes, rows: usize) -> Vec<Line> {
        let heads = self.heads.range(from.clone()..until.clone()).take(rows);
        heads
            .map(|(key, head)| Line {
                key: key.clone(),
                size: head.size,
                modified_ms: head.modified_ms,
                etag: head.etag.clone(),
                meta: head.meta.clone(),
                tenant_id: head.tenant_id,
            })
            .collect()
    }
}
