//! One condition of a statement, and whether a request meets it: yes, no, or nobody can say.
//!
//! AWS calls a condition whose value it cannot read not met, in a Deny too. Here it is *unknown*, and a statement decides
//! towards closed: a Deny takes unknown for met, an Allow for not met. What is missing is not unknown: it has its rules,
//! and they are AWS's.

use std::borrow::Cow;

use super::context::{Found, PolicyContext, Value, find};
use super::json::Json;
use super::malformed::Malformed;
use super::pattern::Dialect;
use super::principal::{Requester, account_number};

mod expected;
mod key;
mod operator;

pub(super) use expected::Expected;
pub(super) use key::ConditionKey;
use operator::{Comparison, Operator, Quantifier};

/// `{operator: {key: values}}`, one of each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) key: ConditionKey,
    operator: Operator,
    pub(super) expected: Expected,
}

/// What is known; `None` where nobody can say.
pub(super) type Truth = Option<bool>;

/// True if all are, false if one is not whatever the unknown ones are.
pub(super) fn all(truths: impl IntoIterator<Item = Truth>) -> Truth {
    let mut known = Some(true);
    for truth in truths {
        match truth {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = None,
        }
    }
    known
}

fn any(truths: impl IntoIterator<Item = Truth>) -> Truth {
    all(truths.into_iter().map(not)).map(|none| !none)
}

fn not(truth: Truth) -> Truth {
    truth.map(|truth| !truth)
}

impl Condition {
    /// Reads a `Condition` element: all of them are to be met.
    pub(super) fn parse_all(value: &Json, dialect: Dialect) -> Result<Vec<Self>, Malformed> {
        let mut conditions = Vec::new();
        for (name, keys) in value.members()? {
            let operator = Operator::parse(name)?;
            let keys = keys.members().map_err(|fault| fault.within(name))?;
            if keys.is_empty() {
                return Err(Malformed::syntax("an operator without a key").within(name));
            }
            for (key, values) in keys {
                let condition = Self::parse(operator, key, values, dialect);
                conditions.push(condition.map_err(|fault| fault.within(key).within(name))?);
            }
        }
        Ok(conditions)
    }

    fn parse(operator: Operator, key: &str, values: &Json, dialect: Dialect) -> Result<Self, Malformed> {
        let key = ConditionKey::parse(key)?;
        let many = key == ConditionKey::RequestObjectTagKeys && operator.comparison != Comparison::Null;
        if many && operator.quantifier.is_none() {
            return Err(Malformed::syntax("a key of many values wants ForAllValues or ForAnyValue"));
        }
        let mut texts = Vec::new();
        for value in values.one_or_more()? {
            match value {
                Json::Text(text) if key == ConditionKey::PrincipalArn => texts.push(twelve_digits(text)?),
                Json::Text(text) | Json::Bare(text) => texts.push(Cow::Borrowed(text.as_str())),
                _ => return Err(Malformed::syntax("a string, a number or a boolean is expected")),
            }
        }
        let expected = Expected::parse(operator.comparison, texts.iter().map(|text| &**text), dialect)?;
        Ok(Self { key, operator, expected })
    }

    /// Whether a request meets it.
    pub(super) fn holds(&self, context: &PolicyContext<'_>, requester: &Requester<'_>) -> Truth {
        let one = |value: &Value<'_>| self.expected.test(value).map(|holds| holds != self.operator.negated);
        match find(&self.key, context, requester) {
            Found::Unreadable => None,
            Found::Missing => Some(self.holds_of_nothing()),
            Found::One(value) => one(&value),
            Found::KeysOf(tags) => {
                let each = tags.iter().map(|(key, _)| one(&Value::Text(Cow::Borrowed(key.as_bytes()))));
                match self.operator.quantifier {
                    Some(Quantifier::All) => all(each),
                    Some(Quantifier::Any) | None => any(each),
                }
            }
        }
    }

    fn holds_of_nothing(&self) -> bool {
        match (&self.expected, self.operator.quantifier) {
            (Expected::Null(missing), _) => missing.contains(&true),
            (_, Some(Quantifier::All)) => true,
            (_, Some(Quantifier::Any)) => self.operator.if_exists,
            (_, None) => self.operator.negated || self.operator.if_exists,
        }
    }

    /// Whether only requests that have the key with one of its values pass: no negation, nothing that is true of a
    /// missing key.
    pub(super) fn demands_value(&self) -> bool {
        !self.operator.negated && !matches!(self.expected, Expected::Null(_)) && !self.holds_of_nothing()
    }
}

/// The account of an ARN as [`principal_arn`](super::principal_arn) writes it, so that `1` and `000000000001` are one
/// here as well.
fn twelve_digits(arn: &str) -> Result<Cow<'_, str>, Malformed> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let [a, partition, service, region, account, resource] = parts[..] else { return Ok(Cow::Borrowed(arn)) };
    match account_number(account) {
        Some(number) => Ok(Cow::Owned(format!("{a}:{partition}:{service}:{region}:{number:012}:{resource}"))),
        None if account.contains(['*', '?']) => Ok(Cow::Borrowed(arn)),
        // A canonical id, say: it would match nothing, and a Deny on it would deny nobody.
        None => Err(Malformed::new("aws:PrincipalArn has the number of an account").quoting(arn)),
    }
}
