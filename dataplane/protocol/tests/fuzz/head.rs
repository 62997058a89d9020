//! Heads of requests and their queries.

use holdfast_protocol::error::S3Error;
use holdfast_protocol::http::RequestHead;
use holdfast_protocol::limits::{
    HEAD_BYTES_MAX, HEADERS_MAX, LEADING_EMPTY_LINES_MAX, QUERY_ARGUMENTS_MAX, TARGET_BYTES_MAX,
};
use holdfast_protocol::uri::{Query, decode_percent, encode_canonical};

use super::dice::{Dice, Random};
use super::refusal::refused;
use super::request;
use super::text::edit;

pub(crate) const QUERY_WORDS: &[&str] = &[
    "&",
    "=",
    "%",
    "+",
    "%2B",
    "%00",
    "%C3%A4",
    "%ff",
    "prefix",
    "list-type=2",
    "&&",
    "%25",
    "X-Amz-Signature",
];

/// Two heads in three are whole ones with a few edits, so that most of a head is right.
pub(crate) fn grow(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut head = match dice.below(3) {
        0 => dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec(),
        _ => request::head(dice),
    };
    edit(dice, &mut head, request::WORDS);
    head
}

pub(crate) fn check(bytes: &[u8]) {
    let parsed = RequestHead::parse(bytes);
    check_prefixes(bytes, &parsed.as_ref().map(|found| found.as_ref().map(|(_, consumed)| *consumed)));
    match parsed {
        Err(error) => {
            assert!((400..500).contains(&error.status()) || [501, 505].contains(&error.status()));
            let error = S3Error::from(error);
            refused(&error, bytes.len());
            assert!(error.close, "where the next request begins is unknown");
        }
        Ok(None) => assert!(bytes.len() < HEAD_BYTES_MAX + 2 * LEADING_EMPTY_LINES_MAX),
        Ok(Some((head, consumed))) => {
            assert!(consumed <= bytes.len() && consumed <= HEAD_BYTES_MAX + 2 * LEADING_EMPTY_LINES_MAX);
            assert!(bytes[..consumed].ends_with(b"\r\n\r\n"));
            check_parts(&head);
            let (again, all) = RequestHead::parse(&rendered(&head)).expect("a head").expect("a whole one");
            assert_eq!(shown(&again), shown(&head), "{all} bytes");
        }
    }
}

/// Bytes arrive in any pieces: what is refused stays refused, what is complete stays as it is, and nothing is complete early.
fn check_prefixes(bytes: &[u8], whole: &Result<Option<usize>, &holdfast_protocol::http::HeadError>) {
    for cut in Random::of(bytes).cuts(bytes.len()) {
        match (RequestHead::parse(&bytes[..cut]), whole) {
            (Ok(None), Ok(Some(consumed))) => assert!(cut < *consumed),
            (Ok(None), _) => {}
            (Ok(Some((_, consumed))), Ok(Some(all))) => assert_eq!(consumed, *all),
            (Err(_), Err(_)) => {}
            (part, whole) => panic!("{cut} bytes: {part:?}, all of them: {whole:?}"),
        }
    }
}

fn check_parts(head: &RequestHead) {
    assert!(head.target().len() <= TARGET_BYTES_MAX && head.headers().count() <= HEADERS_MAX);
    assert!(head.host().is_some() || !head.is_http11());
    assert!(head.path().starts_with(b"/") || head.path() == b"*");
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
        assert!(value.iter().all(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
        assert_eq!(value, value.trim_ascii(), "white space around a value");
    }
    let named = |name| head.headers().filter(|(sent, _)| sent.eq_ignore_ascii_case(name)).count();
    assert!(["host", "content-length", "transfer-encoding"].into_iter().map(named).max() <= Some(1));
    check_query(head.query());
}

/// The head again, from what was understood of it.
fn rendered(head: &RequestHead) -> Vec<u8> {
    let version = if head.is_http11() { "1.1" } else { "1.0" };
    let mut out = format!("{} {} HTTP/{version}\r\n", head.method_str(), head.target()).into_bytes();
    for (name, value) in head.headers() {
        out.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    [out.as_slice(), b"\r\n"].concat()
}

/// All that others read of a head.
fn shown(head: &RequestHead) -> String {
    let headers: Vec<_> = head.headers().collect();
    let flags = (head.method(), head.is_http11(), head.keep_alive(), head.expects_continue(), head.framing());
    format!("{flags:?} {} {:?} {:?} {headers:?}", head.target(), head.path(), head.query())
}

/// A query reads back from its canonical form, and no name means something twice.
pub(crate) fn check_query(raw: &[u8]) {
    let query = match Query::parse(raw) {
        Ok(query) => query,
        Err(error) => return refused(&S3Error::from(error), raw.len()),
    };
    assert!(query.iter().count() <= QUERY_ARGUMENTS_MAX);
    let mut canonical = Vec::new();
    for argument in &query {
        assert!(
            argument.name.len() <= argument.raw_name.len()
                && argument.value.len() <= argument.raw_value.len()
        );
        canonical.push(b'&');
        encode_canonical(&mut canonical, argument.name.as_bytes(), false);
        canonical.push(b'=');
        encode_canonical(&mut canonical, argument.value.as_bytes(), false);
        let said = query.iter().filter(|other| other.name == argument.name).count();
        assert_eq!(query.one(&argument.name).is_ok(), said == 1);
    }
    let again = Query::parse(&canonical).expect("a query");
    let pairs = |query: &Query<'_>| -> Vec<_> {
        query.iter().map(|argument| (argument.name.to_string(), argument.value.to_string())).collect()
    };
    assert_eq!(pairs(&again), pairs(&query));
    if let Ok(decoded) = decode_percent(raw) {
        let mut encoded = Vec::new();
        encode_canonical(&mut encoded, &decoded, true);
        assert_eq!(decode_percent(&encoded), Ok(decoded));
    }
}
