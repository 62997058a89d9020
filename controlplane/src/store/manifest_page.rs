//! `manifest_page`: parts of objects with more than 16 of them, 250 a page.

use holdfast_common::wire;
use uuid::Uuid;

use super::{Client, StoreError, Transaction};
use crate::store::head::decode;

pub const INSERT: &str = "INSERT INTO manifest_page (pages_of, page, parts)
     SELECT * FROM UNNEST($1::uuid[], $2::integer[], $3::bytea[])";

/// Removes the pages of dead manifests and returns them.
pub async fn take(work: &Transaction<'_>, pages_of: &[Uuid]) -> Result<Vec<wire::ManifestPage>, StoreError> {
    let text = "DELETE FROM manifest_page WHERE pages_of = ANY($1) RETURNING parts";
    let rows = work.query(text, &[&pages_of]).await?;
    rows.iter().map(|row| decode(row.get(0), "manifest_page.parts")).collect()
}

pub async fn page(
    client: &Client,
    pages_of: Uuid,
    page: u32,
) -> Result<Option<wire::ManifestPage>, StoreError> {
    let statement =
        client.prepare_cached("SELECT parts FROM manifest_page WHERE pages_of = $1 AND page = $2").await?;
    let page = i32::try_from(page).unwrap_or(i32::MAX);
    let row = client.query_opt(&statement, &[&pages_of, &page]).await?;
    row.map(|row| decode(row.get(0), "manifest_page.parts")).transpose()
}
