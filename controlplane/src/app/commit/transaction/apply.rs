//! The writing half of a batch: everything its items want, a statement per table, and that this is still the authority.
//!
//! Nearly every batch is one statement, which is its own transaction: each table's part is a WITH clause of it. What costs a
//! batch of a few items most is not its rows but its messages: each is answered by itself, and wakes both sides.

use std::fmt::Write as _;

use futures_util::future::{join, join_all};
use prost::Message as _;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::app::commit::transaction::Failure;
use crate::app::references;
use crate::plan::writes::{ChangeRow, Reference, Writes};
use crate::store::{
    Client, authority, blob, bucket, changelog, freed, head, job, manifest_page, signed, upload, version,
};

/// What all rows of a batch share.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) epoch: u64,
    /// Stamped on what is freed: the batch's first.
    pub(super) seq: u64,
    pub(super) now_ms: u64,
    pub(super) delete_delay_ms: u64,
    /// Some bytes have more than one reference, so references have to be counted.
    pub(super) counted: bool,
}

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
        let _ = write!(text, " {}", renumbered(authority::FENCE_OR_FAIL, values.len()));
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
pub(super) async fn all(client: Client, writes: Writes, context: Context) -> Result<(), Failure> {
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
    let mut statements = Statements::default();
    tables(&mut statements, &writes, &gone, context);
    statements.send_as_one(client, context).await
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
    let mut statements = Statements::default();
    tables(&mut statements, &writes, &gone, context);
    statements.send(client, Some("COMMIT")).await
}

fn tables(statements: &mut Statements, writes: &Writes, gone: &[Reference], context: Context) {
    objects(statements, writes);
    versions(statements, writes);
    uploads(statements, writes, context);
    buckets(statements, writes);
    if !gone.is_empty() {
        free(statements, gone, context);
    }
    repairs(statements, writes, context);
    changes(statements, writes, context);
}

fn free(statements: &mut Statements, gone: &[Reference], context: Context) {
    let (names, blobs, placements, pages) = freed::columns(gone);
    statements.add(job::FORGET, vec![Box::new(names.clone())]);
    let (seq, now_ms) = (signed(context.seq), signed(context.now_ms));
    let delay_ms = signed(context.delete_delay_ms) as f64;
    statements.add(
        freed::FREE,
        vec![
            Box::new(names),
            Box::new(blobs),
            Box::new(placements),
            Box::new(pages),
            Box::new(seq),
            Box::new(now_ms),
            Box::new(delay_ms),
        ],
    );
}

async fn share(client: &Client, writes: &Writes) -> Result<(), Failure> {
    let mut shared: Vec<(Uuid, i64)> = writes.shared.iter().map(|(name, more)| (*name, *more)).collect();
    shared.sort_unstable();
    let (names, more): (Vec<Uuid>, Vec<i64>) = shared.into_iter().unzip();
    let mut statements = Statements::default();
    statements.add(blob::SHARE, vec![Box::new(names), Box::new(more)]);
    statements.send(client, None).await
}

fn objects(statements: &mut Statements, writes: &Writes) {
    if !writes.heads_gone.is_empty() {
        let buckets: Vec<i64> = writes.heads_gone.iter().map(|(bucket, _)| signed(*bucket)).collect();
        let keys: Vec<Vec<u8>> = writes.heads_gone.iter().map(|(_, key)| key.to_vec()).collect();
        statements.add(head::DELETE, vec![Box::new(buckets), Box::new(keys)]);
    }
    if !writes.heads.is_empty() {
        let mut columns = head::Columns::default();
        writes.heads.iter().for_each(|row| columns.push(row));
        statements.add(head::UPSERT, object_values(columns));
    }
    if !writes.pages.is_empty() {
        let names: Vec<Uuid> = writes.pages.iter().map(|(name, _, _)| *name).collect();
        let numbers: Vec<i32> = writes.pages.iter().map(|(_, number, _)| *number).collect();
        let pages: Vec<Vec<u8>> = writes.pages.iter().map(|(_, _, page)| page.encode_to_vec()).collect();
        statements.add(manifest_page::INSERT, vec![Box::new(names), Box::new(numbers), Box::new(pages)]);
    }
}

fn object_values(columns: head::Columns) -> Values {
    vec![
        Box::new(columns.bucket_id),
        Box::new(columns.key),
        Box::new(columns.seq),
        Box::new(columns.op_id),
        Box::new(columns.version_id),
        Box::new(columns.size),
        Box::new(columns.modified_ms),
        Box::new(columns.etag),
        Box::new(columns.tenant_id),
        Box::new(columns.manifest),
        Box::new(columns.meta),
    ]
}

/// A row that goes and one that comes have different names (`plan/writes`), so their order does not matter.
fn versions(statements: &mut Statements, writes: &Writes) {
    let gone = &writes.versions_gone;
    if !gone.is_empty() {
        statements.add(
            version::DELETE,
            vec![
                Box::new(gone.iter().map(|(bucket, _, _)| signed(*bucket)).collect::<Vec<_>>()),
                Box::new(gone.iter().map(|(_, key, _)| key.to_vec()).collect::<Vec<_>>()),
                Box::new(gone.iter().map(|(_, _, id)| id.clone()).collect::<Vec<_>>()),
            ],
        );
    }
    if !writes.versions.is_empty() {
        let mut columns = version::Columns::default();
        writes.versions.iter().for_each(|row| columns.push(row));
        let mut values = object_values(columns.object);
        values.push(Box::new(columns.delete_marker));
        statements.add(version::UPSERT, values);
    }
}

fn uploads(statements: &mut Statements, writes: &Writes, context: Context) {
    let made = &writes.uploads;
    if !made.is_empty() {
        statements.add(
            upload::INSERT,
            vec![
                Box::new(made.iter().map(|row| row.upload_id).collect::<Vec<_>>()),
                Box::new(made.iter().map(|row| signed(row.bucket_id)).collect::<Vec<_>>()),
                Box::new(made.iter().map(|row| row.key.to_vec()).collect::<Vec<_>>()),
                Box::new(made.iter().map(|row| signed(row.tenant_id)).collect::<Vec<_>>()),
                Box::new(made.iter().map(|row| signed(row.initiated_ms)).collect::<Vec<_>>()),
                Box::new(made.iter().map(|row| row.checksum_algorithm).collect::<Vec<_>>()),
                Box::new(made.iter().map(|row| row.checksum_kind).collect::<Vec<_>>()),
                Box::new(made.iter().map(|row| row.meta.encode_to_vec()).collect::<Vec<_>>()),
            ],
        );
    }
    if !writes.parts.is_empty() {
        let (names, parts): (Vec<Uuid>, Vec<&holdfast_common::wire::Part>) =
            writes.parts.iter().map(|(name, part)| (*name, part)).unzip();
        let numbers: Vec<i32> =
            parts.iter().map(|part| i32::try_from(part.number).expect("validated: at most 10,000")).collect();
        let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.encode_to_vec()).collect();
        statements.add(upload::UPSERT_PARTS, vec![Box::new(names), Box::new(numbers), Box::new(parts)]);
    }
    if !writes.parts_gone.is_empty() {
        statements.add(upload::DELETE_PARTS, vec![Box::new(writes.parts_gone.clone())]);
    }
    if !writes.uploads_closed.is_empty() {
        let (names, outcomes): (Vec<Uuid>, Vec<Vec<u8>>) = writes.uploads_closed.iter().cloned().unzip();
        statements
            .add(upload::CLOSE, vec![Box::new(names), Box::new(outcomes), Box::new(signed(context.now_ms))]);
    }
    if !writes.uploads_gone.is_empty() {
        statements.add(upload::DELETE, vec![Box::new(writes.uploads_gone.clone())]);
    }
}

fn buckets(statements: &mut Statements, writes: &Writes) {
    for row in &writes.buckets {
        statements.add(
            bucket::INSERT,
            vec![
                Box::new(signed(row.id)),
                Box::new(row.name.clone()),
                Box::new(signed(row.tenant_id)),
                Box::new(signed(row.created_ms)),
                Box::new(signed(row.revision)),
                Box::new(row.region.clone()),
                Box::new(row.versioning as i32),
                Box::new(bucket::encoded(&row.configuration)),
            ],
        );
    }
    for row in &writes.buckets_changed {
        statements.add(
            bucket::CONFIGURE,
            vec![
                Box::new(signed(row.id)),
                Box::new(signed(row.revision)),
                Box::new(row.versioning as i32),
                Box::new(bucket::encoded(&row.configuration)),
            ],
        );
    }
    if !writes.buckets_gone.is_empty() {
        let ids: Vec<i64> = writes.buckets_gone.iter().map(|id| signed(*id)).collect();
        statements.add(bucket::DELETE, vec![Box::new(ids)]);
    }
}

fn repairs(statements: &mut Statements, writes: &Writes, context: Context) {
    if writes.repairs.is_empty() {
        return;
    }
    let (names, blobs, missing, slacks, placements) = job::columns(&writes.repairs);
    let now_ms = signed(context.now_ms);
    statements.add(
        job::INSERT_REPAIR,
        vec![
            Box::new(names),
            Box::new(blobs),
            Box::new(missing),
            Box::new(slacks),
            Box::new(placements),
            Box::new(now_ms),
        ],
    );
}

fn changes(statements: &mut Statements, writes: &Writes, context: Context) {
    if writes.changes.is_empty() {
        return;
    }
    // In order of op id, as the reaper inserts: the two may wait for each other's rows, but never in a circle.
    let mut rows: Vec<&ChangeRow> = writes.changes.iter().collect();
    rows.sort_unstable_by_key(|row| row.op_id);
    statements.add(
        changelog::INSERT,
        vec![
            Box::new(rows.iter().map(|row| row.op_id).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| signed(row.seq)).collect::<Vec<_>>()),
            Box::new(vec![signed(context.epoch); rows.len()]),
            Box::new(rows.iter().map(|row| signed(row.bucket_id)).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| row.key.to_vec()).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| row.kind as i16).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| row.outcome.clone()).collect::<Vec<_>>()),
        ],
    );
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
