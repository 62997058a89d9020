//! Whose the objects of a bucket are: the bucket's owner's, or in a bucket with ACLs whoever's wrote them.

use std::sync::Arc;

use holdfast_common::wire;
use holdfast_protocol::access::BucketFacts;
use holdfast_protocol::document::acl::{AclOwners, AclRequest, CannedAcl};
use holdfast_protocol::document::ownership::ObjectOwner;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::xml::Owners;

use super::ask::settings_of;
use super::call::{Call, owner};
use crate::env::Env;

/// The tenants that an answer names, each looked up once.
pub(super) struct Tenants {
    bucket: Arc<wire::Tenant>,
    others: Vec<(u64, Arc<wire::Tenant>)>,
}

impl Tenants {
    pub(super) fn owners(&self) -> Owners<'_> {
        let others = self.others.iter().map(|(id, tenant)| (*id, owner(tenant)));
        Owners { bucket: owner(&self.bucket), others: others.collect() }
    }

    /// Of the ACL of an object that this tenant owns.
    pub(super) fn of_object(&self, tenant_id: u64) -> AclOwners<'_> {
        let owners = self.owners();
        AclOwners { owner: owners.of(tenant_id), bucket_owner: owners.bucket }
    }
}

impl<E: Env> Call<'_, E> {
    /// The bucket's owner, and those of its objects that are others': `tenants`, as their records have them.
    pub(super) fn owners_of_objects(
        &self,
        bucket: &BucketFacts,
        tenants: impl Iterator<Item = u64>,
    ) -> Result<Tenants, S3Error> {
        let has_acls = settings_of(bucket)?.ownership().has_acls();
        Ok(self.tenants(bucket, tenants.filter(|_| has_acls)))
    }

    /// The bucket's owner, and these.
    pub(super) fn tenants(&self, bucket: &BucketFacts, tenants: impl Iterator<Item = u64>) -> Tenants {
        let mut others: Vec<(u64, Arc<wire::Tenant>)> = Vec::new();
        for id in tenants.filter(|id| *id != bucket.tenant_id.0) {
            if others.iter().all(|(known, _)| *known != id) {
                others.push((id, self.core.owner(id)));
            }
        }
        Tenants { bucket: self.core.owner(bucket.tenant_id.0), others }
    }

    /// What a new object keeps of its ACL and owner, into its metadata.
    ///
    /// # Errors
    /// As [`Call::admit_object_acl`].
    pub(super) fn own(
        &self,
        bucket: &BucketFacts,
        request: Option<&AclRequest>,
        meta: wire::ObjectMeta,
    ) -> Result<wire::ObjectMeta, S3Error> {
        let writer = self.who.identity().map_or(bucket.tenant_id.0, |key| key.tenant_id.0);
        let acl = self.admit_object_acl(bucket, request, writer)?;
        let guest = writer != bucket.tenant_id.0;
        let writer_owns = guest && settings_of(bucket)?.ownership().owner_of_new(acl) == ObjectOwner::Writer;
        Ok(wire::ObjectMeta { acl: stored(acl), writer_owns, ..meta })
    }

    /// The ACL that an object of `tenant_id` gets, as ownership and public access block admit it.
    ///
    /// # Errors
    /// `AccessControlListNotSupported`, `AccessDenied`, `NotImplemented`.
    pub(super) fn admit_object_acl(
        &self,
        bucket: &BucketFacts,
        request: Option<&AclRequest>,
        tenant_id: u64,
    ) -> Result<CannedAcl, S3Error> {
        let Some(request) = request else { return Ok(CannedAcl::Private) };
        let settings = settings_of(bucket)?;
        let tenants = self.tenants(bucket, std::iter::once(tenant_id));
        let acl = settings.ownership().admit_acl(request, tenants.of_object(tenant_id))?;
        settings.public_access().admit_acl(acl)?;
        Ok(acl)
    }
}

/// As metadata keeps it: nothing for a private one.
pub(super) fn stored(acl: CannedAcl) -> String {
    if acl == CannedAcl::Private { String::new() } else { acl.name().to_owned() }
}
