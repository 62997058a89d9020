//! CPUs without the instructions of `kernel`: each body hashes alone.

use super::LANES;
use super::lane::States;

/// There is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {}

impl Kernel {
    #[must_use]
    pub fn detect() -> Option<Self> {
        None
    }

    #[must_use]
    pub fn all() -> Vec<Self> {
        Vec::new()
    }

    #[must_use]
    pub fn sha256(self) -> bool {
        match self {}
    }

    pub(super) fn compress(self, _: u8, _: &mut States, _: &[&[u8]; LANES], _: usize) {
        match self {}
    }
}
