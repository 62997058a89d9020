//! A text with at most one `*`, which stands for any characters, none included.

/// An allowed origin or header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// # Errors
    /// The text back, when it has more than one `*`.
    pub fn new(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        if text.bytes().filter(|&byte| byte == b'*').count() > 1 { Err(text) } else { Ok(Self(text.into())) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `*` alone.
    #[must_use]
    pub fn is_any(&self) -> bool {
        &*self.0 == "*"
    }

    /// Origins are case-sensitive, scheme and port included: browsers send them in lower case.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.matches_by(text, |a, b| a == b)
    }

    /// Header names are not.
    #[must_use]
    pub fn matches_ignoring_case(&self, text: &str) -> bool {
        self.matches_by(text, <[u8]>::eq_ignore_ascii_case)
    }

    fn matches_by(&self, text: &str, same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        let text = text.as_bytes();
        let Some((head, tail)) = self.0.split_once('*') else { return same(text, self.0.as_bytes()) };
        // `a*a` wants two of them: head and tail may not overlap.
        text.len() >= head.len() + tail.len()
            && same(&text[..head.len()], head.as_bytes())
            && same(&text[text.len() - tail.len()..], tail.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(Pattern::new(pattern).unwrap().matches(text), expected, "{pattern} on {text}");
    }

    #[test]
    fn one_star_stands_for_anything() {
        check("*", "", true);
        check("*", "https://a", true);
        check("*suffix", "foo.suffix", true);
        check("*suffix", "suffix", true);
        check("*suffix", "foo.suffix.get", false);
        check("start*end", "startend", true);
        check("start*end", "start12end", true);
        check("start*end", "0start12end", false);
        check("prefix*", "prefix.suffix", true);
        check("prefix*", "bla.prefix", false);
        check("a*a", "a", false);
        check("a*a", "aa", true);
        check("http://*.a", "http://x.y/z.a", true);
        check("http://a", "http://A", false);
        check("", "", true);
        check("é*", "é", true);
        assert!(Pattern::new("x-amz-*").unwrap().matches_ignoring_case("X-AMZ-Date"));
        assert_eq!(Pattern::new("*a*"), Err("*a*".to_owned()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_fills_the_star_matches(head in "[^*]{0,4}", filling in ".{0,6}", tail in "[^*]{0,4}", other in ".{0,8}") {
            let pattern = Pattern::new(format!("{head}*{tail}")).unwrap();
            let full = format!("{head}{filling}{tail}");
            prop_assert!(pattern.matches(&full));
            let expected = other.len() >= head.len() + tail.len() && other.starts_with(&head) && other.ends_with(&tail);
            prop_assert_eq!(pattern.matches(&other), expected);
        }
    }
}
