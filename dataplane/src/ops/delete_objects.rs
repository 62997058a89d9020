//! DeleteObjects: each key has its own grant, its own commit and its own outcome; one that fails harms no other.

use futures_util::future::join_all;
use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::limits::DELETE_BODY_BYTES_MAX;
use holdfast_protocol::name::ObjectKey;
use holdfast_protocol::operation::{BodyClaims, VersionSelector, etag_condition};
use holdfast_protocol::xml::{DeleteEntry, DeleteOutcome, read_delete, write_delete};

use super::call::Call;
use super::delete_object::delete;
use super::intake::{Intake, control_body};
use crate::env::Env;
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn run<E: Env, C: Conn>(
    call: &Call<'_, E>,
    claims: BodyClaims,
    intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    // A bucket that is not there is refused as a whole before the body is read, as is one that nothing lets the sender into.
    call.may_enter()?;
    if claims.content_md5.is_none() && claims.algorithm().is_none() {
        return Err(S3Error::new(Code::InvalidRequest)
            .message("Missing required header for this request: Content-MD5 or x-amz-checksum-*."));
    }
    let bytes = claims.size.unwrap_or(DELETE_BODY_BYTES_MAX as u64);
    let _share = call.budget.take::<E::Rt>(Some(bytes)).await?;
    let body = control_body(intake, claims, DELETE_BODY_BYTES_MAX).await?;
    let request = read_delete(&body)?;
    // All at once: the commits of one request share batches. The same key twice is decided in the order of the body,
    // because the authority takes one key once per batch.
    let outcomes = join_all(request.entries.into_iter().map(|entry| one(call, entry))).await;
    Ok(call.xml(write_delete(&outcomes, request.quiet)))
}

async fn one<E: Env>(call: &Call<'_, E>, entry: DeleteEntry) -> DeleteOutcome {
    match attempt(call, &entry).await {
        Ok(committed) => DeleteOutcome::Deleted {
            key: entry.key,
            version_id: entry.version_id,
            delete_marker: committed.delete_marker.then_some(committed.version_id),
        },
        Err(error) => DeleteOutcome::Failed {
            key: entry.key,
            version_id: entry.version_id,
            code: error.code,
            message: error.message.into_owned(),
        },
    }
}

async fn attempt<E: Env>(call: &Call<'_, E>, entry: &DeleteEntry) -> Result<wire::Committed, S3Error> {
    let key = ObjectKey::parse(bytes::Bytes::copy_from_slice(entry.key.as_bytes()))?;
    let version = match entry.version_id.as_deref() {
        None => VersionSelector::Current,
        // Of an entry S3 says so whatever the text is.
        Some(id) => VersionSelector::parse(id).map_err(|_| S3Error::new(Code::NoSuchVersion))?,
    };
    if entry.etag.is_some() && version != VersionSelector::Current {
        return Err(S3Error::not_implemented("A condition on the deletion of a version"));
    }
    let when = entry.etag.as_deref().map(etag_condition).unwrap_or_default();
    let grant = call.on::<access::DeleteObject>(call.bucket_name(), key.clone(), &version).await?.grant;
    call.may_compare(&key, &when).await?;
    delete(call, &grant, &version, when).await
}
