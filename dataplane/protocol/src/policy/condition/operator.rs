//! The names of condition operators, taken apart: a quantifier before, the comparison, `IfExists` behind.

use crate::policy::malformed::Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) quantifier: Option<Quantifier>,
    pub(super) comparison: Comparison,
    /// `...Not...`: true where the comparison is not, a missing key included.
    pub(super) negated: bool,
    /// True where the key is missing.
    pub(super) if_exists: bool,
}

/// Over the values of a request: `ForAllValues:` is true of none, `ForAnyValue:` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    All,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equals,
    EqualsIgnoreCase,
    Like,
    Arn,
    Bool,
    Numeric(Order),
    Date(Order),
    Ip,
    Null,
}

/// How a request's value stands to a policy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    pub(super) fn holds<T: PartialOrd>(self, value: &T, limit: &T) -> bool {
        match self {
            Self::Equal => value == limit,
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::Greater => value > limit,
            Self::GreaterOrEqual => value >= limit,
        }
    }
}

impl Operator {
    /// Reads a name. Its case does not matter: AWS's own examples have `IpAddress` and `IPAddress`.
    pub(super) fn parse(name: &str) -> Result<Self, Malformed> {
        let lower = name.to_ascii_lowercase();
        let (quantifier, rest) = match lower.split_once(':') {
            Some(("forallvalues", rest)) => (Some(Quantifier::All), rest),
            Some(("foranyvalue", rest)) => (Some(Quantifier::Any), rest),
            _ => (None, lower.as_str()),
        };
        let (base, if_exists) = rest.strip_suffix("ifexists").map_or((rest, false), |base| (base, true));
        let invalid = || Malformed::new("Invalid Condition type").quoting(name);
        let (comparison, negated) = comparison(base).ok_or_else(invalid)?;
        if comparison == Comparison::Null && (quantifier.is_some() || if_exists) {
            return Err(invalid());
        }
        Ok(Self { quantifier, comparison, negated, if_exists })
    }
}

fn comparison(base: &str) -> Option<(Comparison, bool)> {
    let (kind, order) = match base {
        "stringequals" => return Some((Comparison::Equals, false)),
        "stringnotequals" => return Some((Comparison::Equals, true)),
        "stringequalsignorecase" => return Some((Comparison::EqualsIgnoreCase, false)),
        "stringnotequalsignorecase" => return Some((Comparison::EqualsIgnoreCase, true)),
        "stringlike" => return Some((Comparison::Like, false)),
        "stringnotlike" => return Some((Comparison::Like, true)),
        "arnequals" | "arnlike" => return Some((Comparison::Arn, false)),
        "arnnotequals" | "arnnotlike" => return Some((Comparison::Arn, true)),
        "bool" => return Some((Comparison::Bool, false)),
        "ipaddress" => return Some((Comparison::Ip, false)),
        "notipaddress" => return Some((Comparison::Ip, true)),
        "null" => return Some((Comparison::Null, false)),
        _ => match base.strip_prefix("numeric") {
            Some(order) => (Comparison::Numeric as fn(Order) -> Comparison, order),
            None => (Comparison::Date as fn(Order) -> Comparison, base.strip_prefix("date")?),
        },
    };
    let (order, negated) = match order {
        "equals" => (Order::Equal, false),
        "notequals" => (Order::Equal, true),
        "lessthan" => (Order::Less, false),
        "lessthanequals" => (Order::LessOrEqual, false),
        "greaterthan" => (Order::Greater, false),
        "greaterthanequals" => (Order::GreaterOrEqual, false),
        _ => return None,
    };
    Some((kind(order), negated))
}
