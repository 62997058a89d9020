//! ListObjectVersions: one page of the authority's ordered versions.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::operation::{ListObjectVersionsInput, VersionId};
use holdfast_protocol::xml::{VersionEntry, VersionsPage, write_list_versions};

use super::call::Call;
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(
    call: &Call<'_, E>,
    input: ListObjectVersionsInput,
) -> Result<Response, S3Error> {
    let grant = call.on_bucket::<access::ListVersions>()?;
    let query = wire::ListVersionsQuery {
        prefix: input.prefix.clone().into(),
        delimiter: input.delimiter.clone().into(),
        key_marker: input.key_marker.clone().into(),
        version_id_marker: input.version_id_marker.map(|id| id.to_string()).unwrap_or_default(),
        max_keys: input.max_keys,
        ..Default::default()
    };
    let page = match input.max_keys {
        0 => VersionsPage::default(),
        _ => page(call.core.list_versions(&grant, query).await?)?,
    };
    let bucket = &grant.resource().bucket;
    let tenants = call.owners_of_objects(bucket, page.entries.iter().map(|entry| entry.object.tenant_id))?;
    Ok(call.xml(write_list_versions(bucket.name.as_str(), &input, &page, &tenants.owners())))
}

fn page(answer: wire::ListVersionsAnswer) -> Result<VersionsPage, S3Error> {
    let next = match &*answer.next_version_id_marker {
        "" => None,
        id => Some(version_id(id)?),
    };
    Ok(VersionsPage {
        entries: answer.entries.into_iter().map(entry).collect::<Result<_, _>>()?,
        truncated: answer.truncated,
        next_key_marker: answer.next_key_marker.to_vec(),
        next_version_id_marker: next,
    })
}

fn entry(entry: wire::VersionEntry) -> Result<VersionEntry, S3Error> {
    let version = if entry.common_prefix { VersionId::Null } else { version_id(&entry.version_id)? };
    Ok(VersionEntry {
        version,
        is_latest: entry.latest,
        delete_marker: entry.delete_marker,
        object: wire::ListEntry {
            key: entry.key,
            common_prefix: entry.common_prefix,
            size: entry.size,
            modified_ms: entry.modified_ms,
            etag: entry.etag,
            storage_class: entry.storage_class,
            checksums: entry.checksums,
            tenant_id: entry.tenant_id,
        },
    })
}

fn version_id(text: &str) -> Result<VersionId, S3Error> {
    VersionId::of_record(text).map_err(|_| {
        tracing::error!(version_id = text, "the authority names a version as nobody does");
        S3Error::new(Code::InternalError)
    })
}
