//! PutObject: the body becomes a durable blob, then one commit makes it current.

use bytes::Bytes;
use holdfast_common::wire;
use holdfast_protocol::access::{self, Grant};
use holdfast_protocol::digest::Digests;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::http::response::ResponseHead;
use holdfast_protocol::operation::PutObjectInput;

use super::call::{Call, quoted, set, set_checksums};
use super::intake::Intake;
use super::receive::{etag_md5, receive};
use crate::blob::BlobWritten;
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
    let put_of = |digests: &Digests, blob: Option<wire::Blob>| {
        let md5 = etag_md5(digests);
        let part =
            |blob| wire::Part { blob: Some(blob), md5: Bytes::copy_from_slice(&md5), ..Default::default() };
        wire::PutObject {
            when: Some(when.clone()),
            size: digests.length,
            etag: hex::encode(md5),
            meta: Some(wire::ObjectMeta { checksums: digests.to_wire(), ..meta.clone() }),
            manifest: Some(wire::Manifest {
                parts: blob.map(part).into_iter().collect(),
                ..Default::default()
            }),
            recovered: false,
        }
    };
    let fields = |digests: &Digests, planned: &BlobWritten| {
        call.core.recovery_fields(grant, planned, &put_of(digests, Some(planned.to_wire(0))))
    };
    let (digests, written) = receive(call, grant, op.id(), intake, Some(&fields)).await?;
    let put = put_of(&digests, written.blob());
    let (etag, checksums) = (put.etag.clone(), digests.to_wire());
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
