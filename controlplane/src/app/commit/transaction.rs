//! One batch: a round trip that reads, a decision, a round trip that writes and commits.
//!
//! Statements take whole columns by UNNEST, so the cost is a few statements per batch, whatever its size: two that read and one
//! that writes, where it can be (`apply`). The writing transaction reads the epoch row FOR SHARE: a leader that was
//! replaced finds another epoch, or none, writes nothing and answers nothing of what it read.

pub(crate) mod apply;
pub(crate) mod gather;

use std::collections::HashSet;

use tokio_postgres::error::SqlState;

use crate::app::Inner;
use crate::app::commit::batch::Settled;
use crate::app::commit::{Item, placements};
use crate::app::truth::Asked;
use crate::plan::decide::{Decision, Stamp, decide, refused_result};
use crate::plan::writes::Writes;
use crate::store::StoreError;

/// Why a batch was not committed, sorted by what to do.
#[derive(Debug)]
pub enum Failure {
    /// Another leader has taken over.
    Fenced,
    /// An op id is there already: a delivery whose outcome was not known. Run again, reading outcomes first.
    Taken(String),
    /// Something in it cannot be stored: find it.
    Content(String),
    /// A lost conflict, a lost connection, a full disk: run it again under the same op ids.
    Unsettled(String),
}

/// What all rows of a batch share.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub epoch: u64,
    /// Stamped on what is freed: the batch's first.
    pub seq: u64,
    pub now_ms: u64,
    pub delete_delay_ms: u64,
    /// Some bytes have more than one reference, so references have to be counted.
    pub counted: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let Some(state) = error.state() else {
            return match error {
                StoreError::Corrupt(_) => Self::Content(error.to_string()),
                _ => Self::Unsettled(error.to_string()),
            };
        };
        if *state == SqlState::UNIQUE_VIOLATION {
            return Self::Taken(error.to_string());
        }
        // No other statement here divides.
        if *state == SqlState::DIVISION_BY_ZERO {
            return Self::Fenced;
        }
        // 22: data exception, 23: integrity violation, 54: program limit.
        if matches!(&state.code()[..2], "22" | "23" | "54") {
            Self::Content(error.to_string())
        } else {
            Self::Unsettled(error.to_string())
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Runs the transaction. With `again` every item's recorded outcome is read first, not only those marked as retries.
pub(crate) async fn run(
    inner: &Inner,
    items: &[(&Item, u64)],
    epoch: u64,
    again: bool,
) -> Result<Vec<Settled>, Failure> {
    let missing = inner.placements.missing(&*inner.truth, items).await?;
    let asked: Vec<Asked<'_>> = items.iter().map(|(item, _)| (item.op_id, &item.mutation)).collect();
    let mut facts = inner.truth.facts(&asked, again).await?;
    if crate::mutant!("retry-without-recorded-outcome") {
        facts.recorded.clear();
    }
    let now_ms = inner.stamp_ms(inner.truth.now_ms());
    let mut writes = Writes::default();
    let mut settled = Vec::with_capacity(items.len());
    for (item, seq) in items {
        if let Some(refused) = placements::refusal(&item.mutation, &missing) {
            let result = refused_result(item.op_id, refused);
            settled.push(Settled { result, effect: None, fresh: false });
            continue;
        }
        match decide(item.op_id, &item.mutation, &facts, Stamp { seq: *seq, now_ms }) {
            Decision::Answer(result) => settled.push(Settled { result, effect: None, fresh: false }),
            Decision::Committed { result, effect } => settled.push(Settled { result, effect, fresh: true }),
            Decision::Commit { result, writes: its, effect } => {
                writes.merge(*its);
                settled.push(Settled { result, effect, fresh: true });
            }
        }
    }
    assert_disjoint(&writes);
    let context = Context {
        epoch,
        seq: items.first().map_or(0, |(_, seq)| *seq),
        now_ms,
        delete_delay_ms: inner.delete_delay_ms,
        counted: facts.counted,
    };
    inner.truth.commit(writes, context).await?;
    Ok(settled)
}

/// Locks promise it, and `ON CONFLICT` cannot touch a row twice.
fn assert_disjoint(writes: &Writes) {
    let mut seen = HashSet::with_capacity(writes.heads.len());
    for head in &writes.heads {
        assert!(
            seen.insert((head.bucket_id, &head.key)),
            "a key twice in a batch: bucket {}",
            head.bucket_id
        );
    }
    let mut seen = HashSet::with_capacity(writes.versions.len() + writes.versions_gone.len());
    let here = writes.versions.iter().map(|row| &row.object);
    let here = here.map(|object| (object.bucket_id, &object.key, &object.version_id));
    for name in here.chain(writes.versions_gone.iter().map(|(bucket, key, id)| (*bucket, key, id))) {
        assert!(seen.insert(name), "a version twice in a batch: bucket {}", name.0);
    }
}
