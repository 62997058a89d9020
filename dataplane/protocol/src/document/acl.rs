//! `?acl` and `x-amz-acl`: the canned ACLs, what each opens to whom, and how S3 shows them.
//!
//! One table (`shared`) says what a canned ACL gives beside its owner's full control; grants, the XML and the answers to
//! "may an anonymous request read this?" all come from it. A request may spell an ACL out, in headers or a body; it is
//! understood when a canned one says the same (`request.rs`).

use crate::xml::Owner;
use crate::xml::writer::XmlWriter;

mod grant;
mod request;

pub use grant::{AclGroup, AclPermission, Grant, Grantee};
pub use request::{AclHeaders, AclRequest};

/// A set of grants that S3 has a name for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CannedAcl {
    #[default]
    Private,
    PublicRead,
    PublicReadWrite,
    AuthenticatedRead,
    /// Of objects: the owner of the bucket may read one that another account owns.
    BucketOwnerRead,
    /// Of objects: the owner of the bucket may do everything with one that another account owns.
    BucketOwnerFullControl,
    /// Of buckets. Nobody is in the group that it names, for this server delivers no logs.
    LogDeliveryWrite,
}

/// What an ACL is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclResource {
    Bucket,
    Object,
}

/// The owner of what the ACL is of, and of the bucket it lies in (the same, for a bucket's ACL).
#[derive(Clone, Copy, Debug)]
pub struct AclOwners<'a> {
    pub owner: Owner<'a>,
    pub bucket_owner: Owner<'a>,
}

/// Somebody who does not own the bucket or object, as ACLs tell people apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    Anonymous,
    /// Any account of this deployment.
    Authenticated,
    /// The bucket's owner, at an object of another account.
    BucketOwner,
}

/// What an ACL opens to a stranger. `read` of a bucket is listing it (objects, versions, uploads), of an object getting it;
/// `write` of a bucket is creating and overwriting objects, and of an object nothing. The other two are the ACL's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    pub read: bool,
    pub write: bool,
    pub read_acp: bool,
    pub write_acp: bool,
}

/// Whom a canned ACL shares with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharer {
    Group(AclGroup),
    BucketOwner,
}

impl CannedAcl {
    pub const ALL: [Self; 7] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
        Self::LogDeliveryWrite,
    ];

    /// As `x-amz-acl` says it; the stored form too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
            Self::LogDeliveryWrite => "log-delivery-write",
        }
    }

    /// The ACL of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|acl| acl.name() == name)
    }

    /// Beside full control of the owner.
    fn shared(self) -> &'static [(Sharer, AclPermission)] {
        use AclGroup::{AllUsers, AuthenticatedUsers, LogDelivery};
        use AclPermission::{FullControl, Read, ReadAcp, Write};
        match self {
            Self::Private => &[],
            Self::PublicRead => &[(Sharer::Group(AllUsers), Read)],
            Self::PublicReadWrite => &[(Sharer::Group(AllUsers), Read), (Sharer::Group(AllUsers), Write)],
            Self::AuthenticatedRead => &[(Sharer::Group(AuthenticatedUsers), Read)],
            Self::BucketOwnerRead => &[(Sharer::BucketOwner, Read)],
            Self::BucketOwnerFullControl => &[(Sharer::BucketOwner, FullControl)],
            Self::LogDeliveryWrite => {
                &[(Sharer::Group(LogDelivery), Write), (Sharer::Group(LogDelivery), ReadAcp)]
            }
        }
    }

    /// Whether S3 calls it public: something is open to everyone or to every account.
    #[must_use]
    pub fn is_public(self) -> bool {
        use AclGroup::{AllUsers, AuthenticatedUsers};
        let public = |sharer| matches!(sharer, Sharer::Group(AllUsers | AuthenticatedUsers));
        self.shared().iter().any(|(sharer, _)| public(*sharer))
    }

    /// Whether a bucket with it is its owner's alone.
    #[must_use]
    pub fn grants_owner_only(self) -> bool {
        self.shared().iter().all(|(sharer, _)| *sharer == Sharer::BucketOwner)
    }

    /// What it opens. Ask it of the ACL that ownership and public access block leave in force (`effective_acl` of each).
    #[must_use]
    pub fn opens(self, to: Stranger) -> Opened {
        let mut opened = Opened::default();
        for (sharer, permission) in self.shared() {
            if sharer.includes(to) {
                opened.add(*permission);
            }
        }
        opened
    }

    /// The grants, the owner's first.
    #[must_use]
    pub fn grants(self, owners: AclOwners<'_>) -> Vec<Grant> {
        let user = |owner: Owner<'_>| Grantee::User(owner.id.to_owned());
        let full = Grant { grantee: user(owners.owner), permission: AclPermission::FullControl };
        let shared = self.shared().iter().filter_map(|&(sharer, permission)| match sharer {
            Sharer::Group(group) => Some(Grant { grantee: Grantee::Group(group), permission }),
            Sharer::BucketOwner if owners.owner.id == owners.bucket_owner.id => None,
            Sharer::BucketOwner => Some(Grant { grantee: user(owners.bucket_owner), permission }),
        });
        std::iter::once(full).chain(shared).collect()
    }

    /// The AccessControlPolicy, as GetBucketAcl and GetObjectAcl answer it.
    #[must_use]
    pub fn to_xml(self, owners: AclOwners<'_>) -> Vec<u8> {
        let mut xml = XmlWriter::document();
        xml.open_root("AccessControlPolicy");
        xml.open("Owner");
        write_user(&mut xml, owners.owner);
        xml.close("Owner");
        xml.open("AccessControlList");
        for grant in self.grants(owners) {
            xml.open("Grant");
            match &grant.grantee {
                Grantee::User(id) => {
                    xml.open_typed("Grantee", "CanonicalUser");
                    write_user(&mut xml, owners.named(id));
                }
                Grantee::Group(group) => {
                    xml.open_typed("Grantee", "Group");
                    xml.text("URI", group.uri());
                }
            }
            xml.close("Grantee");
            xml.text("Permission", grant.permission.name());
            xml.close("Grant");
        }
        xml.close("AccessControlList");
        xml.close("AccessControlPolicy");
        xml.finish()
    }
}

impl Sharer {
    fn includes(self, stranger: Stranger) -> bool {
        match self {
            Self::Group(AclGroup::AllUsers) => true,
            Self::Group(AclGroup::AuthenticatedUsers) => stranger != Stranger::Anonymous,
            Self::Group(AclGroup::LogDelivery) => false,
            Self::BucketOwner => stranger == Stranger::BucketOwner,
        }
    }
}

impl Opened {
    fn add(&mut self, permission: AclPermission) {
        match permission {
            AclPermission::FullControl => {
                *self = Self { read: true, write: true, read_acp: true, write_acp: true };
            }
            AclPermission::Read => self.read = true,
            AclPermission::Write => self.write = true,
            AclPermission::ReadAcp => self.read_acp = true,
            AclPermission::WriteAcp => self.write_acp = true,
        }
    }
}

impl<'a> AclOwners<'a> {
    /// Of a bucket's ACL, or of an object that the bucket's owner owns.
    #[must_use]
    pub fn one(owner: Owner<'a>) -> Self {
        Self { owner, bucket_owner: owner }
    }

    /// Whose grants we write are one of the two.
    fn named(&self, id: &str) -> Owner<'a> {
        if id == self.owner.id { self.owner } else { self.bucket_owner }
    }
}

/// S3 no longer sends names of all accounts, and an empty one is left out.
fn write_user(xml: &mut XmlWriter, user: Owner<'_>) {
    xml.text("ID", user.id);
    if !user.display_name.is_empty() {
        xml.text("DisplayName", user.display_name);
    }
}

#[cfg(test)]
mod tests;
