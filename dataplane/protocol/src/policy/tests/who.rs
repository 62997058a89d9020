//! For whom statements are.

use super::{CANONICAL, ask, context, identity, policy, statement};
use crate::policy::{Decision, PolicyAction, Requester, principal_arn};

/// What tenant 7's key `app` (AKAPP), its key `other` (AKOTHER), tenant 8's `app` and nobody get by a GetObject:
/// one letter each, A(llow), D(eny) or `-`.
#[track_caller]
fn check(effect: &str, principal: &str, expected: &str) {
    let rest = "'Action':'s3:GetObject','Resource':'arn:aws:s3:::examplebucket/*'";
    let policy = policy(&statement(&format!("'Effect':'{effect}',{principal},{rest}")));
    let keys =
        [(7, "app", "AKAPP", CANONICAL), (7, "other", "AKOTHER", CANONICAL), (8, "app", "AKAPP8", "8")];
    let mut answers = String::new();
    let mut add = |requester: Requester<'_>| {
        answers.push(match ask(&policy, requester, PolicyAction::GetObject, Some("k"), &context()) {
            Decision::Allow => 'A',
            Decision::Delegate => 'a',
            Decision::Deny => 'D',
            Decision::Silent => '-',
        });
    };
    for (tenant, name, id, canonical_id) in keys {
        add(Requester::Key { identity: &identity(tenant, name, id), canonical_id });
    }
    add(Requester::Anonymous);
    assert_eq!(answers, expected, "{effect} {principal}");
}

#[test]
fn principals() {
    check("Allow", "'Principal':'*'", "AAAA");
    check("Allow", "'Principal':{'AWS':'*'}", "AAAA");
    check("Allow", "'Principal':{'AWS':'7'}", "aa--");
    check("Allow", "'Principal':{'AWS':'000000000007'}", "aa--");
    check("Allow", "'Principal':{'AWS':'arn:aws:iam::000000000007:root'}", "aa--");
    check("Allow", "'Principal':{'AWS':'arn:aws:iam::7:user/app'}", "A---");
    check("Allow", "'Principal':{'AWS':'arn:aws:iam::7:user/AKOTHER'}", "-A--");
    check("Allow", "'Principal':{'AWS':'arn:aws:iam::7:user/AKAPP8'}", "----");
    check("Allow", "'Principal':{'AWS':['arn:aws:iam::8:user/app','arn:aws:iam::7:user/other']}", "-AA-");
    check("Allow", "'Principal':{'AWS':'arn:aws:iam::nobody:root'}", "----");
    check("Allow", &format!("'Principal':{{'AWS':'{CANONICAL}'}}"), "aa--");
    check("Allow", &format!("'Principal':{{'AWS':'arn:aws:iam::{CANONICAL}:user/app'}}"), "A---");
    check("Allow", &format!("'Principal':{{'CanonicalUser':'{CANONICAL}'}}"), "aa--");
    check("Deny", "'Principal':'*'", "DDDD");
    check("Deny", "'Principal':{'AWS':'7'}", "DD--");
}

/// Nobody is spared by half a name.
#[test]
fn exceptions() {
    check("Deny", "'NotPrincipal':{'AWS':['7','arn:aws:iam::7:user/app']}", "-DDD");
    check(
        "Deny",
        &format!("'NotPrincipal':{{'AWS':'arn:aws:iam::7:user/app','CanonicalUser':'{CANONICAL}'}}"),
        "-DDD",
    );
    check("Deny", "'NotPrincipal':{'AWS':'arn:aws:iam::7:user/app'}", "DDDD");
    check("Deny", "'NotPrincipal':{'AWS':'7'}", "DDDD");
    check("Deny", "'NotPrincipal':{'AWS':['8','arn:aws:iam::7:user/app']}", "DDDD");
}

#[test]
fn arns() {
    assert_eq!(principal_arn(&identity(7, "app", "AK")), "arn:aws:iam::000000000007:user/app");
}
