//! Pages of versions: by key, of a key the newest first, delete markers among them; groups of a delimiter skipped by seeks.

use bytes::Bytes;
use holdfast_common::wire::{ListVersionsAnswer, ListVersionsQuery, VersionEntry};

use super::list::page_entries;
use crate::app::Authority;
use crate::app::sessions::signal;
use crate::plan::listing::{SeekRows, after, end_of_prefix, group, start};
use crate::store::version::{Line, shown_id, stored_id};
use crate::store::{Client, StoreError, version};

/// Where a listing is: at the first version of the first key from `from` on, or within the versions of that very key,
/// behind the one of this sequence.
struct Place {
    from: Vec<u8>,
    behind: Option<u64>,
}

/// A page, and the commits that have to be released before it may be shown.
pub(super) async fn page(
    authority: &Authority,
    client: &Client,
    query: &ListVersionsQuery,
) -> Result<(ListVersionsAnswer, Vec<signal::Receiver<bool>>), StoreError> {
    let bucket = query.bucket_id.min(i64::MAX as u64);
    let place = first_place(client, bucket, query).await?;
    let begin = place.from.clone();
    let mut walk = Walk {
        query,
        until: end_of_prefix(&query.prefix),
        place,
        max: page_entries(query.max_keys),
        rows: SeekRows::new(&query.delimiter),
        key: Bytes::new(),
        entries: Vec::new(),
        truncated: false,
    };
    while !walk.truncated && walk.place.from < walk.until {
        let rows = walk.rows.wanted(walk.max - walk.entries.len());
        let lines = match walk.place.behind {
            Some(seq) => version::rest(client, bucket, &walk.place.from, seq, rows).await?,
            None => version::range(client, bucket, &walk.place.from, &walk.until, rows).await?,
        };
        walk.take(lines, rows);
    }
    // Whatever in the walked range is committed and not yet released may be in these rows.
    let walked = match walk.place.behind {
        _ if !walk.truncated => walk.until.clone(),
        Some(_) => after(&walk.place.from),
        None => walk.place.from.clone(),
    };
    let pending = authority.inner.sessions.pending_range(bucket, &begin, &walked);
    Ok((walk.answer(), pending))
}

/// Behind the marker. Its version may have been deleted since it was listed; when nobody knows any more where it stood, all
/// that is left of its key is listed rather than some of it never.
async fn first_place(client: &Client, bucket: u64, query: &ListVersionsQuery) -> Result<Place, StoreError> {
    let in_group = group(&query.key_marker, &query.prefix, &query.delimiter).is_some();
    let no_key = query.key_marker.is_empty() || query.key_marker < query.prefix;
    if query.version_id_marker.is_empty() || no_key || in_group {
        return Ok(Place { from: start(&query.prefix, &query.delimiter, &query.key_marker), behind: None });
    }
    let from = query.key_marker.to_vec();
    // PostgreSQL's text cannot hold NUL, and no version id does.
    let behind = match query.version_id_marker.as_str() {
        marker if marker.contains('\0') => None,
        marker => version::place(client, bucket, &from, stored_id(marker)).await?,
    };
    Ok(Place { from, behind })
}

struct Walk<'a> {
    query: &'a ListVersionsQuery,
    until: Vec<u8>,
    place: Place,
    max: usize,
    rows: SeekRows,
    /// Of the version that was listed last.
    key: Bytes,
    entries: Vec<VersionEntry>,
    truncated: bool,
}

impl Walk<'_> {
    /// The rows of one seek into the page; moves the place behind them.
    fn take(&mut self, lines: Vec<Line>, rows: i64) {
        let within_a_key = self.place.behind.is_some();
        let exhausted = (lines.len() as i64) < rows;
        let mut passed = 0;
        let found = lines.len();
        for line in lines {
            if line.key.as_ref() < self.place.from.as_slice() {
                passed += 1; // of a group that has just been listed
                continue;
            }
            if self.entries.len() == self.max {
                self.truncated = true;
                return;
            }
            self.take_line(line);
        }
        self.rows.learn(found, passed);
        if exhausted && !within_a_key {
            self.place = Place { from: self.until.clone(), behind: None };
        } else if exhausted && self.place.behind.is_some() {
            self.place = Place { from: after(&self.place.from), behind: None };
        }
    }

    fn take_line(&mut self, line: Line) {
        if let Some(group) = group(&line.key, &self.query.prefix, &self.query.delimiter) {
            self.place = Place { from: end_of_prefix(group), behind: None };
            let key = Bytes::copy_from_slice(group);
            self.entries.push(VersionEntry { key, common_prefix: true, ..Default::default() });
            return;
        }
        self.place = Place { from: line.key.to_vec(), behind: Some(line.seq) };
        let latest = line.may_be_latest && self.key != line.key;
        self.key = line.key.clone();
        self.entries.push(VersionEntry {
            key: line.key,
            common_prefix: false,
            version_id: shown_id(&line.version_id).to_owned(),
            latest,
            delete_marker: line.delete_marker,
            size: line.size,
            modified_ms: line.modified_ms,
            etag: line.etag,
            storage_class: line.meta.storage_class,
            checksums: line.meta.checksums,
            tenant_id: line.tenant_id,
        });
    }

    fn answer(self) -> ListVersionsAnswer {
        let last = self.entries.last().filter(|_| self.truncated);
        ListVersionsAnswer {
            next_key_marker: last.map(|last| last.key.clone()).unwrap_or_default(),
            next_version_id_marker: last.map(|last| last.version_id.clone()).unwrap_or_default(),
            truncated: self.truncated,
            entries: self.entries,
        }
    }
}
