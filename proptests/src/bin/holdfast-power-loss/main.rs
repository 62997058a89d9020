//! A file system whose power can be cut: whatever was not made durable may be lost or torn, as on a real machine.
//!
//! `holdfast-power-loss BACKING MOUNT [--seed WORD] [--lies]` mounts and says `mounted`. On standard input `cut` cuts the
//! power: what was lost is said, and from then on every call fails. The end of input unmounts. Started again on the
//! same BACKING it shows what survived. Needs root and `/dev/fuse`. With `--lies` an fsync says yes and does nothing:
//! a test of those who test.
//!
//! What is promised, and no more:
//! - `fsync` and `fdatasync` make a file's data and size durable, and the name it was created under (as ext4, xfs and btrfs
//!   do; POSIX does not ask for it).
//! - `fsync` of a directory makes every change of names in it durable, its own creation too.
//! - A change of names that depends on an earlier one is never durable without it; others are lost independently.
//! - The rest may survive or not: each 512-byte sector for itself, a growing size at any length in between, a shrinking
//!   one wholly or not at all.
//!
//! Modes, owners and times are durable at once: nobody here depends on them.

mod data;
mod disk;
mod draw;
mod mount;
mod names;
#[cfg(test)]
mod tests;

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::Disk;
use draw::Draw;
use mount::Mounted;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

struct Options {
    backing: PathBuf,
    mount: PathBuf,
    seed: String,
    lies: bool,
}

fn options() -> Outcome<Options> {
    let mut paths = Vec::new();
    let (mut seed, mut lies) = (String::new(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seed" => seed = arguments.next().ok_or("--seed wants a word")?,
            "--lies" => lies = true,
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    let Ok([backing, mount]) = <[PathBuf; 2]>::try_from(paths) else {
        return Err("usage: holdfast-power-loss BACKING MOUNT [--seed WORD] [--lies]".into());
    };
    Ok(Options { backing, mount, seed, lies })
}

fn main() -> Outcome<()> {
    let options = options()?;
    // Every file that anybody has open is open here too.
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let limit = rustix::process::Rlimit { current: most, maximum: most };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?;
    let mounted = Mounted::new(Disk::open(&options.backing, options.lies)?);
    let session = fuser::spawn_mount(mounted.clone(), &options.mount, &mount::config())?;
    say("mounted")?;
    for line in std::io::stdin().lock().lines() {
        if line? == "cut" {
            say(&mounted.cut(&mut Draw::new(&options.seed))?.to_string())?;
        }
    }
    unmount(&options.mount)?;
    drop(session);
    Ok(())
}

/// A process that was killed a moment ago may still hold it, so this asks for ten seconds.
fn unmount(mount: &Path) -> Outcome<()> {
    for _ in 0..200 {
        if std::process::Command::new("umount")
            .arg(mount)
            .stderr(std::process::Stdio::null())
            .status()?
            .success()
        {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("{} is still mounted: who has a file open on it?", mount.display()).into())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
