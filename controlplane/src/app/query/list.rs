//! Listing pages: bytewise, one page a call, groups of a delimiter skipped by seeks in the index.

use bytes::Bytes;
use holdfast_common::wire;
use uuid::Uuid;

use crate::app::Authority;
use crate::app::sessions::signal;
use crate::limits::LIST_KEYS_MAX;
use crate::plan::decide::upload_name;
use crate::plan::listing::{SeekRows, after, end_of_prefix, group, start};
use crate::store::upload::UploadRow;
use crate::store::{Client, StoreError, head, upload};

pub(super) fn page_entries(asked: u32) -> usize {
    asked.clamp(1, LIST_KEYS_MAX) as usize
}

/// A page, and the commits that have to be released before it may be shown.
pub(super) async fn objects(
    authority: &Authority,
    query: &wire::ListQuery,
) -> Result<(wire::ListAnswer, Vec<signal::Receiver<bool>>), StoreError> {
    let bucket = query.bucket_id.min(i64::MAX as u64);
    let max = page_entries(query.max_keys);
    let begin = start(&query.prefix, &query.delimiter, &query.after);
    let until = end_of_prefix(&query.prefix);
    let mut from = begin.clone();
    let mut seek_rows = SeekRows::new(&query.delimiter);
    let mut entries: Vec<wire::ListEntry> = Vec::new();
    let mut truncated = false;
    'page: while from < until {
        let rows = seek_rows.wanted(max - entries.len());
        let lines = authority.inner.truth.range(bucket, &from, &until, rows).await?;
        let found = lines.len();
        let exhausted = (found as i64) < rows;
        let mut passed = 0;
        for line in lines {
            if line.key.as_ref() < from.as_slice() {
                passed += 1; // of a group that has just been listed
                continue;
            }
            if entries.len() == max {
                truncated = true;
                break 'page;
            }
            match group(&line.key, &query.prefix, &query.delimiter) {
                Some(group) => {
                    from = end_of_prefix(group);
                    entries.push(wire::ListEntry {
                        key: Bytes::copy_from_slice(group),
                        common_prefix: true,
                        ..Default::default()
                    });
                }
                None => {
                    from = after(&line.key);
                    entries.push(entry(line));
                }
            }
        }
        if exhausted {
            break;
        }
        seek_rows.learn(found, passed);
    }
    // Whatever in the walked range is committed and not yet released may be in these rows.
    let walked = if truncated { from } else { until };
    let pending = authority.inner.sessions.pending_range(bucket, &begin, &walked);
    let next_after = entries.last().filter(|_| truncated).map(|last| last.key.clone()).unwrap_or_default();
    Ok((wire::ListAnswer { entries, truncated, next_after }, pending))
}

fn entry(line: head::Line) -> wire::ListEntry {
    wire::ListEntry {
        key: line.key,
        common_prefix: false,
        size: line.size,
        modified_ms: line.modified_ms,
        etag: line.etag,
        storage_class: line.meta.storage_class,
        checksums: line.meta.checksums,
        tenant_id: line.tenant_id,
    }
}

/// Ordered by key, then by upload id, which is by time.
pub(super) async fn uploads(
    client: &Client,
    query: &wire::UploadsQuery,
) -> Result<wire::UploadsAnswer, StoreError> {
    let bucket = query.bucket_id.min(i64::MAX as u64);
    let max = page_entries(query.max_uploads);
    let until = end_of_prefix(&query.prefix);
    let mut from = uploads_start(query);
    let mut answer = wire::UploadsAnswer::default();
    let mut last: Option<(Bytes, String)> = None;
    'page: while from.0 < until {
        let rows = max as i64 + 1;
        let found = upload::range(client, bucket, (&from.0, from.1), &until, rows).await?;
        let exhausted = (found.len() as i64) < rows;
        for row in found {
            if row.key.as_ref() < from.0.as_slice() {
                continue;
            }
            if answer.uploads.len() + answer.common_prefixes.len() == max {
                answer.truncated = true;
                break 'page;
            }
            last = Some(take_upload(row, query, &mut from, &mut answer));
        }
        if exhausted {
            break;
        }
    }
    if let Some((key, id)) = last.filter(|_| answer.truncated) {
        answer.next_key_marker = key;
        answer.next_upload_id_marker = id;
    }
    Ok(answer)
}

/// One row into the page; moves `from` behind it or its group; returns the page's marker.
fn take_upload(
    row: UploadRow,
    query: &wire::UploadsQuery,
    from: &mut (Vec<u8>, Uuid),
    answer: &mut wire::UploadsAnswer,
) -> (Bytes, String) {
    if let Some(group) = group(&row.key, &query.prefix, &query.delimiter) {
        let group = Bytes::copy_from_slice(group);
        *from = (end_of_prefix(&group), Uuid::nil());
        answer.common_prefixes.push(group.clone());
        return (group, String::new());
    }
    *from = (row.key.to_vec(), row.upload_id);
    let marker = (row.key.clone(), row.upload_id.simple().to_string());
    answer.uploads.push(row.into_wire());
    marker
}

/// Exclusive. A key marker alone skips all uploads of that key, with an upload id only those up to it.
fn uploads_start(query: &wire::UploadsQuery) -> (Vec<u8>, Uuid) {
    let in_group = group(&query.key_marker, &query.prefix, &query.delimiter).is_some();
    let at_id = upload_name(&query.upload_id_marker).filter(|_| !query.key_marker.is_empty() && !in_group);
    match at_id {
        Some(id) if query.key_marker >= query.prefix => (query.key_marker.to_vec(), id),
        _ => (start(&query.prefix, &query.delimiter, &query.key_marker), Uuid::nil()),
    }
}
