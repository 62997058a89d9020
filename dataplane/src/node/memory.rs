//! The highest commit that a client of this node was told of, on disk. A database that was restored, or a standby that was
//! promoted, is held against it (DESIGN 3.1): what the node knew and the database lacks was lost. The cache keeps the same
//! number, and loses it when the node is killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::enrol::files;
use crate::limits::ACKNOWLEDGED_TICK;
use crate::link::state::NodeState;

/// Writes the number down while it lives, as often as it changes and at most once in `ACKNOWLEDGED_TICK`.
pub(super) struct Memory {
    writer: Mutex<Option<(flume::Sender<()>, JoinHandle<()>)>>,
}

impl Memory {
    /// Tells `state` what is remembered.
    ///
    /// # Errors
    /// A sentence for the operator: the file is there and holds no number.
    pub(super) fn open(data_dir: &Path, state: &Arc<NodeState>) -> Result<Self, String> {
        let path = data_dir.join("acknowledged");
        let known = read(&path)?;
        state.acknowledge(known);
        let (stop, stopped) = flume::bounded(1);
        let state = Arc::clone(state);
        let thread = std::thread::Builder::new()
            .name("acknowledged".to_owned())
            .spawn(move || keep(&path, known, &state, &stopped))
            .map_err(|error| {
                format!("the thread that remembers commits does not start: {error}; see `ulimit -u`")
            })?;
        Ok(Self { writer: Mutex::new(Some((stop, thread))) })
    }

    /// Writes what is to be written, and ends.
    pub(super) fn stop(&self) {
        if let Some((stop, thread)) = self.writer.lock().take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

fn keep(path: &Path, mut known: u64, state: &NodeState, stopped: &flume::Receiver<()>) {
    loop {
        let ends = stopped.recv_timeout(ACKNOWLEDGED_TICK) == Err(flume::RecvTimeoutError::Disconnected);
        let now = state.acknowledged();
        if now > known {
            match files::write(path, format!("{now}\n").as_bytes()) {
                Ok(()) => known = now,
                Err(error) => tracing::error!(%error, "what clients were told of is not remembered"),
            }
        }
        if ends {
            return;
        }
    }
}

/// 0: nothing is remembered.
fn read(path: &PathBuf) -> Result<u64, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map_err(|_| {
            format!(
                "{} holds no number: it was damaged; remove it (a database that lost commits may then go unnoticed)",
                path.display()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Memory;
    use crate::cache::CacheWriter;
    use crate::link::state::NodeState;

    fn state() -> Arc<NodeState> {
        Arc::new(NodeState::new(CacheWriter::nowhere(), [1; 16]))
    }

    #[test]
    fn what_clients_were_told_of_outlives_the_process_and_its_cache() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = state();
        let memory = Memory::open(dir.path(), &first).expect("opens");
        first.acknowledge(77);
        first.acknowledge(76);
        memory.stop();
        let second = state();
        let memory = Memory::open(dir.path(), &second).expect("opens");
        assert_eq!(second.acknowledged(), 77);
        memory.stop();
        std::fs::write(dir.path().join("acknowledged"), "seventy").expect("written");
        assert!(
            Memory::open(dir.path(), &state())
                .err()
                .expect("refused")
                .contains("acknowledged holds no number")
        );
    }
}
