//! GetObjectTagging, PutObjectTagging, DeleteObjectTagging: the tags of one version, and nothing else of it.

use holdfast_common::wire;
use holdfast_protocol::access::{self, Grant, InBucket, ObjectTarget};
use holdfast_protocol::document::tagging::{TagSet, Tagged};
use holdfast_protocol::error::S3Error;
use holdfast_protocol::limits::TAGGING_BODY_BYTES_MAX;
use holdfast_protocol::operation::{PutTagsInput, VersionSelector};

use super::call::{Call, set};
use super::get_object::described;
use super::intake::{Intake, control_body};
use crate::env::Env;
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn read<E: Env>(call: &Call<'_, E>, version: &VersionSelector) -> Result<Response, S3Error> {
    let seen = call.on_version::<access::ReadObjectTags>(version).await?;
    let (grant, record) = seen.with_record(call, version).await?;
    let bucket = &grant.resource().bucket;
    let record = described(call, grant.resource(), record, version)?;
    let tags = record.meta.as_ref().map(|meta| TagSet::of_record(&meta.tags)).unwrap_or_default();
    let mut answer = call.xml(tags.to_xml());
    if let Some(id) = wire::version_shown(&record.version_id, bucket.versioning) {
        answer.header("x-amz-version-id", id);
    }
    Ok(answer)
}

pub(super) async fn write<E: Env, C: Conn>(
    call: &Call<'_, E>,
    input: PutTagsInput,
    intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    // What a policy says may depend on the tags that shall be set.
    call.may_enter()?;
    let body = control_body(intake, input.body, TAGGING_BODY_BYTES_MAX).await?;
    let tags = TagSet::parse(&body, Tagged::Object)?;
    let tags = call.tags.get_or_init(|| tags);
    let grant = call.on_version::<access::WriteObjectTags>(&input.version).await?.grant;
    exchange(call, &grant, &input.version, tags, 200).await
}

pub(super) async fn remove<E: Env>(
    call: &Call<'_, E>,
    version: &VersionSelector,
) -> Result<Response, S3Error> {
    let grant = call.on_version::<access::RemoveObjectTags>(version).await?.grant;
    exchange(call, &grant, version, &TagSet::default(), 204).await
}

async fn exchange<E: Env, A: InBucket<Resource = ObjectTarget>>(
    call: &Call<'_, E>,
    grant: &Grant<A>,
    version: &VersionSelector,
    tags: &TagSet,
    status: u16,
) -> Result<Response, S3Error> {
    let op = call.core.op_begin();
    let version_id = version.named().unwrap_or_default().to_owned();
    let exchange = wire::SetTags { version_id, tags: tags.to_wire() };
    let (_, committed) = call.core.set_tags(grant, op.id(), exchange).await?;
    let mut head = call.answer_head(status);
    if !committed.version_id.is_empty() {
        set(&mut head, "x-amz-version-id", &committed.version_id);
    }
    Ok(Response::empty(head))
}
