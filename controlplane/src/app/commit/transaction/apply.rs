//! The writing half of a batch: everything its items want, a statement per table, and that this is still the authority.
//!
//! Nearly every batch is one statement, which is its own transaction: each table's part is a WITH clause of it. What costs a
//! batch of a few items most is not its rows but its messages: each is answered by itself, and wakes both sides.

mod tables;

use std::fmt::Write as _;

use futures_util::future::{join, join_all};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::app::commit::transaction::{Context, Failure};
use crate::app::references;
use crate::plan::writes::Writes;
use crate::store::{Client, authority, blob, signed};

type Values = Vec<Box<dyn ToSql + Sync + Send>>;

/// Columns that live until the statements have been answered.
#[derive(Default)]
struct Statements {
    list: Vec<(&'static str, Values)>,
}

impl Statements {
    fn add(&mut self, text: &'static str, values: Values) {
        self.list.push((text, values));
    }

    /// Sends all together, `last` at the end; the first error counts, because PostgreSQL answers COMMIT of a failed
    /// transaction without one.
    async fn send(self, client: &Client, last: Option<&str>) -> Result<(), Failure> {
        let mut statements = Vec::with_capacity(self.list.len());
        for (text, _) in &self.list {
            statements.push(client.prepare_cached(text).await?);
        }
        let values: Vec<Vec<&(dyn ToSql + Sync)>> =
            self.list.iter().map(|(_, values)| borrowed(values)).collect();
        let executes =
            statements.iter().zip(&values).map(|(statement, values)| client.execute(statement, values));
        let commit = async {
            match last {
                Some(last) => client.batch_execute(last).await,
                None => Ok(()),
            }
        };
        let (answers, last) = join(join_all(executes), commit).await;
        for answer in answers {
            answer?;
        }
        Ok(last?)
    }

    /// Runs all as one statement, so none may need what another wrote: they see the tables as they were before.
    async fn send_as_one(self, client: &Client, context: Context) -> Result<(), Failure> {
        let mut text = String::with_capacity(4096);
        let mut values = Values::new();
        for (at, (part, its)) in self.list.into_iter().enumerate() {
            text.push_str(if at == 0 { "WITH" } else { "," });
            let _ = write!(text, " part_{at} AS ({})", renumbered(part, values.len()));
            values.extend(its);
        }
        let _ = write!(text, " {}", renumbered(&authority::FENCE_OR_FAIL, values.len()));
        values.push(Box::new(authority::SHARD));
        values.push(Box::new(signed(context.epoch)));
        let statement = client.prepare_cached(&text).await?;
        client.execute(&statement, &borrowed(&values)).await?;
        Ok(())
    }
}

fn borrowed(values: &Values) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
}

/// A statement whose parameters come after `before` others.
fn renumbered(text: &str, before: usize) -> String {
    let mut pieces = text.split('$');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = piece[..digits].parse().expect("a `$` stands before a parameter's number only");
        let _ = write!(out, "${}{}", number + before, &piece[digits..]);
    }
    out
}

/// Writes and commits.
pub(crate) async fn all(client: Client, writes: Writes, context: Context) -> Result<(), Failure> {
    if is_one_statement(&writes, context) {
        return at_once(&client, writes, context).await;
    }
    let done = in_steps(&client, writes, context).await;
    if done.is_err() && client.batch_execute("ROLLBACK").await.is_err() {
        // Not fit for the pool any more.
        drop(Client::take(client));
    }
    done
}

/// Whether no part of it needs what another has done, in this batch or before: then all parts are one statement.
fn is_one_statement(writes: &Writes, context: Context) -> bool {
    let counts = !writes.shared.is_empty() || (context.counted && !writes.dropped.is_empty());
    let closes = !writes.uploads_closed.is_empty()
        || !writes.uploads_gone.is_empty()
        || !writes.parts_gone.is_empty()
        || !writes.buckets.is_empty()
        || !writes.buckets_changed.is_empty()
        || !writes.buckets_gone.is_empty();
    !counts && !closes
}

async fn at_once(client: &Client, mut writes: Writes, context: Context) -> Result<(), Failure> {
    // Nothing is counted, so each of these was the only reference. None can become shared meanwhile: a copy takes its
    // source's lock, which the batch holds.
    let gone = references::all(std::mem::take(&mut writes.dropped));
    tables::all(&writes, &gone, context).send_as_one(client, context).await
}

async fn in_steps(client: &Client, mut writes: Writes, context: Context) -> Result<(), Failure> {
    let (shard, epoch) = (authority::SHARD, signed(context.epoch));
    let fence = client.prepare_cached(authority::FENCE).await?;
    let values: [&(dyn ToSql + Sync); 2] = [&shard, &epoch];
    // Polled in order, so BEGIN goes first; both travel together.
    let (begun, held) = join(client.batch_execute("BEGIN"), client.query(&fence, &values)).await;
    begun?;
    if held?.is_empty() {
        return Err(Failure::Fenced);
    }
    // References are added before any are dropped: a copy onto itself must not reach zero in between.
    if !writes.shared.is_empty() {
        share(client, &writes).await?;
    }
    let dropped = std::mem::take(&mut writes.dropped);
    let gone = references::drop_all(client, dropped).await?;
    tables::all(&writes, &gone, context).send(client, Some("COMMIT")).await
}

async fn share(client: &Client, writes: &Writes) -> Result<(), Failure> {
    let mut shared: Vec<(Uuid, i64)> = writes.shared.iter().map(|(name, more)| (*name, *more)).collect();
    shared.sort_unstable();
    let (names, more): (Vec<Uuid>, Vec<i64>) = shared.into_iter().unzip();
    let mut statements = Statements::default();
    statements.add(blob::SHARE, vec![Box::new(names), Box::new(more)]);
    statements.send(client, None).await
}

#[cfg(test)]
mod tests {
    use super::renumbered;

    #[test]
    fn parameters_move_behind_those_before_them() {
        assert_eq!(renumbered("SELECT $1::bigint, $12", 3), "SELECT $4::bigint, $15");
        assert_eq!(renumbered("SELECT 1", 3), "SELECT 1");
    }
}
