//! Requests and forms that one key has signed: the only ones that may pass as its own.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_common::id::TenantId;
use holdfast_protocol::access::{KeyIdentity, Permissions, Scope};
use holdfast_protocol::http::RequestHead;
use holdfast_protocol::sigv4::{KeyLookup, KeySource, SigningKey, derive_day_key};
use holdfast_protocol::uri::{Query, decode_percent};
use ring::{digest, hmac};

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const DAY: u32 = 20_130_524;
const TIME: &str = "20130524T120000Z";
const SCOPE: &str = "20130524/us-east-1/s3/aws4_request";
pub(crate) const REGION: &str = "us-east-1";
/// [`TIME`]: noon, so that whatever clock is accepted is of that day.
pub(crate) const NOW_MS: u64 = 1_369_396_800_000;
pub(crate) const CANONICAL_ID: &str = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";

/// What a node knows of one key on one day.
#[derive(Debug)]
pub(crate) struct OneKey {
    key: SigningKey,
    identity: Arc<KeyIdentity>,
}

impl OneKey {
    pub(crate) fn new() -> Self {
        let identity = KeyIdentity {
            access_key_id: ACCESS_KEY.into(),
            name: "example".into(),
            tenant_id: TenantId(7),
            scope: Scope::WholeTenant,
            permissions: Permissions::ALL,
            signed_not_before: DAY,
            revision: 1,
        };
        Self { key: SigningKey::new(&derive_day_key(SECRET, DAY, REGION)), identity: Arc::new(identity) }
    }

    pub(crate) fn identity(&self) -> &KeyIdentity {
        &self.identity
    }
}

impl KeySource for OneKey {
    fn signing_key(&self, access_key_id: &str, day: u32, region: &str) -> KeyLookup<'_> {
        match (access_key_id == ACCESS_KEY, (day, region) == (DAY, REGION)) {
            (true, true) => KeyLookup::Found { key: &self.key, identity: &self.identity },
            (true, false) => KeyLookup::NoKeyForDay { identity: &self.identity },
            (false, _) => KeyLookup::NoSuchKey,
        }
    }
}

/// Paths and queries below are in their canonical form, so that the requests can be signed as they are written.
pub(crate) static HEADERS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let streaming = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    vec![
        signed_header("GET", "/bucket/key", "", "UNSIGNED-PAYLOAD", &[]),
        signed_header("GET", "/bucket", "list-type=2&prefix=a%20b%2F", "UNSIGNED-PAYLOAD", &[]),
        signed_header(
            "PUT",
            "/bucket/a%20b",
            "",
            &hex::encode([7; 32]),
            &[("x-amz-meta-a", "1  2"), ("x-amz-tagging", "a=1")],
        ),
        signed_header(
            "PUT",
            "/bucket/key",
            "partNumber=1&uploadId=u",
            streaming,
            &[("x-amz-trailer", "x-amz-checksum-crc32")],
        ),
        signed_header("DELETE", "/bucket//a/../b", "versionId=null", "UNSIGNED-PAYLOAD", &[]),
    ]
});

pub(crate) static QUERIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    vec![
        signed_query("GET", "/bucket/key", "", &[]),
        signed_query("GET", "/bucket/a%20b", "&response-content-type=text%2Fhtml&versionId=null", &[]),
        signed_query("PUT", "/bucket/key", "&x-amz-acl=private", &[("x-amz-meta-a", "1")]),
    ]
});

/// The fields of a signed form, without its file.
pub(crate) static FORM: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let policy = "{\"expiration\":\"2033-05-24T12:00:00Z\",\"conditions\":[{\"bucket\":\"bucket\"},[\"starts-with\",\"$key\",\"\"],\
                  [\"starts-with\",\"$x-amz-date\",\"\"],[\"starts-with\",\"$x-amz-credential\",\"\"],\
                  {\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\"}]}";
    let policy = STANDARD.encode(policy);
    let signature = sign(&policy);
    vec![
        ("key", "user/${filename}".to_owned()),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Credential", format!("{ACCESS_KEY}/{SCOPE}")),
        ("X-Amz-Date", TIME.to_owned()),
        ("Policy", policy),
        ("X-Amz-Signature", signature),
    ]
});

/// What the signed requests mean.
pub(crate) static MEANINGS: LazyLock<BTreeSet<Meaning>> = LazyLock::new(|| {
    let heads = HEADERS.iter().chain(&*QUERIES);
    heads
        .map(|head| Meaning::of(&RequestHead::parse(head).expect("a head").expect("a whole one").0))
        .collect()
});

/// All of a request that a signature must bind, in the form in which it is acted on.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Meaning {
    method: String,
    path: Vec<u8>,
    arguments: Vec<(String, String)>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Meaning {
    pub(crate) fn of(head: &RequestHead) -> Self {
        let query = Query::parse(head.query()).expect("a query");
        let arguments = query.iter().filter(|argument| argument.name != "X-Amz-Signature");
        let mut arguments: Vec<_> =
            arguments.map(|one| (one.name.to_string(), one.value.to_string())).collect();
        arguments.sort();
        let mut names: Vec<String> = head.headers().map(|(name, _)| name.to_ascii_lowercase()).collect();
        // that one header is of proxies, and nobody reads it
        names.retain(|name| name == "host" || name.starts_with("x-amz-") && name != "x-amz-cf-id");
        names.sort();
        names.dedup();
        let value = |name: &str| head.values(name).map(collapsed).collect::<Vec<_>>().join(&b',');
        let headers =
            names.into_iter().map(|name| (value(&name), name)).map(|(value, name)| (name, value)).collect();
        let path = decode_percent(head.path()).expect("a path").into_owned();
        Self { method: head.method_str().to_owned(), path, arguments, headers }
    }
}

/// Runs of spaces are one.
fn collapsed(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

fn signed_header(method: &str, path: &str, query: &str, payload: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [("host", "s3.test"), ("x-amz-content-sha256", payload), ("x-amz-date", TIME)];
    let headers: Vec<_> = own.iter().chain(more).copied().collect();
    let (names, signature) = signature(method, path, query, payload, &headers);
    let question_mark = if query.is_empty() { "" } else { "?" };
    let mut head = format!("{method} {path}{question_mark}{query} HTTP/1.1\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str(&format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{SCOPE}, SignedHeaders={names}, Signature={signature}\r\n\r\n"
    ));
    head.into_bytes()
}

fn signed_query(method: &str, path: &str, arguments: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let headers: Vec<_> = [("host", "s3.test")].iter().chain(more).copied().collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let credential = format!("{ACCESS_KEY}/{SCOPE}").replace('/', "%2F");
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={TIME}&X-Amz-Expires=600\
         &X-Amz-SignedHeaders={}{arguments}",
        names.join("%3B")
    );
    let (_, signature) = signature(method, path, &query, "UNSIGNED-PAYLOAD", &headers);
    let mut head = format!("{method} {path}?{query}&X-Amz-Signature={signature} HTTP/1.1\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    (head + "\r\n").into_bytes()
}

/// The list of signed headers, and the signature.
fn signature(
    method: &str,
    path: &str,
    query: &str,
    payload: &str,
    headers: &[(&str, &str)],
) -> (String, String) {
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}:{}\n", value.replace("  ", " "))).collect();
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
    let hash = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
    let signature = sign(&format!("AWS4-HMAC-SHA256\n{TIME}\n{SCOPE}\n{hash}"));
    (names, signature)
}

fn sign(message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*derive_day_key(SECRET, DAY, REGION));
    hex::encode(hmac::sign(&key, message.as_bytes()))
}
