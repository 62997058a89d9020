//! What is written where: a statement of each table that a batch changes, its rows as columns.

use prost::Message as _;
use uuid::Uuid;

use super::{Context, Statements, Values};
use crate::plan::writes::{ChangeRow, Reference, Writes};
use crate::store::{bucket, changelog, freed, head, job, manifest_page, signed, upload, version};

pub(super) fn all(writes: &Writes, gone: &[Reference], context: Context) -> Statements {
    let mut statements = Statements::default();
    objects(&mut statements, writes);
    versions(&mut statements, writes);
    uploads(&mut statements, writes, context);
    buckets(&mut statements, writes);
    if !gone.is_empty() {
        free(&mut statements, gone, context);
    }
    repairs(&mut statements, writes, context);
    changes(&mut statements, writes, context);
    statements
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
                Box::new(signed(row.stale_reads_ms)),
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
