//! The bytes of an object, part after part, as the connection pulls them.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use holdfast_common::wire;
use holdfast_protocol::access::{GetObject, Grant};
use holdfast_protocol::range::Resolved;

use super::budget::Share;
use crate::agent::PinSet;
use crate::blob::BlobReader;
use crate::env::{Core, Env};
use crate::rt::Chunk;
use crate::server::response::NextChunk;
use crate::server::{BodyStream, StreamError};

/// A blob and its reader.
type Reading<E> = (wire::Blob, BlobReader<<E as Env>::Drives, <E as Env>::Rt>);

pub(super) struct ObjectStream<E: Env> {
    core: Rc<Core<E>>,
    grant: Rc<Grant<GetObject>>,
    record: Arc<wire::ObjectRecord>,
    /// What is left to send, as offsets in the object.
    left: Range<u64>,
    /// The next of the parts that the record holds itself.
    inline: usize,
    /// Parts of a manifest's page, not yet begun.
    parts: VecDeque<wire::Part>,
    /// Pages of the manifest not yet asked for.
    pages: Range<u32>,
    reader: Option<Reading<E>>,
    /// No blob is deleted while it is read.
    pins: PinSet,
    /// The answer's share of the core's memory, for as long as it is being sent.
    share: Option<Share>,
}

impl<E: Env> ObjectStream<E> {
    /// `pins` were taken when the record was looked up.
    pub(super) fn new(
        core: Rc<Core<E>>,
        grant: Rc<Grant<GetObject>>,
        record: Arc<wire::ObjectRecord>,
        span: Resolved,
        pins: PinSet,
    ) -> Self {
        let left = span.bytes();
        let manifest = record.manifest.as_ref();
        let pages = manifest.map_or(0..0, |manifest| pages_of(&manifest.page_offsets, &left));
        let parts = VecDeque::new();
        Self { core, grant, record, left, inline: 0, parts, pages, reader: None, pins, share: None }
    }

    /// Keeps a share of the budget until the last byte.
    pub(super) fn holding(mut self, share: Share) -> Self {
        self.share = Some(share);
        self
    }

    /// The next bytes; `None` at the end of the span.
    pub(super) async fn step(&mut self) -> Result<Option<Chunk>, StreamError> {
        while !self.left.is_empty() {
            if self.reader.is_none() && !self.open_next().await? {
                tracing::error!(record = ?self.record.op_id, left = ?self.left, "a manifest ends before its object");
                return Err(StreamError);
            }
            let (blob, reader) = self.reader.as_mut().expect("opened above");
            match reader.next().await {
                Ok(Some(chunk)) => {
                    self.left.start += chunk.len() as u64;
                    if self.left.is_empty() {
                        self.core.note(blob, reader);
                        self.reader = None;
                    }
                    return Ok(Some(chunk));
                }
                Ok(None) => {
                    self.core.note(blob, reader);
                    self.reader = None;
                }
                Err(error) => {
                    self.core.note(blob, reader);
                    tracing::error!(%error, "an object cannot be read");
                    return Err(StreamError);
                }
            }
        }
        Ok(None)
    }

    /// Opens the part at `left.start`; false when there is none.
    async fn open_next(&mut self) -> Result<bool, StreamError> {
        loop {
            let Some((offset, blob)) = self.next_part() else {
                if !self.fetch_page().await? {
                    return Ok(false);
                }
                continue;
            };
            let Some(blob) = blob else { continue };
            let span = offset..offset + blob.size;
            if span.end <= self.left.start {
                continue;
            }
            let within = self.left.start - span.start..self.left.end.min(span.end) - span.start;
            let reader = self.core.blob_read(&self.grant, &blob, within);
            let reader = reader.map_err(|error| {
                tracing::error!(%error, "an object's record cannot be followed");
                StreamError
            })?;
            self.reader = Some((blob, reader));
            return Ok(true);
        }
    }

    /// The next part's place in the object, and its bytes.
    fn next_part(&mut self) -> Option<(u64, Option<wire::Blob>)> {
        let inline = self.record.manifest.as_ref().and_then(|manifest| manifest.parts.get(self.inline));
        if let Some(part) = inline {
            self.inline += 1;
            return Some((part.offset, part.blob.clone()));
        }
        self.parts.pop_front().map(|part| (part.offset, part.blob))
    }

    async fn fetch_page(&mut self) -> Result<bool, StreamError> {
        let Some(page) = self.pages.next() else { return Ok(false) };
        let pages_of =
            self.record.manifest.as_ref().map(|manifest| manifest.pages_of.clone()).unwrap_or_default();
        let parts = self.core.manifest_page(&*self.grant, pages_of, page).await.map_err(|error| {
            tracing::warn!(%error, page, "a page of a manifest cannot be had");
            StreamError
        })?;
        parts.iter().filter_map(|part| part.blob.as_ref()).for_each(|blob| self.pins.add_blob(blob));
        self.parts.extend(parts);
        Ok(true)
    }
}

impl<E: Env> BodyStream for ObjectStream<E> {
    fn next(&mut self) -> NextChunk<'_> {
        Box::pin(self.step())
    }
}

/// The pages that hold `span`: page i starts at `offsets[i]`.
fn pages_of(offsets: &[u64], span: &Range<u64>) -> Range<u32> {
    let first = offsets.partition_point(|offset| *offset <= span.start).saturating_sub(1);
    let end = offsets.partition_point(|offset| *offset < span.end);
    first as u32..end.max(first) as u32
}

#[cfg(test)]
mod tests {
    use super::pages_of;

    #[test]
    fn only_the_pages_of_the_span_are_asked_for() {
        let offsets = [0, 100, 200];
        assert_eq!(pages_of(&offsets, &(0..300)), 0..3);
        assert_eq!(pages_of(&offsets, &(99..100)), 0..1);
        assert_eq!(pages_of(&offsets, &(100..101)), 1..2);
        assert_eq!(pages_of(&offsets, &(250..300)), 2..3);
        assert_eq!(pages_of(&[], &(0..300)), 0..0);
    }
}
