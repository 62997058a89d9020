//! Wildcards against an oracle that is slow and obvious.

use proptest::prelude::*;

use crate::policy::pattern::{Dialect, Pattern, literal};

/// Tries everything.
fn oracle(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some(('*', rest)), _) => (0..=text.len()).any(|taken| oracle(rest, &text[taken..])),
        (Some((wanted, rest)), Some((got, after))) => {
            (*wanted == '?' || wanted == got) && oracle(rest, after)
        }
        (Some(_), None) => false,
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text, Dialect::V2012).expect("a pattern")
}

#[track_caller]
fn check(wildcards: &str, matching: &[&str], others: &[&str]) {
    for text in matching {
        assert!(pattern(wildcards).matches(text.as_bytes()), "{wildcards} {text}");
    }
    for text in others {
        assert!(!pattern(wildcards).matches(text.as_bytes()), "{wildcards} {text}");
    }
}

#[test]
fn cases() {
    check("", &[""], &["a"]);
    check("*", &["", "a", "a/b/c"], &[]);
    check("**", &["", "a"], &[]);
    check("?", &["a", "ä", "*"], &["", "ab"]);
    check("a*", &["a", "ab", "a/b"], &["", "ba"]);
    check("*a", &["a", "ba", "aaa"], &["", "ab"]);
    check("a*b*c", &["abc", "aXbYc", "abcbc", "a/b/c"], &["ab", "acb", "abcd"]);
    check("*ab", &["ab", "aab", "abab"], &["aba", "b"]);
    check("*aab", &["aaaab"], &["aaaba"]);
    check("a*a", &["aa", "aba"], &["a"]);
    check("*a?c*", &["abc", "xabcx", "aabc", "a/c"], &["ac", "acb"]);
    check("${*}${?}${$}{a}", &["*?${a}"], &["x?${a}"]);
    assert!(Pattern::parse("${a}", Dialect::V2008).expect("no variables then").matches(b"${a}"));
    assert_eq!(literal("a*?${*}", Dialect::V2012).expect("a text").as_ref(), "a*?*");
}

/// A byte that begins no character must not hide the one behind it.
#[test]
fn text_that_is_not_utf8() {
    assert!(pattern("*bad*").matches(b"\xffbad"));
    assert!(pattern("*?bad").matches(b"\xf0bad"));
    assert!(pattern("*bad").matches(b"\xf0\x9f\xf0bad"));
    assert!(!pattern("*bad").matches(b"bad\xff"));
}

#[test]
fn worst_cases_end() {
    let text = "a".repeat(16 * 1024);
    assert!(!pattern(&"*a".repeat(5000)).matches(b"b"));
    assert!(!pattern(&format!("{}b", "a*".repeat(1000))).matches(text.as_bytes()));
    assert!(!pattern(&format!("*{}b", "a".repeat(8000))).matches(text.as_bytes()));
    assert!(!pattern(&format!("*{}b*", "a".repeat(8000))).matches(text.as_bytes()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn as_the_oracle(wildcards in "[ab*?ä]{0,8}", text in "[abä]{0,10}") {
        let (slow_pattern, slow_text): (Vec<_>, Vec<_>) = (wildcards.chars().collect(), text.chars().collect());
        prop_assert_eq!(pattern(&wildcards).matches(text.as_bytes()), oracle(&slow_pattern, &slow_text));
    }

    #[test]
    fn what_lies_beyond_a_prefix(wildcards in "[ab*?]{0,5}", prefix in "[ab]{0,3}") {
        // Longer texts than these add nothing new to patterns of five.
        let mut tails = vec![String::new()];
        for _ in 0..6 {
            let longer: Vec<_> = tails.iter().flat_map(|tail| ["a", "b"].map(|next| format!("{tail}{next}"))).collect();
            tails.extend(longer);
            tails.sort();
            tails.dedup();
        }
        let slow: Vec<char> = wildcards.chars().collect();
        let beyond = |tail: &String| oracle(&slow, &format!("{prefix}{tail}").chars().collect::<Vec<_>>());
        let longer = || tails.iter().filter(|tail| !tail.is_empty());
        prop_assert_eq!(pattern(&wildcards).matches_beyond(prefix.as_bytes()), longer().any(beyond));
        if pattern(&wildcards).matches_all_beyond(prefix.as_bytes()) {
            prop_assert!(longer().all(beyond));
        }
    }

    #[test]
    fn never_panics(wildcards in ".{0,20}", text in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(pattern) = Pattern::parse(&wildcards, Dialect::V2012) {
            pattern.matches(&text);
            pattern.matches_beyond(&text);
        }
    }
}
