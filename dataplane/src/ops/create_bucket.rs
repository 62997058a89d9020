//! CreateBucket: the name is unique in the deployment; the authority decides who was first.

use holdfast_common::wire::Refusal;
use holdfast_protocol::access;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::limits::CREATE_BUCKET_BODY_BYTES_MAX;
use holdfast_protocol::operation::BodyClaims;
use holdfast_protocol::xml::read_create_bucket;

use super::call::{Call, set};
use super::intake::{Intake, control_body};
use crate::env::{Env, MetadataError};
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn run<E: Env, C: Conn>(
    call: &Call<'_, E>,
    claims: BodyClaims,
    intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    let grant = call.on_new_bucket::<access::CreateBucket>()?;
    let body = control_body(intake, claims, CREATE_BUCKET_BODY_BYTES_MAX).await?;
    let region = &call.core.settings.region;
    if let Some(wanted) = read_create_bucket(&body)?.filter(|wanted| wanted != region) {
        return Err(S3Error::new(Code::IllegalLocationConstraintException).message(format!(
            "The {wanted} location constraint is incompatible for the region specific endpoint this request was \
             sent to; this deployment's region is {region}."
        )));
    }
    let op = call.core.op_begin();
    match call.core.create_bucket(&grant, op.id(), region.clone()).await {
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
