//! What the conditions of policies and the rules of CORS may ask of a request: read only where a bucket has either.

use core::net::IpAddr;

use crate::document::cors::CorsRequest;
use crate::document::tagging::TagSet;
use crate::error::S3Error;
use crate::http::head::RequestHead;
use crate::policy::{ObjectTags, PolicyContext};

use super::request::Request;

/// The facts of one request, its head's and its connection's.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    source_ip: IpAddr,
    secure_transport: bool,
    referer: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
    prefix: Option<String>,
    delimiter: Option<String>,
    max_keys: Option<u32>,
    canned_acl: Option<String>,
    server_side_encryption: Option<String>,
    version_id: Option<String>,
    tags: Vec<(String, String)>,
}

impl RequestFacts {
    /// `tags` are those that the body sets; `None`: what the head says of them counts, as far as it sets any.
    ///
    /// # Errors
    /// `InvalidArgument` for a header or argument that is given twice: what a condition would be held against is not certain.
    pub fn read(
        head: &RequestHead,
        source_ip: IpAddr,
        secure_transport: bool,
        tags: Option<Vec<(String, String)>>,
    ) -> Result<Self, S3Error> {
        let request = Request::new(head)?;
        let tags = match tags {
            Some(tags) => tags,
            None => tags_of_head(&request)?,
        };
        let header = |name| Ok::<_, S3Error>(request.header(name)?.map(<[u8]>::to_vec));
        let argument = |name| Ok::<_, S3Error>(request.argument(name)?.map(str::to_owned));
        Ok(Self {
            source_ip,
            secure_transport,
            referer: header("referer")?,
            user_agent: header("user-agent")?,
            prefix: argument("prefix")?,
            delimiter: argument("delimiter")?,
            max_keys: argument("max-keys")?.and_then(|number| number.parse().ok()),
            canned_acl: request.text("x-amz-acl")?,
            server_side_encryption: request.text("x-amz-server-side-encryption")?,
            version_id: argument("versionId")?,
            tags,
        })
    }

    /// With the canned ACL of a form.
    #[must_use]
    pub fn with_acl(self, acl: Option<&str>) -> Self {
        Self { canned_acl: acl.map(str::to_owned), ..self }
    }

    /// Hands the facts to `judge` as conditions see them. `version_id`: of a source or an entry that the head does not name.
    pub fn within<T>(
        &self,
        version_id: Option<&str>,
        object_tags: ObjectTags<'_>,
        judge: impl FnOnce(&PolicyContext<'_>) -> T,
    ) -> T {
        let tags: Vec<(&str, &str)> = self.tags.iter().map(|(key, value)| (&**key, &**value)).collect();
        judge(&PolicyContext {
            source_ip: self.source_ip,
            secure_transport: self.secure_transport,
            referer: self.referer.as_deref(),
            user_agent: self.user_agent.as_deref(),
            prefix: self.prefix.as_deref().map(str::as_bytes),
            delimiter: self.delimiter.as_deref().map(str::as_bytes),
            max_keys: self.max_keys,
            canned_acl: self.canned_acl.as_deref(),
            server_side_encryption: self.server_side_encryption.as_deref(),
            version_id: version_id.or(self.version_id.as_deref()),
            request_tags: &tags,
            object_tags,
        })
    }
}

/// A copy that takes its source's tags sets none of its own, whatever it says.
fn tags_of_head(request: &Request<'_>) -> Result<Vec<(String, String)>, S3Error> {
    let copies = request.header("x-amz-copy-source")?.is_some();
    let replaces = request.text("x-amz-tagging-directive")?.is_some_and(|directive| directive == "REPLACE");
    match request.text("x-amz-tagging")? {
        Some(tags) if replaces || !copies => Ok(TagSet::parse_header(&tags)?.pairs()),
        _ => Ok(Vec::new()),
    }
}

/// The headers of a cross-origin request. One that is given twice, or is no text, counts as not being there.
#[must_use]
pub fn cors_request(head: &RequestHead) -> CorsRequest<'_> {
    let text = |name| {
        let value = head.header_one(name).ok().flatten()?;
        std::str::from_utf8(value).ok()
    };
    CorsRequest {
        origin: text("origin"),
        requested_method: text("access-control-request-method"),
        requested_headers: text("access-control-request-headers"),
    }
}
