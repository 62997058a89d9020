//! The S3 requests of a run, each straight-line: sign, send, receive, check.

use super::answer::element;
use super::connection::{Answer, Connection, Sink};
use super::content::{Content, Random};
use super::failure::Failure;
use super::options::Payload;
use super::shared::Shared;
use super::sign::{EMPTY_SHA256, Request, Signer};
use super::stream;
use crate::limits::LIST_PAGE_KEYS;
use holdfast_protocol::uri::encode_canonical;
use std::sync::Arc;

/// Buffers and state that one connection's requests are made with.
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) random: Random,
    pub(super) verified: u64,
    signer: Signer,
    head: Vec<u8>,
    framing: Vec<u8>,
    errors: Vec<u8>,
    page: Vec<u8>,
    /// Where the listing goes on.
    token: Option<String>,
    reads: u64,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, seed: u64) -> Self {
        Self {
            signer: Signer::new(&shared.target),
            random: Random::new(seed + 1),
            verified: 0,
            head: Vec::with_capacity(1024),
            framing: Vec::new(),
            errors: Vec::new(),
            page: Vec::new(),
            token: None,
            reads: seed,
            shared,
        }
    }

    pub(super) fn bucket_path(&self) -> String {
        format!("/{}", self.shared.target.bucket)
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("/{}/{name}", self.shared.target.bucket)
    }

    /// One request whose body, if any, is in one piece.
    pub(super) async fn exchange(
        &mut self,
        connection: &mut Connection,
        request: &Request<'_>,
        body: &[u8],
        sink: Sink<'_>,
    ) -> Result<Answer, Failure> {
        self.head.clear();
        self.signer.head(request, &mut self.head);
        let parts = [&self.head[..], body];
        connection.send(if body.is_empty() { &parts[..1] } else { &parts }).await?;
        self.answer(connection, request.method == "HEAD", sink).await
    }

    async fn answer(
        &mut self,
        connection: &mut Connection,
        bodiless: bool,
        sink: Sink<'_>,
    ) -> Result<Answer, Failure> {
        self.errors.clear();
        let answer = connection.receive(bodiless, sink, &mut self.errors).await?;
        match answer.status {
            200..300 if !answer.same => Err(Failure::WrongBytes),
            200..300 => Ok(answer),
            status => {
                let code = element(&self.errors, "Code").unwrap_or_default().to_owned();
                Err(Failure::Status { status, code })
            }
        }
    }

    pub(super) async fn put(
        &mut self,
        connection: &mut Connection,
        name: &str,
        number: u64,
    ) -> Result<u64, Failure> {
        let shared = Arc::clone(&self.shared);
        let content = shared.contents.of(number);
        self.put_content(connection, &self.path(name), "", &content).await?;
        Ok(content.bytes.len() as u64)
    }

    /// PUT of an object or a part, in the payload mode of the run.
    pub(super) async fn put_content(
        &mut self,
        connection: &mut Connection,
        path: &str,
        query: &str,
        content: &Content<'_>,
    ) -> Result<Answer, Failure> {
        let payload = self.shared.options.payload;
        let decoded = content.bytes.len().to_string();
        let headers = [
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", decoded.as_str()),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        let request = Request {
            method: "PUT",
            path,
            query,
            content_sha256: stream::content_sha256(payload, content),
            headers: &headers[..header_count(payload)],
            content_length: Some(stream::wire_bytes(payload, content)),
        };
        if !stream::is_chunked(payload) {
            return self.exchange(connection, &request, content.bytes, Sink::Discard).await;
        }
        self.head.clear();
        self.framing.clear();
        let seed = self.signer.head(&request, &mut self.head);
        let starts = stream::frame(payload, content, seed, &mut self.signer, &mut self.framing);
        let parts = stream::parts(&self.head, &self.framing, &starts, content.bytes);
        connection.send(&parts).await?;
        self.answer(connection, false, Sink::Discard).await
    }

    pub(super) async fn get(&mut self, connection: &mut Connection, number: u64) -> Result<u64, Failure> {
        let shared = Arc::clone(&self.shared);
        self.read(connection, number, &[], shared.contents.of(number).bytes).await
    }

    pub(super) async fn range(&mut self, connection: &mut Connection, number: u64) -> Result<u64, Failure> {
        let shared = Arc::clone(&self.shared);
        let whole = shared.contents.of(number).bytes;
        let length = (shared.options.range_size as usize).min(whole.len());
        let start = self.random.below((whole.len() - length) as u64 + 1) as usize;
        let range = format!("bytes={start}-{}", start + length.max(1) - 1);
        self.read(connection, number, &[("range", &range)], &whole[start..start + length]).await
    }

    /// A GET whose body must be `expected`: its length always, its bytes in a sample.
    async fn read(
        &mut self,
        connection: &mut Connection,
        number: u64,
        headers: &[(&str, &str)],
        expected: &[u8],
    ) -> Result<u64, Failure> {
        self.reads += 1;
        let every = self.shared.options.verify_every;
        let compare = every > 0 && self.reads.is_multiple_of(every);
        let path = self.path(&self.shared.loaded_name(number));
        let request = plain("GET", &path, "", headers);
        let sink = if compare { Sink::Compare(expected) } else { Sink::Discard };
        let answer = self.exchange(connection, &request, &[], sink).await?;
        if answer.body_bytes != expected.len() as u64 {
            return Err(Failure::WrongBytes);
        }
        self.verified += u64::from(compare);
        Ok(answer.body_bytes)
    }

    pub(super) async fn stat(&mut self, connection: &mut Connection, number: u64) -> Result<u64, Failure> {
        let path = self.path(&self.shared.loaded_name(number));
        self.exchange(connection, &plain("HEAD", &path, "", &[]), &[], Sink::Discard).await?;
        Ok(0)
    }

    pub(super) async fn delete(&mut self, connection: &mut Connection, name: &str) -> Result<u64, Failure> {
        let path = self.path(name);
        self.exchange(connection, &plain("DELETE", &path, "", &[]), &[], Sink::Discard).await?;
        Ok(0)
    }

    /// One page of the loaded keys, going on where this connection's last page ended.
    pub(super) async fn list(&mut self, connection: &mut Connection) -> Result<u64, Failure> {
        let mut query = Vec::new();
        if let Some(token) = self.token.take() {
            query.extend_from_slice(b"continuation-token=");
            encode_canonical(&mut query, token.as_bytes(), false);
            query.push(b'&');
        }
        query.extend_from_slice(format!("list-type=2&max-keys={LIST_PAGE_KEYS}&prefix=").as_bytes());
        encode_canonical(&mut query, self.shared.loaded_prefix().as_bytes(), false);
        let query = String::from_utf8(query).expect("percent-encoded text is ASCII");
        let path = self.bucket_path();
        let mut page = std::mem::take(&mut self.page);
        page.clear();
        let sink = Sink::Keep(&mut page, usize::MAX);
        let answer = self.exchange(connection, &plain("GET", &path, &query, &[]), &[], sink).await;
        let keys = memchr::memmem::find_iter(&page, b"<Key>").count() as u64;
        self.token = element(&page, "NextContinuationToken").map(str::to_owned);
        self.page = page;
        self.verified += keys;
        match answer?.body_bytes {
            _ if keys == 0 => Err(Failure::Answer("a page without keys")),
            bytes => Ok(bytes),
        }
    }
}

fn header_count(payload: Payload) -> usize {
    match (stream::is_chunked(payload), stream::has_trailer(payload)) {
        (false, _) => 0,
        (true, false) => 2,
        (true, true) => 3,
    }
}

/// A request without a body.
pub(super) fn plain<'a>(
    method: &'static str,
    path: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
) -> Request<'a> {
    Request { method, path, query, content_sha256: EMPTY_SHA256, headers, content_length: None }
}
