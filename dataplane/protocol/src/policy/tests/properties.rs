//! What holds of every policy: reading never panics, a Deny wins in any order, strangers change nothing.

use proptest::prelude::*;
use proptest::sample::select;

use super::{CANONICAL, ask, bucket, context, identity, parse};
use crate::error::Code;
use crate::policy::{BucketPolicy, Decision, ObjectTags, PolicyAction, PolicyContext, Requester};

fn value() -> impl Strategy<Value = String> {
    let words = select(vec![
        "*",
        "s3:*",
        "s3:Get*",
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
        "arn:aws:s3:::examplebucket",
        "7",
        "arn:aws:s3:::examplebucket/*",
        "arn:aws:s3:::examplebucket/a*",
        "arn:aws:iam::7:user/app",
        "true",
        "10.0.0.0/8",
        "a*?",
        "${*}",
        "${",
        "Allow",
        "Deny",
        "2012-10-17",
        "2008-10-17",
    ]);
    prop_oneof![4 => words.prop_map(|word| format!("\"{word}\"")), 1 => "\\PC{0,6}", 1 => Just("12".to_owned())]
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec![
        "Version",
        "Id",
        "Statement",
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
        "AWS",
        "StringLike",
        "Bool",
        "ForAnyValue:StringNotEquals",
        "aws:SourceIp",
        "aws:PrincipalArn",
        "s3:prefix",
        "s3:ExistingObjectTag/a",
        "s3:RequestObjectTagKeys",
    ])
}

/// JSON of a policy's words in any order.
fn tree() -> impl Strategy<Value = String> {
    value().prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name(), inner), 0..5).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// A statement that is well-formed, about reads and writes of few keys.
fn statement(effect: &'static str) -> impl Strategy<Value = String> {
    let mut principals = vec![
        r#""Principal":"*""#,
        r#""Principal":{"AWS":"7"}"#,
        r#""Principal":{"AWS":"arn:aws:iam::7:user/app"}"#,
    ];
    if effect == "Deny" {
        principals.push(r#""NotPrincipal":{"AWS":"arn:aws:iam::8:user/x"}"#);
    }
    let principal = select(principals);
    let action = select(vec![r#""Action":"s3:*""#, r#""Action":"s3:Get*""#, r#""NotAction":"s3:PutObject""#]);
    let resource = select(vec![
        r#""Resource":"arn:aws:s3:::examplebucket*""#,
        r#""Resource":["arn:aws:s3:::examplebucket","arn:aws:s3:::examplebucket/a*"]"#,
        r#""NotResource":"arn:aws:s3:::examplebucket/b""#,
    ]);
    let condition = select(vec![
        "{}",
        r#"{"Bool":{"aws:SecureTransport":"true"}}"#,
        r#"{"StringNotLike":{"aws:Referer":"a*"}}"#,
        r#"{"StringEqualsIfExists":{"s3:ExistingObjectTag/a":"b"}}"#,
        r#"{"NumericLessThan":{"s3:ExistingObjectTag/a":"3"}}"#,
    ]);
    (principal, action, resource, condition).prop_map(move |(principal, action, resource, condition)| {
        format!(r#"{{"Effect":"{effect}",{principal},{action},{resource},"Condition":{condition}}}"#)
    })
}

fn policy_of<'a>(statements: impl IntoIterator<Item = &'a String>) -> BucketPolicy {
    let statements: Vec<_> = statements.into_iter().map(String::as_str).collect();
    super::policy(&format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(",")))
}

#[derive(Clone, Debug)]
struct Request {
    key_of: Option<u64>,
    action: PolicyAction,
    key: &'static str,
    secure: bool,
    referer: Option<&'static [u8]>,
    tags: Option<&'static [(&'static str, &'static str)]>,
}

fn request() -> impl Strategy<Value = Request> {
    (
        select(vec![None, Some(7), Some(8)]),
        select(vec![PolicyAction::GetObject, PolicyAction::PutObject, PolicyAction::GetObjectAcl]),
        select(vec!["a", "ab", "b", "c"]),
        any::<bool>(),
        select(vec![None, Some(&b"ab"[..]), Some(&b"b"[..])]),
        select(vec![None, Some(&[][..]), Some(&[("a", "b")][..]), Some(&[("A", "2")][..])]),
    )
        .prop_map(|(key_of, action, key, secure, referer, tags)| Request {
            key_of,
            action,
            key,
            secure,
            referer,
            tags,
        })
}

fn decide(policy: &BucketPolicy, request: &Request) -> Decision {
    let context = PolicyContext {
        secure_transport: request.secure,
        referer: request.referer,
        object_tags: request.tags.map_or(ObjectTags::Unknown, ObjectTags::Known),
        ..context()
    };
    let key = request.key_of.map(|tenant| identity(tenant, "app", "AK"));
    let requester = match &key {
        Some(identity) => Requester::Key { identity, canonical_id: CANONICAL },
        None => Requester::Anonymous,
    };
    ask(policy, requester, request.action, Some(request.key), &context)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_read_or_refused(document in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = BucketPolicy::parse(&document, &bucket()) {
            prop_assert_eq!(error.code, Code::MalformedPolicy);
        }
    }

    #[test]
    fn any_tree_is_read_or_refused(document in tree(), request in request()) {
        for document in [document.clone(), format!(r#"{{"Statement":{document}}}"#)] {
            match parse(&document) {
                Ok(policy) => {
                    decide(&policy, &request);
                    let _ = (policy.is_public(), policy.needs_object_tags(request.action));
                }
                Err(error) => prop_assert_eq!(error.code, Code::MalformedPolicy),
            }
        }
    }

    /// The decision is that of the statements one by one: a Deny if one denies, else an Allow if one allows.
    #[test]
    fn a_deny_wins_in_any_order(
        statements in prop::collection::vec(prop_oneof![statement("Allow"), statement("Deny")], 1..6),
        request in request(),
    ) {
        let alone: Vec<_> = statements.iter().map(|one| decide(&policy_of([one]), &request)).collect();
        let expected = [Decision::Deny, Decision::Allow, Decision::Delegate].into_iter().find(|decision| alone.contains(decision));
        let expected = expected.unwrap_or(Decision::Silent);
        prop_assert_eq!(decide(&policy_of(&statements), &request), expected);
        prop_assert_eq!(decide(&policy_of(statements.iter().rev()), &request), expected);
    }

    #[test]
    fn strangers_change_nothing(
        statements in prop::collection::vec(prop_oneof![statement("Allow"), statement("Deny")], 1..4),
        request in request(),
        at in any::<prop::sample::Index>(),
        stranger in select(vec![
            r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::examplebucket/elsewhere/*""#,
            r#""Effect":"Deny","Principal":{"AWS":"9"},"Action":"s3:*","Resource":"arn:aws:s3:::examplebucket/*""#,
            r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::examplebucket""#,
            r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::examplebucket/*",
               "Condition":{"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}}"#,
        ]),
    ) {
        let mut more = statements.clone();
        more.insert(at.index(more.len() + 1), format!("{{{stranger}}}"));
        prop_assert_eq!(decide(&policy_of(&more), &request), decide(&policy_of(&statements), &request));
    }

    /// Not knowing the tags never opens what knowing them would close.
    #[test]
    fn unknown_tags_never_open(
        statements in prop::collection::vec(prop_oneof![statement("Allow"), statement("Deny")], 1..5),
        request in request(),
    ) {
        let policy = policy_of(&statements);
        let unknown = decide(&policy, &Request { tags: None, ..request.clone() });
        let known = decide(&policy, &request);
        prop_assert!(unknown != Decision::Allow || known == Decision::Allow);
        prop_assert!(known != Decision::Deny || unknown == Decision::Deny);
        if !policy.needs_object_tags(request.action) {
            prop_assert_eq!(unknown, known);
        }
    }
}
