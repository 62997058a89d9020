//! Questions: lookups, listings, uploads and parts, placements.

use bytes::Bytes;
use holdfast_common::wire::{self, Refusal, answer::Answer, query::Query};

use super::State;

impl State {
    pub(super) fn answer(&mut self, query: Query) -> wire::Answer {
        let as_of = self.seq;
        let answer = match query {
            Query::Lookup(lookup) => {
                Answer::Lookup(wire::LookupAnswer { record: self.heads.get(&lookup.key).cloned() })
            }
            Query::List(list) => Answer::List(self.list(&list)),
            Query::Parts(parts) => Answer::Parts(self.parts(&parts)),
            Query::Placement(placement) => Answer::Placement(self.intern(placement.backends)),
            Query::Uploads(_) | Query::ListVersions(_) | Query::ManifestPage(_) | Query::Ticket(_) => {
                Answer::Refused(wire::Refused {
                    reason: Refusal::InvalidRequest.into(),
                    ..Default::default()
                })
            }
        };
        wire::Answer { query_id: 0, as_of, answer: Some(answer) }
    }

    /// Without delimiters: a page of keys.
    fn list(&self, list: &wire::ListQuery) -> wire::ListAnswer {
        let max = list.max_keys as usize;
        let from = list.after.clone().max(list.prefix.clone());
        let page = self.heads.range(from..).filter(|(key, _)| **key > list.after || list.after.is_empty());
        let mut page = page.take_while(|(key, _)| key.starts_with(&list.prefix));
        let entries: Vec<wire::ListEntry> =
            page.by_ref().take(max).map(|(key, record)| entry(key, record)).collect();
        let truncated = page.next().is_some();
        let next_after =
            entries.last().filter(|_| truncated).map(|last| last.key.clone()).unwrap_or_default();
        wire::ListAnswer { entries, truncated, next_after }
    }

    fn parts(&self, asked: &wire::PartsQuery) -> wire::PartsAnswer {
        let Some(upload) = self.uploads.get(&asked.upload_id).filter(|upload| upload.key == asked.key) else {
            return wire::PartsAnswer::default();
        };
        let parts = upload.parts.range(asked.after_number + 1..).map(|(_, part)| part.clone());
        wire::PartsAnswer {
            upload: Some(wire::Upload {
                upload_id: asked.upload_id.clone(),
                key: upload.key.clone(),
                meta: Some(upload.meta.clone()),
                tenant_id: super::TENANT_ID,
                ..Default::default()
            }),
            parts: parts.take(asked.max_parts as usize).collect(),
            truncated: false,
            next_after_number: 0,
        }
    }

    fn intern(&mut self, backends: Vec<u32>) -> wire::Placement {
        let at = self.placements.iter().position(|known| *known == backends).unwrap_or_else(|| {
            self.placements.push(backends.clone());
            self.placements.len() - 1
        });
        wire::Placement { placement_id: u32::try_from(at).expect("few") + 1, backends }
    }
}

fn entry(key: &Bytes, record: &wire::ObjectRecord) -> wire::ListEntry {
    wire::ListEntry {
        key: key.clone(),
        size: record.size,
        modified_ms: record.modified_ms,
        etag: record.etag.clone(),
        ..Default::default()
    }
}
