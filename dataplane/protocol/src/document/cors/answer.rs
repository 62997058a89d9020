//! Which rule matches a request, and the headers that its answer then carries.

use std::borrow::Cow;

use super::{CorsConfiguration, CorsMethod, CorsRule};
use crate::limits::CORS_REQUEST_HEADERS_MAX;

/// A rule has matched: what the answer says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorsAnswer<'a> {
    rule: &'a CorsRule,
    origin: &'a str,
    /// The value of Access-Control-Request-Headers, every name in it allowed.
    requested: Option<&'a str>,
}

impl CorsConfiguration {
    /// Whether a page of `origin` may send `method` with `request_headers` (Access-Control-Request-Headers as sent).
    #[must_use]
    pub fn preflight<'a>(
        &'a self,
        origin: &'a str,
        method: &str,
        request_headers: Option<&'a str>,
    ) -> Option<CorsAnswer<'a>> {
        let method = CorsMethod::parse(method)?;
        let requested = request_headers.filter(|list| names(list).next().is_some());
        let rule = self.rules().iter().find(|rule| rule.matches(origin, method, requested))?;
        Some(CorsAnswer { rule, origin, requested })
    }

    /// What the answer to a request from a page of `origin` says. Its own headers are not looked at.
    #[must_use]
    pub fn actual<'a>(&'a self, origin: &'a str, method: &str) -> Option<CorsAnswer<'a>> {
        self.preflight(origin, method, None)
    }
}

impl CorsRule {
    fn matches(&self, origin: &str, method: CorsMethod, requested: Option<&str>) -> bool {
        self.allowed_methods.contains(&method)
            && self.allowed_origins.iter().any(|allowed| allowed.matches(origin))
            && requested.is_none_or(|list| self.allows_headers(list))
    }

    fn allows_headers(&self, list: &str) -> bool {
        let allowed = |name: &str| self.allowed_headers.iter().any(|one| one.matches_ignoring_case(name));
        names(list).take(CORS_REQUEST_HEADERS_MAX + 1).count() <= CORS_REQUEST_HEADERS_MAX
            && names(list).all(allowed)
    }
}

impl<'a> CorsAnswer<'a> {
    /// The rule that matched.
    #[must_use]
    pub fn rule(&self) -> &'a CorsRule {
        self.rule
    }

    /// The headers, in the order S3 sends them. Where the rule is for every origin the answer is the same for all of them,
    /// and so none may send credentials along.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, Cow<'a, str>)> {
        let any_origin = self.rule.allowed_origins.iter().any(super::Pattern::is_any);
        let methods = self.rule.allowed_methods.iter().map(|method| method.name());
        let mut headers = vec![
            ("Access-Control-Allow-Origin", Cow::Borrowed(if any_origin { "*" } else { self.origin })),
            ("Access-Control-Allow-Methods", Cow::Owned(methods.collect::<Vec<_>>().join(", "))),
        ];
        if let Some(list) = self.requested {
            let lower = names(list).map(str::to_ascii_lowercase);
            headers.push(("Access-Control-Allow-Headers", Cow::Owned(lower.collect::<Vec<_>>().join(", "))));
        }
        if !self.rule.expose_headers.is_empty() {
            let exposed = self.rule.expose_headers.join(", ");
            headers.push(("Access-Control-Expose-Headers", Cow::Owned(exposed)));
        }
        if let Some(seconds) = self.rule.max_age_seconds {
            headers.push(("Access-Control-Max-Age", Cow::Owned(seconds.to_string())));
        }
        if !any_origin {
            headers.push(("Access-Control-Allow-Credentials", Cow::Borrowed("true")));
        }
        headers.push(("Vary", Cow::Borrowed(VARY)));
        headers
    }
}

/// What an answer depends on. It stands only where a rule matched, as with S3.
const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// The names of a list. Empty elements are passed over (RFC 9110, 5.6.1).
pub(super) fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim_ascii).filter(|name| !name.is_empty())
}
