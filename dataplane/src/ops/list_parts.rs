//! ListParts: what an upload has so far.

use holdfast_protocol::access;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::operation::ListPartsInput;
use holdfast_protocol::xml::write_list_parts;

use super::call::Call;
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(call: &Call<'_, E>, input: ListPartsInput) -> Result<Response, S3Error> {
    let grant = call.on_object::<access::ListParts>().await?;
    let upload_id = &input.upload.upload_id;
    let mut page = call.core.list_parts(&grant, upload_id, input.part_number_marker, input.max_parts).await?;
    if page.upload.is_none() {
        return Err(S3Error::new(Code::NoSuchUpload).with("UploadId", upload_id));
    }
    if input.max_parts == 0 {
        page.parts.clear();
    }
    let bucket = &grant.resource().bucket;
    let tenants = call.tenants(bucket, page.upload.iter().map(|upload| upload.tenant_id));
    let key = grant.resource().key.as_bytes();
    Ok(call.xml(write_list_parts(bucket.name.as_str(), key, &input, &page, &tenants.owners())))
}
