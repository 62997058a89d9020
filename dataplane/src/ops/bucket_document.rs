//! What a bucket is told: its ACL, CORS rules, ownership, policy, public access block, tags and versioning, each read, put and
//! removed. Reading is answered from the snapshot; a change has reached every node when it is answered.

use bytes::Bytes;
use holdfast_common::wire::Refusal;
use holdfast_protocol::access::{self, BucketTarget, Document, Grant, InBucket, Setting};
use holdfast_protocol::document::acl::{AclOwners, AclRequest, AclResource, CannedAcl};
use holdfast_protocol::document::cors::CorsConfiguration;
use holdfast_protocol::document::ownership::ObjectOwnership;
use holdfast_protocol::document::public_access::PublicAccessBlock;
use holdfast_protocol::document::tagging::{TagSet, Tagged};
use holdfast_protocol::document::unset::Unset;
use holdfast_protocol::document::versioning::VersioningStatus;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::operation::{AclFields, BucketDocument, PutDocumentInput};
use holdfast_protocol::policy::BucketPolicy;
use holdfast_protocol::xml::write_policy_status;

use super::ask::settings_of;
use super::call::{Call, owner, set};
use super::intake::{Intake, control_body};
use crate::env::{Env, MetadataError};
use crate::limits::CONFIGURE_PATIENCE_MS;
use crate::rt::{Conn, Rt as _};
use crate::server::Response;

pub(super) fn read<E: Env>(call: &Call<'_, E>, document: BucketDocument) -> Result<Response, S3Error> {
    let name = call.bucket_name().as_str();
    match document {
        BucketDocument::Acl => read_acl(call, &call.on_bucket()?),
        BucketDocument::Cors => {
            let grant = call.on_bucket::<access::ReadCors>()?;
            let cors = settings_of(&grant.resource().bucket)?.cors.as_ref();
            let cors = cors.ok_or_else(|| missing(Code::NoSuchCORSConfiguration, name))?;
            Ok(call.xml(cors.to_xml()))
        }
        BucketDocument::OwnershipControls => {
            let grant = call.on_bucket::<access::ReadOwnership>()?;
            let settings = settings_of(&grant.resource().bucket)?;
            match settings.ownership {
                Setting::Removed => Err(ObjectOwnership::not_found(name)),
                _ => Ok(call.xml(settings.ownership().to_xml())),
            }
        }
        BucketDocument::Policy => {
            let grant = call.on_bucket::<access::ReadPolicy>()?;
            let policy = settings_of(&grant.resource().bucket)?.policy.as_ref();
            let policy = policy.ok_or_else(|| missing(Code::NoSuchBucketPolicy, name))?;
            let mut head = call.answer_head(200);
            set(&mut head, "Content-Type", "application/json");
            Ok(Response::bytes(head, policy.text.clone()))
        }
        BucketDocument::PublicAccessBlock => {
            let grant = call.on_bucket::<access::ReadPublicAccess>()?;
            let settings = settings_of(&grant.resource().bucket)?;
            match settings.public_access {
                Setting::Removed => Err(PublicAccessBlock::not_found(name)),
                _ => Ok(call.xml(settings.public_access().to_xml())),
            }
        }
        BucketDocument::Tagging => {
            let grant = call.on_bucket::<access::ReadBucketTags>()?;
            let tags = settings_of(&grant.resource().bucket)?.tags.as_ref();
            Ok(call.xml(tags.ok_or_else(|| missing(Code::NoSuchTagSet, name))?.to_xml()))
        }
        BucketDocument::Versioning => {
            let grant = call.on_bucket::<access::ReadVersioning>()?;
            let status = match grant.resource().bucket.versioning {
                0 => None,
                1 => Some(VersioningStatus::Enabled),
                _ => Some(VersioningStatus::Suspended),
            };
            Ok(call.xml(VersioningStatus::to_xml(status)))
        }
    }
}

fn read_acl<E: Env>(call: &Call<'_, E>, grant: &Grant<access::ReadBucketAcl>) -> Result<Response, S3Error> {
    let bucket = &grant.resource().bucket;
    let tenant = call.core.owner(bucket.tenant_id.0);
    Ok(call.xml(settings_of(bucket)?.acl().to_xml(AclOwners::one(owner(&tenant)))))
}

/// GetBucketPolicyStatus.
pub(super) fn policy_status<E: Env>(call: &Call<'_, E>) -> Result<Response, S3Error> {
    let grant = call.on_bucket::<access::ReadPolicyStatus>()?;
    match &settings_of(&grant.resource().bucket)?.policy {
        Some(stored) => Ok(call.xml(write_policy_status(stored.is_public))),
        None => Err(missing(Code::NoSuchBucketPolicy, call.bucket_name().as_str())),
    }
}

/// What is said of a configuration that no bucket ever had.
pub(super) fn unset<E: Env>(call: &Call<'_, E>, unset: Unset) -> Result<Response, S3Error> {
    call.on_bucket::<access::ReadUnset>()?;
    Ok(call.xml(unset.answer(call.bucket_name().as_str())?))
}

pub(super) async fn put<E: Env, C: Conn>(
    call: &Call<'_, E>,
    input: PutDocumentInput,
    bytes_max: usize,
    intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    call.may_enter()?;
    let body = Bytes::from(control_body(intake, input.body, bytes_max).await?);
    settled(call, async |call| apply(call, input.document, &input.acl, &body).await).await
}

/// Tells a bucket something, again and again while others tell it something at the same time: each time what this may and
/// does is judged anew.
async fn settled<E: Env>(
    call: &Call<'_, E>,
    attempt: impl AsyncFn(&Call<'_, E>) -> Result<Response, S3Error>,
) -> Result<Response, S3Error> {
    let until = E::Rt::boottime_ms() + CONFIGURE_PATIENCE_MS;
    let mut done = attempt(call).await;
    while done.as_ref().is_err_and(|error| error.code == Code::OperationAborted)
        && E::Rt::boottime_ms() < until
    {
        done = attempt(&call.refreshed()).await;
    }
    done
}

async fn apply<E: Env>(
    call: &Call<'_, E>,
    document: BucketDocument,
    acl: &AclFields,
    body: &Bytes,
) -> Result<Response, S3Error> {
    match document {
        BucketDocument::Acl => {
            let grant = call.on_bucket::<access::WriteBucketAcl>()?;
            let acl = admitted_acl(call, &grant, acl, body)?;
            tell(call, &grant, &Document::Acl(acl), 200).await
        }
        BucketDocument::Cors => {
            let grant = call.on_bucket::<access::WriteCors>()?;
            let cors = CorsConfiguration::parse(body)?;
            tell(call, &grant, &Document::Cors(Some(cors)), 200).await
        }
        BucketDocument::OwnershipControls => {
            let grant = call.on_bucket::<access::WriteOwnership>()?;
            let ownership = ObjectOwnership::parse(body)?;
            ownership.admit_bucket_with(settings_of(&grant.resource().bucket)?.acl_set)?;
            tell(call, &grant, &Document::Ownership(Setting::Set(ownership)), 200).await
        }
        BucketDocument::Policy => {
            let grant = call.on_bucket::<access::WritePolicy>()?;
            let policy = BucketPolicy::parse(body, call.bucket_name())?;
            settings_of(&grant.resource().bucket)?.public_access().admit_policy(policy.is_public())?;
            tell(call, &grant, &Document::Policy(Some(body.clone())), 204).await
        }
        BucketDocument::PublicAccessBlock => {
            let grant = call.on_bucket::<access::WritePublicAccess>()?;
            let block = PublicAccessBlock::parse(body)?;
            tell(call, &grant, &Document::PublicAccess(Setting::Set(block)), 200).await
        }
        BucketDocument::Tagging => {
            let grant = call.on_bucket::<access::WriteBucketTags>()?;
            let tags = TagSet::parse(body, Tagged::Bucket)?;
            tell(call, &grant, &Document::Tags(Some(tags)), 204).await
        }
        BucketDocument::Versioning => {
            let grant = call.on_bucket::<access::WriteVersioning>()?;
            let status = VersioningStatus::parse(body)?;
            let op = call.core.op_begin();
            call.core.set_versioning(&grant, op.id(), status).await.map_err(conflict)?;
            Ok(call.empty(200))
        }
    }
}

fn admitted_acl<E: Env>(
    call: &Call<'_, E>,
    grant: &Grant<access::WriteBucketAcl>,
    fields: &AclFields,
    body: &[u8],
) -> Result<CannedAcl, S3Error> {
    let bucket = &grant.resource().bucket;
    let tenant = call.core.owner(bucket.tenant_id.0);
    let owners = AclOwners::one(owner(&tenant));
    let request = AclRequest::of_put(&fields.headers(), body, AclResource::Bucket, owners)?;
    let settings = settings_of(bucket)?;
    let acl = settings.ownership().admit_acl(&request, owners)?;
    settings.public_access().admit_acl(acl)?;
    Ok(acl)
}

pub(super) async fn remove<E: Env>(
    call: &Call<'_, E>,
    document: BucketDocument,
) -> Result<Response, S3Error> {
    settled(call, async |call| removed(call, document).await).await
}

async fn removed<E: Env>(call: &Call<'_, E>, document: BucketDocument) -> Result<Response, S3Error> {
    match document {
        BucketDocument::Cors => {
            tell(call, &call.on_bucket::<access::WriteCors>()?, &Document::Cors(None), 204).await
        }
        BucketDocument::OwnershipControls => {
            let grant = call.on_bucket::<access::WriteOwnership>()?;
            tell(call, &grant, &Document::Ownership(Setting::Removed), 204).await
        }
        BucketDocument::Policy => {
            tell(call, &call.on_bucket::<access::RemovePolicy>()?, &Document::Policy(None), 204).await
        }
        BucketDocument::PublicAccessBlock => {
            let grant = call.on_bucket::<access::WritePublicAccess>()?;
            tell(call, &grant, &Document::PublicAccess(Setting::Removed), 204).await
        }
        BucketDocument::Tagging => {
            tell(call, &call.on_bucket::<access::WriteBucketTags>()?, &Document::Tags(None), 204).await
        }
        BucketDocument::Acl | BucketDocument::Versioning => Err(S3Error::new(Code::MethodNotAllowed)),
    }
}

async fn tell<E: Env, A: InBucket<Resource = BucketTarget>>(
    call: &Call<'_, E>,
    grant: &Grant<A>,
    document: &Document,
    status: u16,
) -> Result<Response, S3Error> {
    let op = call.core.op_begin();
    call.core.configure(grant, op.id(), document).await.map_err(conflict)?;
    Ok(call.empty(status))
}

/// That the bucket was told something else meanwhile has a code of its own.
fn conflict(error: MetadataError) -> S3Error {
    match error {
        MetadataError::Refused(refused) if refused.reason() == Refusal::StaleRevision => {
            S3Error::new(Code::OperationAborted)
        }
        error => error.into(),
    }
}

fn missing(code: Code, bucket: &str) -> S3Error {
    S3Error::new(code).with("BucketName", bucket)
}
