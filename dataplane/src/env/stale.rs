//! `stale_reads`: where the authority cannot be asked, what this node knew of a bucket that allows it, and how old that may be.
//!
//! A record that the node had cached was true until its record lease ended: nobody was shown a later one before that. How long
//! ago that was is the age. Only what is there is shown: that something is missing would be acted upon. Keys and policies
//! are none of this: without a live access lease nothing is shown, however young.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use holdfast_common::wire;
use holdfast_protocol::access::MayLook;
use holdfast_protocol::operation::VersionSelector;

use super::{Core, Env, MetadataError};
use crate::cache::{Cached, Known, Stored};
use crate::rt::Rt as _;

/// A record, if there is one, and how old it may be (milliseconds); `None`: it is the current one.
pub type Looked = (Option<Arc<wire::ObjectRecord>>, Option<u64>);

impl<E: Env> Core<E> {
    /// [`Core::lookup`] for a request that only reads.
    pub async fn lookup_or_stale(
        &self,
        who: &impl MayLook,
        version: &VersionSelector,
    ) -> Result<Looked, MetadataError> {
        let target = who.target();
        let allowed_ms = target.bucket.stale_reads_ms;
        if allowed_ms == 0 || version.named().is_some() {
            return Ok((self.lookup(who, version).await?, None));
        }
        let (bucket_id, key) = (target.bucket.bucket_id.0, target.key.clone().into_bytes());
        // There is no session: who asks now waits for nothing.
        let is_down = !self.view().ready && !self.state.lease_live(E::Rt::boottime_ms());
        if is_down && let Some((record, age_ms)) = self.stale(bucket_id, &key, allowed_ms).await {
            return Ok((Some(record), Some(age_ms)));
        }
        match self.lookup(who, version).await {
            Ok(found) => Ok((found, None)),
            Err(error) if cannot_be_asked(&error) => match self.stale(bucket_id, &key, allowed_ms).await {
                Some((record, age_ms)) => Ok((Some(record), Some(age_ms))),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn stale(
        &self,
        bucket_id: u64,
        key: &Bytes,
        allowed_ms: u64,
    ) -> Option<(Arc<wire::ObjectRecord>, u64)> {
        let Known::Object(record) = self.known(bucket_id, key).await?.known else { return None };
        if record.delete_marker {
            return None;
        }
        let now_ms = E::Rt::boottime_ms();
        let age_ms = now_ms - self.state.told_until_ms(now_ms)?;
        if age_ms > allowed_ms || !self.state.access_live(now_ms) {
            return None;
        }
        self.counters.stale.fetch_add(1, Relaxed);
        Some((record, age_ms))
    }

    /// What this node knew last. The check comes after the fetch, as for what may be shown.
    async fn known(&self, bucket_id: u64, key: &Bytes) -> Option<Cached> {
        let was_usable = |cached: &Cached, unchanged_to| {
            self.state.was_usable(&self.view(), (bucket_id, key), cached.as_of, unchanged_to)
        };
        let hot = self.hot.borrow_mut().find(bucket_id, key);
        if let Some(cached) = hot.filter(|cached| was_usable(cached, 0)) {
            return Some(cached);
        }
        let Stored { cached, unchanged_to } = self.cache.as_ref()?.find(bucket_id, key).await?;
        was_usable(&cached, unchanged_to).then_some(cached)
    }
}

/// It is not heard, or it says that it cannot ask its database, or leads no more.
fn cannot_be_asked(error: &MetadataError) -> bool {
    match error {
        MetadataError::Link(_) => true,
        MetadataError::Refused(refused) => {
            matches!(refused.reason(), wire::Refusal::Unavailable | wire::Refusal::NotLeader)
        }
        MetadataError::Protocol(_) => false,
    }
}
