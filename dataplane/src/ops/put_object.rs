//! PutObject: the body becomes a durable blob, then one commit makes it current.

use bytes::Bytes;
use holdfast_common::wire;
use holdfast_protocol::access::{self, Grant};
use holdfast_protocol::error::S3Error;
use holdfast_protocol::http::response::ResponseHead;
use holdfast_protocol::operation::PutObjectInput;

use super::call::{Call, quoted, set, set_checksums};
use super::intake::Intake;
use super::receive::{etag_md5, receive};
use crate::env::Env;
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn run<E: Env, C: Conn>(
    call: &Call<'_, E>,
    input: PutObjectInput,
    mut intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    let grant = call.on_object::<access::PutObject>().await?;
    call.may_compare(call.object_key(), &input.when).await?;
    call.may_adorn(!input.meta.tags.is_empty(), input.acl.is_some()).await?;
    let meta = call.own(&grant.resource().bucket, input.acl.as_ref(), input.meta)?;
    let plan = input.body.plan_of_object();
    intake.expect(input.body, plan);
    let stored = store(call, &grant, meta, input.when, intake).await?;
    let mut head = call.answer_head(200);
    stored.set_headers(&mut head);
    Ok(Response::empty(head))
}

/// An object that everyone sees.
pub(super) struct Stored {
    /// Without quotes.
    pub(super) etag: String,
    checksums: Vec<wire::Checksum>,
    /// Empty for the null version.
    version_id: String,
}

/// From a body to an object: of PutObject, and of a form.
pub(super) async fn store<E: Env, C: Conn>(
    call: &Call<'_, E>,
    grant: &Grant<access::PutObject>,
    meta: wire::ObjectMeta,
    when: wire::Precondition,
    intake: Intake<'_, '_, C>,
) -> Result<Stored, S3Error> {
    let op = call.core.op_begin();
    let (digests, written) = receive(call, grant, op.id(), intake).await?;
    let md5 = etag_md5(&digests);
    let (etag, checksums) = (hex::encode(md5), digests.to_wire());
    let part =
        |blob| wire::Part { blob: Some(blob), md5: Bytes::copy_from_slice(&md5), ..Default::default() };
    let put = wire::PutObject {
        when: Some(when),
        size: digests.length,
        etag: etag.clone(),
        meta: Some(wire::ObjectMeta { checksums: checksums.clone(), ..meta }),
        manifest: Some(wire::Manifest {
            parts: written.blob().map(part).into_iter().collect(),
            ..Default::default()
        }),
    };
    match call.core.put(grant, op.id(), put).await {
        Ok((_, committed)) => Ok(Stored { etag, checksums, version_id: committed.version_id }),
        Err(error) => Err(written.not_committed(call, error)),
    }
}

impl Stored {
    /// `ETag`, the checksums, and the version where it has a name.
    pub(super) fn set_headers(&self, head: &mut ResponseHead) {
        set(head, "ETag", quoted(&self.etag));
        set_checksums(head, &self.checksums, 0);
        if !self.version_id.is_empty() {
            set(head, "x-amz-version-id", &self.version_id);
        }
    }
}
