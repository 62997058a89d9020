//! ListMultipartUploads: one page of the uploads under way.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::operation::ListUploadsInput;
use holdfast_protocol::xml::write_list_uploads;

use super::call::Call;
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(call: &Call<'_, E>, input: ListUploadsInput) -> Result<Response, S3Error> {
    let grant = call.on_bucket::<access::ListUploads>()?;
    let query = wire::UploadsQuery {
        prefix: input.prefix.clone().into(),
        delimiter: input.delimiter.clone().into(),
        key_marker: input.key_marker.clone().into(),
        upload_id_marker: input.upload_id_marker.clone(),
        max_uploads: input.max_uploads,
        ..Default::default()
    };
    let page = match input.max_uploads {
        0 => wire::UploadsAnswer::default(),
        _ => call.core.list_uploads(&grant, query).await?,
    };
    let bucket = &grant.resource().bucket;
    let tenants = call.tenants(bucket, page.uploads.iter().map(|upload| upload.tenant_id));
    Ok(call.xml(write_list_uploads(bucket.name.as_str(), &input, &page, &tenants.owners())))
}
