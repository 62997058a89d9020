//! Every operation on every state of a key, in words: the versions of a key, the newest first, are a string. `a` to `f` are
//! objects with ids, `N` is the null object, `1` to `5` are delete markers with ids, `0` is the null one. What an operation
//! writes is `z` (an object with an id), `Z` (null), `9` (a marker with an id), `8` (null).

use std::collections::HashMap;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::{self, Committed, Mutation, Refusal, mutation::Op, mutation_result::Outcome};
use prost::Message as _;
use uuid::Uuid;

use super::{ConfigEffect, Decision, Facts, Stamp, decide};
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
    let mutation = mutation(op);
    let op_id = validate(&mutation, NOW_MS).expect("well-formed");
    match decide(op_id, &mutation, &facts, Stamp { seq: 100, now_ms: NOW_MS }) {
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

#[test]
fn copies_read_the_version_that_was_named() {
    check(&[Enabled], &copy_of('a'), "ba", ("zba", ""));
    check(&[Enabled], &copy_of('N'), "1N", ("z1N", ""));
    check(&[Suspended], &copy_of('N'), "aN", ("Za", ""));
    check(&[Suspended], &copy_of('b'), "cba", ("Zcba", ""));
    let (committed, writes) = run(Enabled, copy_of('a'), "ba").expect("committed");
    assert_eq!(committed.copy_source_version_id, name_of('a'));
    assert_eq!(committed.record.expect("a record").etag, "a");
    assert_eq!(writes.shared, HashMap::from([(op_of('a').uuid(), 1)]));
    for (name, before, expected) in [
        (copy_of('c'), "ba", Refusal::NoSuchVersion),
        (copy_of('1'), "1a", Refusal::InvalidRequest),
        (copy_of('1'), "b1a", Refusal::InvalidRequest),
    ] {
        assert_eq!(run(Enabled, name, before).err(), Some(expected), "{before}");
    }
}

#[test]
fn answers_show_the_version_that_was_written() {
    let written = |state, op, before| {
        let (committed, _) = run(state, op, before).expect("committed");
        (committed.version_id, committed.delete_marker)
    };
    assert_eq!(written(Never, put(), ""), (String::new(), false));
    assert_eq!(written(Enabled, put(), ""), (name_of('z'), false));
    assert_eq!(written(Suspended, put(), "a"), (String::new(), false));
    assert_eq!(written(Never, delete(), "N"), (String::new(), false));
    assert_eq!(written(Enabled, delete(), "a"), (name_of('9'), true));
    assert_eq!(written(Suspended, delete(), "a"), ("null".into(), true));
}

#[test]
fn conditions_are_about_the_current_version() {
    let when = wire::Precondition { if_match: "a".into(), ..Default::default() };
    let absent = wire::Precondition { absent: true, ..Default::default() };
    let put_when = |when: &wire::Precondition| match put() {
        Op::Put(put) => Op::Put(wire::PutObject { when: Some(when.clone()), ..put }),
        other => other,
    };
    let delete_when =
        |name: &str| Op::Delete(wire::DeleteObject { when: Some(when.clone()), version_id: name.to_owned() });
    for (op, before, expected) in [
        (put_when(&when), "ab", None),
        (put_when(&when), "ba", Some(Refusal::PreconditionFailed)),
        (put_when(&when), "1a", Some(Refusal::NoSuchKey)),
        (put_when(&when), "", Some(Refusal::NoSuchKey)),
        (put_when(&absent), "a", Some(Refusal::PreconditionFailed)),
        (put_when(&absent), "1a", None),
        (put_when(&absent), "", None),
        (delete_when(""), "ab", None),
        (delete_when(""), "ba", Some(Refusal::PreconditionFailed)),
        (delete_when(""), "1a", Some(Refusal::PreconditionFailed)),
        (delete_when(""), "", Some(Refusal::NoSuchKey)),
        (delete_when(&name_of('b')), "ab", None),
        (delete_when(&name_of('b')), "ba", Some(Refusal::PreconditionFailed)),
    ] {
        assert_eq!(run(Enabled, op.clone(), before).err(), expected, "{op:?} on {before:?}");
    }
}

#[test]
fn tags_change_one_version_and_nothing_else() {
    let tag = wire::Pair { name: "n".into(), value: "v".into() };
    let set =
        |name: &str| Op::SetTags(wire::SetTags { version_id: name.to_owned(), tags: vec![tag.clone()] });
    let (committed, writes) = run(Enabled, set(""), "ba").expect("committed");
    assert_eq!((committed.version_id, committed.modified_ms), (name_of('b'), 2));
    let mut expected = row('b', 2).object;
    expected.meta.tags = vec![tag.clone()];
    assert_eq!((writes.heads, writes.versions.len()), (vec![expected], 0));
    let (_, writes) = run(Suspended, set("null"), "bN").expect("committed");
    let mut expected = row('N', 1);
    expected.object.meta.tags = vec![tag.clone()];
    assert_eq!((writes.versions, writes.heads.len()), (vec![expected], 0));
    for (name, before, expected) in [
        (String::new(), "", Refusal::NoSuchKey),
        (String::new(), "1a", Refusal::NoSuchKey),
        (name_of('1'), "1a", Refusal::MethodNotAllowed),
        (name_of('c'), "ba", Refusal::NoSuchVersion),
    ] {
        assert_eq!(run(Enabled, set(&name), before).err(), Some(expected), "{name} of {before}");
    }
}

/// What each operation does, on the whole list: the definition.
fn model(state: Versioning, op: &Op, before: &str) -> String {
    let without_null = || before.chars().filter(|letter| !is_null(*letter)).collect::<String>();
    let rest = if state == Enabled { before.to_owned() } else { without_null() };
    match op {
        Op::Delete(delete) if !delete.version_id.is_empty() => {
            before.chars().filter(|letter| name_of(*letter) != delete.version_id).collect()
        }
        Op::Delete(_) => match state {
            Never => rest,
            Enabled => format!("9{rest}"),
            Suspended => format!("8{rest}"),
        },
        _ if state == Enabled => format!("z{rest}"),
        _ => format!("Z{rest}"),
    }
}

#[test]
fn any_operation_on_any_state_is_what_the_model_says() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).expect("small")
    };
    for _ in 0..20_000 {
        let state = STATES[random(3)];
        let mut letters: Vec<char> =
            if state == Never { vec!['N'] } else { "abcdef12345N".chars().collect() };
        if random(2) == 0 && state != Never {
            letters.retain(|letter| *letter != 'N');
            letters.push('0');
        }
        let mut before = String::new();
        for _ in 0..random(letters.len() + 1) {
            before.push(letters.swap_remove(random(letters.len())));
        }
        let any = "abcdef12345N0".chars().nth(random(13)).expect("in range");
        let op = match random(4) {
            0 => put(),
            1 => delete(),
            2 if before.contains(any) && !is_marker(any) => copy_of(any),
            _ => delete_version(any),
        };
        let (_, writes) = run(state, op.clone(), &before).expect("committed");
        let expected = model(state, &op, &before);
        assert_eq!(after(&before, &writes), expected, "{state:?} {op:?} on {before:?}");
        // What was an object and is none any more has lost its reference, unless the copy that replaced it has it now.
        let gone: String =
            before.chars().filter(|letter| !is_marker(*letter) && !expected.contains(*letter)).collect();
        let kept: String = if let Op::Copy(_) = op { any.to_string() } else { String::new() };
        assert_eq!(freed(&writes), gone.replace(kept.as_str(), ""), "{state:?} {op:?} on {before:?}");
    }
}

#[test]
fn a_bucket_is_told_one_thing_at_a_time() {
    let configure = |change| Op::ConfigureBucket(wire::ConfigureBucket { change: Some(change) });
    let document = |kind: wire::bucket_document::Kind, body: &'static [u8]| {
        let document = wire::BucketDocument { kind: kind.into(), body: Bytes::from_static(body) };
        wire::configure_bucket::Change::Document(document)
    };
    use wire::bucket_document::Kind::{Cors, Policy};
    let mut row = bucket(Never);
    for (change, versioning, documents) in [
        (document(Cors, b"rules"), Never, vec![(Cors, "rules")]),
        (document(Policy, b"old"), Never, vec![(Policy, "old"), (Cors, "rules")]),
        (wire::configure_bucket::Change::Versioning(1), Enabled, vec![(Policy, "old"), (Cors, "rules")]),
        (document(Policy, b"new"), Enabled, vec![(Policy, "new"), (Cors, "rules")]),
        (document(Cors, b""), Enabled, vec![(Policy, "new")]),
        (document(Cors, b""), Enabled, vec![(Policy, "new")]),
    ] {
        let revision = row.revision;
        let mut facts = facts(Never, &put(), "");
        facts.buckets.insert(1, row.clone());
        let mutation = mutation(configure(change));
        let decision = decide(op_of('z'), &mutation, &facts, Stamp { seq: 100, now_ms: NOW_MS });
        let Decision::Commit { effect: Some(ConfigEffect::BucketChanged(changed)), writes, .. } = decision
        else {
            panic!("not a change")
        };
        assert_eq!(writes.buckets_changed, vec![changed.clone()]);
        row = changed;
        let said = row.configuration.documents.iter();
        let said: Vec<_> =
            said.map(|one| (one.kind(), std::str::from_utf8(&one.body).expect("text"))).collect();
        assert_eq!((row.revision, row.versioning, said), (revision + 1, versioning, documents));
    }
}

#[test]
fn what_a_lost_try_has_committed_is_still_told() {
    let change = wire::configure_bucket::Change::Versioning(2);
    let mutation = mutation(Op::ConfigureBucket(wire::ConfigureBucket { change: Some(change) }));
    let op_id = op_of('z');
    let recorded = |seq| {
        let committed = Committed { bucket_id: 1, ..Default::default() };
        let outcome = Some(Outcome::Committed(committed));
        let result = wire::MutationResult { op_id: op_id.to_wire(), seq, outcome };
        let mut facts = facts(Suspended, &put(), "");
        facts.recorded.insert(op_id.0, (22, result.encode_to_vec()));
        decide(op_id, &mutation, &facts, Stamp { seq: 100, now_ms: NOW_MS })
    };
    let Decision::Committed { result, effect: Some(ConfigEffect::BucketChanged(row)) } = recorded(100) else {
        panic!("nobody is told")
    };
    assert_eq!((result.seq, row.versioning), (100, Suspended));
    assert!(matches!(recorded(99), Decision::Answer(result) if result.seq == 99), "told long since");
}
