//! AbortMultipartUpload: its parts are freed by the commit.

use holdfast_protocol::access;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::operation::UploadRef;

use super::call::Call;
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(call: &Call<'_, E>, upload: UploadRef) -> Result<Response, S3Error> {
    let grant = call.on_object::<access::AbortUpload>().await?;
    let op = call.core.op_begin();
    call.core.abort_upload(&grant, op.id(), &upload.upload_id).await?;
    Ok(call.empty(204))
}
