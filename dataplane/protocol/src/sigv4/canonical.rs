//! The canonical request, written straight into a hash: no string of it exists unless the answer is an error.
//!
//! ```text
//! METHOD \n path \n query \n name:value\n ... \n signed headers \n payload
//! ```
//! S3's own rules: the path is encoded once and not normalised, so `//` and `..` stay.

use super::claim::Claim;
use super::encode::{Part, Sink, put_encoded};
use super::query::QueryArguments;
use crate::http::head::RequestHead;
use ring::digest::{Context, SHA256};

/// SHA-256 of the canonical request.
pub(super) fn hash(head: &RequestHead, query: &QueryArguments<'_>, claim: &Claim<'_>) -> [u8; 32] {
    let mut sink = HashSink { context: Context::new(&SHA256), buffer: [0; 256], used: 0 };
    write(&mut sink, head, query, claim);
    sink.finish()
}

/// Writes the canonical request.
pub(super) fn write(sink: &mut impl Sink, head: &RequestHead, query: &QueryArguments<'_>, claim: &Claim<'_>) {
    sink.put(head.method_str().as_bytes());
    sink.put(b"\n");
    match head.path() {
        b"" => sink.put(b"/"),
        path => put_encoded(sink, path, Part::Path),
    }
    sink.put(b"\n");
    write_query(sink, query);
    sink.put(b"\n");
    for name in claim.signed_headers.split(';') {
        write_header(sink, head, name);
    }
    sink.put(b"\n");
    sink.put(claim.signed_headers.as_bytes());
    sink.put(b"\n");
    sink.put(claim.payload_text);
}

fn write_query(sink: &mut impl Sink, query: &QueryArguments<'_>) {
    let mut separator: &[u8] = b"";
    query.canonical_order(|argument| {
        if argument.is("X-Amz-Signature") {
            return;
        }
        sink.put(separator);
        put_encoded(sink, argument.name, Part::Query);
        sink.put(b"=");
        put_encoded(sink, argument.value, Part::Query);
        separator = b"&";
    });
}

/// `name:value\n`; a repeated header's values are joined with commas, an absent one's is empty.
fn write_header(sink: &mut impl Sink, head: &RequestHead, name: &str) {
    sink.put(name.as_bytes());
    let mut separator: &[u8] = b":";
    for (_, value) in head.headers().filter(|(sent, _)| sent.eq_ignore_ascii_case(name)) {
        sink.put(separator);
        put_collapsed(sink, value);
        separator = b",";
    }
    sink.put(if separator == b":" { b":\n" } else { b"\n" });
}

/// Trims, and makes one space of a run of spaces.
fn put_collapsed(sink: &mut impl Sink, value: &[u8]) {
    let value = value.trim_ascii();
    if !value.windows(2).any(|pair| pair == b"  ") {
        return sink.put(value);
    }
    let mut separator: &[u8] = b"";
    for word in value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
        sink.put(separator);
        sink.put(word);
        separator = b" ";
    }
}

/// Gathers small pieces, because each call into the hash costs more than a short piece itself.
struct HashSink {
    context: Context,
    buffer: [u8; 256],
    used: usize,
}

impl Sink for HashSink {
    fn put(&mut self, bytes: &[u8]) {
        if self.used + bytes.len() > self.buffer.len() {
            self.context.update(&self.buffer[..self.used]);
            self.used = 0;
        }
        if bytes.len() > self.buffer.len() {
            return self.context.update(bytes);
        }
        self.buffer[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }
}

impl HashSink {
    fn finish(mut self) -> [u8; 32] {
        self.context.update(&self.buffer[..self.used]);
        self.context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}
