//! The ACL that a request asks for: a canned one by name, or grants spelled out in `x-amz-grant-*` or in a body.
//!
//! Grants are read in full, so that a malformed one is told as S3 tells it, and are then understood only when a canned ACL
//! makes exactly them: this server keeps no lists of grants.

use std::collections::BTreeSet;

use super::{AclGroup, AclOwners, AclPermission, AclResource, CannedAcl, Grant, Grantee};
use crate::error::{Code, S3Error};
use crate::limits::ACL_GRANTS_MAX;
use crate::xml::reader::{XmlError, XmlReader};

/// The headers of a request that speak of ACLs, as sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct AclHeaders<'a> {
    /// `x-amz-acl`
    pub acl: Option<&'a str>,
    /// `x-amz-grant-full-control`
    pub grant_full_control: Option<&'a str>,
    /// `x-amz-grant-read`
    pub grant_read: Option<&'a str>,
    /// `x-amz-grant-write`
    pub grant_write: Option<&'a str>,
    /// `x-amz-grant-read-acp`
    pub grant_read_acp: Option<&'a str>,
    /// `x-amz-grant-write-acp`
    pub grant_write_acp: Option<&'a str>,
}

/// An ACL as asked for. Whether the bucket takes it, its ownership says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclRequest {
    Canned(CannedAcl),
    /// `aws-exec-read`, canned too, opens an object to a service of AWS that is not here.
    AwsExecRead,
    Grants(BTreeSet<Grant>),
}

impl AclRequest {
    /// Reads the headers of CreateBucket, PutObject, CopyObject and CreateMultipartUpload; `None` when they are silent.
    ///
    /// # Errors
    /// `InvalidRequest` for both kinds of headers, `InvalidArgument` for a value, `MethodNotAllowed` for a grant to an
    /// e-mail address.
    pub fn of_headers(headers: &AclHeaders<'_>, of: AclResource) -> Result<Option<Self>, S3Error> {
        let mut grants = BTreeSet::new();
        let mut granted = false;
        for (header, value, permission) in headers.grants() {
            let Some(value) = value else { continue };
            granted = true;
            if headers.acl.is_some() {
                return Err(S3Error::new(Code::InvalidRequest)
                    .message("Specifying both Canned ACLs and Header Grants is not allowed"));
            }
            for grantee in grantees(header, value)? {
                grants.insert(Grant { grantee, permission });
                if grants.len() > ACL_GRANTS_MAX {
                    return Err(malformed());
                }
            }
        }
        match headers.acl {
            Some(name) => Self::named(name, of).map(Some),
            None => Ok(granted.then_some(Self::Grants(grants))),
        }
    }

    /// Reads `x-amz-acl`. What speaks of a bucket's owner says nothing new of a bucket, and is ignored there as by S3.
    fn named(name: &str, of: AclResource) -> Result<Self, S3Error> {
        use CannedAcl::{BucketOwnerFullControl, BucketOwnerRead, LogDeliveryWrite};
        match (CannedAcl::named(name), of) {
            (Some(BucketOwnerRead | BucketOwnerFullControl), AclResource::Bucket) => {
                Ok(Self::Canned(CannedAcl::Private))
            }
            (None, _) if name == "aws-exec-read" => Ok(Self::AwsExecRead),
            (None, _) | (Some(LogDeliveryWrite), AclResource::Object) => {
                Err(S3Error::invalid_argument("x-amz-acl", name, Code::InvalidArgument.sentence()))
            }
            (Some(acl), _) => Ok(Self::Canned(acl)),
        }
    }

    /// Reads a PutBucketAcl or PutObjectAcl, which speaks by headers or by its body.
    ///
    /// # Errors
    /// As [`Self::of_headers`]; `MissingSecurityHeader` when nothing is said, `UnexpectedContent` when both speak,
    /// `MalformedACLError`, and `AccessDenied` for a body that names another owner.
    pub fn of_put(
        headers: &AclHeaders<'_>,
        body: &[u8],
        of: AclResource,
        owners: AclOwners<'_>,
    ) -> Result<Self, S3Error> {
        match (Self::of_headers(headers, of)?, body.is_empty()) {
            (Some(request), true) => Ok(request),
            (Some(_), false) => {
                Err(S3Error::new(Code::UnexpectedContent).message("This request does not support content"))
            }
            (None, true) => Err(S3Error::new(Code::MissingSecurityHeader)
                .message("Your request was missing a required header")
                .with("MissingHeaderName", "x-amz-acl")),
            (None, false) => Self::parse(body, owners),
        }
    }

    /// Reads an AccessControlPolicy.
    fn parse(body: &[u8], owners: AclOwners<'_>) -> Result<Self, S3Error> {
        let (owner, grants) = read_policy(body).map_err(|error| match error {
            Fault::Shape => malformed(),
            Fault::Told(error) => error,
        })?;
        match owner {
            Some(id) if id != owners.owner.id => Err(S3Error::new(Code::AccessDenied)),
            _ => Ok(Self::Grants(grants)),
        }
    }

    /// The canned ACL that says the same.
    ///
    /// # Errors
    /// `NotImplemented` when there is none.
    pub fn canned(&self, owners: AclOwners<'_>) -> Result<CannedAcl, S3Error> {
        self.known(owners).ok_or_else(|| S3Error::not_implemented("An ACL other than the canned ones"))
    }

    /// The canned ACL that says the same, if there is one.
    #[must_use]
    pub fn known(&self, owners: AclOwners<'_>) -> Option<CannedAcl> {
        match self {
            Self::Canned(acl) => Some(*acl),
            Self::AwsExecRead => None,
            Self::Grants(grants) => CannedAcl::ALL.into_iter().find(|acl| {
                let canned = acl.grants(owners);
                canned.len() == grants.len() && canned.iter().all(|grant| grants.contains(grant))
            }),
        }
    }
}

impl<'a> AclHeaders<'a> {
    fn grants(&self) -> [(&'static str, Option<&'a str>, AclPermission); 5] {
        [
            ("x-amz-grant-full-control", self.grant_full_control, AclPermission::FullControl),
            ("x-amz-grant-read", self.grant_read, AclPermission::Read),
            ("x-amz-grant-write", self.grant_write, AclPermission::Write),
            ("x-amz-grant-read-acp", self.grant_read_acp, AclPermission::ReadAcp),
            ("x-amz-grant-write-acp", self.grant_write_acp, AclPermission::WriteAcp),
        ]
    }
}

/// The grantees of one header: `id="..."`, `uri="..."`, with commas between, the quotes as one likes.
fn grantees(header: &'static str, value: &str) -> Result<Vec<Grantee>, S3Error> {
    let unknown = || S3Error::invalid_argument(header, value, "Argument format not recognized");
    let grantee = |item: &str| {
        let (kind, target) = item.split_once('=').ok_or_else(unknown)?;
        let target = target.trim().trim_matches('"');
        match kind.trim() {
            "id" => user(target, "id"),
            "uri" => group(target, "uri"),
            "emailAddress" => Err(by_email()),
            _ => Err(unknown()),
        }
    };
    let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(grantee).collect()
}

/// A canonical user id is 64 hex digits; of whom, a grant that stays unknown need not say.
fn user(id: &str, argument: &str) -> Result<Grantee, S3Error> {
    if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Grantee::User(id.to_owned()));
    }
    Err(S3Error::invalid_argument(argument, id, "Invalid id"))
}

fn group(uri: &str, argument: &str) -> Result<Grantee, S3Error> {
    let group =
        AclGroup::of_uri(uri).ok_or_else(|| S3Error::invalid_argument(argument, uri, "Invalid group uri"))?;
    Ok(Grantee::Group(group))
}

/// S3 ended grants by e-mail in October 2025, with this answer.
fn by_email() -> S3Error {
    S3Error::new(Code::MethodNotAllowed).message("Grants to an e-mail address are no longer supported.")
}

fn malformed() -> S3Error {
    S3Error::new(Code::MalformedACLError)
}

/// What is wrong with a policy: its shape, which is all `MalformedACLError`, or something with an answer of its own.
enum Fault {
    Shape,
    Told(S3Error),
}

impl From<XmlError> for Fault {
    fn from(_: XmlError) -> Self {
        Self::Shape
    }
}

/// The owner's id, if told, and the grants.
fn read_policy(body: &[u8]) -> Result<(Option<String>, BTreeSet<Grant>), Fault> {
    let mut xml = XmlReader::new(body)?;
    xml.root("AccessControlPolicy")?;
    let (mut owner, mut grants) = (None, None);
    while let Some(name) = xml.child()? {
        match name.as_str() {
            "Owner" if owner.is_none() => owner = Some(read_user(&mut xml)?),
            "AccessControlList" if grants.is_none() => grants = Some(read_grants(&mut xml)?),
            _ => return Err(Fault::Shape),
        }
    }
    xml.end()?;
    Ok((owner, grants.ok_or(Fault::Shape)?))
}

/// `<Owner>`: its id; the name is for people.
fn read_user(xml: &mut XmlReader<'_>) -> Result<String, Fault> {
    let (mut id, mut display_name) = (None, None);
    while let Some(name) = xml.child()? {
        match name.as_str() {
            "ID" => xml.text_once(&name, &mut id)?,
            "DisplayName" => xml.text_once(&name, &mut display_name)?,
            _ => return Err(Fault::Shape),
        }
    }
    id.map(|id| id.trim().to_owned()).ok_or(Fault::Shape)
}

fn read_grants(xml: &mut XmlReader<'_>) -> Result<BTreeSet<Grant>, Fault> {
    let mut grants = BTreeSet::new();
    while let Some(name) = xml.child()? {
        if name != "Grant" || grants.len() == ACL_GRANTS_MAX {
            return Err(Fault::Shape);
        }
        let (mut grantee, mut permission) = (None, None);
        while let Some(name) = xml.child()? {
            match name.as_str() {
                "Grantee" if grantee.is_none() => grantee = Some(read_grantee(xml)?),
                "Permission" => xml.text_once(&name, &mut permission)?,
                _ => return Err(Fault::Shape),
            }
        }
        let permission = permission.and_then(|text| AclPermission::named(text.trim())).ok_or(Fault::Shape)?;
        grants.insert(Grant { grantee: grantee.ok_or(Fault::Shape)?, permission });
    }
    Ok(grants)
}

/// `<Grantee xsi:type="...">`, whose type says which of its elements counts.
fn read_grantee(xml: &mut XmlReader<'_>) -> Result<Grantee, Fault> {
    let kind = xml.attribute("type").map(str::to_owned);
    let (mut id, mut uri, mut email, mut display_name) = (None, None, None, None);
    while let Some(name) = xml.child()? {
        match name.as_str() {
            "ID" => xml.text_once(&name, &mut id)?,
            "URI" => xml.text_once(&name, &mut uri)?,
            "EmailAddress" => xml.text_once(&name, &mut email)?,
            "DisplayName" => xml.text_once(&name, &mut display_name)?,
            _ => return Err(Fault::Shape),
        }
    }
    match (kind.as_deref(), id, uri) {
        (Some("CanonicalUser"), Some(id), None) => user(id.trim(), "CanonicalUser/ID").map_err(Fault::Told),
        (Some("Group"), None, Some(uri)) => group(uri.trim(), "Group/URI").map_err(Fault::Told),
        (Some("AmazonCustomerByEmail"), None, None) if email.is_some() => Err(Fault::Told(by_email())),
        _ => Err(Fault::Shape),
    }
}
