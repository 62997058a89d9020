//! Whether this process may use io_uring; if not, why, and what the operator can do about it.

use std::io;

use io_uring::opcode;

use crate::limits::RING_ENTRIES;

/// What [`probe`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uring {
    Available {
        /// `SINGLE_ISSUER` and `DEFER_TASKRUN` work (Linux 6.1 and later): fewer interrupts of the core.
        defer_taskrun: bool,
    },
    /// Each a clause for people: the likely cause, and the next command.
    Forbidden { cause: String, fix: String },
}

/// Tries to build a ring as a core would, and asks for every opcode that monoio uses.
#[must_use]
pub fn probe() -> Uring {
    let deferred = builder(true).build(RING_ENTRIES);
    let found = match deferred {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            builder(false).build(RING_ENTRIES).map(|_| false)
        }
        Err(error) => Err(error),
    };
    match found {
        Ok(_) if !::monoio::utils::detect_uring() => Uring::Forbidden {
            cause: "this kernel's io_uring lacks operations that Holdfast uses".to_owned(),
            fix: "use Linux 5.11 or later (6.1 or later is faster); see `uname -r`".to_owned(),
        },
        Ok(defer_taskrun) => Uring::Available { defer_taskrun },
        Err(error) => explain(&error),
    }
}

/// The same for glommio, which ends the process when something is missing.
#[must_use]
pub fn probe_glommio() -> Uring {
    let found = probe();
    if !matches!(found, Uring::Available { .. }) {
        return found;
    }
    let locked = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    if locked.is_some_and(|bytes| bytes < GLOMMIO_MEMLOCK_BYTES_MIN) {
        return Uring::Forbidden {
            cause: format!(
                "glommio wants to lock {GLOMMIO_MEMLOCK_BYTES_MIN} bytes of memory or more, and may not"
            ),
            fix: "raise the limit: `ulimit -l unlimited`, or `LimitMEMLOCK=infinity` in the systemd unit"
                .to_owned(),
        };
    }
    let mut kernel = io_uring::Probe::new();
    let known = io_uring::IoUring::new(2).and_then(|ring| ring.submitter().register_probe(&mut kernel));
    if known.is_err() || !GLOMMIO_OPERATIONS.iter().all(|code| kernel.is_supported(*code)) {
        return Uring::Forbidden {
            cause: "this kernel's io_uring lacks operations that glommio uses".to_owned(),
            fix: "use Linux 5.8 or later, see `uname -r`".to_owned(),
        };
    }
    if let Err(error) = builder(false).setup_iopoll().build(2) {
        return explain(&error);
    }
    found
}

/// What glommio 0.9.0 asks the kernel for (its `GLOMMIO_URING_OPS`).
const GLOMMIO_OPERATIONS: [u8; 23] = [
    opcode::Nop::CODE,
    opcode::Readv::CODE,
    opcode::Writev::CODE,
    opcode::Fsync::CODE,
    opcode::ReadFixed::CODE,
    opcode::WriteFixed::CODE,
    opcode::PollAdd::CODE,
    opcode::PollRemove::CODE,
    opcode::SendMsg::CODE,
    opcode::RecvMsg::CODE,
    opcode::Timeout::CODE,
    opcode::TimeoutRemove::CODE,
    opcode::Accept::CODE,
    opcode::LinkTimeout::CODE,
    opcode::Connect::CODE,
    opcode::Fallocate::CODE,
    opcode::OpenAt::CODE,
    opcode::Close::CODE,
    opcode::Statx::CODE,
    opcode::Read::CODE,
    opcode::Write::CODE,
    opcode::Send::CODE,
    opcode::Recv::CODE,
];

/// Its `MIN_MEMLOCK_LIMIT`.
const GLOMMIO_MEMLOCK_BYTES_MIN: u64 = 512 << 10;

/// The ring of a core. A ring of `SINGLE_ISSUER` belongs to the thread that builds it.
pub(super) fn builder(defer_taskrun: bool) -> io_uring::Builder {
    let mut builder = io_uring::IoUring::builder();
    if defer_taskrun {
        builder.setup_single_issuer().setup_defer_taskrun();
    }
    builder
}

fn explain(error: &io::Error) -> Uring {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let (cause, fix) = match (error.raw_os_error(), disabled.trim()) {
        (Some(libc::EPERM), "1" | "2") => (
            "the sysctl kernel.io_uring_disabled forbids io_uring".to_owned(),
            "run `sysctl -w kernel.io_uring_disabled=0`",
        ),
        (Some(libc::EPERM | libc::EACCES | libc::ENOSYS), _) => (
            format!(
                "the system refuses io_uring_setup ({error}): a seccomp profile, as Docker's default, or an old kernel"
            ),
            "start the container with `--security-opt seccomp=unconfined` or a profile that allows io_uring_setup, \
             io_uring_enter and io_uring_register; outside containers use Linux 5.11 or later",
        ),
        (Some(libc::ENOMEM), _) => (
            "the limit of locked memory is too low for a ring".to_owned(),
            "raise it: `ulimit -l unlimited`, or `LimitMEMLOCK=infinity` in the systemd unit",
        ),
        (Some(libc::EMFILE | libc::ENFILE), _) => (
            "there are no file descriptors left".to_owned(),
            "raise the limit: `ulimit -n 65536`, or `LimitNOFILE=65536` in the systemd unit",
        ),
        _ => (format!("io_uring_setup failed: {error}"), "look at `dmesg` and `uname -r`"),
    };
    Uring::Forbidden { cause, fix: fix.to_owned() }
}
