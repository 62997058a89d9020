//! Who a statement is about, in the words of AWS applied to our tenants and keys.
//!
//! An AWS account is a tenant: `arn:aws:iam::<account>:root` and the bare `<account>` name it, by its number (leading zeros
//! do not matter, so AWS's twelve digits can be written) or by its canonical id, the owner id in S3 answers. A user is the
//! keys of one name: `arn:aws:iam::<account>:user/<name>`, where the id of a single access key may stand for the name.
//! `{"CanonicalUser": "<id>"}` is the tenant, too. There are no roles, federated users or services, so naming one is a
//! mistake. Tenants' names are no accounts: they may pass to somebody else.

use super::json::Json;
use super::malformed::Malformed;
use crate::access::KeyIdentity;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Requester<'a> {
    Anonymous,
    /// A key that proved itself, and the canonical id of its tenant.
    Key {
        identity: &'a KeyIdentity,
        canonical_id: &'a str,
    },
}

/// What `aws:PrincipalArn` says of a key.
#[must_use]
pub fn principal_arn(identity: &KeyIdentity) -> String {
    format!("arn:aws:iam::{:012}:user/{}", identity.tenant_id.0, identity.name)
}

/// The `Principal` or `NotPrincipal` of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Principals {
    Everyone,
    These(Box<[Principal]>),
    /// Never holds `*`.
    AllBut(Box<[Principal]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Principal {
    account: Account,
    /// `None`: the account itself.
    user: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Account {
    Number(u64),
    Canonical(Box<str>),
}

impl Principals {
    pub(super) fn parse(value: &Json) -> Result<Self, Malformed> {
        Ok(match list(value)? {
            None => Self::Everyone,
            Some(these) => Self::These(these),
        })
    }

    pub(super) fn parse_not(value: &Json) -> Result<Self, Malformed> {
        let these =
            list(value)?.ok_or_else(|| invalid().because("NotPrincipal excludes nobody or everybody"))?;
        Ok(Self::AllBut(these))
    }

    /// Whether it is meant by its own name, or as one of everybody, and not only as one of an account.
    pub(super) fn name(&self, requester: &Requester<'_>) -> bool {
        match self {
            Self::Everyone => true,
            Self::These(these) => these.iter().any(|one| one.user.is_some() && one.covers(requester)),
            Self::AllBut(_) => false,
        }
    }

    /// Whether an Allow is for this requester.
    pub(super) fn admit(&self, requester: &Requester<'_>) -> bool {
        match self {
            Self::Everyone => true,
            Self::These(these) => these.iter().any(|one| one.covers(requester)),
            // No Allow has it.
            Self::AllBut(_) => false,
        }
    }

    /// Whether a Deny is for this requester. A request comes from a user and from its account, and `NotPrincipal` spares it
    /// only if both are listed: AWS has it so, that an account beside a user does not spare the account's other users.
    pub(super) fn refuse(&self, requester: &Requester<'_>) -> bool {
        match self {
            Self::AllBut(these) => {
                let is_user = |one: &Principal| one.user.is_some() && one.covers(requester);
                let is_account = |one: &Principal| one.user.is_none() && one.covers(requester);
                !(these.iter().any(is_user) && these.iter().any(is_account))
            }
            Self::Everyone | Self::These(_) => self.admit(requester),
        }
    }
}

impl Principal {
    fn covers(&self, requester: &Requester<'_>) -> bool {
        let Requester::Key { identity, canonical_id } = requester else { return false };
        let account = match &self.account {
            Account::Number(number) => *number == identity.tenant_id.0,
            Account::Canonical(id) => **id == **canonical_id,
        };
        let user = self.user.as_deref();
        account && user.is_none_or(|user| user == &*identity.name || user == &*identity.access_key_id)
    }
}

fn invalid() -> Malformed {
    Malformed::new("Invalid principal in policy")
}

/// `None` is everyone.
fn list(value: &Json) -> Result<Option<Box<[Principal]>>, Malformed> {
    let members = match value {
        Json::Text(text) if text == "*" => return Ok(None),
        Json::Object(members) if !members.is_empty() => members,
        _ => return Err(invalid().because("\"*\" or an object with AWS or CanonicalUser is expected")),
    };
    let mut these = Vec::new();
    for (kind, value) in members {
        let parsed = match kind.as_str() {
            "AWS" => value.each_text(aws),
            "CanonicalUser" => value.each_text(canonical_user),
            _ => Err(invalid().because("only AWS and CanonicalUser are supported")),
        };
        these.extend(parsed.map_err(|fault| fault.within(kind))?);
    }
    Ok(these.into_iter().collect())
}

/// `None` is `*`.
fn aws(text: &str) -> Result<Option<Principal>, Malformed> {
    if text == "*" {
        return Ok(None);
    }
    let principal = match text.strip_prefix("arn:aws:iam::") {
        Some(rest) => rest.split_once(':').and_then(|(account, who)| iam(account, who)),
        None => account(text, is_canonical_id).map(|account| Principal { account, user: None }),
    };
    principal.map(Some).ok_or_else(|| invalid().quoting(text))
}

fn canonical_user(text: &str) -> Result<Option<Principal>, Malformed> {
    if !is_canonical_id(text) {
        return Err(invalid().quoting(text));
    }
    Ok(Some(Principal { account: Account::Canonical(text.into()), user: None }))
}

/// `root` or `user/<name>` of an account. A well-formed account that is nobody's passes here, as a user that does not exist
/// does: both match no request.
fn iam(account_text: &str, who: &str) -> Option<Principal> {
    let word = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let account = account(account_text, word)?;
    let user = match who {
        "root" => None,
        _ => Some(
            who.strip_prefix("user/")
                .filter(|name| !name.is_empty() && !name.contains(['*', '?', '$']))?
                .into(),
        ),
    };
    Some(Principal { account, user })
}

fn account(text: &str, otherwise: impl Fn(&str) -> bool) -> Option<Account> {
    match account_number(text) {
        Some(number) => Some(Account::Number(number)),
        None => otherwise(text).then(|| Account::Canonical(text.into())),
    }
}

/// The number of an account, however many zeros stand before it.
pub(super) fn account_number(text: &str) -> Option<u64> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn is_canonical_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
