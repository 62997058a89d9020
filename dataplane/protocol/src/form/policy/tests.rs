//! Policies as signers write them, texts that are none, and forms held against both.

use base64::Engine as _;
use proptest::prelude::*;

use super::{BucketName, Code, ContentLengthRange, FormFields, Policy, S3Error, STANDARD};

/// 2015-12-29T00:00:00Z
const NOW_MS: u64 = 1_451_347_200_000;

fn form(fields: &[(&str, &str)]) -> FormFields {
    let mut form = FormFields::default();
    for (name, value) in fields {
        form.push((*name).to_owned(), value.as_bytes().to_vec()).unwrap();
    }
    form
}

fn parse(text: &str) -> Result<Policy, S3Error> {
    Policy::parse(&STANDARD.encode(text))
}

/// A form with `fields`, sent to `bucket`, against these conditions.
fn check_form(conditions: &str, fields: &[(&str, &str)]) -> Result<ContentLengthRange, S3Error> {
    let policy =
        parse(&format!("{{\"expiration\": \"2015-12-30T12:00:00.000Z\", \"conditions\": [{conditions}]}}"))?;
    policy.check(&form(fields), &BucketName::parse("bucket").unwrap(), NOW_MS)
}

#[track_caller]
fn allowed(conditions: &str, fields: &[(&str, &str)]) {
    let conditions = format!("{{\"bucket\": \"bucket\"}}, {conditions}");
    assert_eq!(
        check_form(&conditions, fields).map_err(|error| error.to_string()),
        Ok(ContentLengthRange::ALL),
        "{conditions}"
    );
}

#[track_caller]
fn denied(conditions: &str, fields: &[(&str, &str)], what: &str) {
    let refused = check_form(&format!("{{\"bucket\": \"bucket\"}}, {conditions}"), fields).unwrap_err();
    assert_eq!(
        (refused.code, &*refused.message),
        (Code::AccessDenied, &*format!("Invalid according to Policy: {what}"))
    );
}

#[track_caller]
fn malformed(text: &str, what: &str) {
    let refused = parse(text).expect_err(text);
    assert_eq!(
        (refused.code, &*refused.message),
        (Code::InvalidPolicyDocument, &*format!("Invalid Policy: {what}")),
        "{text}"
    );
}

#[test]
fn conditions_that_hold() {
    allowed("{\"acl\": \"private\"}", &[("acl", "private")]);
    allowed("[\"eq\", \"$acl\", \"private\"]", &[("acl", "private")]);
    allowed("[\"starts-with\", \"$key\", \"user/\"],", &[("key", "user/1")]);
    allowed("[\"starts-with\", \"$key\", \"\"]", &[("key", "any")]);
    allowed("[\"starts-with\", \"$x-amz-meta-tag\", \"\"]", &[("x-amz-meta-tag", "")]);
    // names have no case, operations neither; values have
    allowed(
        "[\"StArTs-WiTh\", \"$KeY\", \"foo\"], {\"AcL\": \"private\"}",
        &[("kEy", "foo"), ("aCl", "private")],
    );
    // two conditions of one field, and one of a field named twice
    allowed("[\"starts-with\", \"$key\", \"a\"], {\"key\": \"ab\"}", &[("key", "ab")]);
    allowed(
        "{\"x-amz-meta-t\": \"Ninja,Stallman\"}",
        &[("x-amz-meta-t", "Ninja"), ("x-amz-meta-t", "Stallman")],
    );
    allowed(
        "[\"starts-with\", \"$Content-Type\", \"image/\"]",
        &[("content-type", "image/jpg,image/png, image/gif")],
    );
    allowed("{\"Content-Type\": \"image/jpg,text/plain\"}", &[("Content-Type", "image/jpg,text/plain")]);
    // what needs no condition, and a bucket sent as a field
    allowed(
        "{\"key\": \"k\"}",
        &[
            ("key", "k"),
            ("Policy", "p"),
            ("X-Amz-Signature", "s"),
            ("X-Ignore-me", "1"),
            ("AWSAccessKeyId", "a"),
            ("signature", "s"),
            ("bucket", "bucket"),
        ],
    );
    allowed("{\"key\": \"\\$a\\u00e4\"}", &[("key", "$a\u{e4}")]);
    allowed("[\"starts-with\", \"$key\", \"\\\\$foo\"]", &[("key", "\\$foo.txt")]);
}

#[test]
fn conditions_that_do_not_hold() {
    denied(
        "{\"acl\": \"private\"}",
        &[("acl", "public-read")],
        "Policy Condition failed: [\"eq\", \"$acl\", \"private\"]",
    );
    denied("{\"Key\": \"a\"}", &[("key", "A")], "Policy Condition failed: [\"eq\", \"$Key\", \"a\"]");
    denied("{\"key\": \"a\"}", &[], "Policy Condition failed: [\"eq\", \"$key\", \"a\"]");
    denied(
        "[\"starts-with\", \"$key\", \"user/\"]",
        &[("key", "other/")],
        "Policy Condition failed: [\"starts-with\", \"$key\", \"user/\"]",
    );
    denied(
        "[\"starts-with\", \"$Content-Type\", \"\"]",
        &[],
        "Policy Condition failed: [\"starts-with\", \"$Content-Type\", \"\"]",
    );
    denied(
        "[\"starts-with\", \"$Content-Type\", \"image/\"]",
        &[("Content-Type", "image/jpg,text/plain")],
        "Policy Condition failed: [\"starts-with\", \"$Content-Type\", \"image/\"]",
    );
    denied(
        "[\"starts-with\", \"$Cache-Control\", \"a\"]",
        &[("Cache-Control", ",a")],
        "Policy Condition failed: [\"starts-with\", \"$Cache-Control\", \"a\"]",
    );
    denied("[\"eq\", \"key\", \"k\"]", &[("key", "k")], "Policy Condition failed: [\"eq\", \"key\", \"k\"]");
    denied(
        "[\"eq\", \"$Content-Disposition\", \"filename=\\\"a\\\"\"]",
        &[],
        "Policy Condition failed: [\"eq\", \"$Content-Disposition\", \"filename=\\\"a\\\"\"]",
    );
    denied(
        "{\"bucket\": \"other\"}",
        &[("bucket", "other")],
        "Policy Condition failed: [\"eq\", \"$bucket\", \"other\"]",
    );
    denied(
        "[\"content-length-range\", \"test\", \"10\"]",
        &[],
        "Policy Condition failed: [\"content-length-range\", \"test\", \"10\"]",
    );
}

#[test]
fn fields_without_a_condition() {
    denied("{\"key\": \"k\"}", &[("key", "k"), ("StorageClass", "x")], "Extra input fields: StorageClass");
    denied(
        "{\"key\": \"k\"}",
        &[("key", "k"), ("x-amz-date", "x"), ("a", "b")],
        "Extra input fields: x-amz-date, a",
    );
    denied(
        "[\"starts-with\", \"$x-amz-meta-\", \"\"]",
        &[("x-amz-meta-", ""), ("x-amz-meta-a", "")],
        "Extra input fields: x-amz-meta-a",
    );
    let refused = check_form("{\"key\": \"k\"}", &[("key", "k")]).unwrap_err();
    assert_eq!(refused.message, "Invalid according to Policy: Extra input fields: bucket");
}

#[test]
fn sizes() {
    let range =
        |conditions: &str| check_form(&format!("{{\"bucket\": \"bucket\"}}, {conditions}"), &[]).unwrap();
    assert_eq!(range("[\"content-length-range\", 5, 10]"), ContentLengthRange { min: 5, max: 10 });
    assert_eq!(range("[\"Content-Length-Range\", \"5\", \"10\"]"), ContentLengthRange { min: 5, max: 10 });
    let two = "[\"content-length-range\", 5, 10], [\"content-length-range\", 0, 7]";
    assert_eq!(range(two), ContentLengthRange { min: 5, max: 7 });
}

#[test]
fn a_policy_ends_at_its_expiration() {
    let policy =
        parse("{\"conditions\":[{\"bucket\":\"bucket\"}],\"expiration\":\"2015-12-29T00:00:00Z\"}").unwrap();
    let check = |now_ms| policy.check(&form(&[]), &BucketName::parse("bucket").unwrap(), now_ms);
    assert!(check(NOW_MS - 1).is_ok());
    let refused = check(NOW_MS).unwrap_err();
    assert_eq!((refused.status(), &*refused.message), (403, "Invalid according to Policy: Policy expired."));
}

#[test]
fn texts_that_are_no_policy() {
    for text in [
        "",
        "[]",
        "null",
        "policy",
        "{\"expiration\": 1}",
        "{\"expiration\": \"a\"",
        "{\"conditions\": {}}",
        "{\"conditions\": null}",
        "{} x",
        "{\"conditions\": [\"bucket\"]}",
        "{\"conditions\": [1]}",
        "{\"conditions\": [[\"eq\", \"$key\", 1]]}",
        "{\"conditions\": [[\"content-length-range\", -1, 0]]}",
        "{\"conditions\": [[\"content-length-range\", 0, 512.0]]}",
        "{\"conditions\": [{\"key\": null}]}",
        "{\"conditions\": [[\"eq\", \"$key\", \"a\", \"b\"]]}",
        "{\"conditions\": [[\"eq\"",
        "{,}",
        "{\"conditions\": [[\"eq\" \"$key\"]]}",
        "{\"conditions\": [[1, \"$key\", \"a\"]]}",
        "{\"conditions\": [,]}",
    ] {
        malformed(text, "Invalid JSON.");
    }
    malformed("{\"conditions\": []}", "Policy missing expiration.");
    malformed("{\"expiration\": \"2015-12-30T12:00:00Z\"}", "Policy missing conditions.");
    malformed("{\"EXPIRATION\": \"2015-12-30T12:00:00Z\"}", "Unexpected: 'expiration'");
    malformed("{\"conditions\": [], \"conditions\": []}", "Unexpected: 'conditions'");
    malformed("{\"Version\": \"2012-10-17\"}", "Unexpected: 'version'");
    for expiration in
        ["2015-12-30 12:00:00", "2015-12-30T12:00:00+00:00", "2015-02-30T00:00:00Z", "tomorrow", ""]
    {
        malformed(
            &format!("{{\"expiration\": \"{expiration}\", \"conditions\": []}}"),
            &format!("Invalid 'expiration' value: '{expiration}'"),
        );
    }
    let conditions =
        |conditions: &str, what: &str| malformed(&format!("{{\"conditions\": [{conditions}]}}"), what);
    let one_property =
        "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.";
    conditions("{}", one_property);
    conditions("{\"acl\": \"private\", \"key\": \"k\"}", one_property);
    conditions("{\"Content-Length\": 10}", "Invalid Simple-Condition: value must be a string.");
    conditions("[]", "Invalid Condition: missing operation identifier.");
    conditions(
        "[\"ends-with\", \"$key\", \"x\"]",
        "Invalid Condition: the operation 'ends-with' does not exist.",
    );
    conditions("[\"eq\", \"$key\"]", "Invalid Condition: 'eq' takes two arguments.");
    conditions(
        "[\"content-length-range\", 0]",
        "Invalid Condition: 'content-length-range' takes two arguments.",
    );
    conditions(&"{\"a\":\"b\"},".repeat(257), "There are more than 256 conditions.");
    for no_base64 in ["{}", "====", "eyJ", "e30 ", "\u{e4}"] {
        assert_eq!(Policy::parse(no_base64).unwrap_err().message, "Invalid Policy: Invalid Base64.");
    }
    assert_eq!(Policy::parse("/w==").unwrap_err().message, "Invalid Policy: Invalid JSON.");
}

#[test]
fn aws_illustrates_with_a_comma_too_many() {
    let text = "{ \"expiration\": \"2007-12-01T12:00:00.000Z\",\n \"conditions\": [\n {\"acl\": \"public-read\" },\n {\"bucket\": \
        \"johnsmith\" },\n [\"starts-with\", \"$key\", \"user/eric/\"],\n ]\n}";
    assert!(parse(text).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the text, and whatever of it is damaged: a policy or a refusal.
    #[test]
    fn nothing_panics(text in "[\\[\\]{}:,\"$\\\\u0-9a-f \u{e4}-]{0,60}", at: usize, byte: u8) {
        let _ = parse(&text);
        let mut text = b"{\"expiration\":\"2015-12-30T12:00:00Z\",\"conditions\":[{\"a\":\"\\u00e4\"},[\"eq\",\"$b\",\"\\$\"],[\"content-length-range\",1,\"2\"]]}".to_vec();
        let at = at % text.len();
        text[at] = byte;
        if let Ok(policy) = Policy::parse(&STANDARD.encode(&text)) {
            let _ = policy.check(&form(&[("b", "$")]), &BucketName::parse("bucket").unwrap(), NOW_MS);
        }
    }

    /// A field is let through exactly when its value is the one that was signed, whatever characters are in it.
    #[test]
    fn equals_means_equal(signed in "\\PC{0,12}", sent in "\\PC{0,12}") {
        let condition = format!("{{\"bucket\": \"bucket\"}}, {{\"key\": {}}}", super::quoted(&signed));
        prop_assert!(check_form(&condition, &[("key", &signed)]).is_ok());
        prop_assert_eq!(check_form(&condition, &[("key", &sent)]).is_ok(), sent == signed);
    }
}
