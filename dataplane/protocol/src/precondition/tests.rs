//! Conditions against an object with the ETag "abc", changed at 1994-11-06T08:49:37.9Z.

use super::*;

const MODIFIED_MS: u64 = 784_111_777_900;
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const EXACTLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// `headers`: lines such as `match: "abc"`, by the last words of the header names.
#[track_caller]
fn check(headers: &[(&str, &str)], expected: Verdict) {
    let value = |name| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let conditions =
        Conditions::parse(value("match"), value("none-match"), value("modified"), value("unmodified"));
    assert_eq!(conditions.evaluate("\"abc\"", MODIFIED_MS), expected, "{headers:?}");
    assert_eq!(conditions.evaluate("abc", MODIFIED_MS), expected, "{headers:?}, ETag without quotes");
    let copy = conditions.evaluate_copy_source("abc", MODIFIED_MS);
    assert_eq!(copy == Verdict::Proceed, expected == Verdict::Proceed, "{headers:?}, copy source");
    assert_ne!(copy, Verdict::NotModified);
}

const IF_MATCH: Verdict = Verdict::Failed { condition: "If-Match" };
const UNMODIFIED: Verdict = Verdict::Failed { condition: "If-Unmodified-Since" };

#[test]
fn one_condition() {
    check(&[], Verdict::Proceed);
    check(&[("match", "\"abc\"")], Verdict::Proceed);
    check(&[("match", "abc")], Verdict::Proceed);
    check(&[("match", "*")], Verdict::Proceed);
    check(&[("match", "\"x\", \"abc\"")], Verdict::Proceed);
    check(&[("match", "\"x,abc\"")], IF_MATCH);
    check(&[("match", "\"ABC\"")], IF_MATCH);
    check(&[("match", "W/\"abc\"")], IF_MATCH);
    check(&[("match", "")], IF_MATCH);
    check(&[("none-match", "\"abc\"")], Verdict::NotModified);
    check(&[("none-match", "x,abc")], Verdict::NotModified);
    check(&[("none-match", "W/\"abc\"")], Verdict::NotModified);
    check(&[("none-match", "*")], Verdict::NotModified);
    check(&[("none-match", "\"x\"")], Verdict::Proceed);
    check(&[("modified", BEFORE)], Verdict::Proceed);
    check(&[("modified", EXACTLY)], Verdict::NotModified);
    check(&[("modified", AFTER)], Verdict::NotModified);
    check(&[("unmodified", BEFORE)], UNMODIFIED);
    check(&[("unmodified", EXACTLY)], Verdict::Proceed);
    check(&[("unmodified", AFTER)], Verdict::Proceed);
    check(&[("unmodified", "some day")], Verdict::Proceed);
}

/// The two combinations that AWS documents, and their mirrors.
#[test]
fn precedence() {
    check(&[("match", "abc"), ("unmodified", BEFORE)], Verdict::Proceed);
    check(&[("match", "x"), ("unmodified", AFTER)], IF_MATCH);
    check(&[("none-match", "abc"), ("modified", BEFORE)], Verdict::NotModified);
    check(&[("none-match", "x"), ("modified", AFTER)], Verdict::Proceed);
    check(&[("match", "x"), ("none-match", "abc")], IF_MATCH);
    check(&[("match", "abc"), ("none-match", "abc")], Verdict::NotModified);
    check(&[("unmodified", BEFORE), ("modified", AFTER)], UNMODIFIED);
}

/// Every combination of holding, failing and absent, against RFC 9110's steps (13.2.2) written down one by one.
#[test]
fn precedence_is_that_of_the_rfc() {
    let [absent, holds, fails] = [None, Some(true), Some(false)];
    for (a, b, c, d) in [absent, holds, fails]
        .into_iter()
        .flat_map(|a| [absent, holds, fails].map(|b| (a, b)))
        .flat_map(|(a, b)| [absent, holds, fails].map(|c| (a, b, c)))
        .flat_map(|(a, b, c)| [absent, holds, fails].map(|d| (a, b, c, d)))
    {
        let text = |condition: Option<bool>, holding, failing| {
            condition.map(|holds| if holds { holding } else { failing })
        };
        let conditions = Conditions::parse(
            text(a, "abc", "x"),
            text(b, "x", "abc"),
            text(c, BEFORE, AFTER),
            text(d, AFTER, BEFORE),
        );
        let expected = match (a, b, c, d) {
            (Some(false), ..) => IF_MATCH,                     // step 1
            (None, _, _, Some(false)) => UNMODIFIED,           // step 2
            (_, Some(false), ..) => Verdict::NotModified,      // step 3
            (_, None, Some(false), _) => Verdict::NotModified, // step 4
            _ => Verdict::Proceed,
        };
        assert_eq!(conditions.evaluate("abc", MODIFIED_MS), expected, "{conditions:?}");
    }
}

#[test]
fn a_time_to_come_is_no_condition() {
    let since = |header| Conditions::parse(None, None, Some(header), Some(header));
    let now_ms = MODIFIED_MS + 50; // within the second of EXACTLY
    assert_eq!(since(AFTER).as_of(now_ms).if_modified_since_ms, None);
    assert_eq!(since(AFTER).as_of(now_ms).if_unmodified_since_ms, since(AFTER).if_unmodified_since_ms);
    for header in [BEFORE, EXACTLY] {
        assert_eq!(since(header).as_of(now_ms), since(header));
    }
}

/// The order in which S3 names what failed, where everything does (localstack's snapshots of AWS, 2025-11-12).
#[test]
fn copy_sources_name_their_condition() {
    let mut conditions = Conditions::parse(Some("x"), Some("abc"), Some(EXACTLY), Some(BEFORE));
    let failed = |conditions: &Conditions| match conditions.evaluate_copy_source("abc", MODIFIED_MS) {
        Verdict::Failed { condition } => condition,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(&conditions), "x-amz-copy-source-If-Match");
    conditions.if_match = None;
    assert_eq!(failed(&conditions), "x-amz-copy-source-If-Unmodified-Since");
    conditions.if_unmodified_since_ms = None;
    assert_eq!(failed(&conditions), "x-amz-copy-source-If-None-Match");
    conditions.if_none_match = None;
    assert_eq!(failed(&conditions), "x-amz-copy-source-If-Modified-Since");
}

#[test]
fn a_range_of_another_state_is_not_meant() {
    let holds = |header: &str| IfRange::parse(header).holds("\"abc\"", MODIFIED_MS);
    assert!(holds("\"abc\"") && holds("abc") && holds(EXACTLY));
    assert!(!holds("W/\"abc\""), "a weak tag is no proof");
    assert!(!holds("\"x\"") && !holds("\"abc\", \"x\"") && !holds("*"));
    assert!(!holds(BEFORE) && !holds(AFTER), "another second");
}
