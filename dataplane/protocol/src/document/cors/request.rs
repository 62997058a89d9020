//! What a request says about the page it comes from, and the refusals of a preflight in S3's order.
//!
//! A preflight is unsigned: it may read CORS rules and nothing else. That it tells a bucket without rules from one that
//! is not there is S3's way; who would rather not tell passes [`CorsState::Disabled`] for both.

use super::answer::names;
use super::{CorsAnswer, CorsConfiguration, CorsMethod};
use crate::error::{Code, S3Error};
use crate::http::response::is_field_name;

/// The three headers of a cross-origin request, as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CorsRequest<'a> {
    /// `Origin`
    pub origin: Option<&'a str>,
    /// `Access-Control-Request-Method`
    pub requested_method: Option<&'a str>,
    /// `Access-Control-Request-Headers`
    pub requested_headers: Option<&'a str>,
}

/// What the request names; refusals tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorsResource {
    Bucket,
    Object,
}

/// What is known of the bucket that a preflight names.
#[derive(Clone, Copy, Debug)]
pub enum CorsState<'a> {
    NoSuchBucket,
    /// The bucket has no CORSConfiguration.
    Disabled,
    Enabled(&'a CorsConfiguration),
}

impl<'a> CorsRequest<'a> {
    /// Answers an OPTIONS request.
    ///
    /// # Errors
    /// `BadRequest` for a missing or bad header, `AccessForbidden` for a bucket without rules and where none matches.
    pub fn preflight(&self, state: CorsState<'a>, resource: CorsResource) -> Result<CorsAnswer<'a>, S3Error> {
        let Some(origin) = self.origin.filter(|origin| !origin.is_empty()) else {
            return Err(bad_request("Insufficient information. Origin request header needed."));
        };
        let rules = match state {
            CorsState::NoSuchBucket => return Err(self.forbidden("Bucket not found", CorsResource::Bucket)),
            CorsState::Disabled => {
                return Err(self.forbidden("CORS is not enabled for this bucket.", CorsResource::Bucket));
            }
            CorsState::Enabled(rules) => rules,
        };
        let method = self.requested_method.unwrap_or("null");
        if CorsMethod::parse(method).is_none() {
            return Err(bad_request(format!("Invalid Access-Control-Request-Method: {method}")));
        }
        if let Some(bad) =
            self.requested_headers.and_then(|list| names(list).find(|name| !is_field_name(name)))
        {
            return Err(bad_request(format!(
                "Access-Control-Request-Headers \"{bad}\" contains invalid character."
            )));
        }
        rules
            .preflight(origin, method, self.requested_headers)
            .ok_or_else(|| self.forbidden(NO_RULE, resource))
    }

    /// What the answer to any other request says about its rule; `None` when it says nothing, which is no refusal. S3
    /// believes the headers of a preflight here too, and they win over the method.
    #[must_use]
    pub fn actual(&self, method: &str, rules: &'a CorsConfiguration) -> Option<CorsAnswer<'a>> {
        let origin = self.origin.filter(|origin| !origin.is_empty())?;
        rules.preflight(origin, self.requested_method.unwrap_or(method), self.requested_headers)
    }

    fn forbidden(&self, why: &str, resource: CorsResource) -> S3Error {
        let resource = match resource {
            CorsResource::Bucket => "BUCKET",
            CorsResource::Object => "OBJECT",
        };
        S3Error::new(Code::AccessForbidden)
            .message(format!("CORSResponse: {why}"))
            .with("Method", self.requested_method.unwrap_or("OPTIONS"))
            .with("ResourceType", resource)
    }
}

/// S3's words, its spelling too.
const NO_RULE: &str = "This CORS request is not allowed. This is usually because the evalution of Origin, request method / \
    Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";

fn bad_request(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::new(Code::BadRequest).message(message)
}
