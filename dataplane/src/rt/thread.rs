//! How a core's thread is set up: pinned to its CPU, deaf to signals, few kernel helpers.
#![allow(unsafe_code)]

use std::io;

use super::CoreConfig;
use crate::limits::IO_WORKERS_MAX;

/// Sets up the calling thread for `core`.
pub(super) fn prepare(core: &CoreConfig) {
    block_signals();
    if let Some(cpu) = core.cpu
        && let Err(error) = pin(cpu)
    {
        tracing::warn!(core = core.index, cpu, %error, "the core is not pinned to its CPU; it runs unpinned");
    }
}

/// Pins the calling thread to `cpu`.
fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: an all-zero cpu_set_t is the empty set, and `cpu` was checked to lie within it.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// CPUs this process may run on, in order.
#[must_use]
pub fn cpus_allowed() -> Vec<usize> {
    // SAFETY: the call fills a set of the size we name; an all-zero set is valid before.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let done = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
        if done != 0 {
            return Vec::new();
        }
        set
    };
    // SAFETY: each number is below CPU_SETSIZE.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Keeps signals away from the calling thread: one that interrupted `io_uring_enter` would only cost a turn, and the
/// main thread is the one that listens.
fn block_signals() {
    // SAFETY: `set` is filled before it is used; SIG_BLOCK with a full set never fails.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGPROF] {
            libc::sigdelset(&raw mut set, fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Bounds the kernel's helper threads of this thread (fsync and creating opens run on them; MEASURED.md A2 saw one per
/// connection). The limit belongs to the thread, so a second, short-lived ring can set it.
pub(super) fn bound_io_workers() {
    let mut workers = [IO_WORKERS_MAX, IO_WORKERS_MAX];
    let bounded =
        io_uring::IoUring::new(2).and_then(|ring| ring.submitter().register_iowq_max_workers(&mut workers));
    if let Err(error) = bounded {
        tracing::debug!(%error, "the kernel's io workers are not bounded");
    }
}
