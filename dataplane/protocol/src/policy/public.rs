//! Whether a policy is public, as S3 judges it for GetBucketPolicyStatus and public access blocks.
//!
//! AWS's definition ("The meaning of public"): a policy is public unless it grants only to fixed values, ones without a
//! wildcard, of a principal or of some condition keys. Of those keys we have two: `aws:SourceIp`, if its ranges are not too
//! broad, and `aws:PrincipalArn`. What a Deny takes away again does not count, nor does which action is granted.

use super::condition::{Condition, ConditionKey, Expected};
use super::pattern::Pattern;
use super::principal::Principals;
use super::statement::{Effect, Statement};

pub(super) fn grants_to_public(statement: &Statement) -> bool {
    let to_some = matches!(statement.principals, Principals::These(_));
    statement.effect == Effect::Allow && !to_some && !statement.conditions.iter().any(fixes_who)
}

/// Whether those who meet the condition are few and known.
fn fixes_who(condition: &Condition) -> bool {
    condition.demands_value()
        && match (&condition.key, &condition.expected) {
            (ConditionKey::SourceIp, Expected::Ip(networks)) => {
                !networks.iter().any(|network| network.is_broad())
            }
            (ConditionKey::SourceIp | ConditionKey::PrincipalArn, expected) => is_fixed(expected),
            _ => false,
        }
}

fn is_fixed(expected: &Expected) -> bool {
    match expected {
        // To these operators `*` is itself; still it is not what AWS calls a fixed value.
        Expected::Text(texts) | Expected::TextIgnoreCase(texts) => {
            !texts.iter().any(|text| text.contains(['*', '?']))
        }
        Expected::Like(patterns) => patterns.iter().all(Pattern::is_fixed),
        Expected::Arn(patterns) => patterns.iter().all(|pattern| pattern.is_fixed()),
        _ => false,
    }
}
