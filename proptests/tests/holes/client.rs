//! A client that sends what no SDK would: any head, any body, signed by anybody or nobody.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, SystemTime};

use holdfast_protocol::date::{amz_basic, yyyymmdd};
use holdfast_protocol::sigv4::derive_day_key;
use ring::{digest, hmac};

use crate::rig::rig;

pub(crate) const REGION: &str = "us-east-1";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// One request. Nobody's, until somebody signs it.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: String,
    /// As it stands in the request line.
    pub(crate) target: String,
    /// Signed with the request, where it is signed in its head.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// Added when everything was signed.
    pub(crate) unsigned: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) now_ms: u64,
    /// Instead of the length, which is said if there is a body or a method that has one.
    pub(crate) chunked: bool,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("a date")
}

impl Ask {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            unsigned: Vec::new(),
            body: Vec::new(),
            now_ms: now_ms(),
            chunked: false,
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn head(target: &str) -> Self {
        Self::new("HEAD", target)
    }

    pub(crate) fn put(target: &str) -> Self {
        Self::new("PUT", target)
    }

    pub(crate) fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    pub(crate) fn delete(target: &str) -> Self {
        Self::new("DELETE", target)
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn unsigned(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.unsigned.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// A body that S3 wants a checksum of. Before [`Self::by`].
    pub(crate) fn document(self, body: impl AsRef<[u8]>) -> Self {
        let crc32 = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, body.as_ref());
        let crc32 = u32::try_from(crc32).expect("32 bits").to_be_bytes();
        self.body(body).header("x-amz-checksum-crc32", base64(&crc32))
    }

    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Signed in the head, the body unsigned.
    pub(crate) fn by(self, key: &Key) -> Self {
        self.by_with(key, UNSIGNED)
    }

    /// The same with another `x-amz-content-sha256`.
    pub(crate) fn by_with(mut self, key: &Key, payload: &str) -> Self {
        let time = amz_basic(self.now_ms);
        self = self.header("x-amz-content-sha256", payload).header("x-amz-date", &time);
        let mut lines: Vec<(String, Vec<u8>)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim_ascii().to_vec()))
            .collect();
        lines.push(("host".into(), rig().addr.to_string().into_bytes()));
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        let mut canonical = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for (name, value) in lines {
            if names.last() == Some(&name) {
                canonical.pop();
                canonical.push(b',');
            } else {
                canonical.extend_from_slice(format!("{name}:").as_bytes());
                names.push(name);
            }
            canonical.extend_from_slice(&value);
            canonical.push(b'\n');
        }
        let names = names.join(";");
        let (path, query) = self.canonical_target();
        let mut text = format!("{}\n{path}\n{query}\n", self.method).into_bytes();
        text.extend_from_slice(&canonical);
        text.extend_from_slice(format!("\n{names}\n{payload}").as_bytes());
        let (scope, signature) = sign(key, self.now_ms, &text);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            key.id
        );
        self.header("authorization", value)
    }

    /// Signed in the query: `host` and what it holds are covered.
    pub(crate) fn presigned(mut self, key: &Key) -> Self {
        let time = amz_basic(self.now_ms);
        let credential = encode(format!("{}/{}", key.id, scope(self.now_ms)).as_bytes(), false);
        let joint = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!(
            "{}{joint}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={time}&X-Amz-Expires=600\
             &X-Amz-SignedHeaders=host",
            self.target
        );
        let (path, query) = self.canonical_target();
        let text = format!("{}\n{path}\n{query}\nhost:{}\n\nhost\n{UNSIGNED}", self.method, rig().addr);
        let (_, signature) = sign(key, self.now_ms, text.as_bytes());
        self.target = format!("{}&X-Amz-Signature={signature}", self.target);
        self
    }

    fn canonical_target(&self) -> (String, String) {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut arguments: Vec<String> = query
            .split('&')
            .filter(|argument| !argument.is_empty())
            .map(|argument| argument.split_once('=').unwrap_or((argument, "")))
            .map(|(name, value)| {
                format!("{}={}", encode(&decode(name), false), encode(&decode(value), false))
            })
            .collect();
        arguments.sort();
        (encode(&decode(path), true), arguments.join("&"))
    }

    /// As it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.method,
            self.target,
            rig().addr
        );
        if self.chunked {
            out.push_str("Transfer-Encoding: chunked\r\n");
        } else if !self.body.is_empty() || matches!(self.method.as_str(), "PUT" | "POST") {
            out.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        let mut out = out.into_bytes();
        for (name, value) in self.headers.iter().chain(&self.unsigned) {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if self.chunked {
            out.extend_from_slice(format!("{:x}\r\n", self.body.len()).as_bytes());
        }
        out.extend_from_slice(&self.body);
        if self.chunked {
            out.extend_from_slice(if self.body.is_empty() { b"\r\n" } else { b"\r\n0\r\n\r\n" });
        }
        out
    }

    pub(crate) fn send(&self) -> Answer {
        let _others = rig().quiet.read_recursive();
        self.send_alone()
    }

    /// For who holds `quiet`.
    pub(crate) fn send_alone(&self) -> Answer {
        let mut answers = exchange(&self.bytes());
        assert_eq!(answers.len(), 1, "{} {}: {answers:?}", self.method, self.target);
        answers.remove(0)
    }
}

/// Sends bytes, says that there will be no more, and reads every answer to them.
pub(crate) fn exchange(bytes: &[u8]) -> Vec<Answer> {
    exchange_over(TcpStream::connect(rig().addr).expect("the server listens"), bytes)
}

/// The same over a connection from elsewhere.
pub(crate) fn exchange_over(mut stream: TcpStream, bytes: &[u8]) -> Vec<Answer> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    // The server may have closed; what it said is still to be read.
    let _ = stream.write_all(bytes);
    let is_head = bytes.starts_with(b"HEAD ");
    let mut got = Vec::new();
    if !is_head {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let _ = stream.read_to_end(&mut got);
    let mut answers = Vec::new();
    let mut rest = &got[..];
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        let text = String::from_utf8_lossy(&rest[..end]).into_owned();
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let mut answer = Answer { status: status.expect("a status"), headers, body: Vec::new() };
        let length: usize = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        rest = &rest[end + 4..];
        let length = if is_head { 0 } else { length.min(rest.len()) };
        answer.body = rest[..length].to_vec();
        rest = &rest[length..];
        if answer.status != 100 {
            answers.push(answer);
        }
    }
    answers
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first element of this name.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0.to_owned())
    }

    pub(crate) fn code(&self) -> String {
        self.element("Code").unwrap_or_default()
    }

    /// Fails unless this was answered; the code of an answer without a body is empty.
    #[track_caller]
    pub(crate) fn is(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{:?} {}", self.headers, self.text());
        self
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

pub(crate) fn scope(now_ms: u64) -> String {
    format!("{:08}/{REGION}/s3/aws4_request", yyyymmdd(now_ms))
}

pub(crate) fn hmac_hex(key: &Key, now_ms: u64, text: &[u8]) -> String {
    let key = derive_day_key(key.secret.as_bytes(), yyyymmdd(now_ms), REGION);
    hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key[..]), text))
}

/// Scope and signature of a canonical request.
fn sign(key: &Key, now_ms: u64, canonical: &[u8]) -> (String, String) {
    let scope = scope(now_ms);
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", amz_basic(now_ms), sha256_hex(canonical));
    (scope, hmac_hex(key, now_ms, text.as_bytes()))
}

pub(crate) fn encode(bytes: &[u8], keeps_slash: bool) -> String {
    let kept =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keeps_slash && byte == b'/';
    bytes
        .iter()
        .map(|&byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair: Vec<u8> = bytes.by_ref().take(2).collect();
            out.extend(hex::decode(pair).unwrap_or_else(|_| b"%".to_vec()));
        } else {
            out.push(byte);
        }
    }
    out
}
