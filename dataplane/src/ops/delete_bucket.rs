//! DeleteBucket: 409 while anything is in it; decided in the commit.

use holdfast_protocol::access;
use holdfast_protocol::error::S3Error;

use super::call::Call;
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(call: &Call<'_, E>) -> Result<Response, S3Error> {
    let grant = call.on_bucket::<access::DeleteBucket>()?;
    let op = call.core.op_begin();
    call.core.delete_bucket(&grant, op.id()).await?;
    Ok(call.empty(204))
}
