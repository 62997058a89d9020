//! The decision, and the proof of it.

use super::action::{Action, Ask};
use super::identity::KeyIdentity;
use crate::error::{Code, S3Error};
use crate::sigv4::Authenticated;
use std::sync::Arc;

/// The second proof of DESIGN 4.2: this sender may do `A` to this resource. Made by [`authorize`] only.
pub struct Grant<A: Action> {
    key: Arc<KeyIdentity>,
    resource: A::Resource,
}

impl<A: Action> Grant<A> {
    #[must_use]
    pub fn resource(&self) -> &A::Resource {
        &self.resource
    }

    /// Whose key acts: tenant and access key id go into the commit.
    #[must_use]
    pub fn principal(&self) -> &Arc<KeyIdentity> {
        &self.key
    }
}

impl<A: Action> std::fmt::Debug for Grant<A>
where
    A::Resource: std::fmt::Debug,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Grant<{}>({} for {:?})", A::NAME, self.key.access_key_id, self.resource)
    }
}

/// Decides.
///
/// # Errors
/// `AccessDenied`, in the same words whatever the reason; `NoSuchBucket` to keys of the whole tenant.
pub fn authorize<A: Action>(who: &Authenticated, ask: A::Ask<'_>) -> Result<Grant<A>, S3Error> {
    let key = match who {
        Authenticated::Key(proof) | Authenticated::Session(proof) | Authenticated::PostForm(proof) => {
            proof.identity()
        }
        Authenticated::Anonymous => return Err(S3Error::new(Code::AccessDenied)),
    };
    if !key.permissions.has(A::PERMISSION) {
        return Err(S3Error::new(Code::AccessDenied));
    }
    let resource = ask.resolve(key)?;
    Ok(Grant { key: Arc::clone(key), resource })
}
