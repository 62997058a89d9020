//! The small texts of headers and arguments: ranges, dates, conditions, version ids, tags, tokens of listings.

use holdfast_protocol::date;
use holdfast_protocol::document::tagging::TagSet;
use holdfast_protocol::limits::{LIST_TEXT_BYTES_MAX, OBJECT_TAGS_MAX};
use holdfast_protocol::operation::{VersionId, VersionSelector, decode_token, encode_token};
use holdfast_protocol::precondition::{Conditions, ETagList, IfRange, Verdict};
use holdfast_protocol::range::{ByteRange, CopyRangeError};
use holdfast_protocol::uri::encode_canonical;

use super::dice::Random;
use super::document::check_tags;
use super::refusal::refused;

pub(crate) const RANGE_WORDS: &[&str] = &[
    "bytes",
    "=",
    "-",
    ",",
    "0",
    "9",
    "18446744073709551615",
    "18446744073709551616",
    " ",
    "+",
    "items",
    "\u{661}",
];
pub(crate) const DATE_WORDS: &[&str] = &[
    "Sun",
    "Sunday",
    ", ",
    " ",
    "Nov",
    "GMT",
    "UTC",
    "T",
    "Z",
    ":",
    "-",
    ".",
    "1994",
    "1969",
    "9999",
    "10000",
    "00",
    "24",
    "31",
    "Feb 29",
    "\u{661}",
    ".999999999",
];
pub(crate) const CONDITION_WORDS: &[&str] = &[
    "*",
    "\"",
    ",",
    "W/",
    "\"abc\"",
    "abc",
    " ",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "\"a,b\"",
    "\\",
    "\u{e4}",
];
pub(crate) const VERSION_WORDS: &[&str] =
    &["null", "NULL", "7", "0", "f", "F", "-", "018bcfe5687b7fffbfffffffffffffff", "\u{e4}"];
pub(crate) const TAG_WORDS: &[&str] = &[
    "&",
    "=",
    "%",
    "+",
    "a",
    "aws:",
    "%41",
    "%00",
    "%C3%A4",
    "%ff",
    ",",
    "k1=v1&",
    "%0A",
    "%F0%9F%98%80",
    "==",
];
pub(crate) const TOKEN_WORDS: &[&str] = &["A", "AQ", "_", "-", "=", "+", "/", "Zm9v", "%"];

/// Sizes around the ends of what is asked for.
fn sizes(text: &[u8]) -> [u64; 6] {
    let mut random = Random::of(text);
    [0, 1, 10, random.number() % 100, random.number(), u64::MAX]
}

pub(crate) fn check_range(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (range, copied) = (ByteRange::parse(text), ByteRange::parse_copy_source(text));
    if let Some(range) = range {
        assert_eq!(ByteRange::parse(&range.to_string()), Some(range));
        for size in sizes(bytes) {
            match range.resolve(size) {
                Ok(resolved) => {
                    assert!(resolved.len > 0 && resolved.bytes().end <= size);
                    assert!(resolved.content_range(size).ends_with(&format!("/{size}")));
                }
                Err(error) => refused(&error.refusal(range), bytes.len()),
            }
        }
    }
    match copied {
        Err(error) => {
            assert_eq!(error, CopyRangeError::Malformed);
            refused(&error.refusal(text), bytes.len());
        }
        Ok(copied) => {
            assert_eq!(Some(copied), range, "a copy's range is a range");
            for size in sizes(bytes) {
                match copied.resolve_copy_source(size) {
                    Ok(resolved) => {
                        assert_eq!(Ok(resolved), copied.resolve(size), "a copy's range is not cut")
                    }
                    Err(error) => refused(&error.refusal(text), bytes.len()),
                }
            }
        }
    }
}

pub(crate) fn check_date(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let http = date::parse_http(text);
    let (extended, basic) = (date::parse_iso8601(text), date::parse_amz_basic(text));
    for found in [http, extended, basic].into_iter().flatten() {
        assert!(found <= date::UNIX_MS_MAX);
        let second = found / 1000 * 1000;
        let fixdate = date::imf_fixdate(found);
        assert_eq!(date::parse_http(std::str::from_utf8(&fixdate).expect("ASCII")), Some(second));
        assert_eq!(date::parse_iso8601(&date::iso8601(found)), Some(found));
        assert_eq!(date::parse_amz_basic(&date::amz_basic(found)), Some(second));
        assert_eq!(date::parse_lenient(&format!(" {text}\t")), Some(found));
    }
    assert!([http, extended, basic].into_iter().flatten().count() <= 1, "one text, two dates");
}

pub(crate) fn check_condition(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let list = ETagList::parse(text);
    for etag in ["abc", "", "a,b"] {
        assert!(!list.matches_strongly(etag) || list.matches_weakly(etag));
    }
    if let ETagList::Tags(tags) = &list {
        assert!(tags.iter().map(|tag| tag.opaque.len()).sum::<usize>() <= text.len());
        let matched = tags.iter().find(|tag| !tag.weak).map(|tag| list.matches_strongly(&tag.opaque));
        assert_ne!(matched, Some(false));
    }
    let _ = IfRange::parse(text).holds("abc", 784_111_777_000);
    let all = Conditions::parse(Some(text), Some(text), Some(text), Some(text));
    for etag in ["abc", "\"abc\"", "d"] {
        let verdict = all.evaluate(etag, 784_111_777_000);
        let copied = all.evaluate_copy_source(etag, 784_111_777_000);
        assert_eq!(verdict == Verdict::Proceed, copied == Verdict::Proceed);
        // the ETag decides alone where it is asked for
        let by_tag = Conditions::parse(Some(text), Some(text), None, None).evaluate(etag, 0);
        assert_eq!(verdict, by_tag);
    }
    let of_times = Conditions::parse(None, None, Some(text), Some(text));
    assert!(of_times.clone().as_of(0).if_modified_since_ms <= of_times.if_modified_since_ms);
}

pub(crate) fn check_version(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let id = VersionId::parse(text);
    match VersionSelector::parse(text) {
        Ok(selector) => {
            assert_eq!(selector.named(), Some(text));
            assert_eq!(id.map(|id| id.to_string()), Ok(text.to_owned()), "a version has one name");
        }
        Err(error) => {
            assert!(id.is_err());
            refused(&error, bytes.len());
        }
    }
    assert_eq!(VersionId::of_record(text), if text.is_empty() { Ok(VersionId::Null) } else { id });
}

pub(crate) fn check_tag_header(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let tags = match TagSet::parse_header(text) {
        Ok(tags) => tags,
        Err(error) => return refused(&error, bytes.len()),
    };
    assert!(tags.len() <= OBJECT_TAGS_MAX);
    check_tags(&tags);
    let mut header = Vec::new();
    for (key, value) in tags.iter() {
        header.push(b'&');
        encode_canonical(&mut header, key.as_bytes(), false);
        header.push(b'=');
        encode_canonical(&mut header, value.as_bytes(), false);
    }
    let header = String::from_utf8(header).expect("ASCII");
    assert_eq!(TagSet::parse_header(&header), Ok(tags.clone()), "{header}");
    assert_eq!(TagSet::of_record(&tags.to_wire()), tags);
}

pub(crate) fn check_token(bytes: &[u8]) {
    let place = &bytes[..bytes.len().min(LIST_TEXT_BYTES_MAX)];
    assert_eq!(decode_token(&encode_token(place)).as_deref(), Some(place));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(after) = decode_token(text) {
        assert_eq!(encode_token(&after), text, "a place has one token");
    }
}
