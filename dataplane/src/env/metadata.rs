//! Asking: records from the caches under a lease, else from the authority; listings and uploads always from there.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use holdfast_common::id::BackendId;
use holdfast_common::wire::{self, answer, query};
use holdfast_protocol::access::{
    AbortUpload, Action, GetObject, Grant, ListObjects, ListParts, ListUploads, ListVersions, MayLook,
    ObjectTarget, PutObject,
};
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::operation::VersionSelector;
use tokio::sync::oneshot;

use super::{Core, Env};
use crate::agent::{Note, OpenOp, PinSet};
use crate::blob::{BlobError, BlobReader, BlobWriter, NewBlob};
use crate::cache::{Cached, Known, Stored};
use crate::link::{Link, LinkError};
use crate::rt::Rt as _;

/// Why metadata could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MetadataError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("refused: {:?} {}", .0.reason(), .0.detail)]
    Refused(wire::Refused),
    #[error("the control plane broke the protocol: {0}")]
    Protocol(&'static str),
}

impl From<MetadataError> for S3Error {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Refused(refused) => refused.into(),
            MetadataError::Link(_) => S3Error::new(Code::ServiceUnavailable)
                .message("The control plane cannot be reached. Please try again."),
            MetadataError::Protocol(_) => S3Error::new(Code::InternalError),
        }
    }
}

/// A record, if there is one.
pub type Found = Result<Option<Arc<wire::ObjectRecord>>, MetadataError>;

/// The answer of one lookup, for all who waited for it.
pub(super) type Shared = Result<Cached, MetadataError>;

/// Grants about an object, whatever the action.
pub(super) fn place<A: Action<Resource = ObjectTarget>>(grant: &Grant<A>) -> (u64, Bytes) {
    let target = grant.resource();
    (target.bucket.bucket_id.0, target.key.clone().into_bytes())
}

impl<E: Env> Core<E> {
    /// A version of an object, delete markers included: what a GET needs before the first byte. `None`: there is none.
    pub async fn lookup(&self, who: &impl MayLook, version: &VersionSelector) -> Found {
        let target = who.target();
        let (bucket_id, key) = (target.bucket.bucket_id.0, target.key.clone().into_bytes());
        let cached = self.cached(bucket_id, &key).await;
        let Some(named) = version.named() else {
            return match cached {
                Some(cached) => Ok(cached.known.record()),
                None => Ok(self.looked_up(bucket_id, key).await?.known.record()),
            };
        };
        // The null version has no id in its record.
        let id = if *version == VersionSelector::Null { "" } else { named };
        match cached.and_then(|cached| cached.known.record()) {
            Some(current) if current.version_id == id => Ok(Some(current)),
            _ => self.ask_version(bucket_id, key, named).await,
        }
    }

    /// A version by its id, of which nothing is kept: it may be anywhere in its key's history.
    async fn ask_version(&self, bucket_id: u64, key: Bytes, named: &str) -> Found {
        self.counters.lookups.fetch_add(1, Relaxed);
        let lookup = wire::LookupQuery { bucket_id, key, version_id: named.to_owned(), by_version: true };
        match self.query(query::Query::Lookup(lookup)).await?.1 {
            answer::Answer::Lookup(found) => Ok(found.record.map(Arc::new)),
            _ => Err(MetadataError::Protocol("a lookup answered by something else")),
        }
    }

    /// What this node knows and may show. The check comes after the fetch, whatever was fetched from.
    async fn cached(&self, bucket_id: u64, key: &Bytes) -> Option<Cached> {
        let hot = self.hot.borrow_mut().find(bucket_id, key);
        if let Some(cached) = hot.filter(|cached| self.may_show(bucket_id, key, cached, 0)) {
            self.counters.hot_hits.fetch_add(1, Relaxed);
            return Some(cached);
        }
        if !self.state.lease_live(E::Rt::boottime_ms()) {
            return None;
        }
        let Stored { cached, unchanged_to } = self.cache.as_ref()?.find(bucket_id, key).await?;
        if !self.may_show(bucket_id, key, &cached, unchanged_to) {
            return None;
        }
        self.counters.cache_hits.fetch_add(1, Relaxed);
        // What is kept in this core's memory has its slot alone to go by, so it is as old as it is proven to be true.
        let cached = Cached { as_of: cached.as_of.max(unchanged_to), ..cached };
        self.hot.borrow_mut().keep(bucket_id, key.clone(), cached.clone());
        Some(cached)
    }

    fn may_show(&self, bucket_id: u64, key: &Bytes, cached: &Cached, unchanged_to: u64) -> bool {
        let (view, now) = (self.view(), E::Rt::boottime_ms());
        self.state.usable(&view, (bucket_id, key), cached.as_of, unchanged_to, now)
    }

    /// One question to the authority however many ask on this core at once.
    ///
    /// Who joins a question under way might get an answer older than a commit it was told of meanwhile; so the joined
    /// answer counts only as a cached one would (without lease and interest nobody waited for this node), else one asks
    /// again, alone.
    async fn looked_up(&self, bucket_id: u64, key: Bytes) -> Shared {
        let joined = {
            let mut lookups = self.lookups.borrow_mut();
            match lookups.get_mut(&(bucket_id, key.clone())) {
                Some(waiters) => {
                    let (reply, answer) = oneshot::channel();
                    waiters.push(reply);
                    Some(answer)
                }
                None => {
                    lookups.insert((bucket_id, key.clone()), Vec::new());
                    None
                }
            }
        };
        if let Some(answer) = joined {
            match answer.await {
                Ok(Ok(cached))
                    if crate::mutant!("joined-lookup-shown")
                        || self.may_show(bucket_id, &key, &cached, 0) =>
                {
                    return Ok(cached);
                }
                Ok(Err(error)) => return Err(error),
                Ok(Ok(_)) | Err(_) => return self.ask(bucket_id, &key).await,
            }
        }
        // The guard takes the entry away even if this request is dropped, and its waiters then ask for themselves.
        let leader = LookupLeader { core: self, name: (bucket_id, key.clone()) };
        let answer = self.ask(bucket_id, &key).await;
        for waiter in leader.waiters() {
            let _ = waiter.send(answer.clone());
        }
        answer
    }

    async fn ask(&self, bucket_id: u64, key: &Bytes) -> Shared {
        self.counters.lookups.fetch_add(1, Relaxed);
        let lookup = wire::LookupQuery { bucket_id, key: key.clone(), ..Default::default() };
        let answer = self.query(query::Query::Lookup(lookup)).await?;
        let answer::Answer::Lookup(found) = answer.1 else {
            return Err(MetadataError::Protocol("a lookup answered by something else"));
        };
        let known = match found.record {
            Some(record) => Known::Object(Arc::new(record)),
            None => Known::Absent,
        };
        let mut cached = Cached { as_of: answer.0, known };
        if crate::mutant!("negative-entry-without-as-of") && matches!(cached.known, Known::Absent) {
            cached.as_of = u64::MAX;
        }
        self.keep(bucket_id, key, &cached);
        Ok(cached)
    }

    /// Fills the caches, if the bucket may be cached; asks that it may, if not yet.
    pub(super) fn keep(&self, bucket_id: u64, key: &Bytes, cached: &Cached) {
        let Some(since) = self.view().interest.get(&bucket_id).copied() else {
            self.link.interest(bucket_id);
            return;
        };
        // Of changes before the interest nobody tells this node, and slots know nothing of before this run's replay: what was
        // asked earlier, or what a repeated completion answers, may be older than either. After a restart nobody could tell.
        if cached.as_of < since.max(self.state.cache.recovered().applied) {
            return;
        }
        self.hot.borrow_mut().keep(bucket_id, key.clone(), cached.clone());
        self.state.cache.fill(bucket_id, key.clone(), cached.clone());
    }

    /// A query and its watermark, refusals told apart.
    pub(super) async fn query(&self, query: query::Query) -> Result<(u64, answer::Answer), MetadataError> {
        let answer = self.link.query(query).await?;
        match answer.answer {
            Some(answer::Answer::Refused(refused)) => Err(MetadataError::Refused(refused)),
            Some(other) => Ok((answer.as_of, other)),
            None => Err(MetadataError::Protocol("an empty answer")),
        }
    }

    /// One page of a listing. The bucket id of the query is the grant's, whatever it said.
    pub async fn list(
        &self,
        grant: &Grant<ListObjects>,
        query: wire::ListQuery,
    ) -> Result<wire::ListAnswer, MetadataError> {
        let query = wire::ListQuery { bucket_id: grant.resource().bucket.bucket_id.0, ..query };
        match self.query(query::Query::List(query)).await?.1 {
            answer::Answer::List(page) => Ok(page),
            _ => Err(MetadataError::Protocol("a listing answered by something else")),
        }
    }

    /// One page of the versions of a bucket, likewise.
    pub async fn list_versions(
        &self,
        grant: &Grant<ListVersions>,
        query: wire::ListVersionsQuery,
    ) -> Result<wire::ListVersionsAnswer, MetadataError> {
        let query = wire::ListVersionsQuery { bucket_id: grant.resource().bucket.bucket_id.0, ..query };
        match self.query(query::Query::ListVersions(query)).await?.1 {
            answer::Answer::ListVersions(page) => Ok(page),
            _ => Err(MetadataError::Protocol("a listing answered by something else")),
        }
    }

    pub async fn list_uploads(
        &self,
        grant: &Grant<ListUploads>,
        query: wire::UploadsQuery,
    ) -> Result<wire::UploadsAnswer, MetadataError> {
        let query = wire::UploadsQuery { bucket_id: grant.resource().bucket.bucket_id.0, ..query };
        match self.query(query::Query::Uploads(query)).await?.1 {
            answer::Answer::Uploads(page) => Ok(page),
            _ => Err(MetadataError::Protocol("uploads answered by something else")),
        }
    }

    pub async fn list_parts(
        &self,
        grant: &Grant<ListParts>,
        upload_id: &str,
        after_number: u32,
        max_parts: u32,
    ) -> Result<wire::PartsAnswer, MetadataError> {
        self.parts(place(grant), upload_id, after_number, max_parts).await
    }

    /// The upload that a part or its completion names; `None`: there is none for this key.
    pub async fn upload(
        &self,
        grant: &Grant<PutObject>,
        upload_id: &str,
    ) -> Result<Option<wire::Upload>, MetadataError> {
        Ok(self.parts(place(grant), upload_id, 0, 0).await?.upload)
    }

    /// The same for an abort.
    pub async fn upload_to_abort(
        &self,
        grant: &Grant<AbortUpload>,
        upload_id: &str,
    ) -> Result<Option<wire::Upload>, MetadataError> {
        Ok(self.parts(place(grant), upload_id, 0, 0).await?.upload)
    }

    async fn parts(
        &self,
        (bucket_id, key): (u64, Bytes),
        upload_id: &str,
        after_number: u32,
        max_parts: u32,
    ) -> Result<wire::PartsAnswer, MetadataError> {
        let query =
            wire::PartsQuery { bucket_id, key, upload_id: upload_id.to_owned(), after_number, max_parts };
        match self.query(query::Query::Parts(query)).await?.1 {
            answer::Answer::Parts(page) => Ok(page),
            _ => Err(MetadataError::Protocol("parts answered by something else")),
        }
    }

    /// One page of the manifest of an object with many parts.
    pub async fn manifest_page(
        &self,
        _who: &impl MayLook,
        pages_of: Bytes,
        page: u32,
    ) -> Result<Vec<wire::Part>, MetadataError> {
        let query = wire::ManifestPageQuery { pages_of, page };
        match self.query(query::Query::ManifestPage(query)).await?.1 {
            answer::Answer::ManifestPage(page) => Ok(page.parts),
            _ => Err(MetadataError::Protocol("a manifest page answered by something else")),
        }
    }

    /// Begins to write an object's or a part's bytes where the bucket's class and the backends as known put them.
    ///
    /// # Errors
    /// `ServiceUnavailable` when too few drives can be written, `SlowDown` when this node is to be emptied and no other takes
    /// it; `NotImplemented` for a class that is not known.
    pub async fn blob_write(
        &self,
        _grant: &Grant<PutObject>,
        mut blob: NewBlob,
    ) -> Result<BlobWriter<E::Drives, E::Rt>, S3Error> {
        let class = self.class(blob.class_id)?;
        blob.class_id = class.id;
        let placement = self.place_blob(&class, blob.op_id, blob.size).await?;
        let writer = self.blobs.write(blob, &placement);
        Ok(match OpenOp::hold(&self.state.ops, blob.op_id) {
            Some(hold) => writer.holding(Box::new(hold)),
            None => writer,
        })
    }

    /// Deletes, in the background, a blob of this node that was refused by the authority and so never was anybody's.
    pub fn blob_discard(&self, blob: wire::Blob, backends: Vec<BackendId>) {
        let blobs = self.blobs.clone();
        E::Rt::spawn(async move {
            if let Err(error) = blobs.delete(&blob, &backends).await {
                tracing::warn!(%error, "a refused blob was not deleted; the reaper will find it");
            }
        });
    }

    /// Pins all blobs that `manifest` names for as long as the set lives; those on its pages are pinned as pages come.
    #[must_use]
    pub fn pin(&self, manifest: Option<&wire::Manifest>) -> PinSet {
        let mut pins = PinSet::new(&self.state.pins);
        if let Some(manifest) = manifest {
            pins.add(&manifest.pages_of);
            manifest.parts.iter().filter_map(|part| part.blob.as_ref()).for_each(|blob| pins.add_blob(blob));
        }
        pins
    }

    /// Hands what a reader found to the agent; its answer was right all the same.
    pub fn note(&self, blob: &wire::Blob, reader: &BlobReader<E::Drives, E::Rt>) {
        if !reader.notes().is_empty() {
            tracing::warn!(notes = ?reader.notes(), "fragments were not as they should be and were made up for");
            self.state.notes.push(Note { blob: blob.clone(), fragments: reader.notes().to_vec() });
        }
    }

    /// Reads a span of a blob that a record of this grant names.
    ///
    /// # Errors
    /// A record that makes no sense to this version, or a placement nobody told us of.
    pub fn blob_read(
        &self,
        _grant: &Grant<GetObject>,
        blob: &wire::Blob,
        range: std::ops::Range<u64>,
    ) -> Result<BlobReader<E::Drives, E::Rt>, BlobError> {
        let view = self.view();
        let backends =
            view.placements.get(&blob.placement_id).ok_or(BlobError::Record("an unknown placement"))?;
        let backends: Vec<BackendId> = backends.iter().map(|id| BackendId(*id)).collect();
        self.blobs.read(blob, &backends, range)
    }
}

struct LookupLeader<'a, E: Env> {
    core: &'a Core<E>,
    name: (u64, Bytes),
}

impl<E: Env> LookupLeader<'_, E> {
    fn waiters(self) -> Vec<oneshot::Sender<Shared>> {
        self.core.lookups.borrow_mut().remove(&self.name).unwrap_or_default()
    }
}

impl<E: Env> Drop for LookupLeader<'_, E> {
    fn drop(&mut self) {
        self.core.lookups.borrow_mut().remove(&self.name);
    }
}
