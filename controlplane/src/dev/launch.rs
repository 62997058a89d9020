//! The last step before a child's program: drop privileges, tie its life to ours, hand it a directory, exec.
//!
//! `holdfast launch` (hidden) is this step as a process of its own, single-threaded, because between fork and exec of
//! a threaded program hardly anything is allowed, and because the order matters: the kernel forgets the parent-death
//! signal when credentials change, so it is asked for after they did.
//!
//! **The directory.** PostgreSQL refuses to run as root, and the unprivileged user it runs as cannot traverse `/root`.
//! So the directory is opened while we still may, the descriptor survives the exec, and the program is told
//! `/proc/self/fd/N`: the kernel follows that link without walking the path. Children inherit the descriptor, so it
//! holds for PostgreSQL's backends as well. No mount namespace (containers often forbid it), no opened parents, and
//! the length of the path does not matter.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Gid, Pid, Signal, Uid};

/// Stands for the opened directory among the program's arguments.
pub(super) const DIRECTORY_MARK: &str = "@directory@";

/// What `holdfast launch` is given.
#[derive(Clone, Debug, clap::Args)]
pub struct LaunchArgs {
    /// Process that the program must not outlive.
    #[arg(long)]
    pub parent: u32,
    /// Signal the program gets when that process dies: a number.
    #[arg(long)]
    pub death_signal: i32,
    #[arg(long, requires = "gid")]
    pub uid: Option<u32>,
    #[arg(long, requires = "uid")]
    pub gid: Option<u32>,
    /// Directory opened before privileges are dropped.
    #[arg(long)]
    pub directory: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub program: Vec<OsString>,
}

/// Becomes the program. Returns only when it could not.
///
/// # Errors
/// The step that failed, as a sentence.
pub fn launch(args: &LaunchArgs) -> Result<std::convert::Infallible, String> {
    let mut program = args.program.clone();
    if let Some(directory) = &args.directory {
        // Without O_CLOEXEC: the program and its children shall have it. Leaked on purpose, this process ends in exec.
        let opened = rustix::fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .map_err(|cause| format!("cannot open {}: {cause}", directory.display()))?;
        let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
        std::mem::forget(opened);
        for argument in &mut program {
            if *argument == *DIRECTORY_MARK {
                *argument = OsString::from(&path);
            }
        }
    }
    // From here no path of the caller is needed, and none may keep a mount busy.
    std::env::set_current_dir("/").map_err(|cause| format!("cannot leave the working directory: {cause}"))?;
    drop_privileges(args).map_err(|cause| format!("cannot become user {:?}: {cause}", args.uid))?;
    follow_parent(args)?;
    let cause = Command::new(&program[0]).args(&program[1..]).exec();
    Err(format!("cannot start {}: {cause}", program[0].display()))
}

/// Groups first: without privileges they could not be dropped any more.
fn drop_privileges(args: &LaunchArgs) -> io::Result<()> {
    let (Some(uid), Some(gid)) = (args.uid, args.gid) else { return Ok(()) };
    let gid = Gid::from_raw(gid);
    rustix::thread::set_thread_groups(&[gid])?;
    rustix::thread::set_thread_gid(gid)?;
    rustix::thread::set_thread_uid(Uid::from_raw(uid))?;
    Ok(())
}

fn follow_parent(args: &LaunchArgs) -> Result<(), String> {
    let signal = Signal::from_named_raw(args.death_signal)
        .ok_or_else(|| format!("{} is not a signal", args.death_signal))?;
    rustix::process::set_parent_process_death_signal(Some(signal))
        .map_err(|cause| format!("cannot follow the parent: {cause}"))?;
    // It may have died before we asked.
    let parent = rustix::process::getppid().map_or(0, Pid::as_raw_pid);
    if u32::try_from(parent) == Ok(args.parent) {
        Ok(())
    } else {
        Err("the process that started this one is gone".to_owned())
    }
}
