//! One statement: whom, what and where it is about, under which conditions, and its effect.

use super::PolicyAsk;
use super::action::{ActionSet, PolicyAction};
use super::condition::{Condition, ConditionKey, all};
use super::json::Json;
use super::malformed::Malformed;
use super::pattern::{Dialect, Pattern};
use super::principal::Principals;
use super::resource::{ResourceName, Resources, parse_resource};
use crate::name::BucketName;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    pub(super) principals: Principals,
    actions: ActionSet,
    resources: Resources,
    pub(super) conditions: Box<[Condition]>,
}

/// The elements of a statement, found but not read.
#[derive(Default)]
struct Elements<'a> {
    effect: Option<Element<'a>>,
    /// This and the next two under their own name or its `Not` form.
    principal: Option<Element<'a>>,
    action: Option<Element<'a>>,
    resource: Option<Element<'a>>,
    condition: Option<Element<'a>>,
}

#[derive(Clone, Copy)]
struct Element<'a> {
    name: &'a str,
    value: &'a Json,
}

impl<'a> Element<'a> {
    fn is_negated(self) -> bool {
        self.name.starts_with("Not")
    }

    fn read<T>(self, read: impl FnOnce(&'a Json) -> Result<T, Malformed>) -> Result<T, Malformed> {
        read(self.value).map_err(|fault| fault.within(self.name))
    }
}

impl<'a> Elements<'a> {
    fn find(statement: &'a Json) -> Result<Self, Malformed> {
        let mut found = Self::default();
        for (name, value) in statement.members()? {
            let element = Element { name, value };
            let slot = match element.name {
                "Sid" => {
                    element.read(Json::text)?;
                    continue;
                }
                "Effect" => &mut found.effect,
                "Principal" | "NotPrincipal" => &mut found.principal,
                "Action" | "NotAction" => &mut found.action,
                "Resource" | "NotResource" => &mut found.resource,
                "Condition" => &mut found.condition,
                _ => return Err(Malformed::new("Policy has an unknown element").quoting(name)),
            };
            if slot.replace(element).is_some() {
                return Err(Malformed::syntax("an element and its Not form").within(name));
            }
        }
        Ok(found)
    }
}

impl Statement {
    pub(super) fn parse(statement: &Json, dialect: Dialect, bucket: &BucketName) -> Result<Self, Malformed> {
        let elements = Elements::find(statement)?;
        let missing = |sentence: &'static str| move || Malformed::new(sentence);
        let effect = elements.effect.ok_or_else(missing("Missing required field Effect"))?;
        let principal = elements.principal.ok_or_else(missing("Missing required field Principal"))?;
        let action = elements.action.ok_or_else(missing("Missing required field Action"))?;
        let resource = elements.resource.ok_or_else(missing("Missing required field Resource"))?;

        let effect = read_effect(effect.value)?;
        let principals = match principal.is_negated() {
            false => principal.read(Principals::parse)?,
            true => principal.read(Principals::parse_not)?,
        };
        // Everybody but a few is never who was meant; S3 has it in a Deny alone.
        if effect == Effect::Allow && principal.is_negated() {
            return Err(Malformed::new("Allow with NotPrincipal is not supported"));
        }
        let named = action.read(|value| value.each_text(ActionSet::named_by))?;
        let patterns =
            resource.read(|value| value.each_text(|text| parse_resource(text, dialect, bucket)))?;
        let resources = Resources::new(patterns, resource.is_negated(), bucket);
        // Each name by itself has to reach something; of `NotAction` it is what is left.
        let groups = match action.is_negated() {
            false => named,
            true => vec![named.into_iter().fold(ActionSet::all(), ActionSet::without)],
        };
        let groups = reachable(&groups, &resources)?;
        let conditions = match elements.condition {
            Some(condition) => condition.read(|value| Condition::parse_all(value, dialect))?,
            None => Vec::new(),
        };
        check_conditions(&conditions, &groups)?;
        let actions = groups.into_iter().fold(ActionSet::default(), ActionSet::union);
        Ok(Self { effect, principals, actions, resources, conditions: conditions.into() })
    }

    /// Whether the statement speaks about this request; where nobody can say, it does if it denies.
    pub(super) fn speaks(&self, ask: &PolicyAsk<'_>, name: &ResourceName) -> bool {
        if !self.actions.has(ask.action) || !self.resources.cover(name) {
            return false;
        }
        let truths = self.conditions.iter().map(|condition| condition.holds(ask.context, &ask.requester));
        match self.effect {
            Effect::Allow => self.principals.admit(&ask.requester) && all(truths) == Some(true),
            Effect::Deny => self.principals.refuse(&ask.requester) && all(truths) != Some(false),
        }
    }

    pub(super) fn needs_object_tags(&self, action: PolicyAction) -> bool {
        let asks = |condition: &Condition| matches!(condition.key, ConditionKey::ExistingObjectTag(_));
        self.actions.has(action) && self.conditions.iter().any(asks)
    }

    /// Every pattern with wildcards.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let conditions = self.conditions.iter().flat_map(|condition| condition.expected.patterns());
        self.resources.patterns().iter().chain(conditions)
    }
}

fn read_effect(value: &Json) -> Result<Effect, Malformed> {
    match value {
        Json::Text(text) if text == "Allow" => Ok(Effect::Allow),
        Json::Text(text) if text == "Deny" => Ok(Effect::Deny),
        Json::Text(text) => Err(Malformed::new("Invalid effect").quoting(text)),
        _ => Err(Malformed::syntax("a string is expected").within("Effect")),
    }
}

/// What of each group is ever asked of the resources.
fn reachable(groups: &[ActionSet], resources: &Resources) -> Result<Vec<ActionSet>, Malformed> {
    let reach = |group: &ActionSet| {
        let reached: ActionSet = group.iter().filter(|action| resources.suit(*action)).collect();
        match reached == ActionSet::default() {
            true => Err(Malformed::new("Action does not apply to any resource(s) in statement")),
            false => Ok(reached),
        }
    };
    groups.iter().map(reach).collect()
}

/// S3 refuses a condition that one of the statement's actions never meets; of a name with wildcards it is enough that one
/// of those it stands for does.
fn check_conditions(conditions: &[Condition], groups: &[ActionSet]) -> Result<(), Malformed> {
    let apply = |condition: &Condition| {
        groups.iter().all(|group| group.iter().any(|action| condition.key.applies_to(action)))
    };
    match conditions.iter().all(apply) {
        true => Ok(()),
        false => Err(Malformed::new(
            "Conditions do not apply to combination of actions and resources in statement",
        )),
    }
}
