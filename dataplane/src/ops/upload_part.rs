//! UploadPart: a body becomes a blob that belongs to an upload; whoever lists the bucket sees nothing of it.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::digest::ChecksumAlgorithm;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::operation::UploadPartInput;

use super::call::{Call, quoted, set, set_checksums};
use super::intake::Intake;
use super::put_object::{plan, to_wire};
use super::receive::receive;
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
    let algorithm = agreed(&upload, input.body.algorithm())?;
    intake.expect(input.body, plan(algorithm));
    let op = call.core.op_begin();
    let (digests, written) = receive(call, &grant, op.id(), intake).await?;
    let md5 = digests.md5.expect("planned");
    let checksums = to_wire(&digests);
    let part = wire::Part {
        number: input.part_number,
        blob: written.blob(),
        md5: md5.to_vec().into(),
        checksums: checksums.clone(),
        ..Default::default()
    };
    let put = wire::PutPart { upload_id, part: Some(part) };
    if let Err(error) = call.core.put_part(&grant, op.id(), put).await {
        return Err(written.not_committed(call, error));
    }
    let mut head = call.answer_head(200);
    set(&mut head, "ETag", quoted(&hex::encode(md5)));
    let shown = if algorithm.is_some() { &*checksums } else { &[] };
    set_checksums(&mut head, shown, 0);
    Ok(Response::empty(head))
}

/// The checksum to compute: the upload's. A part that brings another one is refused, as S3 does.
fn agreed(
    upload: &wire::Upload,
    sent: Option<ChecksumAlgorithm>,
) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    let named = ChecksumAlgorithm::from_wire(upload.checksum_algorithm);
    match (named, sent) {
        (Some(named), Some(sent)) if named != sent => {
            Err(S3Error::new(Code::InvalidRequest).message(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                named.name().to_ascii_lowercase(),
                sent.name().to_ascii_lowercase()
            )))
        }
        (named, sent) => Ok(named.or(sent)),
    }
}
