//! The end of references: what nobody references any more is written down as freed, by commits and by the dropping of
//! pages alike.
//!
//! Nothing is deleted here. The pages of a long manifest are kept for as long as the bytes of blobs are, because a GET
//! that is under way still asks for them; when they are dropped (`app/work/pages`), what stands in them is freed in turn.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::plan::writes::{Reference, counted};
use crate::store::{StoreError, blob};

/// Takes references away; returns what has none left.
pub(crate) async fn drop_all(
    client: &impl GenericClient,
    dropped: Vec<Reference>,
) -> Result<Vec<Reference>, StoreError> {
    if dropped.is_empty() {
        return Ok(Vec::new());
    }
    let (names, fewer) = counted(&dropped);
    let drop = client.prepare_cached(blob::DROP).await?;
    let left = client.query(&drop, &[&names, &fewer]).await?;
    let left: HashMap<Uuid, i64> = left.iter().map(|row| (row.get(0), row.get(1))).collect();
    let gone =
        dropped.into_iter().filter(|reference| left.get(&reference.op_id).is_none_or(|refs| *refs <= 0));
    let gone = all(gone.collect());
    let counters: Vec<Uuid> =
        gone.iter().map(|gone| gone.op_id).filter(|name| left.contains_key(name)).collect();
    if !counters.is_empty() {
        client.execute(blob::FORGET, &[&counters]).await?;
    }
    Ok(gone)
}

/// Each once, in order of name.
pub(crate) fn all(mut references: Vec<Reference>) -> Vec<Reference> {
    references.sort_unstable_by_key(|reference| reference.op_id);
    references.dedup_by_key(|reference| reference.op_id);
    references
}
