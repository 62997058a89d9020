//! A span of a shared [`AlignedBuf`] (or of plain [`Bytes`]): bytes on their way from one place to another, uncopied.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::AlignedBuf;

/// Immutable bytes. Cloning and slicing share the memory; the last one returns it to the pool of its thread. It may be read on
/// another core (bodies are hashed together), which is why the count is atomic.
#[derive(Clone)]
pub struct Chunk {
    owner: Owner,
    span: Range<usize>,
}

#[derive(Clone)]
enum Owner {
    Buf(Arc<AlignedBuf>),
    Bytes(Bytes),
}

impl Chunk {
    /// The bytes `span` of `buf`, which must lie within its length.
    #[must_use]
    pub fn new(buf: AlignedBuf, span: Range<usize>) -> Self {
        Self::shared(Arc::new(buf), span)
    }

    /// The bytes `span` of a buffer that others share.
    #[must_use]
    pub fn shared(buf: Arc<AlignedBuf>, span: Range<usize>) -> Self {
        assert!(span.start <= span.end && span.end <= buf.len(), "span {span:?} outside {buf:?}");
        Self { owner: Owner::Buf(buf), span }
    }

    /// The part `range` of these bytes, sharing the memory.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len(), "range {range:?} outside {self:?}");
        let span = self.span.start + range.start..self.span.start + range.end;
        Self { owner: self.owner.clone(), span }
    }

    /// Whether both keep the same buffer from being used again.
    #[must_use]
    pub fn shares_memory(&self, other: &Self) -> bool {
        match (&self.owner, &other.owner) {
            (Owner::Buf(ours), Owner::Buf(theirs)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        }
    }

    /// Drops the first `count` bytes from view.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "{count} bytes beyond {self:?}");
        self.span.start += count;
    }

    /// The buffer itself, when nobody else shares it.
    ///
    /// # Errors
    /// These bytes, when somebody does.
    pub fn into_buf(self) -> Result<AlignedBuf, Self> {
        let Self { owner, span } = self;
        match owner {
            Owner::Buf(buf) => Arc::try_unwrap(buf).map_err(|buf| Self { owner: Owner::Buf(buf), span }),
            Owner::Bytes(_) => Err(Self { owner, span }),
        }
    }

    /// Whether these bytes begin at `start` of a buffer that holds at least `bytes`.
    #[must_use]
    pub fn lies_in(&self, start: usize, bytes: usize) -> bool {
        matches!(&self.owner, Owner::Buf(buf) if self.span.start == start && buf.capacity() >= bytes)
    }
}

impl From<AlignedBuf> for Chunk {
    fn from(buf: AlignedBuf) -> Self {
        let len = buf.len();
        Self::new(buf, 0..len)
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        let len = bytes.len();
        Self { owner: Owner::Bytes(bytes), span: 0..len }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.owner {
            Owner::Buf(buf) => &buf[self.span.clone()],
            Owner::Bytes(bytes) => &bytes[self.span.clone()],
        }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}
