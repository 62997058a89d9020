//! The JSON of POST policies, a token at a time: strings, natural numbers, lists, objects, and no other value.
//!
//! S3's documentation writes policies that are not JSON: a comma before `]`, and the escapes `\$` and `\v`. They are read
//! here, since the signer signed the text and nobody but us interprets it. Depth is the caller's: it asks for what may
//! come next, and nothing recurses.

use super::PolicyError;

/// What is left of a policy.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    rest: &'a str,
}

/// A value that is not a list or an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Text(String),
    Number(u64),
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Takes `token` if it comes next.
    pub(super) fn take(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn expect(&mut self, token: char) -> Result<(), PolicyError> {
        if self.take(token) { Ok(()) } else { Err(PolicyError::Json) }
    }

    /// Whether another element follows before `close`, which is taken, as are commas. `begun`: this is not the first.
    pub(super) fn next_in(&mut self, close: char, begun: bool) -> Result<bool, PolicyError> {
        if self.take(close) {
            return Ok(false);
        }
        if begun {
            self.expect(',')?;
        }
        Ok(!(begun && self.take(close)))
    }

    pub(super) fn end(&mut self) -> Result<(), PolicyError> {
        if self.rest.trim_ascii().is_empty() { Ok(()) } else { Err(PolicyError::Json) }
    }

    pub(super) fn scalar(&mut self) -> Result<Scalar, PolicyError> {
        if self.take('"') {
            return self.rest_of_text().map(Scalar::Text);
        }
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().map(Scalar::Number).map_err(|_| PolicyError::Json)
    }

    pub(super) fn text(&mut self) -> Result<String, PolicyError> {
        self.expect('"')?;
        self.rest_of_text()
    }

    fn rest_of_text(&mut self) -> Result<String, PolicyError> {
        let mut text = String::new();
        loop {
            let at = self.rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or(PolicyError::Json)?;
            text.push_str(&self.rest[..at]);
            let special = self.rest.as_bytes()[at];
            self.rest = &self.rest[at + 1..];
            match special {
                b'"' => return Ok(text),
                b'\\' => text.push(self.escape()?),
                _ => return Err(PolicyError::Json),
            }
        }
    }

    fn escape(&mut self) -> Result<char, PolicyError> {
        let mut characters = self.rest.chars();
        let escape = characters.next().ok_or(PolicyError::Json)?;
        self.rest = characters.as_str();
        Ok(match escape {
            '"' | '\\' | '/' | '$' => escape,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'u' => return self.unicode(),
            _ => return Err(PolicyError::Json),
        })
    }

    /// One escape, or the two of a surrogate pair.
    fn unicode(&mut self) -> Result<char, PolicyError> {
        let first = self.hex4()?;
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        self.rest = self.rest.strip_prefix("\\u").ok_or(PolicyError::Json)?;
        let pair = [first as u16, self.hex4()? as u16];
        match char::decode_utf16(pair).next() {
            Some(Ok(character)) => Ok(character),
            _ => Err(PolicyError::Json),
        }
    }

    fn hex4(&mut self) -> Result<u32, PolicyError> {
        let digits = self.rest.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or(PolicyError::Json)?;
        self.rest = &self.rest[4..];
        u32::from_str_radix(digits, 16).map_err(|_| PolicyError::Json)
    }
}

/// A text as JSON writes it, for sentences that show a condition.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{PolicyError, Scalar, Scanner, quoted};

    #[track_caller]
    fn check(json: &str, expected: Result<&str, PolicyError>) {
        let mut scanner = Scanner::new(json);
        let text = scanner.text().and_then(|text| scanner.end().map(|()| text));
        assert_eq!(text.as_deref().map_err(Clone::clone), expected, "{json}");
    }

    #[test]
    fn texts() {
        check("\"a\u{e4}\"", Ok("a\u{e4}"));
        check(" \"\\\"\\\\\\/\\b\\f\\n\\r\\t\" ", Ok("\"\\/\u{8}\u{c}\n\r\t"));
        check("\"\\$key\\v\"", Ok("$key\u{b}"));
        check("\"\\u00e4\\ud83d\\uDE00\"", Ok("\u{e4}\u{1f600}"));
        for wrong in [
            "",
            "a",
            "\"",
            "\"\\\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\\ud83d\"",
            "\"\\ud83d\\u0041\"",
            "\"\\ude00\\ud83d\"",
            "\"\n\"",
            "\"\" x",
            "'a'",
            "\"\\u\u{e4}\u{e4}\"",
        ] {
            check(wrong, Err(PolicyError::Json));
        }
    }

    #[test]
    fn numbers_are_natural() {
        let scalar = |text| Scanner::new(text).scalar();
        assert_eq!(scalar(" 10,"), Ok(Scalar::Number(10)));
        assert_eq!(scalar("18446744073709551615"), Ok(Scalar::Number(u64::MAX)));
        for wrong in ["18446744073709551616", "-1", "+1", "null", "true", ".5", ""] {
            assert_eq!(scalar(wrong), Err(PolicyError::Json), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for text in ["", "a\"b\\c", "\n\r\t\u{e4}$"] {
            check(&quoted(text), Ok(text));
        }
    }
}
