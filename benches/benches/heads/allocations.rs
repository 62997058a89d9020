//! Counts what a stage allocates: what is promised to allocate nothing is seen to. A global
//! allocator is an unsafe trait.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting calls of each thread. A bench that wants counts makes it its global one.
pub(crate) struct Counted;

// SAFETY: every call is passed on unchanged; counting touches a thread-local without a destructor and allocates nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller's.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// How often `stage` allocates or grows something; the second call counts, so that what is made once is not its.
pub(crate) fn allocations<T>(mut stage: impl FnMut() -> T) -> u64 {
    black_box(stage());
    let before = COUNT.with(Cell::get);
    let made = black_box(stage());
    let after = COUNT.with(Cell::get);
    drop(made);
    after - before
}
