//! `?publicAccessBlock`: four switches that keep a bucket from the public whatever its ACLs and its policy say.
//!
//! Two refuse what would open the bucket when it is set; two ignore, when a request is judged, what is there already. A new
//! bucket has all four on; a bucket whose configuration was deleted has none.

use super::acl::CannedAcl;
use crate::error::{Code, S3Error};
use crate::xml::reader::XmlError;
use crate::xml::writer::XmlWriter;

/// A PublicAccessBlockConfiguration. The default is that of a deleted one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublicAccessBlock {
    pub block_public_acls: bool,
    pub ignore_public_acls: bool,
    pub block_public_policy: bool,
    pub restrict_public_buckets: bool,
}

/// Whom the allowances of a bucket's policy reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyReach {
    /// Whom the policy says.
    AsWritten,
    /// Nobody but the account that owns the bucket.
    OwnerOnly,
}

impl PublicAccessBlock {
    /// Of a bucket that nobody configured.
    pub const NEW_BUCKET: Self = Self {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };

    /// Reads the body of PutPublicAccessBlock, or what [`Self::to_xml`] wrote. What it leaves out is off.
    ///
    /// # Errors
    /// `MalformedXML`.
    pub fn parse(body: &[u8]) -> Result<Self, S3Error> {
        let mut xml = super::open(body, "PublicAccessBlockConfiguration")?;
        let mut texts: [Option<String>; 4] = [const { None }; 4];
        while let Some(name) = xml.child()? {
            match ELEMENTS.iter().position(|element| *element == name) {
                Some(at) => xml.text_once(&name, &mut texts[at])?,
                None => return Err(XmlError::Unexpected(name).into()),
            }
        }
        xml.end()?;
        let mut settings = [false; 4];
        for (at, text) in texts.iter().enumerate() {
            settings[at] = match text.as_deref().map(str::trim) {
                None | Some("false" | "FALSE" | "False" | "0") => false,
                Some("true" | "TRUE" | "True" | "1") => true,
                Some(_) => return Err(XmlError::Value(ELEMENTS[at]).into()),
            };
        }
        Ok(Self::of_settings(settings))
    }

    /// The document, as GetPublicAccessBlock answers it.
    #[must_use]
    pub fn to_xml(self) -> Vec<u8> {
        let mut xml = XmlWriter::document();
        xml.open_root("PublicAccessBlockConfiguration");
        for (element, setting) in ELEMENTS.into_iter().zip(self.settings()) {
            xml.bool(element, setting);
        }
        xml.close("PublicAccessBlockConfiguration");
        xml.finish()
    }

    /// The answer to GetPublicAccessBlock once the configuration was deleted.
    #[must_use]
    pub fn not_found(bucket: &str) -> S3Error {
        S3Error::new(Code::NoSuchPublicAccessBlockConfiguration).with("BucketName", bucket)
    }

    /// BlockPublicAcls: whether an ACL may be set on the bucket or an object of it.
    ///
    /// # Errors
    /// `AccessDenied` for a public one.
    pub fn admit_acl(self, acl: CannedAcl) -> Result<(), S3Error> {
        if self.block_public_acls && acl.is_public() {
            return Err(denied("public access control lists (ACLs) are blocked by the BlockPublicAcls"));
        }
        Ok(())
    }

    /// BlockPublicPolicy: whether a policy may be set that is (or is not) public.
    ///
    /// # Errors
    /// `AccessDenied` for a public one.
    pub fn admit_policy(self, is_public: bool) -> Result<(), S3Error> {
        if self.block_public_policy && is_public {
            return Err(denied("public policies are blocked by the BlockPublicPolicy"));
        }
        Ok(())
    }

    /// IgnorePublicAcls: the ACL that a request is judged by.
    #[must_use]
    pub fn effective_acl(self, acl: CannedAcl) -> CannedAcl {
        if self.ignore_public_acls && acl.is_public() { CannedAcl::Private } else { acl }
    }

    /// RestrictPublicBuckets: whom the bucket's policy reaches. A deny of it holds in any case.
    #[must_use]
    pub fn policy_reach(self, is_public: bool) -> PolicyReach {
        if self.restrict_public_buckets && is_public {
            PolicyReach::OwnerOnly
        } else {
            PolicyReach::AsWritten
        }
    }

    /// In the order of the elements.
    fn of_settings(settings: [bool; 4]) -> Self {
        let [block_public_acls, ignore_public_acls, block_public_policy, restrict_public_buckets] = settings;
        Self { block_public_acls, ignore_public_acls, block_public_policy, restrict_public_buckets }
    }

    fn settings(self) -> [bool; 4] {
        [
            self.block_public_acls,
            self.ignore_public_acls,
            self.block_public_policy,
            self.restrict_public_buckets,
        ]
    }
}

/// In the order of S3's answer.
const ELEMENTS: [&str; 4] =
    ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];

fn denied(because: &str) -> S3Error {
    S3Error::new(Code::AccessDenied)
        .message(format!("Access Denied because {because} block public access setting."))
}

#[cfg(test)]
mod tests;
