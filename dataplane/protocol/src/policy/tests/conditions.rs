//! Operators and keys: what is read, and what holds of values, of none, and of what cannot be known.

use super::{CANONICAL, ask, context, identity, parse, policy, statement};
use crate::policy::{Decision, ObjectTags, PolicyAction, PolicyContext, Requester};

/// Which action carries the key, so that the policy is one.
fn action_of(condition: &str) -> PolicyAction {
    let lower = condition.to_ascii_lowercase();
    let carries = [
        ("s3:prefix", PolicyAction::ListBucket),
        ("s3:delimiter", PolicyAction::ListBucket),
        ("s3:max-keys", PolicyAction::ListBucket),
        ("s3:x-amz", PolicyAction::PutObject),
        ("s3:requestobjecttag", PolicyAction::PutObject),
        ("s3:versionid", PolicyAction::GetObjectVersion),
    ];
    let found = carries.iter().find(|(key, _)| lower.contains(key));
    found.map_or(PolicyAction::GetObject, |(_, action)| *action)
}

fn document(effect: &str, condition: &str) -> String {
    let action = action_of(condition).name();
    let resource = "['arn:aws:s3:::examplebucket','arn:aws:s3:::examplebucket/*']";
    statement(&format!(
        "'Effect':'{effect}','Principal':'*','Action':'{action}','Resource':{resource},'Condition':{condition}"
    ))
}

#[track_caller]
fn decide(effect: &str, condition: &str, context: &PolicyContext<'_>) -> Decision {
    let policy = policy(&document(effect, condition));
    let action = action_of(condition);
    let key = (action != PolicyAction::ListBucket).then_some("key");
    let app = identity(7, "app", "AKAPP");
    let requester = Requester::Key { identity: &app, canonical_id: CANONICAL };
    ask(&policy, requester, action, key, context)
}

/// Known: an Allow and a Deny agree on whether the condition holds.
#[track_caller]
fn check(condition: &str, context: &PolicyContext<'_>, holds: bool) {
    let expected =
        if holds { (Decision::Allow, Decision::Deny) } else { (Decision::Silent, Decision::Silent) };
    let got = (decide("Allow", condition, context), decide("Deny", condition, context));
    assert_eq!(got, expected, "{condition} {context:?}");
}

/// Unknown: closed either way.
#[track_caller]
fn check_closed(condition: &str, context: &PolicyContext<'_>) {
    let got = (decide("Allow", condition, context), decide("Deny", condition, context));
    assert_eq!(got, (Decision::Silent, Decision::Deny), "{condition} {context:?}");
}

fn with_prefix(prefix: Option<&str>) -> PolicyContext<'_> {
    PolicyContext { prefix: prefix.map(str::as_bytes), ..context() }
}

#[test]
fn strings() {
    let cases: [(&str, &str, &[_]); 9] = [
        ("StringEquals", "a", &[("a", true), ("A", false), ("", false), ("ab", false)]),
        ("StringNotEquals", "a", &[("a", false), ("A", true)]),
        ("StringEqualsIgnoreCase", "aÄ", &[("AÄ", true), ("aä", true), ("a", false)]),
        ("StringNotEqualsIgnoreCase", "a", &[("A", false), ("b", true)]),
        ("StringLike", "home/*", &[("home/", true), ("home/a/b", true), ("home", false), ("Home/", false)]),
        ("StringNotLike", "home/?", &[("home/a", false), ("home/ab", true)]),
        ("StringEquals", "*", &[("*", true), ("a", false)]),
        ("StringLike", "${*}", &[("*", true), ("a", false)]),
        ("StringEquals", "", &[("", true), ("a", false)]),
    ];
    for (operator, wanted, values) in cases {
        for &(value, holds) in values {
            check(&format!("{{'{operator}':{{'s3:prefix':'{wanted}'}}}}"), &with_prefix(Some(value)), holds);
        }
    }
    let two = "{'StringEquals':{'s3:prefix':['a','b']}}";
    check(two, &with_prefix(Some("b")), true);
    check(two, &with_prefix(Some("c")), false);
    let neither = "{'StringNotEquals':{'s3:prefix':['a','b']}}";
    check(neither, &with_prefix(Some("b")), false);
    check(neither, &with_prefix(Some("c")), true);
    check(
        "{'StringLike':{'aws:Referer':'*evil*'}}",
        &PolicyContext { referer: Some(b"\xffevil"), ..context() },
        true,
    );
}

#[test]
fn missing_keys() {
    for (operator, holds) in [
        ("StringEquals", false),
        ("StringNotEquals", true),
        ("StringLike", false),
        ("StringNotLike", true),
        ("StringEqualsIfExists", true),
        ("StringNotEqualsIfExists", true),
        ("StringLikeIfExists", true),
        ("ForAllValues:StringEquals", true),
        ("ForAllValues:StringNotEquals", true),
        ("ForAnyValue:StringEquals", false),
        ("ForAnyValue:StringNotEquals", false),
        ("ForAnyValue:StringEqualsIfExists", true),
    ] {
        check(&format!("{{'{operator}':{{'s3:prefix':'a'}}}}"), &with_prefix(None), holds);
    }
    let null = |wanted: &str| format!("{{'Null':{{'s3:prefix':{wanted}}}}}");
    check(&null("'true'"), &with_prefix(None), true);
    check(&null("'false'"), &with_prefix(None), false);
    check(&null("true"), &with_prefix(Some("")), false);
    check(&null("false"), &with_prefix(Some("")), true);
}

#[test]
fn every_condition_counts() {
    let both = "{'StringLike':{'s3:prefix':'a*','s3:delimiter':'/'},'Bool':{'aws:SecureTransport':'true'}}";
    let full = PolicyContext { delimiter: Some(b"/"), ..with_prefix(Some("ab")) };
    check(both, &full, true);
    check(both, &PolicyContext { delimiter: None, ..full }, false);
    check(both, &PolicyContext { secure_transport: false, ..full }, false);
}

#[test]
fn numbers() {
    for (operator, limit, holds) in [
        ("NumericEquals", "10", [false, true, false]),
        ("NumericNotEquals", "10", [true, false, true]),
        ("NumericLessThan", "10", [true, false, false]),
        ("NumericLessThanEquals", "10.0", [true, true, false]),
        ("NumericGreaterThan", "9.5", [false, true, true]),
        ("NumericGreaterThanEquals", "10", [false, true, true]),
    ] {
        for (max_keys, holds) in [9, 10, 11].into_iter().zip(holds) {
            let context = PolicyContext { max_keys: Some(max_keys), ..context() };
            check(&format!("{{'{operator}':{{'s3:max-keys':'{limit}'}}}}"), &context, holds);
            check(&format!("{{'{operator}':{{'s3:max-keys':{limit}}}}}"), &context, holds);
        }
    }
    check("{'NumericLessThanEquals':{'s3:max-keys':'10'}}", &context(), false);
    check("{'NumericNotEquals':{'s3:max-keys':'10'}}", &context(), true);
    check("{'StringEquals':{'s3:max-keys':'10'}}", &PolicyContext { max_keys: Some(10), ..context() }, true);
}

#[test]
fn addresses() {
    let from = |address: &str| PolicyContext::new(address.parse().expect("an address"), true);
    for (network, inside, outside) in [
        ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
        ("203.0.113.77/24", "203.0.113.0", "203.0.112.255"),
        ("203.0.113.7", "203.0.113.7", "203.0.113.6"),
        ("0.0.0.0/0", "203.0.113.7", "2001:db8::1"),
        ("128.0.0.0/1", "255.255.255.255", "127.255.255.255"),
        ("2001:DB8:1234:5678::/64", "2001:db8:1234:5678::1", "2001:db8:1234:5679::1"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ("::/0", "2001:db8::1", "203.0.113.7"),
        ("203.0.113.0/24", "::ffff:203.0.113.7", "::ffff:203.0.114.7"),
        ("::ffff:203.0.113.0/120", "203.0.113.7", "203.0.114.7"),
    ] {
        for (operator, negated) in
            [("IpAddress", false), ("NotIpAddress", true), ("IPAddressIfExists", false)]
        {
            let condition = format!("{{'{operator}':{{'aws:SourceIp':'{network}'}}}}");
            check(&condition, &from(inside), !negated);
            check(&condition, &from(outside), negated);
        }
    }
    check("{'StringLike':{'aws:SourceIp':'203.0.*'}}", &from("::ffff:203.0.113.7"), true);
}

#[test]
fn flags_and_arns() {
    let plain = PolicyContext { secure_transport: false, ..context() };
    check("{'Bool':{'aws:SecureTransport':'false'}}", &plain, true);
    check("{'Bool':{'aws:SecureTransport':false}}", &context(), false);
    check("{'Bool':{'AWS:securetransport':['TRUE']}}", &context(), true);
    check("{'StringEquals':{'aws:SecureTransport':'false'}}", &plain, true);
    for (arn, holds) in [
        ("arn:aws:iam::000000000007:user/app", true),
        ("arn:aws:iam::7:user/app", true),
        ("arn:aws:iam::*:user/a?p", true),
        ("arn:aws:iam::7:*", true),
        ("arn:*:*:*:*:*", true),
        ("arn:aws:iam::8:user/app", false),
        ("arn:aws:iam::7:user/other", false),
        ("arn:aws:iam:*", false),
    ] {
        if arn.matches(':').count() < 5 {
            assert!(
                parse(&document("Allow", &format!("{{'ArnLike':{{'aws:PrincipalArn':'{arn}'}}}}"))).is_err()
            );
            continue;
        }
        check(&format!("{{'ArnEquals':{{'aws:PrincipalArn':'{arn}'}}}}"), &context(), holds);
        check(&format!("{{'ArnLike':{{'aws:PrincipalArn':'{arn}'}}}}"), &context(), holds);
        check(&format!("{{'ArnNotLike':{{'aws:PrincipalArn':'{arn}'}}}}"), &context(), !holds);
        check(&format!("{{'StringLike':{{'aws:PrincipalArn':'{arn}'}}}}"), &context(), holds);
    }
}

#[test]
fn nobody_has_no_arn() {
    let nobody = |effect: &str, condition: &str| {
        let policy = policy(&document(effect, condition));
        ask(&policy, Requester::Anonymous, PolicyAction::GetObject, Some("k"), &context())
    };
    assert_eq!(nobody("Allow", "{'ArnLike':{'aws:PrincipalArn':'arn:*:*:*:*:*'}}"), Decision::Silent);
    assert_eq!(
        nobody("Deny", "{'ArnNotEquals':{'aws:PrincipalArn':'arn:aws:iam::7:user/app'}}"),
        Decision::Deny
    );
}

fn tagged<'a>(tags: &'a [(&'a str, &'a str)]) -> PolicyContext<'a> {
    PolicyContext { object_tags: ObjectTags::Known(tags), request_tags: tags, ..context() }
}

#[test]
fn tags() {
    for key in
        ["s3:ExistingObjectTag/security", "S3:existingobjecttag/Security", "s3:RequestObjectTag/security"]
    {
        let equals = format!("{{'StringEquals':{{'{key}':'public'}}}}");
        check(&equals, &tagged(&[("a", "b"), ("security", "public")]), true);
        check(&equals, &tagged(&[("security", "private")]), false);
        check(&equals, &tagged(&[("other", "public")]), false);
        check(&equals, &tagged(&[]), false);
        check_closed(&equals, &tagged(&[("security", "public"), ("Security", "private")]));
        check(&format!("{{'StringNotEquals':{{'{key}':'public'}}}}"), &tagged(&[]), true);
        check(&format!("{{'Null':{{'{key}':'true'}}}}"), &tagged(&[("security", "")]), false);
    }
    let date = "{'DateGreaterThan':{'s3:ExistingObjectTag/until':'2026-11-22T00:00:00Z'}}";
    check(date, &tagged(&[("until", "2026-11-22T00:00:01Z")]), true);
    check(date, &tagged(&[("until", "2026-11-22")]), false);
    check(date, &tagged(&[("until", "1795305601")]), true);
    check(
        "{'DateLessThanEquals':{'s3:ExistingObjectTag/until':'2026-11-22'}}",
        &tagged(&[("until", "2026-11-22")]),
        true,
    );
}

#[test]
fn sets_of_tag_keys() {
    let condition = |operator: &str| format!("{{'{operator}':{{'s3:RequestObjectTagKeys':['a','b']}}}}");
    // no tags, only listed ones, some listed, none listed
    for (operator, holds) in [
        ("ForAllValues:StringEquals", [true, true, false, false]),
        ("ForAnyValue:StringEquals", [false, true, true, false]),
        ("ForAllValues:StringNotEquals", [true, false, false, true]),
        ("ForAnyValue:StringNotEquals", [false, false, true, true]),
        ("forallvalues:stringlike", [true, true, false, false]),
    ] {
        let sets: [&[(&str, &str)]; 4] =
            [&[], &[("b", ""), ("a", "")], &[("a", ""), ("c", "")], &[("c", "")]];
        for (tags, holds) in sets.into_iter().zip(holds) {
            check(&condition(operator), &tagged(tags), holds);
        }
    }
    check("{'Null':{'s3:RequestObjectTagKeys':'true'}}", &tagged(&[]), true);
    check("{'Null':{'s3:RequestObjectTagKeys':'true'}}", &tagged(&[("a", "")]), false);
    assert!(parse(&document("Allow", &condition("StringEquals"))).is_err());
}

/// A Deny that cannot be decided denies, an Allow does not allow.
#[test]
fn unknown_is_closed() {
    let unknown = PolicyContext { object_tags: ObjectTags::Unknown, ..context() };
    for operator in ["StringEquals", "StringNotEquals", "StringLikeIfExists", "ForAllValues:StringEquals"] {
        check_closed(&format!("{{'{operator}':{{'s3:ExistingObjectTag/a':'b'}}}}"), &unknown);
    }
    check_closed("{'Null':{'s3:ExistingObjectTag/a':'true'}}", &unknown);
    check_closed("{'Null':{'s3:ExistingObjectTag/a':'false'}}", &unknown);
    for (operator, wanted) in [
        ("NumericLessThan", "3"),
        ("NumericNotEquals", "3"),
        ("DateLessThan", "2026-11-22"),
        ("Bool", "true"),
        ("NotIpAddress", "10.0.0.0/8"),
        ("ArnLike", "arn:aws:iam::7:*"),
    ] {
        let condition = format!("{{'{operator}':{{'s3:ExistingObjectTag/a':'{wanted}'}}}}");
        check_closed(&condition, &tagged(&[("a", "neither")]));
    }
    // What is false anyway stays so.
    let false_anyway =
        "{'StringEquals':{'s3:ExistingObjectTag/a':'b'},'Bool':{'aws:SecureTransport':'false'}}";
    check(false_anyway, &unknown, false);
}

#[test]
fn other_keys() {
    let full = PolicyContext {
        referer: Some(b"https://example.com/a"),
        user_agent: Some(b"curl/8"),
        canned_acl: Some("bucket-owner-full-control"),
        server_side_encryption: Some("AES256"),
        version_id: Some("v1"),
        ..context()
    };
    for (key, value) in [
        ("aws:Referer", "https://example.com/a"),
        ("aws:UserAgent", "curl/8"),
        ("s3:x-amz-acl", "bucket-owner-full-control"),
        ("s3:x-amz-server-side-encryption", "AES256"),
        ("s3:VersionId", "v1"),
    ] {
        let condition = format!("{{'StringEquals':{{'{key}':'{value}'}}}}");
        check(&condition, &full, true);
        check(&condition, &context(), false);
    }
}
