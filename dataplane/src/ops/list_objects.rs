//! ListObjects, both versions: one page of the authority's ordered index.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::operation::ListObjectsInput;
use holdfast_protocol::xml::write_list_objects;

use super::call::Call;
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(call: &Call<'_, E>, input: ListObjectsInput) -> Result<Response, S3Error> {
    let grant = call.on_bucket::<access::ListObjects>()?;
    let query = wire::ListQuery {
        prefix: input.prefix.clone().into(),
        delimiter: input.delimiter.clone().into(),
        after: bytes::Bytes::copy_from_slice(input.after()),
        max_keys: input.max_keys,
        ..Default::default()
    };
    let page = match input.max_keys {
        0 => wire::ListAnswer::default(),
        _ => call.core.list(&grant, query).await?,
    };
    let bucket = &grant.resource().bucket;
    let tenants = call.owners_of_objects(bucket, page.entries.iter().map(|entry| entry.tenant_id))?;
    Ok(call.xml(write_list_objects(bucket.name.as_str(), &input, &page, &tenants.owners())))
}
