//! Header values of the shape `value; name=token; name="quoted"` (RFC 2045, 5.1): Content-Type and Content-Disposition.

use std::borrow::Cow;

/// The parameters after the value, one by one.
#[derive(Clone, Debug)]
pub(super) struct Parameters<'a> {
    rest: &'a str,
}

/// A parameter without `=`, an open quote, something between a quoted value and the next `;`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The value before the first `;`, and what follows it.
pub(super) fn split(text: &str) -> (&str, Parameters<'_>) {
    let (value, rest) = text.split_once(';').unwrap_or((text, ""));
    (value.trim_ascii(), Parameters { rest })
}

/// The one parameter of that name, in whatever case; every other one must be well-formed too.
pub(super) fn one<'a>(parameters: &Parameters<'a>, name: &str) -> Result<Option<Cow<'a, str>>, Malformed> {
    let mut found = None;
    for parameter in parameters.clone() {
        let (sent, value) = parameter?;
        if sent.eq_ignore_ascii_case(name) && found.replace(value).is_some() {
            return Err(Malformed);
        }
    }
    Ok(found)
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(&'a str, Cow<'a, str>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.trim_ascii_start();
        while let Some(rest) = self.rest.strip_prefix(';') {
            self.rest = rest.trim_ascii_start();
        }
        if self.rest.is_empty() {
            return None;
        }
        let parameter = self.parameter();
        if parameter.is_err() {
            self.rest = "";
        }
        Some(parameter)
    }
}

impl<'a> Parameters<'a> {
    fn parameter(&mut self) -> Result<(&'a str, Cow<'a, str>), Malformed> {
        let (name, value) = self.rest.split_once('=').ok_or(Malformed)?;
        let legal = |byte: u8| byte.is_ascii_graphic() && byte != b';' && byte != b'"';
        if name.is_empty() || !name.bytes().all(legal) {
            return Err(Malformed);
        }
        if let Some(quoted) = value.strip_prefix('"') {
            return Ok((name, self.quoted(quoted)?));
        }
        let (value, rest) = value.split_once(';').unwrap_or((value, ""));
        self.rest = rest;
        if value.contains('"') { Err(Malformed) } else { Ok((name, value.trim_ascii_end().into())) }
    }

    /// A backslash escapes a quote or another backslash (curl, Go) and is itself before anything else: browsers do not
    /// escape it, and some send the path `C:\photos\a.jpg`.
    fn quoted(&mut self, text: &'a str) -> Result<Cow<'a, str>, Malformed> {
        let mut value = Cow::Borrowed("");
        let mut rest = text;
        loop {
            let at = rest.find(['"', '\\']).ok_or(Malformed)?;
            append(&mut value, &rest[..at]);
            let after = &rest[at + 1..];
            if rest[at..].starts_with('"') {
                self.rest = after.trim_ascii_start();
                let closed = self.rest.is_empty() || self.rest.starts_with(';');
                return closed.then_some(value).ok_or(Malformed);
            }
            let escaped = after.starts_with(['"', '\\']);
            append(&mut value, if escaped { &after[..1] } else { "\\" });
            rest = &after[usize::from(escaped)..];
        }
    }
}

fn append<'a>(value: &mut Cow<'a, str>, piece: &'a str) {
    if value.is_empty() {
        *value = Cow::Borrowed(piece);
    } else if !piece.is_empty() {
        value.to_mut().push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::{Malformed, one, split};

    #[track_caller]
    fn check(text: &str, name: &str, expected: Result<Option<&str>, Malformed>) {
        let found = one(&split(text).1, name);
        assert_eq!(found.as_ref().map(|value| value.as_deref()).map_err(|error| *error), expected, "{text}");
    }

    #[test]
    fn parameters_as_they_are_sent() {
        check("a/b; x=1", "x", Ok(Some("1")));
        check("a/b;x=1;", "X", Ok(Some("1")));
        check("a/b ; y=\"2\" ; x=1 ", "x", Ok(Some("1")));
        check("a/b", "x", Ok(None));
        check("a/b; x=", "x", Ok(Some("")));
        check("a/b; x=\"\"", "x", Ok(Some("")));
        check("a/b; x=a=b", "x", Ok(Some("a=b")));
        check("a/b; x=\"a;b=c\"; y=2", "y", Ok(Some("2")));
        check("a/b; x=\"a\\\"b\\\\c\"", "x", Ok(Some("a\"b\\c")));
        check("a/b; x=\"C:\\dir\\f.txt\"", "x", Ok(Some("C:\\dir\\f.txt")));
        check("a/b; x=\"\\\"\"", "x", Ok(Some("\"")));
        for wrong in [
            "a; x",
            "a; =1",
            "a; x=\"1",
            "a; x=\"1\\\"",
            "a; x=\"1\"2",
            "a; x=1; x=1",
            "a; x=1\"",
            "a; x y=1",
        ] {
            check(wrong, "x", Err(Malformed));
        }
    }
}
