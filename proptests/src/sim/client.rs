//! An S3 client of the simulation: signs, sends bytes, parses the answer.

use std::time::Duration;

use holdfast_protocol::date::{amz_basic, yyyymmdd};
use holdfast_protocol::sigv4::derive_day_key;
use ring::{digest, hmac};

use super::executor::World;
use super::runtime::SimListener;

pub const ACCESS_KEY: &str = "SIMULATION";
pub const SECRET_KEY: &str = "a secret of the simulation";
pub const REGION: &str = "sim-1";
const HOST: &str = "sim";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body had the length that its head announced.
    pub whole: bool,
}

impl Answer {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// All occurrences of an XML element.
    #[must_use]
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (text, open, close) = (self.text(), format!("<{name}>"), format!("</{name}>"));
        let rest = text.split(&open).skip(1);
        rest.filter_map(|part| part.split(&close).next().map(str::to_owned)).collect()
    }
}

/// One request. `query` is canonical: sorted, encoded, each with `=`.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    /// In the middle of the body that is sent, or received, the client does something else for so long.
    pub pause: Duration,
}

/// Sends a request on a connection of its own; `None` when it ended without an answer.
pub async fn send(listener: &SimListener, request: Request<'_>) -> Option<Answer> {
    let conn = listener.connect();
    conn.put(&head(&request));
    // In two pieces, so that a body is sometimes there with its head and sometimes after it.
    let cut = World::current().chance(|rng| rng.index(request.body.len() + 1));
    conn.put(&request.body[..cut]);
    if cut < request.body.len() {
        World::current().sleep(Duration::from_micros(50) + request.pause).await;
        conn.put(&request.body[cut..]);
    }
    let mut got = Vec::new();
    loop {
        if let Some(at) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            let mut answer = parse(&got[..at])?;
            let length = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            let length: usize = if request.method == "HEAD" { 0 } else { length };
            let mut body = got.split_off(at + 4);
            if length > body.len() && !request.pause.is_zero() {
                World::current().sleep(request.pause).await;
            }
            while body.len() < length {
                let more = conn.take(usize::MAX).await;
                if more.is_empty() {
                    break;
                }
                body.extend(more);
            }
            answer.whole = body.len() == length;
            answer.body = body;
            return Some(answer);
        }
        let more = conn.take(usize::MAX).await;
        if more.is_empty() {
            return None;
        }
        got.extend(more);
    }
}

fn parse(head: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Some(Answer { status, headers, body: Vec::new(), whole: false })
}

/// A signed head (SigV4 in headers, the body unsigned).
fn head(request: &Request<'_>) -> Vec<u8> {
    let now = World::current().unix_ms();
    let (time, day) = (amz_basic(now), yyyymmdd(now));
    let mut headers: Vec<(&str, &str)> = request.headers.to_vec();
    headers.extend([("host", HOST), ("x-amz-content-sha256", UNSIGNED), ("x-amz-date", &time)]);
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = names.join(";");
    let canonical =
        format!("{}\n{}\n{}\n{lines}\n{names}\n{UNSIGNED}", request.method, request.path, request.query);
    let scope = format!("{day:08}/{REGION}/s3/aws4_request");
    let hash = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
    let key = derive_day_key(SECRET_KEY.as_bytes(), day, REGION);
    let signature = hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key[..]), text.as_bytes()));
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let sent: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "{} {}{query} HTTP/1.1\r\n{sent}authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, \
         SignedHeaders={names}, Signature={signature}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        request.method,
        request.path,
        request.body.len(),
    )
    .into_bytes()
}
