//! CreateBucket: the name is unique in the deployment; the authority decides who was first.

use holdfast_common::wire::Refusal;
use holdfast_protocol::access::{Document, Setting};
use holdfast_protocol::document::acl::AclOwners;
use holdfast_protocol::document::public_access::PublicAccessBlock;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::limits::CREATE_BUCKET_BODY_BYTES_MAX;
use holdfast_protocol::operation::CreateBucketInput;
use holdfast_protocol::xml::read_create_bucket;

use super::call::{Call, owner, set};
use super::intake::{Intake, control_body};
use crate::env::{Env, MetadataError};
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn run<E: Env, C: Conn>(
    call: &Call<'_, E>,
    input: CreateBucketInput,
    intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    let grant = call.on_new_bucket()?;
    let mut documents = documents(call, grant.sender().map_or(0, |key| key.tenant_id.0), &input)?;
    let body = control_body(intake, input.body, CREATE_BUCKET_BODY_BYTES_MAX).await?;
    let region = &call.core.settings.region;
    let told = read_create_bucket(&body)?;
    if let Some(wanted) = told.constraint.filter(|wanted| wanted != region) {
        return Err(S3Error::new(Code::IllegalLocationConstraintException).message(format!(
            "The {wanted} location constraint is incompatible for the region specific endpoint this request was \
             sent to; this deployment's region is {region}."
        )));
    }
    if !told.tags.is_empty() {
        documents.push(Document::Tags(Some(told.tags)));
    }
    let op = call.core.op_begin();
    match call.core.create_bucket(&grant, op.id(), region.clone(), &documents).await {
        Ok(_) => {}
        // us-east-1 answers 200 to the owner who creates a bucket again.
        Err(MetadataError::Refused(refused))
            if refused.reason() == Refusal::BucketAlreadyOwnedByYou && region == "us-east-1" => {}
        Err(error) => return Err(error.into()),
    }
    let mut head = call.answer_head(200);
    set(&mut head, "Location", format!("/{}", call.bucket_name().as_str()));
    Ok(Response::empty(head))
}

/// What the bucket is told from its first moment on. A new bucket blocks public ACLs, so it cannot begin with one.
fn documents<E: Env>(
    call: &Call<'_, E>,
    tenant_id: u64,
    input: &CreateBucketInput,
) -> Result<Vec<Document>, S3Error> {
    let ownership = input.ownership.unwrap_or_default();
    let mut documents: Vec<Document> =
        input.ownership.map(|set| Document::Ownership(Setting::Set(set))).into_iter().collect();
    if let Some(request) = &input.acl {
        let tenant = call.core.owner(tenant_id);
        let acl = ownership.admit_new_bucket_acl(request, AclOwners::one(owner(&tenant)))?;
        PublicAccessBlock::NEW_BUCKET
            .admit_acl(acl)
            .map_err(|_| S3Error::new(Code::InvalidBucketAclWithBlockPublicAccessError))?;
        documents.push(Document::Acl(acl));
    }
    Ok(documents)
}
