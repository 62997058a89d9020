//! PutObject: the body becomes a durable blob, then one commit makes it current.

use holdfast_common::wire::{self, checksum::Kind};
use holdfast_protocol::access;
use holdfast_protocol::digest::{ChecksumAlgorithm, ChecksumSet, DigestPlan, Digests};
use holdfast_protocol::error::S3Error;
use holdfast_protocol::operation::PutObjectInput;

use super::call::{Call, quoted, set, set_checksums};
use super::intake::Intake;
use super::receive::receive;
use crate::env::Env;
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn run<E: Env, C: Conn>(
    call: &Call<'_, E>,
    input: PutObjectInput,
    mut intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    let grant = call.on_object::<access::PutObject>().await?;
    call.may_adorn(!input.meta.tags.is_empty(), input.acl.is_some()).await?;
    let acl = call.admit_object_acl(&grant.resource().bucket, input.acl.as_ref())?;
    let named = input.body.algorithm();
    intake.expect(input.body, plan(named));
    let op = call.core.op_begin();
    let (digests, written) = receive(call, &grant, op.id(), intake).await?;
    let md5 = digests.md5.expect("planned");
    let (etag, checksums) = (hex::encode(md5), to_wire(&digests));
    let part = |blob| wire::Part { blob: Some(blob), md5: md5.to_vec().into(), ..Default::default() };
    let put = wire::PutObject {
        when: Some(input.when),
        size: digests.length,
        etag: etag.clone(),
        meta: Some(wire::ObjectMeta { checksums: checksums.clone(), acl, ..input.meta }),
        manifest: Some(wire::Manifest {
            parts: written.blob().map(part).into_iter().collect(),
            ..Default::default()
        }),
    };
    let committed = match call.core.put(&grant, op.id(), put).await {
        Ok((_, committed)) => committed,
        Err(error) => return Err(written.not_committed(call, error)),
    };
    let mut head = call.answer_head(200);
    set(&mut head, "ETag", quoted(&etag));
    set_checksums(&mut head, &checksums, 0);
    if !committed.version_id.is_empty() {
        set(&mut head, "x-amz-version-id", &committed.version_id);
    }
    Ok(Response::empty(head))
}

/// MD5 for the ETag, and CRC64NVME where the client names no checksum of its own, as S3 keeps it.
pub(super) fn plan(named: Option<ChecksumAlgorithm>) -> DigestPlan {
    let checksums = ChecksumSet::default().with(named.unwrap_or(ChecksumAlgorithm::Crc64Nvme));
    DigestPlan { md5: true, payload_sha256: false, checksums }
}

/// What is kept: the client's checksum, else the default one.
pub(super) fn to_wire(digests: &Digests) -> Vec<wire::Checksum> {
    digests.checksums().map(|value| value.to_wire(Kind::FullObject)).collect()
}
