//! `?ownershipControls` and `x-amz-object-ownership`: who owns the objects of a bucket, and whether it has ACLs at all.
//!
//! A new bucket is `BucketOwnerEnforced`: its owner owns every object and ACLs are neither set nor looked at. Once the
//! controls are deleted, the bucket is as S3's were before there were any: `ObjectWriter`.

use super::acl::{AclOwners, AclRequest, CannedAcl};
use crate::error::{Code, S3Error};
use crate::xml::reader::XmlError;
use crate::xml::writer::XmlWriter;

/// The one rule of an OwnershipControls document. The default is that of a new bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ObjectOwnership {
    #[default]
    BucketOwnerEnforced,
    /// The bucket's owner owns what is uploaded with `bucket-owner-full-control`.
    BucketOwnerPreferred,
    ObjectWriter,
}

/// Who owns a new object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectOwner {
    BucketOwner,
    Writer,
}

impl ObjectOwnership {
    pub const ALL: [Self; 3] = [Self::BucketOwnerEnforced, Self::BucketOwnerPreferred, Self::ObjectWriter];
    /// What holds once the controls were deleted.
    pub const DELETED: Self = Self::ObjectWriter;

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }

    /// Reads the body of PutBucketOwnershipControls, or what [`Self::to_xml`] wrote.
    ///
    /// # Errors
    /// `MalformedXML`: also for more rules than one.
    pub fn parse(body: &[u8]) -> Result<Self, S3Error> {
        let mut xml = super::open(body, "OwnershipControls")?;
        let mut ownership = None;
        let mut rules = 0;
        while let Some(name) = xml.child()? {
            if name != "Rule" || rules == 1 {
                return Err(XmlError::Unexpected(name).into());
            }
            rules += 1;
            while let Some(name) = xml.child()? {
                match name.as_str() {
                    "ObjectOwnership" => xml.text_once(&name, &mut ownership)?,
                    _ => return Err(XmlError::Unexpected(name).into()),
                }
            }
        }
        xml.end()?;
        let ownership = ownership.ok_or(XmlError::Missing("ObjectOwnership"))?;
        Self::named(ownership.trim()).ok_or_else(|| XmlError::Value("ObjectOwnership").into())
    }

    /// Reads `x-amz-object-ownership` of CreateBucket.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn parse_header(value: &str) -> Result<Self, S3Error> {
        Self::named(value).ok_or_else(|| {
            S3Error::new(Code::InvalidArgument)
                .message(format!("Invalid x-amz-object-ownership header: {value}"))
                .with("ArgumentName", "x-amz-object-ownership")
        })
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ownership| ownership.name() == name)
    }

    /// The document, as GetBucketOwnershipControls answers it.
    #[must_use]
    pub fn to_xml(self) -> Vec<u8> {
        let mut xml = XmlWriter::document();
        xml.open_root("OwnershipControls");
        xml.open("Rule");
        xml.text("ObjectOwnership", self.name());
        xml.close("Rule");
        xml.close("OwnershipControls");
        xml.finish()
    }

    /// The answer to GetBucketOwnershipControls once the controls were deleted.
    #[must_use]
    pub fn not_found(bucket: &str) -> S3Error {
        S3Error::new(Code::OwnershipControlsNotFoundError).with("BucketName", bucket)
    }

    /// Whether ACLs are set and looked at.
    #[must_use]
    pub fn has_acls(self) -> bool {
        self != Self::BucketOwnerEnforced
    }

    /// The ACL that a PUT of the bucket's or an object's ACL, or of an object, sets. Without ACLs only those pass that
    /// change nothing: `private`, `bucket-owner-full-control`, and grants of everything to the owner alone.
    ///
    /// # Errors
    /// `AccessControlListNotSupported` where the bucket has no ACLs; `NotImplemented` for grants that no canned ACL makes.
    pub fn admit_acl(self, request: &AclRequest, owners: AclOwners<'_>) -> Result<CannedAcl, S3Error> {
        if self.has_acls() {
            return request.canned(owners);
        }
        match request.known(owners) {
            Some(CannedAcl::Private | CannedAcl::BucketOwnerFullControl) => Ok(CannedAcl::Private),
            _ => Err(S3Error::new(Code::AccessControlListNotSupported)),
        }
    }

    /// The same for CreateBucket, which says it in its own way.
    ///
    /// # Errors
    /// `InvalidBucketAclWithObjectOwnership` where the new bucket would have no ACLs, else as [`Self::admit_acl`].
    pub fn admit_new_bucket_acl(
        self,
        request: &AclRequest,
        owners: AclOwners<'_>,
    ) -> Result<CannedAcl, S3Error> {
        self.admit_acl(request, owners).map_err(|error| match error.code {
            Code::AccessControlListNotSupported => S3Error::new(Code::InvalidBucketAclWithObjectOwnership),
            _ => error,
        })
    }

    /// Whether a bucket with this ACL may be given this ownership: an ACL that opens it cannot be forgotten in passing.
    ///
    /// # Errors
    /// `InvalidBucketAclWithObjectOwnership`.
    pub fn admit_bucket_with(self, acl: CannedAcl) -> Result<(), S3Error> {
        if self.has_acls() || acl.grants_owner_only() {
            return Ok(());
        }
        Err(S3Error::new(Code::InvalidBucketAclWithObjectOwnership))
    }

    /// The ACL that a request is judged by, and that GetBucketAcl and GetObjectAcl show.
    #[must_use]
    pub fn effective_acl(self, acl: CannedAcl) -> CannedAcl {
        if self.has_acls() { acl } else { CannedAcl::Private }
    }

    /// Who owns an object that somebody uploads with this ACL.
    #[must_use]
    pub fn owner_of_new(self, acl: CannedAcl) -> ObjectOwner {
        match (self, acl) {
            (Self::BucketOwnerEnforced, _)
            | (Self::BucketOwnerPreferred, CannedAcl::BucketOwnerFullControl) => ObjectOwner::BucketOwner,
            _ => ObjectOwner::Writer,
        }
    }
}

#[cfg(test)]
mod tests;
