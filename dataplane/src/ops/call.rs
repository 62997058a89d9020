//! One request on its way through an operation: who asks, of what, and how answers are made.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_common::wire;
use holdfast_protocol::access::{BucketFacts, MayLook};
use holdfast_protocol::digest::{ChecksumAlgorithm, ChecksumValue};
use holdfast_protocol::document::tagging::TagSet;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::http::head::RequestHead;
use holdfast_protocol::http::response::ResponseHead;
use holdfast_protocol::name::{BucketName, ObjectKey};
use holdfast_protocol::operation::{RequestFacts, VersionSelector, checksum_kind_name};
use holdfast_protocol::sigv4::Authenticated;
use holdfast_protocol::xml::Owner;

use super::budget::Budget;
use crate::env::{Core, Env, Found};
use crate::link::state::View;
use crate::server::{Context, Response};

pub(super) struct Call<'a, E: Env> {
    pub(super) core: &'a Rc<Core<E>>,
    pub(super) who: Authenticated,
    /// The configuration this request is decided under.
    pub(super) view: Arc<View>,
    pub(super) bucket: Option<BucketName>,
    pub(super) key: Option<ObjectKey>,
    pub(super) expected_bucket_owner: Option<String>,
    pub(super) context: &'a Context,
    pub(super) head: &'a RequestHead,
    pub(super) budget: &'a Budget,
    /// Tags that the body sets, where the request does not say it in its head.
    pub(super) tags: OnceCell<TagSet>,
    /// What policies may ask; read when one is asked. `None`: it makes no sense.
    pub(super) facts: OnceCell<Option<RequestFacts>>,
    /// How old what it is answered from may be, where it reads and no more.
    pub(super) age: Cell<Age>,
}

/// Of what a request is answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It has to be current.
    Current,
    /// It need not be; that it is older was not found yet.
    Any,
    /// This many milliseconds, or less.
    Stale(u64),
}

impl<'a, E: Env> Call<'a, E> {
    /// The same request, under the configuration as of now.
    pub(super) fn refreshed(&self) -> Call<'a, E> {
        Call { view: self.core.view(), ..self.again() }
    }

    /// The same request as its form means it: from who signed it, about its key.
    pub(super) fn of_form(&self, who: Authenticated, key: ObjectKey) -> Call<'a, E> {
        Call { who, key: Some(key), ..self.again() }
    }

    fn again(&self) -> Call<'a, E> {
        Call {
            core: self.core,
            who: self.who.clone(),
            view: Arc::clone(&self.view),
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            expected_bucket_owner: self.expected_bucket_owner.clone(),
            context: self.context,
            head: self.head,
            budget: self.budget,
            tags: OnceCell::new(),
            facts: OnceCell::new(),
            age: self.age.clone(),
        }
    }
}

impl<E: Env> Call<'_, E> {
    pub(super) fn bucket_name(&self) -> &BucketName {
        self.bucket.as_ref().expect("the router gives every bucket operation its bucket")
    }

    pub(super) fn object_key(&self) -> &ObjectKey {
        self.key.as_ref().expect("the router gives every object operation its key")
    }

    /// `x-amz-expected-bucket-owner`: a bucket of somebody else is refused before anything is looked at.
    pub(super) fn check_expected_owner(&self) -> Result<(), S3Error> {
        let (Some(expected), Some(name)) = (&self.expected_bucket_owner, &self.bucket) else { return Ok(()) };
        self.check_owner(expected, name)
    }

    pub(super) fn check_owner(&self, expected: &str, bucket: &BucketName) -> Result<(), S3Error> {
        let Some(facts) = self.found(bucket) else { return Ok(()) };
        let owner = self.core.owner(facts.tenant_id.0);
        let named = expected == owner.canonical_id || expected == owner.tenant_id.to_string();
        if named { Ok(()) } else { Err(S3Error::new(Code::AccessDenied)) }
    }

    /// Where the request was sent, as the client addressed it: whichever style that was, percent-encoding included.
    pub(super) fn url(&self) -> String {
        let scheme = if self.context.origin.secure { "https" } else { "http" };
        let host = self.head.host().unwrap_or_default();
        format!("{scheme}://{host}{}", String::from_utf8_lossy(self.head.path()))
    }

    /// A version of the object that it may look at: the current truth, unless it has said that an older one will do.
    pub(super) async fn lookup(&self, who: &impl MayLook, version: &VersionSelector) -> Found {
        if self.age.get() == Age::Current {
            return self.core.lookup(who, version).await;
        }
        let (record, age_ms) = self.core.lookup_or_stale(who, version).await?;
        if let Some(age_ms) = age_ms {
            self.age.set(Age::Stale(age_ms));
        }
        Ok(record)
    }

    pub(super) fn answer_head(&self, status: u16) -> ResponseHead {
        ResponseHead::new(status, super::now_ms::<E>())
    }

    pub(super) fn empty(&self, status: u16) -> Response {
        Response::empty(self.answer_head(status))
    }

    pub(super) fn xml(&self, body: Vec<u8>) -> Response {
        let mut head = self.answer_head(200);
        set(&mut head, "Content-Type", "application/xml");
        Response::bytes(head, Bytes::from(body))
    }
}

/// `x-amz-version-id` of a record of this bucket.
pub(super) fn set_version(head: &mut ResponseHead, bucket: &BucketFacts, version_id: &str) {
    if let Some(shown) = wire::version_shown(version_id, bucket.versioning) {
        set(head, "x-amz-version-id", shown);
    }
}

/// The owner of a bucket as S3's XML shows it.
pub(super) fn owner(tenant: &wire::Tenant) -> Owner<'_> {
    Owner { id: &tenant.canonical_id, display_name: &tenant.display_name }
}

/// Sets a header whose value cannot hold a line break: ours, or one that the router checked. One that can all the same
/// is left out rather than sent.
pub(super) fn set(head: &mut ResponseHead, name: &str, value: impl AsRef<[u8]>) {
    if let Err(error) = head.header(name, value) {
        tracing::warn!(%error, name, "a header is left out of an answer");
    }
}

pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// `x-amz-checksum-*` and its type.
pub(super) fn set_checksums(head: &mut ResponseHead, checksums: &[wire::Checksum], part_count: u32) {
    for checksum in checksums {
        let (Some(value), Some(algorithm)) =
            (ChecksumValue::from_wire(checksum), ChecksumAlgorithm::from_wire(checksum.algorithm))
        else {
            continue;
        };
        let mut text = value.to_base64();
        if checksum.kind() == wire::checksum::Kind::Composite {
            text = format!("{text}-{part_count}");
        }
        set(head, algorithm.header(), text);
        set(head, "x-amz-checksum-type", checksum_kind_name(checksum.kind()));
    }
}
