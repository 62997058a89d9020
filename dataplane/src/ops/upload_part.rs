//! UploadPart: a body becomes a blob that belongs to an upload; whoever lists the bucket sees nothing of it.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::operation::{PartChecksums, UploadPartInput};

use super::call::{Call, quoted, set};
use super::intake::Intake;
use super::receive::{etag_md5, receive};
use crate::env::Env;
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn run<E: Env, C: Conn>(
    call: &Call<'_, E>,
    input: UploadPartInput,
    mut intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    let grant = call.on_object::<access::PutObject>().await?;
    let upload_id = input.upload.upload_id;
    let upload = call.core.upload(&grant, &upload_id).await?;
    let upload = upload.ok_or_else(|| S3Error::new(Code::NoSuchUpload).with("UploadId", &upload_id))?;
    let sums = PartChecksums::of_body(&upload, input.body.algorithm())?;
    intake.expect(input.body, sums.plan());
    let op = call.core.op_begin();
    let (digests, written) = receive(call, &grant, op.id(), intake, None).await?;
    let part = written.part(input.part_number, &digests);
    let put = wire::PutPart { upload_id, part: Some(part) };
    if let Err(error) = call.core.put_part(&grant, op.id(), put).await {
        return Err(written.not_committed(call, error));
    }
    let mut head = call.answer_head(200);
    set(&mut head, "ETag", quoted(&hex::encode(etag_md5(&digests))));
    if let Some(value) = sums.shown(&digests) {
        set(&mut head, value.algorithm().header(), value.to_base64());
    }
    Ok(Response::empty(head))
}
