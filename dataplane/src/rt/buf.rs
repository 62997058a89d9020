//! Buffers aligned to 4 KiB (what `O_DIRECT` asks for), kept in a pool of the thread that last dropped them.
//!
//! A buffer has one owner. It goes into an operation by value and comes back with the result, so the kernel never writes
//! to memory that somebody else reads. Fresh memory is zeroed once; a reused buffer keeps what an earlier request left
//! beyond `len`, which is why nothing but `len` bytes is ever readable through `Deref`.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;

use crate::limits::{
    POOL_BYTES_MAX_PER_CLASS, POOL_CLASS_BYTES_MAX, POOL_CLASS_BYTES_MIN, POOL_CLASS_BYTES_PIECE,
};

/// Alignment and smallest size, bytes: the logical block of every drive we meet, and a page.
pub const ALIGN: usize = 4096;

/// What a count must be a multiple of for a direct read to go on after it: the smallest logical block.
pub(super) const DIRECT_ALIGN: usize = 512;

/// What given back memory is filled with in tests.
pub(super) const POISON: u8 = 0xdb;

/// Sizes of pooled buffers: powers of two, and after them the odd one.
const CLASSES: usize = POWERS + 1;
const POWERS: usize = (POOL_CLASS_BYTES_MAX / POOL_CLASS_BYTES_MIN).ilog2() as usize + 1;

const _: () = assert!(POOL_CLASS_BYTES_MIN.is_multiple_of(ALIGN) && POOL_CLASS_BYTES_MIN.is_power_of_two());
const _: () =
    assert!(POOL_CLASS_BYTES_PIECE.is_multiple_of(ALIGN) && POOL_CLASS_BYTES_PIECE < POOL_CLASS_BYTES_MAX);
const _: () = assert!(POOL_CLASS_BYTES_MAX.is_power_of_two() && POOL_CLASS_BYTES_MAX >= POOL_CLASS_BYTES_MIN);

/// An owned, aligned run of bytes with a fixed capacity and a length.
pub struct AlignedBuf {
    memory: Memory,
    len: usize,
}

impl AlignedBuf {
    /// An empty buffer that holds at least `bytes`: the next power of two from 4 KiB to 1 MiB (or the size of a piece
    /// with its record), from this thread's pool when it has one; beyond 1 MiB the next multiple of 4 KiB, unpooled.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { memory: Memory::take(bytes), len: 0 }
    }

    /// A buffer holding a copy of `bytes`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buf = Self::with_capacity(bytes.len());
        buf.extend_from_slice(bytes);
        buf
    }

    /// A buffer of `len` zero bytes.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut buf = Self::with_capacity(len);
        buf.set_len(len);
        buf.fill(0);
        buf
    }

    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.bytes
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.capacity() - self.len
    }

    /// Sets the length. Growing uncovers what the memory held before (never uninitialised memory): overwrite it first
    /// through [`AlignedBuf::space`] or right after.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity(), "length {len} beyond capacity {}", self.capacity());
        self.len = len;
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Shortens to `len` bytes; does nothing when it is shorter.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends `bytes`. They must fit: capacity is fixed, and running over it is a bug of ours.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        assert!(end <= self.capacity(), "{} bytes do not fit in {}", bytes.len(), self.remaining());
        let start = self.len;
        self.space()[start..end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Appends as much of `bytes` as fits and says how much that was.
    pub fn extend_some(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.remaining());
        self.extend_from_slice(&bytes[..count]);
        count
    }

    /// Appends zeros up to `len`; does nothing when it is longer.
    pub fn pad_to(&mut self, len: usize) {
        if len > self.len {
            let start = self.len;
            self.set_len(len);
            self[start..].fill(0);
        }
    }

    /// The whole capacity, whatever the length.
    pub fn space(&mut self) -> &mut [u8] {
        // SAFETY: `memory` owns `bytes` initialised bytes (zeroed at allocation), and `&mut self` makes this the only
        // view of them.
        unsafe { std::slice::from_raw_parts_mut(self.memory.start.as_ptr(), self.memory.bytes) }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len <= bytes` initialised bytes that `memory` owns; `&self` lets nobody write meanwhile.
        unsafe { std::slice::from_raw_parts(self.memory.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        &mut self.space()[..len]
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuf({} of {})", self.len, self.capacity())
    }
}

// SAFETY: the pointer is to heap memory that outlives every use: it stays put when the buffer moves and is freed or
// pooled only on drop. `bytes_init` is within the allocation.
unsafe impl ::monoio::buf::IoBuf for AlignedBuf {
    fn read_ptr(&self) -> *const u8 {
        self.memory.start.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len
    }
}

// SAFETY: as above; the whole capacity may be written, and `set_init` only moves `len` within it.
unsafe impl ::monoio::buf::IoBufMut for AlignedBuf {
    fn write_ptr(&mut self) -> *mut u8 {
        self.memory.start.as_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.memory.bytes
    }

    unsafe fn set_init(&mut self, len: usize) {
        self.set_len(len);
    }
}

/// The part `at` of a buffer's capacity, as the target of a receive or read.
pub(super) struct Window {
    pub(super) buf: AlignedBuf,
    at: Range<usize>,
}

impl Window {
    pub(super) fn new(buf: AlignedBuf, at: Range<usize>) -> Self {
        assert!(at.start <= at.end && at.end <= buf.capacity(), "window {at:?} outside {buf:?}");
        Self { buf, at }
    }
}

// SAFETY: `at` lies within the capacity (checked at construction), the memory stays put, and `set_init` only raises the
// length within the window.
unsafe impl ::monoio::buf::IoBufMut for Window {
    fn write_ptr(&mut self) -> *mut u8 {
        self.buf.space()[self.at.start..].as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.at.len()
    }

    unsafe fn set_init(&mut self, count: usize) {
        assert!(count <= self.at.len(), "{count} bytes beyond {:?}", self.at);
        let end = self.at.start + count;
        if end > self.buf.len() {
            self.buf.set_len(end);
        }
    }
}

/// The allocation: goes back to the pool of the dropping thread.
struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it is the only owner of plain memory; nothing about it is tied to a thread. Dropping it on another thread puts
// it into that thread's pool.
unsafe impl Send for Memory {}

// SAFETY: through `&self` the memory can only be read.
unsafe impl Sync for Memory {}

impl Memory {
    fn take(bytes: usize) -> Self {
        match class_of(bytes) {
            Some(class) => POOL
                .try_with(|pool| pool.borrow_mut()[class].pop())
                .ok()
                .flatten()
                .unwrap_or_else(|| Self::allocate(size_of_class(class))),
            None => Self::allocate(bytes.next_multiple_of(ALIGN)),
        }
    }

    fn allocate(bytes: usize) -> Self {
        let layout = Self::layout(bytes);
        // SAFETY: the layout's size is not zero (at least one page).
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, bytes }
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, ALIGN).expect("a buffer's size is far below isize::MAX")
    }

    /// In tests whoever reads a buffer that was given back, or trusts what an uncovered one holds, reads this.
    fn poison(&mut self) {
        // SAFETY: `self` owns `bytes` initialised bytes and is being dropped: nobody else sees them.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }.fill(POISON);
    }

    fn free(&mut self) {
        // SAFETY: allocated by `allocate` with this very layout, and freed once: callers forget or are dropping `self`.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.bytes)) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if cfg!(test) {
            self.poison();
        }
        let pooled = class_of(self.bytes).is_some_and(|class| {
            POOL.try_with(|pool| {
                let mut pool = pool.borrow_mut();
                let fits = (pool[class].len() + 1) * self.bytes <= POOL_BYTES_MAX_PER_CLASS;
                if fits {
                    // The allocation's ownership moves here: `self` is going away and has no fields that drop.
                    pool[class].push(Self { start: self.start, bytes: self.bytes });
                }
                fits
            })
            // The thread is ending and its pool is gone.
            .unwrap_or(false)
        });
        if !pooled {
            self.free();
        }
    }
}

thread_local! {
    static POOL: RefCell<[Vec<Memory>; CLASSES]> = RefCell::default();
}

fn size_of_class(class: usize) -> usize {
    if class == POWERS { POOL_CLASS_BYTES_PIECE } else { POOL_CLASS_BYTES_MIN << class }
}

/// The class of least size that holds `bytes`.
fn class_of(bytes: usize) -> Option<usize> {
    let size = bytes.max(POOL_CLASS_BYTES_MIN).next_power_of_two();
    if bytes <= POOL_CLASS_BYTES_PIECE && size > POOL_CLASS_BYTES_PIECE {
        return Some(POWERS);
    }
    (size <= POOL_CLASS_BYTES_MAX).then(|| (size / POOL_CLASS_BYTES_MIN).ilog2() as usize)
}
