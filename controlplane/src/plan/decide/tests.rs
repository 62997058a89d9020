//! Every operation on every state of a key, in words: the versions of a key, the newest first, are a string. `a` to `f` are
//! objects with ids, `N` is the null object, `1` to `5` are delete markers with ids, `0` is the null one. What an operation
//! writes is `z` (an object with an id), `Z` (null), `9` (a marker with an id), `8` (null).

mod model;
mod rules;
mod strangers;

use std::collections::HashMap;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::{self, Committed, Mutation, Refusal, mutation::Op, mutation_result::Outcome};
use uuid::Uuid;

use super::{Decision, Facts, Stamp, decide};
use crate::plan::validate::validate;
use crate::plan::writes::Writes;
use crate::store::bucket::{BucketRow, Versioning};
use crate::store::head::HeadRow;
use crate::store::version::VersionRow;
use Versioning::{Enabled, Never, Suspended};

const NOW_MS: u64 = 1_800_000_000_000;
const STATES: [Versioning; 3] = [Never, Enabled, Suspended];

fn op_of(letter: char) -> OpId {
    OpId::new(NOW_MS, [letter as u8; 10])
}

fn is_null(letter: char) -> bool {
    "NZ08".contains(letter)
}

fn is_marker(letter: char) -> bool {
    letter.is_ascii_digit()
}

fn id_of(letter: char) -> String {
    if is_null(letter) { String::new() } else { op_of(letter).uuid().simple().to_string() }
}

fn name_of(letter: char) -> String {
    if is_null(letter) { "null".into() } else { id_of(letter) }
}

fn manifest(op_id: OpId) -> wire::Manifest {
    let blob = wire::Blob { op_id: op_id.to_wire(), size: 1, ..Default::default() };
    wire::Manifest {
        parts: vec![wire::Part { blob: Some(blob), ..Default::default() }],
        ..Default::default()
    }
}

fn row(letter: char, seq: u64) -> VersionRow {
    let manifest = if is_marker(letter) { wire::Manifest::default() } else { manifest(op_of(letter)) };
    let object = HeadRow {
        bucket_id: 1,
        key: Bytes::from_static(b"k"),
        seq,
        op_id: op_of(letter).uuid(),
        version_id: id_of(letter),
        size: 1,
        modified_ms: seq,
        etag: letter.to_string(),
        tenant_id: 1,
        manifest,
        meta: wire::ObjectMeta::default(),
    };
    VersionRow { object, delete_marker: is_marker(letter) }
}

fn bucket(versioning: Versioning) -> BucketRow {
    BucketRow {
        id: 1,
        name: "b".into(),
        tenant_id: 1,
        created_ms: 1,
        revision: 1,
        region: String::new(),
        versioning,
        shard: 0,
        class_id: 0,
        configuration: wire::BucketConfiguration::default(),
        stale_reads_ms: 0,
    }
}

fn mutation(op: Op) -> Mutation {
    let marker = matches!(&op, Op::Delete(delete) if delete.version_id.is_empty());
    let op_id = op_of(if marker { '9' } else { 'z' });
    Mutation {
        op_id: op_id.to_wire(),
        bucket_id: 1,
        key: Bytes::from_static(b"k"),
        tenant_id: 1,
        op: Some(op),
        ..Default::default()
    }
}

fn put() -> Op {
    let put = wire::PutObject { size: 1, manifest: Some(manifest(op_of('z'))), ..Default::default() };
    Op::Put(put)
}

fn delete() -> Op {
    Op::Delete(wire::DeleteObject::default())
}

fn delete_version(letter: char) -> Op {
    Op::Delete(wire::DeleteObject { version_id: name_of(letter), ..Default::default() })
}

fn copy_of(letter: char) -> Op {
    Op::Copy(wire::CopyObject {
        source_bucket_id: 1,
        source_key: Bytes::from_static(b"k"),
        source_version_id: name_of(letter),
        ..Default::default()
    })
}

/// What a batch reads of the key for this item (`app/commit/transaction/gather`), and no more.
fn facts(versioning: Versioning, op: &Op, before: &str) -> Facts {
    let seq = |place: usize| (before.len() - place) as u64;
    let rows = || before.chars().enumerate().map(|(place, letter)| row(letter, seq(place)));
    let head = rows().next().filter(|row| !row.delete_marker).map(|row| row.object);
    let older: Vec<VersionRow> = rows().skip(usize::from(head.is_some())).collect();
    let named = match op {
        Op::Delete(delete) => delete.version_id.as_str(),
        Op::Copy(copy) => copy.source_version_id.as_str(),
        Op::SetTags(set) => set.version_id.as_str(),
        Op::SetAcl(set) => set.version_id.as_str(),
        _ => "",
    };
    let named_id = if named == "null" { "" } else { named };
    let newest = matches!(op, Op::Delete(delete) if !delete.version_id.is_empty() || delete.when.is_some());
    let writes = matches!(op, Op::Put(_) | Op::Copy(_)) || (matches!(op, Op::Delete(_)) && named.is_empty());
    let null_replaced =
        writes && versioning == Suspended && head.as_ref().is_none_or(|head| !head.version_id.is_empty());
    let read = older.iter().enumerate().filter(|(place, row)| {
        let id = row.object.version_id.as_str();
        (!named.is_empty() && id == named_id) || (newest && *place < 2) || (null_replaced && id.is_empty())
    });
    let key = (1, Bytes::from_static(b"k"));
    Facts {
        buckets: HashMap::from([(1, bucket(versioning))]),
        versions: HashMap::from([(key.clone(), read.map(|(_, row)| row.clone()).collect())]),
        heads: head.into_iter().map(|head| (key.clone(), head)).collect(),
        ..Default::default()
    }
}

fn run(versioning: Versioning, op: Op, before: &str) -> Result<(Committed, Writes), Refusal> {
    let facts = facts(versioning, &op, before);
    decided(&mutation(op), &facts)
}

fn decided(mutation: &Mutation, facts: &Facts) -> Result<(Committed, Writes), Refusal> {
    let op_id = validate(mutation, NOW_MS).map_err(|refused| refused.reason())?;
    match decide(op_id, mutation, facts, Stamp { seq: 100, now_ms: NOW_MS }) {
        Decision::Commit { result, writes, .. } => match result.outcome {
            Some(Outcome::Committed(committed)) => Ok((committed, *writes)),
            other => panic!("committed as {other:?}"),
        },
        Decision::Answer(result) => match result.outcome {
            Some(Outcome::Refused(refused)) => Err(refused.reason()),
            other => panic!("answered {other:?}"),
        },
        Decision::Committed { result, .. } => panic!("was committed before as {result:?}"),
    }
}

/// The rows as they are after the writes; and that heads and versions are what `store/version` says they are.
fn after(before: &str, writes: &Writes) -> String {
    let mut head = None;
    let mut older = Vec::new();
    for (place, letter) in before.chars().enumerate() {
        match row(letter, (before.len() - place) as u64) {
            row if place == 0 && !row.delete_marker => head = Some(row.object),
            row => older.push(row),
        }
    }
    assert!(writes.heads.len() + writes.heads_gone.len() <= 1, "one row of a key is written once");
    if !writes.heads_gone.is_empty() {
        assert!(head.take().is_some(), "what goes was there");
    }
    head = writes.heads.first().cloned().or(head);
    for (_, _, id) in &writes.versions_gone {
        let at = older.iter().position(|row| row.object.version_id == *id);
        older.remove(at.expect("what goes was there"));
        assert!(writes.versions.iter().all(|row| row.object.version_id != *id), "goes and comes at once");
    }
    for row in &writes.versions {
        older.retain(|other| other.object.version_id != row.object.version_id);
        older.push(row.clone());
    }
    older.sort_by_key(|row| std::cmp::Reverse(row.object.seq));
    let newest = older.first();
    match &head {
        Some(head) => assert!(newest.is_none_or(|newest| newest.object.seq < head.seq)),
        None => {
            assert!(newest.is_none_or(|newest| newest.delete_marker), "an object that is no head is current")
        }
    }
    let older = older.iter().map(|row| letter(&row.object, row.delete_marker));
    head.iter().map(|head| letter(head, false)).chain(older).collect()
}

fn letter(object: &HeadRow, delete_marker: bool) -> char {
    match (object.seq == 100, delete_marker, object.version_id.is_empty()) {
        (true, false, false) => 'z',
        (true, false, true) => 'Z',
        (true, true, false) => '9',
        (true, true, true) => '8',
        (false, ..) => {
            "abcdefN0123456789".chars().find(|letter| op_of(*letter).uuid() == object.op_id).expect("known")
        }
    }
}

/// Objects whose only reference goes.
fn freed(writes: &Writes) -> String {
    let name =
        |op_id: &Uuid| "abcdefN".chars().find(|letter| op_of(*letter).uuid() == *op_id).expect("known");
    let gone = writes.dropped.iter().filter(|reference| !writes.shared.contains_key(&reference.op_id));
    gone.map(|reference| name(&reference.op_id)).collect()
}

fn check(states: &[Versioning], op: &Op, before: &str, expected: (&str, &str)) {
    for state in states {
        let (_, writes) = run(*state, op.clone(), before).expect("committed");
        let (after, freed) = (after(before, &writes), freed(&writes));
        assert_eq!((after.as_str(), freed.as_str()), expected, "{state:?} {op:?} on {before:?}");
    }
}

#[test]
fn a_write_keeps_replaces_or_pushes_down() {
    for (state, before, expected) in [
        (Never, "", ("Z", "")),
        (Never, "N", ("Z", "N")),
        (Enabled, "", ("z", "")),
        (Enabled, "N", ("zN", "")),
        (Enabled, "a", ("za", "")),
        (Enabled, "1a", ("z1a", "")),
        (Enabled, "baN", ("zbaN", "")),
        (Suspended, "", ("Z", "")),
        (Suspended, "N", ("Z", "N")),
        (Suspended, "Na", ("Za", "N")),
        (Suspended, "a", ("Za", "")),
        (Suspended, "aN", ("Za", "N")),
        (Suspended, "0a", ("Za", "")),
        (Suspended, "1N", ("Z1", "N")),
        (Suspended, "b1N a", ("Zb1a", "N")),
    ] {
        check(&[state], &put(), &before.replace(' ', ""), expected);
    }
}

#[test]
fn a_delete_marks_what_was_versioned_and_removes_what_never_was() {
    for (state, before, expected) in [
        (Never, "", ("", "")),
        (Never, "N", ("", "N")),
        (Enabled, "", ("9", "")),
        (Enabled, "a", ("9a", "")),
        (Enabled, "N", ("9N", "")),
        (Enabled, "1a", ("91a", "")),
        (Suspended, "", ("8", "")),
        (Suspended, "N", ("8", "N")),
        (Suspended, "Na", ("8a", "N")),
        (Suspended, "a", ("8a", "")),
        (Suspended, "aN", ("8a", "N")),
        (Suspended, "0a", ("8a", "")),
        (Suspended, "1N", ("81", "N")),
        (Suspended, "a0", ("8a", "")),
    ] {
        check(&[state], &delete(), before, expected);
    }
}

#[test]
fn a_named_version_goes_and_the_next_becomes_current() {
    for (before, name, expected) in [
        ("a", 'a', ("", "a")),
        ("ba", 'b', ("a", "b")),
        ("ba", 'a', ("b", "a")),
        ("c1a", 'c', ("1a", "c")),
        ("1a", '1', ("a", "")),
        ("1a", 'a', ("1", "a")),
        ("21a", '2', ("1a", "")),
        ("21a", '1', ("2a", "")),
        ("2cba", 'b', ("2ca", "b")),
        ("1", '1', ("", "")),
        ("Na", 'N', ("a", "N")),
        ("aN", 'N', ("a", "N")),
        ("0a", '0', ("a", "")),
        ("a0", '0', ("a", "")),
        ("a", 'b', ("a", "")),
        ("", 'b', ("", "")),
        ("a", 'N', ("a", "")),
    ] {
        check(&STATES, &delete_version(name), before, expected);
        let (committed, _) = run(Enabled, delete_version(name), before).expect("committed");
        let there = before.contains(name);
        assert_eq!((committed.existed, committed.delete_marker), (there, there && is_marker(name)));
        assert_eq!(committed.version_id, name_of(name), "{before}");
    }
}
