//! What a request brings for the conditions of a policy, and how a condition finds its key there.

use core::net::IpAddr;
use std::borrow::Cow;

use super::condition::ConditionKey;
use super::principal::{Requester, principal_arn};

/// Facts of one request. A key that the request does not have is *missing*, which conditions tell from empty.
#[derive(Clone, Copy, Debug)]
pub struct PolicyContext<'a> {
    /// Of the client: behind a trusted proxy the address that it vouches for.
    pub source_ip: IpAddr,
    /// The client's connection is TLS.
    pub secure_transport: bool,
    pub referer: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    /// `prefix`, `delimiter` and `max-keys` of a listing, as far as the request has them.
    pub prefix: Option<&'a [u8]>,
    pub delimiter: Option<&'a [u8]>,
    pub max_keys: Option<u32>,
    /// `x-amz-acl`
    pub canned_acl: Option<&'a str>,
    /// `x-amz-server-side-encryption`
    pub server_side_encryption: Option<&'a str>,
    /// `versionId`
    pub version_id: Option<&'a str>,
    /// Tags that the request would set, decoded.
    pub request_tags: &'a [(&'a str, &'a str)],
    pub object_tags: ObjectTags<'a>,
}

/// Tags of the object that the request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectTags<'a> {
    /// Not looked up. A condition on them then counts as met in a Deny and as not met in an Allow.
    Unknown,
    /// Those of the object (and version); none when there is no object.
    Known(&'a [(&'a str, &'a str)]),
}

impl PolicyContext<'_> {
    /// A request with nothing but where it comes from.
    #[must_use]
    pub fn new(source_ip: IpAddr, secure_transport: bool) -> Self {
        Self {
            source_ip,
            secure_transport,
            referer: None,
            user_agent: None,
            prefix: None,
            delimiter: None,
            max_keys: None,
            canned_acl: None,
            server_side_encryption: None,
            version_id: None,
            request_tags: &[],
            object_tags: ObjectTags::Unknown,
        }
    }
}

/// A value of a condition key. Typed ones become text only for the operators that compare text.
pub(super) enum Value<'a> {
    Text(Cow<'a, [u8]>),
    Ip(IpAddr),
    Flag(bool),
    Number(u32),
}

impl Value<'_> {
    pub(super) fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Ip(address) => Cow::Owned(address.to_canonical().to_string().into_bytes()),
            Self::Flag(true) => Cow::Borrowed(b"true"),
            Self::Flag(false) => Cow::Borrowed(b"false"),
            Self::Number(number) => Cow::Owned(number.to_string().into_bytes()),
        }
    }
}

/// What stands under a condition key.
pub(super) enum Found<'a> {
    Missing,
    /// There may be a value, and it cannot be known.
    Unreadable,
    One(Value<'a>),
    /// The keys of these tags; never none.
    KeysOf(&'a [(&'a str, &'a str)]),
}

impl<'a> Found<'a> {
    fn text(value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Missing, |text| Self::One(Value::Text(Cow::Borrowed(text))))
    }

    /// Names of condition keys know no case, and the name of a tag in one is part of it, while tags of an object may
    /// differ in case alone: which of two is meant cannot be known.
    fn tag(tags: &'a [(&'a str, &'a str)], name: &str) -> Self {
        let mut named = tags.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        match (named.next(), named.next()) {
            (Some((_, value)), None) => Self::text(Some(value.as_bytes())),
            (Some(_), Some(_)) => Self::Unreadable,
            (None, _) => Self::Missing,
        }
    }
}

pub(super) fn find<'a>(
    key: &ConditionKey,
    context: &PolicyContext<'a>,
    requester: &Requester<'_>,
) -> Found<'a> {
    match key {
        ConditionKey::SourceIp => Found::One(Value::Ip(context.source_ip)),
        ConditionKey::SecureTransport => Found::One(Value::Flag(context.secure_transport)),
        ConditionKey::PrincipalArn => match requester {
            Requester::Anonymous => Found::Missing,
            Requester::Key { identity, .. } => {
                Found::One(Value::Text(Cow::Owned(principal_arn(identity).into_bytes())))
            }
        },
        ConditionKey::Referer => Found::text(context.referer),
        ConditionKey::UserAgent => Found::text(context.user_agent),
        ConditionKey::Prefix => Found::text(context.prefix),
        ConditionKey::Delimiter => Found::text(context.delimiter),
        ConditionKey::MaxKeys => {
            context.max_keys.map_or(Found::Missing, |number| Found::One(Value::Number(number)))
        }
        ConditionKey::Acl => Found::text(context.canned_acl.map(str::as_bytes)),
        ConditionKey::ServerSideEncryption => Found::text(context.server_side_encryption.map(str::as_bytes)),
        ConditionKey::VersionId => Found::text(context.version_id.map(str::as_bytes)),
        ConditionKey::RequestObjectTag(name) => Found::tag(context.request_tags, name),
        ConditionKey::RequestObjectTagKeys if context.request_tags.is_empty() => Found::Missing,
        ConditionKey::RequestObjectTagKeys => Found::KeysOf(context.request_tags),
        ConditionKey::ExistingObjectTag(name) => match context.object_tags {
            ObjectTags::Unknown => Found::Unreadable,
            ObjectTags::Known(tags) => Found::tag(tags, name),
        },
    }
}
