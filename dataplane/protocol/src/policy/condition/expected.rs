//! The values of a condition, read once into what their operator compares.

use super::operator::{Comparison, Order};
use crate::date::parse_iso8601;
use crate::network::Network;
use crate::policy::context::Value;
use crate::policy::malformed::Malformed;
use crate::policy::pattern::{Dialect, Pattern, literal};

/// Any of these is enough.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::policy) enum Expected {
    Text(Box<[Box<str>]>),
    TextIgnoreCase(Box<[Box<str>]>),
    Like(Box<[Pattern]>),
    Arn(Box<[ArnPattern]>),
    Bool(Box<[bool]>),
    Numeric(Order, Box<[f64]>),
    Date(Order, Box<[u64]>),
    Ip(Box<[Network]>),
    /// Whether the key is to be missing.
    Null(Box<[bool]>),
}

impl Expected {
    pub(super) fn parse<'a>(
        comparison: Comparison,
        texts: impl Iterator<Item = &'a str>,
        dialect: Dialect,
    ) -> Result<Self, Malformed> {
        let text = |text: &str| literal(text, dialect);
        let flag = |text: &str| typed(text, boolean(text.as_bytes()), "Invalid boolean in Conditions");
        Ok(match comparison {
            Comparison::Equals => Self::Text(each(texts, text)?),
            Comparison::EqualsIgnoreCase => Self::TextIgnoreCase(each(texts, text)?),
            Comparison::Like => Self::Like(each(texts, |text| Pattern::parse(text, dialect))?),
            Comparison::Arn => Self::Arn(each(texts, |text| ArnPattern::parse(text, dialect))?),
            Comparison::Bool => Self::Bool(each(texts, flag)?),
            Comparison::Null => Self::Null(each(texts, flag)?),
            Comparison::Numeric(order) => {
                let number =
                    |text: &str| typed(text, number(text.as_bytes()), "Invalid number in Conditions");
                Self::Numeric(order, each(texts, number)?)
            }
            Comparison::Date(order) => {
                let date = |text: &str| typed(text, date_ms(text.as_bytes()), "Invalid date in Conditions");
                Self::Date(order, each(texts, date)?)
            }
            Comparison::Ip => {
                let ip = |text: &str| typed(text, Network::parse(text), "Invalid IP address in Conditions");
                Self::Ip(each(texts, ip)?)
            }
        })
    }

    /// Whether one of these is the value. `None`: the value is not of the operator's kind, so that nobody can say.
    pub(super) fn test(&self, value: &Value<'_>) -> Option<bool> {
        Some(match self {
            Self::Text(texts) => {
                let value = value.text();
                texts.iter().any(|text| text.as_bytes() == &*value)
            }
            Self::TextIgnoreCase(texts) => {
                let value = value.text();
                texts.iter().any(|text| equals_ignore_case(text, &value))
            }
            Self::Like(patterns) => {
                let value = value.text();
                patterns.iter().any(|pattern| pattern.matches(&value))
            }
            Self::Arn(patterns) => {
                let value = value.text();
                let parts = arn_parts(&value)?;
                patterns.iter().any(|pattern| pattern.matches(&parts))
            }
            Self::Bool(flags) => flags.contains(&boolean(&value.text())?),
            Self::Numeric(order, limits) => {
                let value = number(&value.text())?;
                limits.iter().any(|limit| order.holds(&value, limit))
            }
            Self::Date(order, limits) => {
                let value = date_ms(&value.text())?;
                limits.iter().any(|limit| order.holds(&value, limit))
            }
            Self::Ip(networks) => {
                let address = match value {
                    Value::Ip(address) => *address,
                    other => std::str::from_utf8(&other.text()).ok()?.parse().ok()?,
                };
                networks.iter().any(|network| network.holds(address))
            }
            // It asks for presence, and here is a value.
            Self::Null(missing) => missing.contains(&false),
        })
    }

    /// Every pattern with wildcards.
    pub(in crate::policy) fn patterns(&self) -> Box<dyn Iterator<Item = &Pattern> + '_> {
        match self {
            Self::Like(patterns) => Box::new(patterns.iter()),
            Self::Arn(patterns) => Box::new(patterns.iter().flat_map(|arn| arn.0.iter())),
            _ => Box::new(std::iter::empty()),
        }
    }
}

fn each<'a, T>(
    texts: impl Iterator<Item = &'a str>,
    mut parse: impl FnMut(&str) -> Result<T, Malformed>,
) -> Result<Box<[T]>, Malformed> {
    texts.enumerate().map(|(at, text)| parse(text).map_err(|fault| fault.at(at))).collect()
}

fn typed<T>(text: &str, value: Option<T>, sentence: &'static str) -> Result<T, Malformed> {
    value.ok_or_else(|| Malformed::new(sentence).quoting(text))
}

fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else {
        text.eq_ignore_ascii_case(b"false").then_some(false)
    }
}

/// `-12.5`: up to 15 digits, which a double holds so that equal ones are equal.
fn number(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let count = digits.iter().filter(|byte| byte.is_ascii_digit()).count();
    let shaped = digits.first()?.is_ascii_digit()
        && digits.last()?.is_ascii_digit()
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    // Two dots are left to the parser.
    (shaped && count <= 15).then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// A day, a moment in UTC (ISO 8601), or seconds since 1970; four digits would be a year to most and are refused.
fn date_ms(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if matches!(text.len(), 1..=3 | 5..=11) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u64>().ok().map(|seconds| seconds * 1000);
    }
    match text.len() {
        10 => parse_iso8601(&format!("{text}T00:00:00Z")),
        _ => parse_iso8601(text),
    }
}

fn equals_ignore_case(text: &str, value: &[u8]) -> bool {
    let lower = |text: &str| -> Vec<char> { text.chars().flat_map(char::to_lowercase).collect() };
    match std::str::from_utf8(value) {
        Ok(value) => value.eq_ignore_ascii_case(text) || lower(value) == lower(text),
        Err(_) => false,
    }
}

/// The six parts of an ARN, each with its own wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) struct ArnPattern(Box<[Pattern]>);

impl ArnPattern {
    fn parse(text: &str, dialect: Dialect) -> Result<Self, Malformed> {
        let parts = arn_parts(text.as_bytes());
        let parts = parts.filter(|parts| parts[0] == b"arn");
        let parts = typed(text, parts, "Invalid ARN in Conditions")?;
        let part =
            |part: &&[u8]| Pattern::parse(std::str::from_utf8(part).expect("parted at colons"), dialect);
        parts.iter().map(part).collect::<Result<_, _>>().map(Self)
    }

    fn matches(&self, parts: &[&[u8]]) -> bool {
        self.0.iter().zip(parts).all(|(pattern, part)| pattern.matches(part))
    }

    pub(in crate::policy) fn is_fixed(&self) -> bool {
        self.0.iter().all(Pattern::is_fixed)
    }
}

fn arn_parts(arn: &[u8]) -> Option<Vec<&[u8]>> {
    let parts: Vec<_> = arn.splitn(6, |byte| *byte == b':').collect();
    (parts.len() == 6).then_some(parts)
}
