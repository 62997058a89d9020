//! File calls outside of the ring: those that block, for the pool, and those that never do.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use super::pool::blocking;

/// Reserves `len` bytes of the file behind `fd`.
///
/// The descriptor is duplicated first: the call may outlive a dropped caller, and the number could by then be another's.
pub(super) async fn fallocate(fd: RawFd, len: u64) -> io::Result<()> {
    // SAFETY: the caller holds the file open for the length of this statement.
    let own = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
    blocking(move || reserve(&File::from(own), len)).await
}

/// `fallocate(2)`, tried again when a signal interrupts it.
pub(super) fn reserve(file: &File, len: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let len = libc::off_t::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    loop {
        // SAFETY: a plain system call on a descriptor that `file` keeps open.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Reads what the page cache holds of `into.len()` bytes at `offset`, without waiting for a device. The count is short
/// where it does not hold more, at the end of the file, and on any error: a read that may wait says which.
pub(super) fn read_cached(fd: RawFd, into: &mut [u8], offset: u64) -> usize {
    // SAFETY: the caller holds the file open for the length of this call.
    let file = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::preadv2(file, &mut [io::IoSliceMut::new(into)], offset, rustix::io::ReadWriteFlags::NOWAIT)
        .unwrap_or(0)
}

/// Size of the file behind `fd`, bytes, as the kernel has it in memory.
pub(super) fn size(fd: RawFd) -> io::Result<u64> {
    // SAFETY: the caller holds the file open for the length of this call.
    let file = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(rustix::fs::fstat(file)?.st_size.unsigned_abs())
}
