//! Bucket policies: grown out of AWS's words, read, asked, and held against strangers.

use std::net::IpAddr;

use bytes::Bytes;
use holdfast_protocol::limits::BUCKET_POLICY_BODY_BYTES_MAX;
use holdfast_protocol::name::{BucketName, ObjectKey};
use holdfast_protocol::policy::{
    BucketPolicy, Decision, ObjectTags, PolicyAction, PolicyAsk, PolicyContext, Requester,
};

use super::dice::{Dice, Random};
use super::refusal::refused;
use super::signed::OneKey;
use super::text::edit;

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud83d",
    "null",
    "true",
    "1e309",
    "-0",
    "\"Zz\":1,",
    " ",
    "\n",
    "*",
    "?",
    "${aws:username}",
    "${*}",
    "[[[[[[[[[[",
    "\u{e4}",
    "\0",
    "/* c */",
    "NotAction",
];

const PRINCIPALS: &[&str] = &[
    "\"*\"",
    "{\"AWS\":\"*\"}",
    "{\"AWS\":[\"arn:aws:iam::7:root\",\"000000000007\"]}",
    "{\"AWS\":\"arn:aws:iam::7:user/example\"}",
    "{\"CanonicalUser\":\"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be\"}",
    "{\"Service\":\"s3\"}",
    "{}",
];
const ACTIONS: &[&str] = &[
    "\"s3:GetObject\"",
    "\"s3:*\"",
    "[\"s3:Put*\",\"s3:DeleteObject\"]",
    "\"*\"",
    "\"s3:ListBucket\"",
    "\"s3:Nothing\"",
    "[]",
    "\"s3:GetObjectTagging\"",
    "\"S3:getobject?\"",
    "\"s3:GetObjectVersion\"",
];
const RESOURCES: &[&str] = &[
    "\"arn:aws:s3:::bucket/*\"",
    "[\"arn:aws:s3:::bucket\",\"arn:aws:s3:::bucket/*\"]",
    "\"*\"",
    "\"arn:aws:s3:::other/*\"",
    "\"arn:aws:s3:::bucket/a?c*d\"",
    "\"arn:aws:s3:::bucket/${aws:username}/*\"",
    "\"arn:aws:s3:::buck*\"",
    "7",
];
const OPERATORS: &[&str] = &[
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "StringEqualsIgnoreCase",
    "NumericLessThan",
    "DateGreaterThan",
    "Bool",
    "IpAddress",
    "NotIpAddress",
    "ArnLike",
    "Null",
    "StringLikeIfExists",
    "ForAllValues:StringEquals",
    "BoolIfExists",
    "ForAnyValue:StringLike",
    "NullIfExists",
    "BinaryEquals",
    "ForAnyValue:ForAnyValue:Null",
    "NumericNotEqualsIfExists",
];
const KEYS: &[&str] = &[
    "aws:SourceIp",
    "aws:SecureTransport",
    "aws:PrincipalArn",
    "aws:Referer",
    "aws:UserAgent",
    "s3:prefix",
    "s3:delimiter",
    "s3:max-keys",
    "s3:x-amz-acl",
    "s3:x-amz-server-side-encryption",
    "s3:ExistingObjectTag/a",
    "s3:RequestObjectTag/b",
    "s3:RequestObjectTagKeys",
    "s3:VersionId",
    "AWS:SOURCEIP",
    "aws:CurrentTime",
    "s3:ExistingObjectTag/",
];
const VALUES: &[&str] = &[
    "\"*\"",
    "\"10.0.0.0/8\"",
    "\"::ffff:1.2.3.4/96\"",
    "\"0.0.0.0/0\"",
    "\"::/0\"",
    "true",
    "\"false\"",
    "10",
    "\"1e3\"",
    "\"-1.5\"",
    "\"\"",
    "\"2026-11-22T01:02:03Z\"",
    "\"1700000000\"",
    "\"2026\"",
    "[\"a\",\"b*?c\"]",
    "\"arn:aws:iam::7:user/*\"",
    "[]",
    "null",
    "{}",
    "\"arn:aws:iam::000000000007:user/example\"",
    "\"?*?*?\"",
    "\"a/${*}b\"",
    "1.5",
    "\"1.2.3.4/33\"",
    "\"99999999999\"",
];

/// Two in three out of the words, the others of the corpus; then edited, mostly.
pub(crate) fn grow(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut policy = match dice.below(3) {
        0 => dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec(),
        _ => document(dice).into_bytes(),
    };
    if !dice.once_in(3) {
        edit(dice, &mut policy, WORDS);
    }
    policy
}

fn document(dice: &mut Dice<'_>) -> String {
    let version =
        dice.pick(&["\"Version\":\"2012-10-17\",", "\"Version\":\"2008-10-17\",", "", "\"Version\":\"1\","]);
    let statements: Vec<String> = (0..1 + dice.below(3)).map(|_| statement(dice)).collect();
    format!("{{{version}\"Statement\":[{}]}}", statements.join(","))
}

fn statement(dice: &mut Dice<'_>) -> String {
    let mut members = Vec::new();
    let mut member = |dice: &mut Dice<'_>, name: &str, values: &[&str]| {
        let not = if name != "Effect" && dice.once_in(8) { "Not" } else { "" };
        if !dice.once_in(24) {
            members.push(format!("\"{not}{name}\":{}", dice.pick(values)));
        }
    };
    member(dice, "Effect", &["\"Allow\"", "\"Deny\""]);
    member(dice, "Principal", PRINCIPALS);
    member(dice, "Action", ACTIONS);
    member(dice, "Resource", RESOURCES);
    if dice.once_in(2) {
        let conditions: Vec<String> = (0..1 + dice.below(3)).map(|_| condition(dice)).collect();
        members.push(format!("\"Condition\":{{{}}}", conditions.join(",")));
    }
    format!("{{{}}}", members.join(","))
}

fn condition(dice: &mut Dice<'_>) -> String {
    let keys: Vec<String> =
        (0..1 + dice.below(2)).map(|_| format!("\"{}\":{}", dice.pick(KEYS), dice.pick(VALUES))).collect();
    format!("\"{}\":{{{}}}", dice.pick(OPERATORS), keys.join(","))
}

pub(crate) fn check(document: &[u8]) {
    let bucket = BucketName::parse("bucket").expect("a name");
    let policy = match BucketPolicy::parse(document, &bucket) {
        Ok(policy) => policy,
        Err(error) => return refused(&error, document.len()),
    };
    assert!(document.len() <= BUCKET_POLICY_BODY_BYTES_MAX);
    let compact = without_blanks(document);
    assert!(
        BucketPolicy::parse(&compact, &bucket).is_ok_and(|again| again == policy),
        "blanks mean something"
    );
    check_strangers(document, |with| BucketPolicy::parse(with, &bucket).is_ok());
    // an escape may spell it otherwise
    let says = |word: &[u8]| memchr::memmem::find(document, word).is_some() || document.contains(&b'\\');
    for decision in decisions(&policy) {
        assert!(decision != Decision::Allow || says(b"Allow"));
        assert!(decision != Decision::Deny || says(b"Deny"));
    }
    let _ = policy.is_public();
}

/// What some ask of it.
fn decisions(policy: &BucketPolicy) -> Vec<Decision> {
    let keys = OneKey::new();
    let user = Requester::Key { identity: keys.identity(), canonical_id: super::signed::CANONICAL_ID };
    let key = ObjectKey::parse(Bytes::from_static(b"a/b.jpg")).expect("a key");
    let mut context = PolicyContext::new(IpAddr::from([10, 1, 2, 3]), true);
    let mut decisions = Vec::new();
    for (action, key) in [
        (PolicyAction::GetObject, Some(&key)),
        (PolicyAction::PutObject, Some(&key)),
        (PolicyAction::GetObjectVersionTagging, Some(&key)),
        (PolicyAction::ListBucket, None),
    ] {
        for requester in [Requester::Anonymous, user] {
            decisions.push(policy.evaluate(&PolicyAsk { requester, action, key, context: &context }));
            let _ = policy.needs_object_tags(action);
        }
        // the second half of the requests says more, some of it not UTF-8
        context.referer = Some(b"http://page.test/\xff");
        context.user_agent = Some(b"curl");
        (context.prefix, context.delimiter, context.max_keys) = (Some(&b"a/"[..]), Some(&b"/"[..]), Some(10));
        (context.canned_acl, context.version_id) = (Some("private"), Some("null"));
        context.request_tags = &[("a", "1"), ("b", "2")];
        context.object_tags = ObjectTags::Known(&[("a", "1")]);
    }
    decisions
}

/// A member that nobody knows, in any object of a text that was fine, makes it a refused one.
pub(crate) fn check_strangers(document: &[u8], passes: impl Fn(&[u8]) -> bool) {
    let (mut in_text, mut escaped, mut objects) = (false, false, Vec::new());
    for (at, &byte) in document.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' if !in_text => objects.push(at + 1),
            _ => {}
        }
    }
    let at = objects[Random::of(document).below(objects.len())];
    for stranger in ["\"Zz\":1,", "\"Zz\":\"1\",", "\"Zz\":{},", "\"\":[],"] {
        let with = [&document[..at], stranger.as_bytes(), &document[at..]].concat();
        assert!(!passes(&with), "{stranger} passed at {at}");
    }
}

/// Without the white space between tokens.
pub(crate) fn without_blanks(document: &[u8]) -> Vec<u8> {
    let (mut in_text, mut escaped) = (false, false);
    let keep = |byte: &u8| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ => {}
        }
        in_text || !byte.is_ascii_whitespace()
    };
    document
        .iter()
        .copied()
        .filter({
            let mut keep = keep;
            move |byte| keep(byte)
        })
        .collect()
}
