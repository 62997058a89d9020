//! The first of the two proofs of DESIGN 4.2: who speaks.

use crate::access::KeyIdentity;
use std::sync::Arc;

/// Who sent a request. The variants with a [`Proof`] are made by this module's verification and nowhere else.
#[derive(Clone, Debug)]
pub enum Authenticated {
    /// A key signed the head or the query.
    Key(Proof),
    /// A key of a session (temporary credentials; later issue).
    Session(Proof),
    /// A key signed the policy of a POST form.
    PostForm(Proof),
    /// Nobody signed anything.
    Anonymous,
}

/// Stands for a verified signature of this identity; cannot be made outside the verification.
#[derive(Clone, Debug)]
pub struct Proof {
    identity: Arc<KeyIdentity>,
}

impl Proof {
    #[must_use]
    pub fn identity(&self) -> &Arc<KeyIdentity> {
        &self.identity
    }
}

impl Authenticated {
    pub(super) fn key(identity: Arc<KeyIdentity>) -> Self {
        Self::Key(Proof { identity })
    }

    pub(super) fn post_form(identity: Arc<KeyIdentity>) -> Self {
        Self::PostForm(Proof { identity })
    }

    /// Whose key it was; `None` for nobody's.
    #[must_use]
    pub fn identity(&self) -> Option<&Arc<KeyIdentity>> {
        match self {
            Self::Key(proof) | Self::Session(proof) | Self::PostForm(proof) => Some(&proof.identity),
            Self::Anonymous => None,
        }
    }

    /// For the tests of the evaluator, which has nothing to do with signatures.
    #[cfg(test)]
    pub(crate) fn for_tests(identity: Arc<KeyIdentity>) -> Self {
        Self::key(identity)
    }
}
