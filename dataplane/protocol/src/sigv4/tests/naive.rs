//! A slow, obvious signer: strings and sorts, straight from AWS's text. Covers what `aws-sigv4` gets wrong.

use super::{ACCESS_KEY, DAY, REGION, SECRET, head};
use crate::http::head::RequestHead;
use crate::sigv4::derive_day_key;
use crate::uri::{Query, decode_percent, encode_canonical};
use ring::{digest, hmac};

pub(super) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What shall be sent.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    /// Headers that stand in the request and not in the signature.
    pub(super) unsigned: Vec<(String, String)>,
    pub(super) payload: String,
    pub(super) time: &'static str,
    pub(super) scope: String,
    pub(super) access_key: &'static str,
}

impl Draft {
    pub(super) fn new(method: &'static str, path: &str, query: &str) -> Self {
        let mut draft = Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            unsigned: Vec::new(),
            payload: EMPTY.to_owned(),
            time: "20130524T000000Z",
            scope: format!("{DAY}/{REGION}/s3/aws4_request"),
            access_key: ACCESS_KEY,
        };
        draft.header("Host", "bucket.example.test:9000");
        draft
    }

    pub(super) fn header(&mut self, name: &str, value: &str) -> &mut Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn unsigned(&mut self, name: &str, value: &str) -> &mut Self {
        self.unsigned.push((name.to_owned(), value.to_owned()));
        self
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn canonical(&self) -> String {
        let mut path = Vec::new();
        encode_canonical(&mut path, &decode_percent(self.path.as_bytes()).expect("a path"), true);
        let query = Query::parse(self.query.as_bytes()).expect("a query");
        let encode = |text: &str| {
            let mut out = Vec::new();
            encode_canonical(&mut out, text.as_bytes(), false);
            String::from_utf8(out).expect("ASCII")
        };
        let mut pairs: Vec<(String, String)> =
            query.iter().map(|argument| (encode(&argument.name), encode(&argument.value))).collect();
        pairs.sort();
        let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = String::new();
        for name in self.names() {
            let values: Vec<String> = self
                .headers
                .iter()
                .filter(|(sent, _)| sent.eq_ignore_ascii_case(&name))
                .map(|(_, value)| {
                    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
                })
                .collect();
            headers += &format!("{name}:{}\n", values.join(","));
        }
        let path = String::from_utf8(path).expect("ASCII");
        let names = self.names().join(";");
        format!("{}\n{path}\n{}\n{headers}\n{names}\n{}", self.method, query.join("&"), self.payload)
    }

    fn signature(&self) -> String {
        let hash = hex::encode(digest::digest(&digest::SHA256, self.canonical().as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", self.time, self.scope);
        let key = derive_day_key(SECRET.as_bytes(), DAY, REGION);
        hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*key), text.as_bytes()))
    }

    fn send(&self, more: &[String]) -> RequestHead {
        let question = if self.query.is_empty() { "" } else { "?" };
        let mut lines = vec![format!("{} {}{question}{} HTTP/1.1", self.method, self.path, self.query)];
        lines.extend(
            self.headers.iter().chain(&self.unsigned).map(|(name, value)| format!("{name}: {value}")),
        );
        lines.extend_from_slice(more);
        head(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(super) fn authorization(&self) -> String {
        format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
            self.access_key,
            self.scope,
            self.names().join(";"),
            self.signature()
        )
    }

    /// With credentials in the header; adds the two headers that every SDK sends.
    pub(super) fn signed(&self) -> RequestHead {
        let mut draft = self.clone();
        draft.header("X-Amz-Content-Sha256", &self.payload).header("x-amz-date", self.time);
        draft.signed_as_is()
    }

    pub(super) fn signed_as_is(&self) -> RequestHead {
        self.send(&[self.authorization()])
    }

    /// With credentials in the query.
    pub(super) fn presigned(&self, expires: &str) -> RequestHead {
        let mut draft = self.clone();
        let mut arguments = vec![
            "X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned(),
            format!("X-Amz-Credential={}/{}", self.access_key, self.scope).replace('/', "%2F"),
            format!("X-Amz-Date={}", self.time),
            format!("X-Amz-Expires={expires}"),
            format!("X-Amz-SignedHeaders={}", self.names().join("%3B")),
        ];
        arguments.extend((!self.query.is_empty()).then(|| self.query.clone()));
        draft.query = arguments.join("&");
        draft.query += &format!("&X-Amz-Signature={}", draft.signature());
        draft.send(&[])
    }
}
