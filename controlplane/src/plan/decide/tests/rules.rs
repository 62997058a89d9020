//! What is answered and refused, what buckets are told, and that a lost answer is told all the same.

use std::collections::HashMap;

use bytes::Bytes;
use holdfast_common::wire::{self, Committed, Refusal, mutation::Op, mutation_result::Outcome};
use prost::Message as _;

use super::{
    NOW_MS, bucket, check, copy_of, decided, delete, facts, mutation, name_of, op_of, put, row, run,
};
use crate::plan::decide::{ConfigEffect, Decision, Stamp, decide};
use crate::store::bucket::Versioning::{Enabled, Never, Suspended};

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
        (delete_when(""), "1a", Some(Refusal::NoSuchKey)),
        (delete_when(""), "", Some(Refusal::NoSuchKey)),
        (delete_when(&name_of('b')), "ab", None),
        (delete_when(&name_of('b')), "ba", Some(Refusal::PreconditionFailed)),
    ] {
        assert_eq!(run(Enabled, op.clone(), before).err(), expected, "{op:?} on {before:?}");
    }
}

#[test]
fn tags_and_acl_change_one_version_and_nothing_else() {
    let tag = wire::Pair { name: "n".into(), value: "v".into() };
    let tags =
        |name: &str| Op::SetTags(wire::SetTags { version_id: name.to_owned(), tags: vec![tag.clone()] });
    let acl =
        |name: &str| Op::SetAcl(wire::SetAcl { version_id: name.to_owned(), acl: "public-read".to_owned() });
    let tagged = wire::ObjectMeta { tags: vec![tag.clone()], ..Default::default() };
    let shared = wire::ObjectMeta { acl: "public-read".into(), ..Default::default() };
    check_edit(tags, &tagged);
    check_edit(acl, &shared);
}

fn check_edit(set: impl Fn(&str) -> Op, meta: &wire::ObjectMeta) {
    let (committed, writes) = run(Enabled, set(""), "ba").expect("committed");
    assert_eq!((committed.version_id, committed.modified_ms), (name_of('b'), 2));
    let mut expected = row('b', 2).object;
    expected.meta = meta.clone();
    assert_eq!((writes.heads, writes.versions.len()), (vec![expected], 0));
    let (_, writes) = run(Suspended, set("null"), "bN").expect("committed");
    let mut expected = row('N', 1);
    expected.object.meta = meta.clone();
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

#[test]
fn a_copy_has_the_acl_that_was_asked_for() {
    let acl = |acl: &str| wire::ObjectMeta { acl: acl.to_owned(), ..Default::default() };
    for (replace_meta, asked) in [(false, ""), (true, ""), (false, "public-read"), (true, "public-read")] {
        let Op::Copy(copy) = copy_of('a') else { unreachable!() };
        let op = Op::Copy(wire::CopyObject { replace_meta, meta: Some(acl(asked)), ..copy });
        let mut facts = facts(Enabled, &op, "a");
        facts.heads.values_mut().for_each(|head| head.meta = acl("authenticated-read"));
        let (_, writes) = decided(&mutation(op), &facts).expect("committed");
        assert_eq!(writes.heads[0].meta.acl, asked, "replaces metadata: {replace_meta}");
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
