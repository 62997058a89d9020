//! What lasts for one run of the command: the directory that everything lives in, the processes, where programs are.

use super::error::{CompareError, at};
use super::options::Cli;
use super::process::Children;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(super) struct Session {
    pub(super) children: Children,
    pub(super) bin_dir: PathBuf,
    pub(super) peers_dir: PathBuf,
    pub(super) url_pids: Vec<u32>,
    /// Data of the systems, one directory each; logs beside them.
    pub(super) work_dir: PathBuf,
    began: Instant,
}

/// `f_type` of statfs(2) for file systems that are memory: there an fsync costs nothing and proves nothing.
const MEMORY_FILE_SYSTEMS: [i64; 2] = [0x0102_1994, 0x8584_58f6];

impl Session {
    pub(super) fn open(cli: &Cli) -> Result<Self, CompareError> {
        let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
        let bin_dir = cli.bin_dir.clone().or_else(beside).unwrap_or_default();
        let cache = cache_dir()?;
        let parent = cli.work_dir.clone().unwrap_or_else(|| cache.join("compare"));
        let work_dir = parent.join(format!("run-{}", std::process::id()));
        at(format!("make {}", work_dir.display()), std::fs::create_dir_all(&work_dir))?;
        let session = Self {
            children: Children::default(),
            bin_dir,
            peers_dir: cache.join("peers"),
            url_pids: cli.url_pids.clone(),
            work_dir,
            began: Instant::now(),
        };
        session.refuse_memory()?;
        session.stop_on_signals()?;
        Ok(session)
    }

    /// For who waits: seconds since the beginning, and what happened.
    pub(super) fn tell(&self, what: &str) {
        eprintln!("compare: {:4.0} s  {what}", self.began.elapsed().as_secs_f64());
    }

    fn refuse_memory(&self) -> Result<(), CompareError> {
        let found = rustix::fs::statfs(&self.work_dir).map_err(std::io::Error::from);
        let found = at(format!("look at {}", self.work_dir.display()), found)?;
        if MEMORY_FILE_SYSTEMS.contains(&found.f_type) {
            return Err(CompareError::Options(format!(
                "{} is memory, where fsync costs nothing: give --work-dir on a disk",
                self.work_dir.display()
            )));
        }
        Ok(())
    }

    /// Ctrl-C and SIGTERM stop everything that was started, remove its data and end us.
    fn stop_on_signals(&self) -> Result<(), CompareError> {
        let (children, work_dir) = (self.children.clone(), self.work_dir.clone());
        let runtime =
            at("wait for signals", tokio::runtime::Builder::new_current_thread().enable_all().build())?;
        let wait = async move {
            use tokio::signal::unix::{SignalKind, signal};
            let mut terminated = signal(SignalKind::terminate())?;
            tokio::select! {
                done = tokio::signal::ctrl_c() => done,
                _ = terminated.recv() => Ok(()),
            }
        };
        let watch = move || {
            if runtime.block_on(wait).is_ok() {
                eprintln!("compare: interrupted, stopping what was started");
                children.close();
                let _ = std::fs::remove_dir_all(&work_dir);
                std::process::exit(130);
            }
        };
        at("wait for signals", std::thread::Builder::new().name("signals".to_owned()).spawn(watch)).map(drop)
    }

    /// An empty directory for one start of one system.
    pub(super) fn fresh_dir(&self, name: &str) -> Result<PathBuf, CompareError> {
        let dir = self.work_dir.join(name.replace(['/', ':'], "_"));
        self.remove(&dir)?;
        at(format!("make {}", dir.display()), std::fs::create_dir_all(&dir))?;
        Ok(dir)
    }

    pub(super) fn remove(&self, dir: &Path) -> Result<(), CompareError> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                at(format!("empty {}", dir.display()), Err(error))
            }
            _ => Ok(()),
        }
    }

    /// What was written so far is on the device: nobody's flush waits for another's bytes.
    pub(super) fn sync(&self) {
        // a file system that cannot be synced was said to be one when the session began
        if let Ok(dir) = std::fs::File::open(&self.work_dir) {
            let _ = rustix::fs::syncfs(dir);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.children.close();
        let _ = std::fs::remove_dir_all(&self.work_dir);
    }
}

/// `$HOLDFAST_CACHE`, or `~/.cache/holdfast`.
fn cache_dir() -> Result<PathBuf, CompareError> {
    if let Some(dir) = std::env::var_os("HOLDFAST_CACHE") {
        return Ok(PathBuf::from(dir));
    }
    let home = std::env::var_os("HOME")
        .ok_or_else(|| CompareError::Options("neither HOLDFAST_CACHE nor HOME is set".to_owned()))?;
    Ok(PathBuf::from(home).join(".cache/holdfast"))
}
