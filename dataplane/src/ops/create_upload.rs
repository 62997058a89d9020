//! CreateMultipartUpload: what the object will be is said here; the parts bring the bytes.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::operation::{CreateUploadInput, checksum_kind_name};
use holdfast_protocol::xml::write_create_upload;

use super::call::{Call, set};
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(call: &Call<'_, E>, input: CreateUploadInput) -> Result<Response, S3Error> {
    let grant = call.on_object::<access::PutObject>().await?;
    call.may_adorn(!input.meta.tags.is_empty(), input.acl.is_some()).await?;
    let meta = call.own(&grant.resource().bucket, input.acl.as_ref(), input.meta)?;
    let op = call.core.op_begin();
    let (algorithm, kind) = match input.checksum {
        Some((algorithm, kind)) => (algorithm.to_wire(), kind),
        None => (wire::checksum::Algorithm::Unspecified, wire::checksum::Kind::FullObject),
    };
    let create = wire::CreateUpload {
        meta: Some(meta),
        checksum_algorithm: algorithm.into(),
        checksum_kind: kind.into(),
    };
    let (_, committed) = call.core.create_upload(&grant, op.id(), create).await?;
    let mut head = call.answer_head(200);
    set(&mut head, "Content-Type", "application/xml");
    if let Some((algorithm, kind)) = input.checksum {
        set(&mut head, "x-amz-checksum-algorithm", algorithm.name());
        set(&mut head, "x-amz-checksum-type", checksum_kind_name(kind));
    }
    let target = grant.resource();
    let body = write_create_upload(target.bucket.name.as_str(), target.key.as_str(), &committed.upload_id);
    Ok(Response::bytes(head, body))
}
