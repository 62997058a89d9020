//! One batch as one transaction: a round trip that reads, a decision, a round trip that writes and commits.
//!
//! Statements of a round trip are sent together (pipelined) and each takes whole columns by UNNEST, so the cost is a
//! few statements per batch, whatever its size. The epoch row is read FOR SHARE: a leader that was replaced reads
//! another epoch, or none, and writes nothing.

mod apply;
mod gather;

use std::collections::HashSet;

use tokio_postgres::error::SqlState;

use crate::app::Inner;
use crate::app::commit::batch::Settled;
use crate::app::commit::{Item, now_ms};
use crate::plan::decide::{Decision, Stamp, decide};
use crate::plan::writes::Writes;
use crate::store::{Client, StoreError};

/// Why a batch was not committed, sorted by what to do.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another leader has taken over.
    Fenced,
    /// An op id is there already: a delivery whose outcome was not known. Run again, reading outcomes first.
    Taken(String),
    /// Something in it cannot be stored: find it.
    Content(String),
    /// A lost conflict, a lost connection, a full disk: run it again under the same op ids.
    Unsettled(String),
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
    let client = inner.store.reserved().await?;
    let done = steps(inner, &client, items, epoch, again).await;
    if done.is_err() && client.batch_execute("ROLLBACK").await.is_err() {
        // Not fit for the pool any more.
        drop(deadpool_postgres::Object::take(client));
    }
    done
}

async fn steps(
    inner: &Inner,
    client: &Client,
    items: &[(&Item, u64)],
    epoch: u64,
    again: bool,
) -> Result<Vec<Settled>, Failure> {
    let facts = gather::facts(client, items, epoch, again).await?;
    let now_ms = inner.stamp_ms(now_ms());
    let mut writes = Writes::default();
    let mut settled = Vec::with_capacity(items.len());
    for (item, seq) in items {
        match decide(item.op_id, &item.mutation, &facts, Stamp { seq: *seq, now_ms }) {
            Decision::Answer(result) => settled.push(Settled { result, effect: None, fresh: false }),
            Decision::Commit { result, writes: its, effect } => {
                writes.merge(*its);
                settled.push(Settled { result, effect, fresh: true });
            }
        }
    }
    assert_disjoint(&writes);
    let seq = items.first().map_or(0, |(_, seq)| *seq);
    apply::all(client, writes, apply::Context { epoch, seq, now_ms, delete_delay_ms: inner.delete_delay_ms })
        .await?;
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
}
