//! DeleteObject: deleting what is not there succeeds, as S3 has it.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::operation::{DeleteObjectInput, VersionSelector};

use super::call::{Call, set};
use crate::env::{Env, MetadataError};
use crate::server::Response;

pub(super) async fn run<E: Env>(call: &Call<'_, E>, input: DeleteObjectInput) -> Result<Response, S3Error> {
    let grant = call.on_version::<access::DeleteObject>(&input.version).await?.grant;
    call.may_compare(call.object_key(), &input.when).await?;
    let deleted = delete(call, &grant, &input.version, input.when).await?;
    let mut head = call.answer_head(204);
    if deleted.delete_marker {
        set(&mut head, "x-amz-delete-marker", "true");
    }
    if !deleted.version_id.is_empty() {
        set(&mut head, "x-amz-version-id", &deleted.version_id);
    }
    Ok(Response::empty(head))
}

/// One key, here and in DeleteObjects.
pub(super) async fn delete<E: Env>(
    call: &Call<'_, E>,
    grant: &access::Grant<access::DeleteObject>,
    version: &VersionSelector,
    when: wire::Precondition,
) -> Result<wire::Committed, S3Error> {
    let conditional = when != wire::Precondition::default();
    let op = call.core.op_begin();
    let version_id = version.named().unwrap_or_default().to_owned();
    let delete = wire::DeleteObject { when: Some(when), version_id };
    match call.core.delete(grant, op.id(), delete).await {
        Ok((_, committed)) => Ok(committed),
        Err(MetadataError::Refused(refused))
            if refused.reason() == wire::Refusal::NoSuchKey && !conditional =>
        {
            Ok(wire::Committed::default())
        }
        Err(error) => Err(error.into()),
    }
}
