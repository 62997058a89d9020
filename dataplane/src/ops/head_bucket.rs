//! HeadBucket and GetBucketLocation: answered from the snapshot alone.

use holdfast_protocol::access;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::xml::write_location;

use super::call::{Call, set};
use crate::env::Env;
use crate::server::Response;

pub(super) fn head<E: Env>(call: &Call<'_, E>) -> Result<Response, S3Error> {
    let grant = call.on_bucket::<access::HeadBucket>()?;
    let mut head = call.answer_head(200);
    set(&mut head, "x-amz-bucket-region", &*grant.resource().bucket.region);
    set(&mut head, "x-amz-access-point-alias", "false");
    Ok(Response::empty(head))
}

pub(super) fn location<E: Env>(call: &Call<'_, E>) -> Result<Response, S3Error> {
    let grant = call.on_bucket::<access::ReadBucketLocation>()?;
    Ok(call.xml(write_location(&grant.resource().bucket.region)))
}
