//! The JSON of a policy as a small tree: bounded in size and depth, and no object names anything twice.
//!
//! The lexer is `serde_json`'s; what it would let pass is refused here. Of two equal names it keeps the last, so a
//! reader who sees the first would believe in another policy than the one that is enforced.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::malformed::Malformed;
use crate::limits::{BUCKET_POLICY_BODY_BYTES_MAX, BUCKET_POLICY_BYTES_MAX, BUCKET_POLICY_DEPTH_MAX};

/// A value. Scalars are kept as text: a policy means the same by `10` and `"10"`, by `false` and `"false"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    /// A number, `true` or `false`.
    Bare(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole document, which S3 wants to begin with `{`.
    pub(super) fn parse(document: &[u8]) -> Result<Self, Malformed> {
        if document.first() != Some(&b'{') {
            return Err(Malformed::new("Policies must be valid JSON and the first byte must be '{'"));
        }
        if document.len() > BUCKET_POLICY_BODY_BYTES_MAX || compact_bytes(document) > BUCKET_POLICY_BYTES_MAX
        {
            return Err(Malformed::new(
                "Normalized policy document exceeds the maximum allowed size of 20480 bytes",
            ));
        }
        let mut reader = serde_json::Deserializer::from_slice(document);
        let value = Value { depth: BUCKET_POLICY_DEPTH_MAX }.deserialize(&mut reader);
        value
            .and_then(|value| reader.end().map(|()| value))
            .map_err(|error| Malformed::new("This policy contains invalid Json").because(&error.to_string()))
    }

    /// The members of an object.
    pub(super) fn members(&self) -> Result<&[(String, Json)], Malformed> {
        match self {
            Self::Object(members) => Ok(members),
            _ => Err(Malformed::syntax("an object is expected")),
        }
    }

    pub(super) fn text(&self) -> Result<&str, Malformed> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Malformed::syntax("a string is expected")),
        }
    }

    /// A value alone, or a list of some: wherever a policy takes a list, the brackets of one value may be left out.
    pub(super) fn one_or_more(&self) -> Result<&[Json], Malformed> {
        match self {
            Self::List(values) if values.is_empty() => Err(Malformed::syntax("a list is empty")),
            Self::List(values) => Ok(values),
            one => Ok(std::slice::from_ref(one)),
        }
    }

    /// Each string of [`Json::one_or_more`] through `parse`; faults say which one it was.
    pub(super) fn each_text<T>(
        &self,
        mut parse: impl FnMut(&str) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let values = self.one_or_more()?.iter().enumerate();
        values.map(|(at, value)| value.text().and_then(&mut parse).map_err(|fault| fault.at(at))).collect()
    }
}

/// Bytes of the document without the white space between tokens. Right for whatever then parses as JSON.
fn compact_bytes(document: &[u8]) -> usize {
    let (mut bytes, mut in_string, mut escaped) = (0, false, false);
    for &byte in document {
        if in_string || !byte.is_ascii_whitespace() {
            bytes += 1;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    bytes
}

/// Builds a [`Json`] with at most `depth` objects and lists inside one another.
#[derive(Clone, Copy)]
struct Value {
    depth: u8,
}

impl Value {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("too many levels"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bare(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Bare(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Bare(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Bare(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let (inner, mut list) = (self.inner()?, Vec::new());
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let (inner, mut members) = (self.inner()?, Vec::<(String, Json)>::new());
        while let Some(name) = entries.next_key::<String>()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a name stands twice in one object"));
            }
            members.push((name, entries.next_value_seed(inner)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKET_POLICY_BYTES_MAX, Json, compact_bytes};

    #[track_caller]
    fn refused(document: &str) {
        assert!(Json::parse(document.as_bytes()).is_err(), "{document}");
    }

    #[test]
    fn trees() {
        let tree = Json::parse(br#"{"a": ["x", 1, 1.5, -2, true, null], "A": {}}"#).unwrap();
        let bare = |text: &str| Json::Bare(text.to_owned());
        let list =
            vec![Json::Text("x".to_owned()), bare("1"), bare("1.5"), bare("-2"), bare("true"), Json::Null];
        let members = vec![("a".to_owned(), Json::List(list)), ("A".to_owned(), Json::Object(vec![]))];
        assert_eq!(tree, Json::Object(members));
    }

    #[test]
    fn what_is_no_document() {
        for document in
            ["", " {}", "[]", "\u{feff}{}", "{", "{}{}", "{} x", r#"{"a":}"#, r#"{"a":1,}"#, "{'a':1}"]
        {
            refused(document);
        }
        refused(r#"{"a":1,"a":1}"#);
        refused(r#"{"a":1,"\u0061":1}"#);
        refused(r#"{"a":{"b":1,"b":2}}"#);
        refused(r#"{"a":"\ud800"}"#);
        refused(r#"{"a":1e999}"#);
        assert!(Json::parse(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |lists: usize| format!("{{\"a\":{}{}}}", "[".repeat(lists), "]".repeat(lists));
        assert!(Json::parse(nested(7).as_bytes()).is_ok());
        refused(&nested(8));
        refused(&nested(10_000));
        let text = "x".repeat(BUCKET_POLICY_BYTES_MAX - 8);
        assert!(Json::parse(format!("{{ \"a\" :\n\"{text}\" }} ").as_bytes()).is_ok());
        refused(&format!("{{\"a\":\"{text}x\"}}"));
        refused(&format!("{{{}}}", " ".repeat(128 * 1024)));
    }

    #[test]
    fn white_space_between_tokens_does_not_count() {
        assert_eq!(compact_bytes(br#"{ "a b" : "\" c" }"#), br#"{"a b":"\" c"}"#.len());
    }
}
