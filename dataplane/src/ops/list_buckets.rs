//! ListBuckets: the tenant's buckets that this key may see, from the snapshot.

use holdfast_protocol::access::{self, BucketFacts, authorize_account};
use holdfast_protocol::error::S3Error;
use holdfast_protocol::operation::ListBucketsInput;
use holdfast_protocol::xml::{BucketEntry, write_list_buckets};

use super::call::{Call, owner};
use crate::env::Env;
use crate::server::Response;

pub(super) fn run<E: Env>(call: &Call<'_, E>, input: ListBucketsInput) -> Result<Response, S3Error> {
    let grant = authorize_account::<access::ListBuckets>(&call.who, access::AccountAsk)?;
    let visible = grant.resource();
    let wanted = |bucket: &&BucketFacts| {
        visible.shows(bucket)
            && bucket.name.as_str().starts_with(&input.prefix)
            && bucket.name.as_str() > input.after.as_str()
            && input.region.as_deref().is_none_or(|region| *region == *bucket.region)
    };
    let mut buckets: Vec<&BucketFacts> = call.view.buckets.values().map(|b| &**b).filter(wanted).collect();
    buckets.sort_unstable_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    let whole = buckets.len();
    buckets.truncate(input.max_buckets.map_or(usize::MAX, |max| max as usize));
    let next = if buckets.len() < whole { buckets.last().map(|last| last.name.as_str()) } else { None };
    let entries: Vec<BucketEntry<'_>> = buckets
        .iter()
        .map(|bucket| BucketEntry {
            name: bucket.name.as_str(),
            created_ms: bucket.created_ms,
            region: &bucket.region,
        })
        .collect();
    let tenant = call.core.owner(visible.tenant_id.0);
    Ok(call.xml(write_list_buckets(owner(&tenant), &entries, &input.prefix, next)))
}
