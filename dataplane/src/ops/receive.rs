//! From bytes to a durable blob that nobody sees yet: shared by PutObject, POST Object, UploadPart and UploadPartCopy.

use bytes::Bytes;
use holdfast_common::id::{BackendId, OpId};
use holdfast_common::wire;
use holdfast_protocol::access::{Grant, PutObject};
use holdfast_protocol::digest::{BodyDigests, Digests};
use holdfast_protocol::error::{Code, S3Error};

use super::call::Call;
use super::intake::Intake;
use super::object_stream::ObjectStream;
use crate::blob::{BlobError, BlobWriter, BlobWritten, NewBlob};
use crate::env::{Env, MetadataError};
use crate::link::LinkError;
use crate::rt::Conn;
use crate::server::{BodyStream as _, StreamError};

/// Bytes on drives, durable on the write quorum, not committed.
pub(super) struct Written {
    /// `None` for no bytes: they need no blob.
    blob: Option<wire::Blob>,
    backends: Vec<BackendId>,
}

/// Fields of the blob's last row, once its digests are known.
pub(super) type LastFields<'f> = &'f dyn Fn(&Digests, &BlobWritten) -> Bytes;

/// Streams the body into a blob named `op`, and holds it against every claim. On any error nothing of it is kept.
pub(super) async fn receive<E: Env, C: Conn>(
    call: &Call<'_, E>,
    grant: &Grant<PutObject>,
    op: OpId,
    mut intake: Intake<'_, '_, C>,
    last_fields: Option<LastFields<'_>>,
) -> Result<(Digests, Written), S3Error> {
    let _share = call.budget.take::<E::Rt>(intake.bytes_at_most()).await?;
    let mut writer = call.core.blob_write(grant, new_blob(grant, op, intake.size())).await?;
    if last_fields.is_some() {
        writer = writer.awaiting_fields();
    }
    while let Some(chunk) = intake.next().await? {
        writer.push(&chunk).await.map_err(write_error)?;
    }
    // The digests decide before anything is made durable; dropping the writer deletes what was written.
    let digests = intake.finish().await?;
    let fields = last_fields.map_or_else(Bytes::new, |fields| fields(&digests, &writer.planned()));
    Ok((digests, settle(call, writer, fields).await?))
}

/// Streams `bytes` bytes of an object into a blob named `op`. On any error nothing of it is kept.
pub(super) async fn write_from<E: Env>(
    call: &Call<'_, E>,
    grant: &Grant<PutObject>,
    op: OpId,
    bytes: u64,
    mut source: ObjectStream<E>,
    digests: &mut BodyDigests,
) -> Result<Written, S3Error> {
    let _share = call.budget.take::<E::Rt>(Some(bytes)).await?;
    let mut writer = call.core.blob_write(grant, new_blob(grant, op, Some(bytes))).await?;
    while let Some(chunk) = source.next().await.map_err(|StreamError| S3Error::new(Code::InternalError))? {
        digests.update(&chunk);
        writer.push(&chunk).await.map_err(write_error)?;
    }
    settle(call, writer, Bytes::new()).await
}

fn new_blob(grant: &Grant<PutObject>, op_id: OpId, size: Option<u64>) -> NewBlob {
    NewBlob { op_id, attempt: 0, class_id: grant.resource().bucket.class_id, size }
}

/// Durable on the quorum, with its placement interned.
async fn settle<E: Env>(
    call: &Call<'_, E>,
    writer: BlobWriter<E::Drives, E::Rt>,
    fields: Bytes,
) -> Result<Written, S3Error> {
    let written = writer.finish_with(fields).await.map_err(write_error)?;
    if written.size == 0 {
        return Ok(Written { blob: None, backends: Vec::new() });
    }
    match call.core.placement_id(&written.backends).await {
        Ok(id) => Ok(Written { blob: Some(written.to_wire(id.0)), backends: written.backends }),
        Err(error) => {
            call.core.blob_discard(written.to_wire(0), written.backends);
            Err(error.into())
        }
    }
}

impl Written {
    pub(super) fn blob(&self) -> Option<wire::Blob> {
        self.blob.clone()
    }

    /// As a part of an upload.
    pub(super) fn part(&self, number: u32, digests: &Digests) -> wire::Part {
        wire::Part {
            number,
            blob: self.blob(),
            md5: Bytes::copy_from_slice(&etag_md5(digests)),
            checksums: digests.to_wire(),
            ..Default::default()
        }
    }

    /// After a commit that failed. What was refused for certain is deleted; what may have been committed is the
    /// authority's to settle, and its bytes stay (DESIGN 8, invariant 12).
    pub(super) fn not_committed<E: Env>(self, call: &Call<'_, E>, error: MetadataError) -> S3Error {
        let certain = match &error {
            // "Try again" may mean that the authority itself does not know (a lost database, another leader).
            MetadataError::Refused(refused) => !refused.retryable,
            MetadataError::Link(LinkError::Unavailable(_)) => true,
            MetadataError::Link(LinkError::OutcomeUnknown(_)) | MetadataError::Protocol(_) => false,
        };
        if let (true, Some(blob)) = (certain, self.blob) {
            call.core.blob_discard(blob, self.backends);
        }
        error.into()
    }
}

/// The MD5 that is the ETag of an object or part, which every plan for one has.
pub(super) fn etag_md5(digests: &Digests) -> [u8; 16] {
    digests.md5.expect("planned for whatever gets an ETag")
}

fn write_error(error: BlobError) -> S3Error {
    let code = match &error {
        BlobError::WrongSize { .. } => Code::IncompleteBody,
        BlobError::TooLarge { .. } => Code::EntityTooLarge,
        BlobError::TooSlow { .. } => Code::SlowDown,
        BlobError::NoQuorum { .. } => Code::ServiceUnavailable,
        BlobError::Unreadable { .. } | BlobError::Coding(_) | BlobError::Record(_) => Code::InternalError,
    };
    tracing::warn!(%error, "a blob was not written");
    S3Error::new(code)
}
