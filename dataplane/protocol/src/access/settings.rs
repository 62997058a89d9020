//! What a bucket was told beyond its versioning: its documents, read once from the authority's snapshot.
//!
//! The authority keeps bytes and knows nothing of them; [`Document`] is the one place that says how each kind is stored. Two
//! kinds tell "was removed" from "never was there", for S3 answers and judges the two differently.

use bytes::Bytes;
use holdfast_common::wire::bucket_document::Kind;
use holdfast_common::wire::{BucketConfiguration, BucketDocument};

use crate::document::acl::CannedAcl;
use crate::document::cors::CorsConfiguration;
use crate::document::ownership::ObjectOwnership;
use crate::document::public_access::PublicAccessBlock;
use crate::document::tagging::{TagSet, Tagged};
use crate::error::S3Error;
use crate::name::BucketName;
use crate::policy::BucketPolicy;

/// Everything a bucket was told. The default is a new bucket's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketSettings {
    pub policy: Option<StoredPolicy>,
    pub cors: Option<CorsConfiguration>,
    pub tags: Option<TagSet>,
    pub ownership: Setting<ObjectOwnership>,
    pub public_access: Setting<PublicAccessBlock>,
    /// As it was set; [`BucketSettings::acl`] is the one in force.
    pub acl_set: CannedAcl,
}

/// A policy with the text it was put as, which GetBucketPolicy returns.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPolicy {
    pub text: Bytes,
    pub policy: BucketPolicy,
    pub is_public: bool,
}

/// Something that has a default until it is set, and another meaning once it was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setting<T> {
    #[default]
    Never,
    Removed,
    Set(T),
}

/// One document on its way to the authority.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// Its text, which [`BucketPolicy::parse`] took.
    Policy(Option<Bytes>),
    Cors(Option<CorsConfiguration>),
    Tags(Option<TagSet>),
    Ownership(Setting<ObjectOwnership>),
    PublicAccess(Setting<PublicAccessBlock>),
    Acl(CannedAcl),
}

/// Stands for [`Setting::Removed`]; no document is as short.
const REMOVED: &[u8] = b"-";

impl Document {
    /// As the authority keeps it. An empty body removes what is there.
    #[must_use]
    pub fn to_wire(&self) -> BucketDocument {
        let (kind, body) = match self {
            Self::Policy(text) => (Kind::Policy, text.clone().unwrap_or_default()),
            Self::Cors(cors) => {
                (Kind::Cors, cors.as_ref().map(|cors| cors.to_xml().into()).unwrap_or_default())
            }
            Self::Tags(tags) => {
                (Kind::Tagging, tags.as_ref().map(|tags| tags.to_xml().into()).unwrap_or_default())
            }
            Self::Ownership(ownership) => (Kind::OwnershipControls, ownership.stored(|set| set.to_xml())),
            Self::PublicAccess(block) => (Kind::PublicAccessBlock, block.stored(|set| set.to_xml())),
            Self::Acl(CannedAcl::Private) => (Kind::Acl, Bytes::new()),
            Self::Acl(acl) => (Kind::Acl, Bytes::from_static(acl.name().as_bytes())),
        };
        BucketDocument { kind: kind.into(), body }
    }
}

impl<T: Copy> Setting<T> {
    fn stored(self, to_xml: impl Fn(T) -> Vec<u8>) -> Bytes {
        match self {
            Self::Never => Bytes::new(),
            Self::Removed => Bytes::from_static(REMOVED),
            Self::Set(value) => to_xml(value).into(),
        }
    }

    fn read(body: &[u8], parse: impl Fn(&[u8]) -> Result<T, S3Error>) -> Option<Self> {
        if body == REMOVED { Some(Self::Removed) } else { parse(body).ok().map(Self::Set) }
    }

    fn or(self, never: T, removed: T) -> T {
        match self {
            Self::Never => never,
            Self::Removed => removed,
            Self::Set(value) => value,
        }
    }
}

impl BucketSettings {
    /// Reads what the authority sent. `None`: a document that this build cannot read, so what it forbids is not known.
    #[must_use]
    pub fn from_wire(configuration: Option<&BucketConfiguration>, bucket: &BucketName) -> Option<Self> {
        let mut settings = Self::default();
        for document in configuration.iter().flat_map(|configuration| &configuration.documents) {
            settings.take(document, bucket)?;
        }
        Some(settings)
    }

    fn take(&mut self, document: &BucketDocument, bucket: &BucketName) -> Option<()> {
        let body = &document.body;
        match Kind::try_from(document.kind).ok()? {
            Kind::Policy => {
                let policy = BucketPolicy::parse(body, bucket).ok()?;
                let is_public = policy.is_public();
                self.policy = Some(StoredPolicy { text: body.clone(), policy, is_public });
            }
            Kind::Cors => self.cors = Some(CorsConfiguration::parse(body).ok()?),
            Kind::Tagging => self.tags = Some(TagSet::parse(body, Tagged::Bucket).ok()?),
            Kind::OwnershipControls => self.ownership = Setting::read(body, ObjectOwnership::parse)?,
            Kind::PublicAccessBlock => self.public_access = Setting::read(body, PublicAccessBlock::parse)?,
            Kind::Acl => self.acl_set = CannedAcl::named(std::str::from_utf8(body).ok()?)?,
            Kind::Unspecified => return None,
        }
        Some(())
    }

    #[must_use]
    pub fn ownership(&self) -> ObjectOwnership {
        self.ownership.or(ObjectOwnership::default(), ObjectOwnership::DELETED)
    }

    #[must_use]
    pub fn public_access(&self) -> PublicAccessBlock {
        self.public_access.or(PublicAccessBlock::NEW_BUCKET, PublicAccessBlock::default())
    }

    /// The bucket's ACL as it is in force.
    #[must_use]
    pub fn acl(&self) -> CannedAcl {
        self.in_force(self.acl_set)
    }

    /// An object's ACL as it is in force; `set` is the name that the object keeps. One of a later version opens nothing.
    #[must_use]
    pub fn object_acl(&self, set: &str) -> CannedAcl {
        self.in_force(CannedAcl::named(set).unwrap_or_default())
    }

    fn in_force(&self, acl: CannedAcl) -> CannedAcl {
        self.public_access().effective_acl(self.ownership().effective_acl(acl))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> BucketName {
        BucketName::parse("bucket").expect("a name")
    }

    fn read(documents: &[Document]) -> Option<BucketSettings> {
        let documents = documents.iter().map(Document::to_wire).filter(|document| !document.body.is_empty());
        BucketSettings::from_wire(Some(&BucketConfiguration { documents: documents.collect() }), &name())
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let text = Bytes::from_static(
            br#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}"#,
        );
        let block = PublicAccessBlock { block_public_acls: true, ..Default::default() };
        let tags = TagSet::parse_header("a=1&b=").expect("tags");
        let settings = read(&[
            Document::Policy(Some(text.clone())),
            Document::Tags(Some(tags.clone())),
            Document::Ownership(Setting::Set(ObjectOwnership::ObjectWriter)),
            Document::PublicAccess(Setting::Set(block)),
            Document::Acl(CannedAcl::PublicRead),
        ])
        .expect("readable");
        let policy = settings.policy.as_ref().expect("a policy");
        assert_eq!((&policy.text, policy.is_public, settings.tags.as_ref()), (&text, true, Some(&tags)));
        assert_eq!((settings.ownership(), settings.public_access()), (ObjectOwnership::ObjectWriter, block));
        assert_eq!(
            (settings.acl(), settings.object_acl("public-read")),
            (CannedAcl::PublicRead, CannedAcl::PublicRead)
        );
    }

    #[test]
    fn never_and_removed_are_two_things() {
        let new = BucketSettings::default();
        assert_eq!(new.ownership(), ObjectOwnership::BucketOwnerEnforced);
        assert_eq!(new.public_access(), PublicAccessBlock::NEW_BUCKET);
        let bare = read(&[Document::Ownership(Setting::Removed), Document::PublicAccess(Setting::Removed)]);
        let bare = bare.expect("readable");
        assert_eq!(
            (bare.ownership(), bare.public_access()),
            (ObjectOwnership::DELETED, PublicAccessBlock::default())
        );
        assert_eq!(read(&[Document::Cors(None), Document::Acl(CannedAcl::Private)]), Some(new));
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_over() {
        for (kind, body) in
            [(Kind::Policy, "{}"), (Kind::Cors, "<x/>"), (Kind::Acl, "everyone"), (Kind::Unspecified, "x")]
        {
            let documents = vec![BucketDocument { kind: kind.into(), body: body.into() }];
            assert_eq!(
                BucketSettings::from_wire(Some(&BucketConfiguration { documents }), &name()),
                None,
                "{body}"
            );
        }
    }
}
