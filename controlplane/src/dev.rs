//! `holdfast dev`: the whole system from one command, a private PostgreSQL included, and nothing left behind.
//!
//! One process looks after three: PostgreSQL, the control plane, the data plane, started in that order and stopped in
//! the reverse one. Everything they keep is under one directory:
//!
//! ```text
//! DIR/holdfast.json            whose directory this is: format, cluster id, drives, parity
//! DIR/lock                     held while a `dev` runs here
//! DIR/root-credentials.json    the first access key        (0600)
//! DIR/admin.json               address and token for `holdfast admin`   (0600)
//! DIR/ready.json               addresses and process ids, while running
//! DIR/secrets/  DIR/run/       master key, token hash; generated configurations, pids.json
//! DIR/postgres/                the private cluster
//! DIR/drives/d0..  DIR/node/   fragments; the data plane's own state
//! DIR/logs/                    one file per process
//! ```
//!
//! Any of the processes may be killed at any time: children ask the kernel for a signal when their parent dies
//! (`launch.rs`), and the next start ends whatever is still there before it opens anything (`orphan.rs`).

mod children;
mod error;
mod generate;
mod launch;
mod layout;
mod options;
mod orphan;
mod ports;
mod postgres;
mod probe;
mod ready;
mod secrets;
mod supervise;
mod user;

pub use error::DevError;
pub use launch::{LaunchArgs, launch};
pub use layout::DataDir;
pub use options::DevOptions;
pub use ready::AdminFile;
pub(crate) use secrets::random_hex;
pub use supervise::run;
