//! The reading half of a batch: buckets, keys, heads, uploads, parts, recorded outcomes, in one round trip.
//!
//! Outside of any transaction. What is read of a key, an upload or a bucket is written by nobody but this authority's own
//! batches, and the batch holds their locks; that it is still the authority is proven by the writing half, or nothing is
//! written and nothing is answered.

mod wanted;

use std::borrow::Cow;

use futures_util::future::join_all;
use holdfast_common::wire::mutation::Op;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::app::commit::transaction::Failure;
use crate::app::truth::Asked;
use crate::plan::decide::Facts;
use crate::store::bucket::{Ground, Versioning};
use crate::store::head::decode;
use crate::store::{Client, bucket, changelog, head, unsigned, upload, version};
use wanted::{Names, Wanted};

enum Read {
    Grounds,
    Recorded,
    Heads,
    Versions,
    Configured,
    Occupied,
    Uploads,
    Parts,
}

/// Reads. With `again` every item's recorded outcome is looked for, not only those marked as retries.
pub(crate) async fn facts(client: &Client, items: &[Asked<'_>], again: bool) -> Result<Facts, Failure> {
    let wanted = Wanted::of(items, again);
    let keys: Vec<String> = wanted.keys.iter().cloned().collect();
    let buckets: Vec<i64> = wanted.buckets.iter().copied().collect();
    let mut reads: Vec<Statement<'_>> =
        vec![(Read::Grounds, bucket::GROUNDS.as_str().into(), vec![&buckets, &wanted.bucket_names, &keys])];
    if !wanted.retried.is_empty() {
        reads.push((Read::Recorded, changelog::RECORDED.into(), vec![&wanted.retried]));
    }
    if !wanted.head_keys.is_empty() {
        let values: Vec<&(dyn ToSql + Sync)> = vec![&wanted.head_buckets, &wanted.head_keys];
        reads.push((Read::Heads, head::SELECT_MANY.as_str().into(), values));
    }
    if !wanted.named.keys.is_empty() {
        reads.push((Read::Versions, version::SELECT_NAMED.as_str().into(), wanted.named.columns()));
    }
    if !wanted.newest.keys.is_empty() {
        let values: Vec<&(dyn ToSql + Sync)> = vec![&wanted.newest.buckets, &wanted.newest.keys];
        reads.push((Read::Versions, version::SELECT_NEWEST.as_str().into(), values));
    }
    if wanted.configured {
        reads.push((Read::Configured, bucket::CONFIGURED_BYTES.into(), vec![]));
    }
    if !wanted.occupied.is_empty() {
        reads.push((Read::Occupied, bucket::OCCUPIED.into(), vec![&wanted.occupied]));
        reads.push((Read::Uploads, upload::select_of_buckets().into(), vec![&wanted.occupied]));
    }
    if !wanted.uploads.is_empty() {
        reads.push((Read::Uploads, upload::select_many().into(), vec![&wanted.uploads]));
    }
    if !wanted.part_uploads.is_empty() {
        reads.push((
            Read::Parts,
            upload::SELECT_PARTS.into(),
            vec![&wanted.part_uploads, &wanted.part_numbers],
        ));
    }
    if !wanted.whole_uploads.is_empty() {
        reads.push((Read::Parts, upload::SELECT_ALL_PARTS.into(), vec![&wanted.whole_uploads]));
    }
    let mut facts = Facts::default();
    pipelined(client, &reads, &mut facts).await?;
    if !wanted.occupied.is_empty() {
        parts_of_doomed(client, &mut facts).await?;
    }
    let replaced = nulls_replaced(items, &facts);
    if !replaced.keys.is_empty() {
        let read = (Read::Versions, version::SELECT_NAMED.as_str().into(), replaced.columns());
        pipelined(client, &[read], &mut facts).await?;
    }
    Ok(facts)
}

/// A null version is replaced by another, and it may be an older one. Only who knows the bucket can tell, so this costs a
/// further round trip, and nobody pays it but the writers of buckets whose versioning is suspended.
fn nulls_replaced(items: &[Asked<'_>], facts: &Facts) -> Names {
    let mut names = Names::default();
    for (_, mutation) in items {
        let writes = match mutation.op.as_ref() {
            Some(Op::Put(_) | Op::Copy(_) | Op::CompleteUpload(_)) => true,
            Some(Op::Delete(delete)) => delete.version_id.is_empty(),
            _ => false,
        };
        let bucket = facts.buckets.get(&mutation.bucket_id);
        if !writes || bucket.is_none_or(|bucket| bucket.versioning != Versioning::Suspended) {
            continue;
        }
        let head = facts.heads.get(&(mutation.bucket_id, mutation.key.clone()));
        if head.is_none_or(|head| !head.version_id.is_empty()) {
            names.add(mutation.bucket_id, &mutation.key, "");
        }
    }
    names
}

/// A bucket that is deleted takes the parts of its uploads with it.
async fn parts_of_doomed(client: &Client, facts: &mut Facts) -> Result<(), Failure> {
    let uploads: Vec<Uuid> = facts.uploads.keys().copied().collect();
    if !uploads.is_empty() {
        for row in client.query(upload::SELECT_ALL_PARTS, &[&uploads]).await? {
            take(&Read::Parts, &row, facts)?;
        }
    }
    Ok(())
}

/// What is read, by which statement, of which values.
type Statement<'a> = (Read, Cow<'static, str>, Vec<&'a (dyn ToSql + Sync)>);

async fn pipelined(client: &Client, reads: &[Statement<'_>], facts: &mut Facts) -> Result<(), Failure> {
    let mut statements = Vec::with_capacity(reads.len());
    for (_, text, _) in reads {
        statements.push(client.prepare_cached(text).await?);
    }
    let queries =
        reads.iter().zip(&statements).map(|((_, _, values), statement)| client.query(statement, values));
    // All travel together.
    for ((read, _, _), rows) in reads.iter().zip(join_all(queries).await) {
        for row in &rows? {
            take(read, row, facts)?;
        }
    }
    Ok(())
}

fn take(read: &Read, row: &Row, facts: &mut Facts) -> Result<(), Failure> {
    match read {
        Read::Grounds => match bucket::ground(row)? {
            Ground::Bucket(bucket) => {
                facts.bucket_names.insert(bucket.name.clone(), bucket.clone());
                facts.buckets.insert(bucket.id, bucket);
            }
            Ground::Key(id, tenant_id) => {
                facts.keys.insert(id, tenant_id);
            }
            Ground::Counted => facts.counted = true,
        },
        Read::Recorded => {
            facts.recorded.insert(*row.get::<_, Uuid>(0).as_bytes(), (row.get(1), row.get(2)));
        }
        Read::Heads => {
            let head = head::read(row)?;
            facts.heads.insert((head.bucket_id, head.key.clone()), head);
        }
        Read::Versions => {
            let found = version::read(row)?;
            let rows = facts.versions.entry((found.object.bucket_id, found.object.key.clone())).or_default();
            // One may be both named and among the newest.
            if rows.iter().all(|row| row.object.seq != found.object.seq) {
                rows.push(found);
            }
        }
        Read::Configured => facts.configured_bytes = unsigned(row.get(0)),
        Read::Occupied => {
            facts.occupied.insert(unsigned(row.get(0)));
        }
        Read::Uploads => {
            let upload = upload::read(row)?;
            facts.uploads.insert(upload.upload_id, upload);
        }
        Read::Parts => {
            let number = u32::try_from(row.get::<_, i32>(1)).unwrap_or(0);
            facts.parts.entry(row.get(0)).or_default().insert(number, decode(row.get(2), "part.part")?);
        }
    }
    Ok(())
}
