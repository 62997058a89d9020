//! GetObjectAttributes: answered from the record and, for parts, from the pages of its manifest.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::date::imf_fixdate;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::operation::GetObjectAttributesInput;
use holdfast_protocol::xml::{lists_parts, write_object_attributes};

use super::call::{Call, set, set_version};
use super::get_object::{existing, page_of};
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(
    call: &Call<'_, E>,
    input: GetObjectAttributesInput,
) -> Result<Response, S3Error> {
    // It takes both, as S3 has it.
    call.on_version::<access::ReadObjectAttributes>(&input.version).await?;
    let seen = call.on_version::<access::GetObject>(&input.version).await?;
    let (grant, record) = seen.with_record(call, &input.version).await?;
    let bucket = &grant.resource().bucket;
    let record = existing(call, grant.resource(), record, &input.version)?;
    let parts = match input.attributes.object_parts && lists_parts(&record) {
        true => parts_behind(call, &grant, &record, &input).await?,
        false => Vec::new(),
    };
    let mut head = call.answer_head(200);
    set(&mut head, "Content-Type", "application/xml");
    set(&mut head, "Last-Modified", imf_fixdate(record.modified_ms));
    set_version(&mut head, bucket, &record.version_id);
    Ok(Response::bytes(head, write_object_attributes(&input, &record, &parts)))
}

/// The parts behind the marker, one more than are wanted if there are as many.
async fn parts_behind<E: Env>(
    call: &Call<'_, E>,
    grant: &access::Grant<access::GetObject>,
    record: &wire::ObjectRecord,
    input: &GetObjectAttributesInput,
) -> Result<Vec<wire::Part>, S3Error> {
    let Some(manifest) = &record.manifest else { return Ok(Vec::new()) };
    let wanted = input.max_parts as usize + 1;
    let behind = |part: &&wire::Part| part.number > input.part_number_marker;
    let mut parts: Vec<wire::Part> = manifest.parts.iter().filter(behind).take(wanted).cloned().collect();
    for page in 0..manifest.page_offsets.len() as u32 {
        if parts.len() == wanted {
            break;
        }
        let page = page_of(call, grant, &manifest.pages_of, page).await?;
        let room = wanted - parts.len();
        parts.extend(page.iter().filter(behind).take(room).cloned());
    }
    Ok(parts)
}
