//! Where a request points: path-style (`/bucket/key`) or virtual-hosted (`bucket.domain`, `/key`).

use bytes::Bytes;

use crate::error::{Code, S3Error};
use crate::http::head::RequestHead;
use crate::name::{BucketName, ObjectKey};
use crate::uri::decode_percent;

/// The domains under which buckets are hosts. Any other host, and any address, is path-style.
#[derive(Clone, Debug, Default)]
pub struct Addressing {
    /// Lower-case, without port, longest first.
    domains: Vec<String>,
}

impl Addressing {
    /// `domains` in any case and order; a trailing dot does not matter.
    #[must_use]
    pub fn new<D: AsRef<str>>(domains: impl IntoIterator<Item = D>) -> Self {
        let clean = |domain: D| domain.as_ref().trim_matches('.').to_ascii_lowercase();
        let mut domains: Vec<String> = domains.into_iter().map(clean).filter(|d| !d.is_empty()).collect();
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        Self { domains }
    }

    /// The bucket of a head, where it names one that could exist.
    #[must_use]
    pub fn bucket(&self, head: &RequestHead) -> Option<BucketName> {
        self.locate(head).ok()?.0
    }

    /// Bucket and key of a head. The key is decoded here, once; what is signed, authorised and stored are these bytes.
    pub(super) fn locate(
        &self,
        head: &RequestHead,
    ) -> Result<(Option<BucketName>, Option<ObjectKey>), S3Error> {
        let Some(path) = head.path().strip_prefix(b"/") else {
            return Err(S3Error::new(Code::InvalidURI));
        };
        if let Some(bucket) = head.host().and_then(|host| self.bucket_of(host)) {
            return Ok((Some(named(&bucket)?), key_of(path)?));
        }
        if path.is_empty() {
            return Ok((None, None));
        }
        let (bucket, key) = match memchr::memchr(b'/', path) {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (path, &path[path.len()..]),
        };
        let bucket = decode_percent(bucket)?;
        let bucket = std::str::from_utf8(&bucket).map_err(|_| S3Error::new(Code::InvalidBucketName))?;
        Ok((Some(named(bucket)?), key_of(key)?))
    }

    /// The bucket in front of a configured domain. A host that is a domain itself is path-style, also when it stands
    /// under another of them (`s3.example` beside `example`).
    fn bucket_of(&self, host: &str) -> Option<String> {
        let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        if self.domains.contains(&host) {
            return None;
        }
        let bucket =
            self.domains.iter().find_map(|domain| host.strip_suffix(domain.as_str())?.strip_suffix('.'))?;
        Some(bucket.to_owned())
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn named(bucket: &str) -> Result<BucketName, S3Error> {
    BucketName::parse(bucket).map_err(|error| S3Error::from(error).with("BucketName", bucket))
}

fn key_of(raw: &[u8]) -> Result<Option<ObjectKey>, S3Error> {
    if raw.is_empty() {
        return Ok(None);
    }
    let key = decode_percent(raw)?;
    Ok(Some(ObjectKey::parse(Bytes::from(key.into_owned()))?))
}
