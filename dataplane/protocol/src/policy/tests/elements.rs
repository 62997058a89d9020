//! What is a policy of this bucket and what is not.

use super::{parse, statement};
use crate::error::Code;

/// `None`: accepted; else a part of the sentence.
#[track_caller]
fn check_document(document: &str, expected: Option<&str>) {
    match (parse(document), expected) {
        (Ok(_), None) => {}
        (Err(error), Some(part)) => {
            assert_eq!((error.code, error.status()), (Code::MalformedPolicy, 400));
            assert!(error.message.contains(part), "{document}\n{}", error.message);
        }
        (answer, _) => panic!("{document}\n{answer:?}"),
    }
}

#[track_caller]
fn check(members: &str, expected: Option<&str>) {
    check_document(&statement(members), expected);
}

const REST: &str = "'Principal':'*','Action':'s3:GetObject','Resource':'arn:aws:s3:::examplebucket/*'";

#[test]
fn documents() {
    let one = format!("{{'Effect':'Allow',{REST}}}").replace('\'', "\"");
    check_document(&format!(r#"{{"Statement":{one}}}"#), None);
    check_document(&format!(r#"{{"Version":"2008-10-17","Id":"x","Statement":[{one},{one}]}}"#), None);
    check_document(&format!("{{\"Statement\":{one}}}\n"), None);
    check_document("", Some("the first byte must be '{'"));
    check_document(" {}", Some("the first byte must be '{'"));
    check_document("{", Some("invalid Json"));
    check_document("{}", Some("Missing required field Statement"));
    check_document(r#"{"Statement":[]}"#, Some("Statement is empty"));
    check_document(r#"{"Statement":"x"}"#, Some("an object is expected"));
    check_document(r#"{"Statement":[[]]}"#, Some("Statement[0]: an object is expected"));
    check_document(&format!(r#"{{"Version":"2012-10-18","Statement":{one}}}"#), Some("valid version"));
    check_document(&format!(r#"{{"Version":20121017,"Statement":{one}}}"#), Some("valid version"));
    check_document(&format!(r#"{{"Id":1,"Statement":{one}}}"#), Some("Id: a string is expected"));
    check_document(&format!(r#"{{"Statement":{one},"Statment":1}}"#), Some("\"Statment\""));
    check_document(&format!(r#"{{"statement":{one}}}"#), Some("\"statement\""));
    check_document(&format!(r#"{{"Statement":{one},"Statement":{one}}}"#), Some("stands twice"));
    let long = format!(r#"{{"Id":"{}","Statement":{one}}}"#, "x".repeat(20 * 1024));
    check_document(&long, Some("maximum allowed size of 20480 bytes"));
}

#[test]
fn statements() {
    check(&format!("'Sid':'1','Effect':'Allow',{REST},'Condition':{{}}"), None);
    check(REST, Some("Missing required field Effect"));
    check(&format!("'Effect':'allow',{REST}"), Some("Invalid effect (Statement[0]: \"allow\")"));
    check(&format!("'Effect':['Allow'],{REST}"), Some("Effect: a string is expected"));
    check(&format!("'Sid':1,'Effect':'Allow',{REST}"), Some("Sid: a string is expected"));
    check(&format!("'Effect':'Allow',{REST},'Actions':[]"), Some("unknown element"));
    check(&format!("'Effect':'Allow',{REST},'Action':'s3:GetObject'"), Some("stands twice"));
    check(
        &format!("'Effect':'Allow',{REST},'NotAction':'s3:GetObject'"),
        Some("NotAction: an element and its Not"),
    );
    check(&format!("'Effect':'Allow',{REST},'NotResource':'x'"), Some("NotResource"));
    check(&format!("'Effect':'Allow',{REST},'NotPrincipal':'x'"), Some("NotPrincipal"));
    let all_but = "'NotPrincipal':{'AWS':'7'},'Action':'s3:*','Resource':'arn:aws:s3:::examplebucket'";
    check(&format!("'Effect':'Allow',{all_but}"), Some("Allow with NotPrincipal"));
    check(
        "'Effect':'Allow','Action':'s3:GetObject','Resource':'x'",
        Some("Missing required field Principal"),
    );
    check("'Effect':'Allow','Principal':'*','Resource':'x'", Some("Missing required field Action"));
    check("'Effect':'Allow','Principal':'*','Action':'s3:*'", Some("Missing required field Resource"));
}

#[test]
fn principals() {
    let check = |principal: &str, expected| {
        check(
            &format!("'Effect':'Deny',{principal},'Action':'s3:*','Resource':'arn:aws:s3:::examplebucket'"),
            expected,
        );
    };
    let wrong = Some("Invalid principal in policy");
    for principal in [
        "'*'",
        "{'AWS':'*'}",
        "{'AWS':['*','111122223333']}",
        "{'AWS':'111122223333'}",
        "{'AWS':'7'}",
        "{'AWS':'arn:aws:iam::111122223333:root'}",
        "{'AWS':['arn:aws:iam::7:user/app','arn:aws:iam::7:user/AKIAIOSFODNN7EXAMPLE']}",
        "{'AWS':'arn:aws:iam::7:user/team/app'}",
        "{'AWS':'79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be'}",
        "{'CanonicalUser':'79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be'}",
        "{'AWS':'7','CanonicalUser':['79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be']}",
    ] {
        check(&format!("'Principal':{principal}"), None);
    }
    for principal in [
        "'arn:aws:iam::7:root'",
        "['*']",
        "{}",
        "7",
        "{'*':'*'}",
        "{'aws':'*'}",
        "{'Service':'logging.s3.amazonaws.com'}",
        "{'Federated':'x'}",
        "{'AWS':''}",
        "{'AWS':'app'}",
        "{'AWS':'AKIAIOSFODNN7EXAMPLE'}",
        "{'AWS':'999999999999999999999'}",
        "{'AWS':'arn:aws:iam::7:user/*'}",
        "{'AWS':'arn:aws:iam::*:root'}",
        "{'AWS':'arn:aws:iam::7:user/${aws:username}'}",
        "{'AWS':'arn:aws:iam::7:role/app'}",
        "{'AWS':'arn:aws:iam::7:user/'}",
        "{'AWS':'arn:aws:iam::7:group/x'}",
        "{'AWS':'arn:aws:iam:::user/app'}",
        "{'AWS':'arn:aws:iam::7'}",
        "{'AWS':'arn:aws:sts::7:assumed-role/app/s'}",
        "{'CanonicalUser':'7'}",
        "{'CanonicalUser':'*'}",
    ] {
        check(&format!("'Principal':{principal}"), wrong);
    }
    check("'Principal':{'AWS':[]}", Some("AWS: a list is empty"));
    check("'Principal':{'AWS':[7]}", Some("Principal.AWS[0]: a string is expected"));
    check("'NotPrincipal':{'AWS':['7','arn:aws:iam::7:user/app']}", None);
    check("'NotPrincipal':'*'", wrong);
    check("'NotPrincipal':{'AWS':['7','*']}", wrong);
}

#[test]
fn actions_and_resources() {
    let check = |action: &str, resource: &str, expected| {
        check(&format!("'Effect':'Allow','Principal':'*',{action},{resource}"), expected);
    };
    let (on_bucket, on_objects) =
        ("'Resource':'arn:aws:s3:::examplebucket'", "'Resource':'arn:aws:s3:::examplebucket/*'");
    let nothing = Some("Action does not apply to any resource(s) in statement");
    check("'Action':'s3:ListBucket'", on_bucket, None);
    check("'Action':['s3:ListBucket','s3:GetBucketPolicy']", on_bucket, None);
    check("'Action':'s3:*'", on_bucket, None);
    check("'Action':'*'", on_objects, None);
    check("'Action':'s3:ListBucket'", on_objects, nothing);
    check("'Action':'s3:GetObject'", on_bucket, nothing);
    check("'Action':['s3:GetObject','s3:ListBucket']", on_objects, nothing);
    check("'Action':'s3:GetObject*'", on_bucket, nothing);
    check("'Action':'s3:Get*'", on_bucket, None);
    check(
        "'Action':'s3:Fly'",
        on_bucket,
        Some("Policy has invalid action (Statement[0].Action[0]: \"s3:Fly\")"),
    );
    check(
        "'Action':['s3:GetObject','ec2:RunInstances']",
        on_objects,
        Some("Action[1]: \"ec2:RunInstances\""),
    );
    check("'Action':'s3:ListAllMyBuckets'", on_bucket, Some("Policy has invalid action"));
    check("'Action':[]", on_bucket, Some("Action: a list is empty"));
    check("'Action':{}", on_bucket, Some("Action[0]: a string is expected"));
    check("'NotAction':'s3:GetObject'", on_objects, None);
    check("'NotAction':['s3:PutBucketPolicy','s3:Delete*']", on_bucket, None);
    check("'NotAction':'s3:*'", on_bucket, nothing);
    check("'NotAction':'s3:Fly'", on_bucket, Some("Policy has invalid action"));
}

#[test]
fn resources() {
    let check = |resource: &str, expected| {
        check(&format!("'Effect':'Allow','Principal':'*','Action':'s3:*',{resource}"), expected);
    };
    let wrong = Some("Policy has invalid resource");
    for resource in [
        "arn:aws:s3:::examplebucket",
        "arn:aws:s3:::examplebucket/a?c/*",
        "arn:aws:s3:::examplebucket*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::*/*",
        "arn:aws:s3:::example?ucket/${*}",
        "arn:aws:s3:::examplebucket/a:b",
        "arn:aws:s3::*:examplebucket/x",
    ] {
        check(&format!("'Resource':'{resource}'"), None);
    }
    for resource in [
        "",
        "*",
        "examplebucket/*",
        "arn:aws:s3:::",
        "arn:aws:s3:::examplebucket/",
        "arn:aws:s3:::otherbucket",
        "arn:aws:s3:::examplebucket2/*",
        "arn:aws:s3:::examplebucke",
        "arn:aws:s3:::Examplebucket",
        "arn:aws:s3:us-east-1::examplebucket",
        "arn:aws:s3::7:examplebucket",
        "arn:aws-cn:s3:::examplebucket",
        "arn:aws:s3:examplebucket",
        "arn:aws:iam:::examplebucket",
        "arn:*:s3:::examplebucket",
    ] {
        check(&format!("'Resource':'{resource}'"), wrong);
    }
    check(
        "'Resource':['arn:aws:s3:::examplebucket','arn:aws:s3:::other']",
        Some("Resource[1]: \"arn:aws:s3:::other\""),
    );
    check(
        "'Resource':'arn:aws:s3:::examplebucket/${aws:username}/*'",
        Some("Policy variables are not supported"),
    );
    check("'Resource':'arn:aws:s3:::examplebucket/${*'", Some("Policy variables are not supported"));
    check("'NotResource':'arn:aws:s3:::examplebucket/private/*'", None);
    check("'NotResource':'arn:aws:s3:::other/*'", wrong);
}

#[test]
fn what_not_resource_leaves() {
    let check = |resource: &str, expected| {
        check(
            &format!("'Effect':'Deny','Principal':'*','Action':'s3:GetObject','NotResource':'{resource}'"),
            expected,
        );
    };
    let nothing = Some("Action does not apply");
    check("arn:aws:s3:::examplebucket*", nothing);
    check("arn:aws:s3:::exam*", nothing);
    check("arn:aws:s3:::examplebucket/*", nothing);
    check("arn:aws:s3:::*", nothing);
    check("arn:aws:s3:::examplebucket", None);
    check("arn:aws:s3:::examplebucket/a*", None);
}

#[test]
fn searching_is_bounded() {
    let with = |text: &str| {
        format!("'Effect':'Allow',{REST},'Condition':{{'StringLike':{{'aws:Referer':'{text}'}}}}")
    };
    check(&with(&format!("*{}", "ab".repeat(4000))), None);
    check(&with(&format!("{}?*", "ab".repeat(4000))), None);
    check(&with(&format!("*?{}", "ab".repeat(1000))), None);
    check(&with(&format!("*?{}", "ab".repeat(1024))), Some("? behind *"));
}
