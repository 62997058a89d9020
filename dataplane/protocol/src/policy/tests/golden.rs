//! Policies of the kinds that AWS's guides and applications show, and what they must do.

use super::{CANONICAL, ask, context, identity, parse, policy, read};
use crate::error::Code;
use crate::policy::{BucketPolicy, Decision, ObjectTags, PolicyAction as A, PolicyContext, Requester};

fn read_from(policy: &BucketPolicy, address: &str) -> Decision {
    let context = PolicyContext::new(address.parse().expect("an address"), true);
    ask(policy, Requester::Anonymous, A::GetObject, Some("k"), &context)
}

/// By tenant 7's key `app`.
fn by_app(policy: &BucketPolicy, action: A, key: Option<&str>, context: &PolicyContext<'_>) -> Decision {
    let app = identity(7, "app", "AKAPP");
    ask(policy, Requester::Key { identity: &app, canonical_id: CANONICAL }, action, key, context)
}

#[test]
fn a_website() {
    let site = policy(
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Principal":"*",
            "Action":["s3:GetObject"],"Resource":["arn:aws:s3:::examplebucket/public/*"]}]}"#,
    );
    assert!(site.is_public());
    assert_eq!(read(&site, "public/index.html"), Decision::Allow);
    assert_eq!(read(&site, "private"), Decision::Silent);
    assert_eq!(by_app(&site, A::PutObject, Some("public/x"), &context()), Decision::Silent);
    assert_eq!(by_app(&site, A::ListBucket, None, &context()), Decision::Silent);
}

#[test]
fn a_range_of_addresses_but_one() {
    let office = policy(
        r#"{"Version":"2012-10-17","Id":"Office","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
            "Resource":"arn:aws:s3:::examplebucket/*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},
            "NotIpAddress":{"aws:SourceIp":"192.0.2.188/32"}}}]}"#,
    );
    assert!(!office.is_public());
    assert_eq!(read_from(&office, "192.0.2.1"), Decision::Allow);
    assert_eq!(read_from(&office, "192.0.2.188"), Decision::Silent);
    assert_eq!(read_from(&office, "198.51.100.1"), Decision::Silent);
}

#[test]
fn only_by_tls() {
    let tls = policy(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*",
            "Resource":["arn:aws:s3:::examplebucket","arn:aws:s3:::examplebucket/*"],
            "Condition":{"Bool":{"aws:SecureTransport":"false"}}}}"#,
    );
    assert!(!tls.is_public());
    let plain = PolicyContext { secure_transport: false, ..context() };
    for (action, key) in
        [(A::ListBucket, None), (A::PutObject, Some("k")), (A::DeleteObjectVersion, Some("k"))]
    {
        assert_eq!(by_app(&tls, action, key, &plain), Decision::Deny);
        assert_eq!(by_app(&tls, action, key, &context()), Decision::Silent);
    }
}

#[test]
fn uploads_encrypted_and_owned() {
    let uploads = policy(
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000007:root"},"Action":"s3:PutObject",
             "Resource":"arn:aws:s3:::examplebucket/*",
             "Condition":{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}},
            {"Effect":"Deny","Principal":{"AWS":"*"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::examplebucket/*",
             "Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}}},
            {"Effect":"Deny","Principal":{"AWS":"*"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::examplebucket/*",
             "Condition":{"Null":{"s3:x-amz-server-side-encryption":"true"}}}]}"#,
    );
    let put = |canned_acl, server_side_encryption| {
        let context = PolicyContext { canned_acl, server_side_encryption, ..context() };
        by_app(&uploads, A::PutObject, Some("k"), &context)
    };
    assert_eq!(put(Some("bucket-owner-full-control"), Some("AES256")), Decision::Delegate);
    assert_eq!(put(None, Some("AES256")), Decision::Silent);
    assert_eq!(put(Some("bucket-owner-full-control"), None), Decision::Deny);
    assert_eq!(put(Some("bucket-owner-full-control"), Some("aws:kms")), Decision::Deny);
}

#[test]
fn a_home_folder() {
    let home = policy(
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::7:user/app"},"Action":"s3:ListBucket",
             "Resource":"arn:aws:s3:::examplebucket",
             "Condition":{"StringLike":{"s3:prefix":["","home/app/*"]},"StringEquals":{"s3:delimiter":["/"]},
                          "NumericLessThanEquals":{"s3:max-keys":100}}},
            {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::7:user/app"},"Action":["s3:GetObject","s3:PutObject"],
             "Resource":"arn:aws:s3:::examplebucket/home/app/*"}]}"#,
    );
    let list = |prefix: &str, max_keys| {
        let prefix = Some(prefix.as_bytes());
        let context = PolicyContext { prefix, delimiter: Some(b"/"), max_keys, ..context() };
        by_app(&home, A::ListBucket, None, &context)
    };
    assert_eq!(list("", Some(100)), Decision::Allow);
    assert_eq!(list("home/app/x", Some(1)), Decision::Allow);
    assert_eq!(list("home/other/", Some(1)), Decision::Silent);
    assert_eq!(list("", Some(101)), Decision::Silent);
    assert_eq!(list("", None), Decision::Silent);
    assert_eq!(by_app(&home, A::PutObject, Some("home/app/x"), &context()), Decision::Allow);
    assert_eq!(by_app(&home, A::PutObject, Some("home/apple"), &context()), Decision::Silent);
}

#[test]
fn objects_by_their_tags() {
    let tags = policy(
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:GetObjectVersion"],
             "Resource":"arn:aws:s3:::examplebucket/*",
             "Condition":{"StringEquals":{"s3:ExistingObjectTag/environment":"production"}}},
            {"Effect":"Deny","Principal":"*","Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::examplebucket/*",
             "Condition":{"ForAnyValue:StringNotEquals":{"s3:RequestObjectTagKeys":["Owner","CreationDate"]}}}]}"#,
    );
    assert!(tags.needs_object_tags(A::GetObject));
    assert!(!tags.needs_object_tags(A::PutObjectTagging));
    let get =
        |object_tags| by_app(&tags, A::GetObject, Some("k"), &PolicyContext { object_tags, ..context() });
    assert_eq!(get(ObjectTags::Known(&[("environment", "production")])), Decision::Allow);
    assert_eq!(get(ObjectTags::Known(&[("environment", "test")])), Decision::Silent);
    assert_eq!(get(ObjectTags::Unknown), Decision::Silent);
    let tag = |request_tags| {
        by_app(&tags, A::PutObjectTagging, Some("k"), &PolicyContext { request_tags, ..context() })
    };
    assert_eq!(tag(&[("Owner", "me")]), Decision::Silent);
    assert_eq!(tag(&[("Owner", "me"), ("Other", "x")]), Decision::Deny);
}

#[test]
fn links_from_one_site() {
    let site = policy(
        r#"{"Version":"2008-10-17","Statement":[
            {"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::examplebucket/*",
             "Condition":{"StringLike":{"aws:Referer":["https://www.example.com/*","https://example.com/*"]}}}]}"#,
    );
    let get = |referer: Option<&str>| {
        let context = PolicyContext { referer: referer.map(str::as_bytes), ..context() };
        ask(&site, Requester::Anonymous, A::GetObject, Some("k"), &context)
    };
    assert_eq!(get(Some("https://example.com/page")), Decision::Allow);
    assert_eq!(get(Some("https://example.com.evil.test/")), Decision::Silent);
    assert_eq!(get(None), Decision::Silent);
}

/// A whole bucket but one user, and the narrow exception of a Deny.
#[test]
fn one_user_only() {
    let only = policy(
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Deny","Principal":"*","Action":"s3:*",
             "Resource":["arn:aws:s3:::examplebucket","arn:aws:s3:::examplebucket/*"],
             "Condition":{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::7:user/app"}}},
            {"Effect":"Deny","Principal":"*","NotAction":"s3:GetObject","NotResource":"arn:aws:s3:::examplebucket/open/*"}]}"#,
    );
    assert_eq!(read(&only, "open/k"), Decision::Deny);
    assert_eq!(by_app(&only, A::GetObject, Some("k"), &context()), Decision::Silent);
    assert_eq!(by_app(&only, A::PutObject, Some("k"), &context()), Decision::Deny);
    assert_eq!(by_app(&only, A::PutObject, Some("open/k"), &context()), Decision::Silent);
    assert_eq!(by_app(&only, A::ListBucket, None, &context()), Decision::Deny);
}

/// Names with wildcards that reach only this bucket can be put on many.
#[test]
fn any_bucket() {
    let any = policy(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:ListBucket",
            "Resource":["arn:aws:s3:::*","arn:aws:s3:::*/*"]}]}"#,
    );
    assert_eq!(by_app(&any, A::ListBucket, None, &context()), Decision::Allow);
}

#[track_caller]
fn check_refused(action: &str, resource: &str, condition: &str, sentence: &str) {
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":{action},
            "Resource":"arn:aws:s3:::examplebucket{resource}","Condition":{condition}}}]}}"#
    );
    let error = parse(&document).expect_err(&document);
    assert_eq!(error.code, Code::MalformedPolicy);
    assert!(error.message.contains(sentence), "{document}\n{}", error.message);
}

#[test]
fn conditions_that_are_none() {
    let refused = |condition: &str, sentence| check_refused("\"s3:GetObject\"", "/*", condition, sentence);
    let key = "Policy has an invalid condition key";
    refused(r#"{"StringEquals":{"aws:username":"x"}}"#, key);
    refused(r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#, key);
    refused(r#"{"StringEquals":{"aws:SourceVpce":"vpce-1"}}"#, key);
    refused(r#"{"DateLessThan":{"aws:CurrentTime":"2026-11-22T00:00:00Z"}}"#, key);
    refused(r#"{"StringEquals":{"s3:x-amz-copy-source":"b/k"}}"#, key);
    refused(r#"{"StringEquals":{"s3:ExistingObjectTag":"x"}}"#, key);
    refused(r#"{"StringEquals":{"s3:ExistingObjectTag/":"x"}}"#, key);
    refused(r#"{"StringEquals":{"s3:prefix/x":"x"}}"#, key);
    refused(r#"{"StringEquals":{"":"x"}}"#, "(Statement[0].Condition.StringEquals: \"\")");
    refused(
        r#"{"StringIs":{"aws:Referer":"x"}}"#,
        "Invalid Condition type (Statement[0].Condition: \"StringIs\")",
    );
    for operator in [
        "",
        "String",
        "NumericLike",
        "DateLess",
        "IfExists",
        "NullIfExists",
        "ForAllValues:Null",
        "ForSome:StringEquals",
        "ForAllValues:",
        "BinaryEquals",
        "NotBool",
        "StringEqualsIfExistsIfExists",
    ] {
        refused(&format!(r#"{{"{operator}":{{"aws:Referer":"true"}}}}"#), "Invalid Condition type");
    }
    refused(r#"{"StringEquals":"aws:Referer"}"#, "StringEquals: an object is expected");
    refused(r#"{"StringEquals":{}}"#, "an operator without a key");
    refused(r#"{"StringEquals":{"aws:Referer":[]}}"#, "a list is empty");
    refused(r#"{"StringEquals":{"aws:Referer":null}}"#, "a string, a number or a boolean is expected");
    refused(r#"{"StringEquals":{"aws:Referer":[["x"]]}}"#, "a string, a number or a boolean is expected");
    refused(r#"["StringEquals"]"#, "Condition: an object is expected");
    refused(r#"{"StringEquals":{"aws:Referer":"${aws:username}"}}"#, "Policy variables are not supported");
}

#[test]
fn values_that_are_none() {
    let refused = |operator: &str, key: &str, value: &str, sentence| {
        check_refused(
            "\"s3:GetObject\"",
            "/*",
            &format!(r#"{{"{operator}":{{"{key}":"{value}"}}}}"#),
            sentence,
        );
    };
    for value in [
        "",
        "10",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/a",
        "10.0.0.*",
        "010.0.0.1",
        "::/129",
        "::ffff:10.0.0.0/64",
        "example.com",
        " 10.0.0.1",
    ] {
        refused("IpAddress", "aws:SourceIp", value, "Invalid IP address in Conditions");
    }
    for value in ["", "yes", "1", "true "] {
        refused("Bool", "aws:SecureTransport", value, "Invalid boolean");
        refused("Null", "aws:Referer", value, "Invalid boolean");
    }
    for value in ["", "x", "1e3", ".5", "5.", "1.2.3", "+1", "--1", "0x10", "1234567890123456", "NaN", "inf"]
    {
        refused("NumericEquals", "aws:Referer", value, "Invalid number");
    }
    for value in ["", "x", "2026", "2026-13-01", "2026-11-22T00:00:00", "22 Nov 2026", "123456789012", "-1"] {
        refused("DateEquals", "aws:Referer", value, "Invalid date");
    }
    for value in ["", "x", "arn:aws:iam::7", "*", "urn:aws:iam::7:user/x"] {
        refused("ArnEquals", "aws:Referer", value, "Invalid ARN");
    }
    let canonical = format!("arn:aws:iam::{CANONICAL}:user/x");
    refused("ArnEquals", "aws:PrincipalArn", &canonical, "aws:PrincipalArn has the number of an account");
}

#[test]
fn conditions_that_do_not_apply() {
    let refused = |action: &str, resource: &str, key: &str| {
        let condition = format!(r#"{{"StringEquals":{{"{key}":"x"}}}}"#);
        check_refused(action, resource, &condition, "Conditions do not apply to combination");
    };
    refused("\"s3:GetObject\"", "/*", "s3:prefix");
    refused("\"s3:ListBucketMultipartUploads\"", "", "s3:prefix");
    refused("[\"s3:GetObject\",\"s3:PutObject\"]", "/*", "s3:x-amz-acl");
    refused("[\"s3:PutObject\",\"s3:PutObjectAcl\"]", "/*", "s3:x-amz-server-side-encryption");
    refused("\"s3:PutObject\"", "/*", "s3:ExistingObjectTag/a");
    refused("\"s3:DeleteObject\"", "/*", "s3:ExistingObjectTag/a");
    refused("\"s3:GetObjectRetention\"", "/*", "s3:ExistingObjectTag/a");
    refused("\"s3:PutObjectAcl\"", "/*", "s3:RequestObjectTag/a");
    refused("\"s3:GetObject\"", "/*", "s3:VersionId");
    refused("\"s3:*\"", "/*", "s3:prefix");
    refused("\"s3:Get*\"", "*", "s3:prefix");
    let accepted = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::examplebucket*",
        "Condition":{"StringEquals":{"s3:prefix":"x"}}}}"#;
    assert!(parse(accepted).is_ok());
}
