//! The server's own counters, read from its Prometheus addresses before and after a run.

use super::target::HttpAddress;
use crate::limits::SCRAPE_TIMEOUT;
use holdfast_protocol::http::chunked::ChunkedDecoder;
use holdfast_protocol::http::framing::BodyEvent;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Sum and count of it give commits per batch (`dataplane/src/metrics/core.rs`).
pub(super) const COMMIT_BATCH_ITEMS: &str = "holdfast_commit_batch_items";
/// Device flushes, a counter per device (`dataplane/src/node/metrics.rs`).
pub(super) const DRIVE_FLUSHES: &str = "holdfast_flushes_total";

/// Values by metric name, summed over labels; buckets of histograms are left out.
pub(super) type Values = BTreeMap<String, f64>;

/// Reads all addresses; one that does not answer gives nothing. A name that two addresses show is taken once.
pub(super) fn scrape(addresses: &[HttpAddress]) -> Values {
    let mut all = Values::new();
    for address in addresses {
        for (name, value) in fetch(address).map(|text| parse(&text)).unwrap_or_default() {
            all.entry(name).or_insert(value);
        }
    }
    all
}

/// What grew between two scrapes.
pub(super) fn growth(before: &Values, after: &Values) -> Values {
    let grown = after.iter().map(|(name, value)| (name.clone(), value - before.get(name).unwrap_or(&0.0)));
    grown.filter(|(name, value)| name.starts_with("holdfast_") && *value > 0.0).collect()
}

fn fetch(address: &HttpAddress) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address.resolve()?, SCRAPE_TIMEOUT).ok()?;
    stream.set_read_timeout(Some(SCRAPE_TIMEOUT)).ok()?;
    let HttpAddress { authority, path, .. } = address;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = memchr::memmem::find(&answer, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        return None;
    }
    let body = &answer[end..];
    let body = if head.contains("\r\ntransfer-encoding: chunked") { dechunk(body)? } else { body.to_vec() };
    String::from_utf8(body).ok()
}

fn dechunk(mut input: &[u8]) -> Option<Vec<u8>> {
    let (mut decoder, mut out) = (ChunkedDecoder::new(), Vec::new());
    while !decoder.is_complete() {
        if input.is_empty() {
            return None;
        }
        let (used, event) = decoder.feed(input).ok()?;
        if let BodyEvent::Data(bytes) = event {
            out.extend_from_slice(bytes);
        }
        input = &input[used..];
    }
    Some(out)
}

fn parse(text: &str) -> Values {
    let mut values = Values::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        // labels may hold spaces; no timestamps are written by us
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        if let (false, Some(value)) = (name.ends_with("_bucket") || name.is_empty(), value) {
            *values.entry(name.to_owned()).or_default() += value;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_over_labels() {
        let values =
            parse("# TYPE a counter\na{x=\"1 2\"} 3\na{x=\"b\"} 4\nh_bucket{le=\"1\"} 9\nh_count 2\n");
        assert_eq!(
            values.into_iter().collect::<Vec<_>>(),
            [("a".to_owned(), 7.0), ("h_count".to_owned(), 2.0)]
        );
        assert_eq!(dechunk(b"3\r\nabc\r\n0\r\n\r\n").as_deref(), Some(&b"abc"[..]));
    }
}
