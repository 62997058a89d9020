//! GetObjectAcl, PutObjectAcl: the canned ACL of one version.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::document::acl::{AclRequest, AclResource};
use holdfast_protocol::error::S3Error;
use holdfast_protocol::limits::ACL_BODY_BYTES_MAX;
use holdfast_protocol::operation::{PutAclInput, VersionSelector};

use super::ask::settings_of;
use super::call::{Call, set};
use super::get_object::existing;
use super::intake::{Intake, control_body};
use super::owners::stored;
use crate::env::Env;
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn read<E: Env>(call: &Call<'_, E>, version: &VersionSelector) -> Result<Response, S3Error> {
    let seen = call.on_version::<access::ReadObjectAcl>(version).await?;
    let (grant, record) = seen.with_record(call, version).await?;
    let bucket = &grant.resource().bucket;
    let record = existing(call, grant.resource(), record, version)?;
    let kept = record.meta.as_ref().map_or("", |meta| &*meta.acl);
    let acl = settings_of(bucket)?.object_acl(kept);
    let tenants = call.owners_of_objects(bucket, std::iter::once(record.tenant_id))?;
    let mut answer = call.xml(acl.to_xml(tenants.of_object(record.tenant_id)));
    if let Some(id) = wire::version_shown(&record.version_id, bucket.versioning) {
        answer.header("x-amz-version-id", id);
    }
    Ok(answer)
}

pub(super) async fn write<E: Env, C: Conn>(
    call: &Call<'_, E>,
    input: PutAclInput,
    intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    let seen = call.on_version::<access::WriteObjectAcl>(&input.version).await?;
    let (grant, record) = seen.with_record(call, &input.version).await?;
    let body = control_body(intake, input.body, ACL_BODY_BYTES_MAX).await?;
    let bucket = &grant.resource().bucket;
    let object_owner = record.map_or(bucket.tenant_id.0, |record| record.tenant_id);
    let tenants = call.owners_of_objects(bucket, std::iter::once(object_owner))?;
    let owners = tenants.of_object(object_owner);
    let request = AclRequest::of_put(&input.acl.headers(), &body, AclResource::Object, owners)?;
    let acl = stored(call.admit_object_acl(bucket, Some(&request), object_owner)?);
    let op = call.core.op_begin();
    let exchange = wire::SetAcl { version_id: input.version.named().unwrap_or_default().to_owned(), acl };
    let (_, committed) = call.core.set_acl(&grant, op.id(), exchange).await?;
    let mut head = call.answer_head(200);
    if !committed.version_id.is_empty() {
        set(&mut head, "x-amz-version-id", &committed.version_id);
    }
    Ok(Response::empty(head))
}
