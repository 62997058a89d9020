//! The data plane's overlay of the drive index.

#[path = "../../../dataplane/src/index/key.rs"]
mod key;
#[path = "../../../dataplane/src/index/overlay.rs"]
mod overlay;

#[path = "lookups.rs"]
mod lookups;

pub(crate) use key::{Key, Location};
