//! SigV4 in the Authorization header, in a query, in a form: what passes means what was signed.

use holdfast_protocol::form::Boundary;
use holdfast_protocol::http::RequestHead;
use holdfast_protocol::sigv4::{Authenticated, authenticate, authenticate_form};

use super::dice::Dice;
use super::refusal::refused;
use super::signed::{FORM, HEADERS, MEANINGS, Meaning, NOW_MS, OneKey, QUERIES, REGION};
use super::text::edit;
use super::{form, request};

const WORDS: &[&str] = &[
    "Credential=",
    "SignedHeaders=",
    "Signature=",
    "AWS4-HMAC-SHA256",
    "AWS ",
    ",",
    ";",
    "/",
    "=",
    "&",
    "%2F",
    "%3B",
    "%00",
    "+",
    " ",
    "  ",
    "host",
    "20130524",
    "20130525",
    "us-east-1",
    "s3",
    "aws4_request",
    "AKIAIOSFODNN7EXAMPLE",
    "x-amz-date",
    "x-amz-meta-a: 2\r\n",
    "X-Amz-Expires=",
    "604801",
    "X-Amz-Signature=0",
    "X-Amz-Security-Token=t",
    "x-amz-security-token: t\r\n",
    "UNSIGNED-PAYLOAD",
    "Authorization: AWS4-HMAC-SHA256\r\n",
    "Date: Fri, 24 May 2013 12:00:00 GMT\r\n",
    "AWSAccessKeyId=a",
    "x-amz-cf-id: 1\r\n",
    "%41",
    "X-Amz-SignedHeaders=host",
    "\t",
    "\r\n",
    "\u{e4}",
    "HTTP/1.0",
    "http://s3.test",
];

pub(crate) fn grow_header(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    grow(dice, seeds, &HEADERS)
}

pub(crate) fn grow_query(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    grow(dice, seeds, &QUERIES)
}

/// A signed head, edited; rarely one of the corpus, or any head.
fn grow(dice: &mut Dice<'_>, seeds: &[Vec<u8>], signed: &[Vec<u8>]) -> Vec<u8> {
    let signed: Vec<&[u8]> = signed.iter().map(Vec::as_slice).collect();
    let mut head = match dice.below(8) {
        6 => dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec(),
        7 => request::head(dice),
        _ => dice.pick(&signed).to_vec(),
    };
    edit(dice, &mut head, WORDS);
    head
}

pub(crate) fn check(bytes: &[u8]) {
    let Ok(Some((head, _))) = RequestHead::parse(bytes) else { return };
    match authenticate(&head, &OneKey::new(), REGION, NOW_MS) {
        Err(error) => refused(&error, bytes.len()),
        Ok(verified) if matches!(verified.who, Authenticated::Anonymous) => {
            assert!(head.header("authorization").is_none(), "credentials were not looked at");
            assert!(verified.payload.clone().signer_mut().is_none(), "signed chunks without a key");
        }
        Ok(_) => {
            let meaning = Meaning::of(&head);
            assert!(MEANINGS.contains(&meaning), "nobody signed {meaning:?}");
        }
    }
}

pub(crate) fn grow_form(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    if dice.once_in(8) {
        let mut body = dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec();
        edit(dice, &mut body, form::WORDS);
        return body;
    }
    let mut fields: Vec<(&str, String)> = FORM.clone();
    for _ in 0..dice.below(3) {
        let at = dice.below(fields.len());
        let mut value = fields[at].1.clone().into_bytes();
        edit(dice, &mut value, WORDS);
        fields[at].1 = String::from_utf8_lossy(&value).into_owned();
    }
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut body = form::multipart("b", &fields, b"file");
    if dice.once_in(4) {
        edit(dice, &mut body, form::WORDS);
    }
    body
}

/// The body of a form with the boundary `b`.
pub(crate) fn check_form(body: &[u8]) {
    let boundary = Boundary::parse(b"multipart/form-data; boundary=b").expect("a boundary");
    let Ok(seen) = form::decode(&boundary, body, &[body.len()]) else { return };
    let head = b"POST /bucket HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 9\r\n\r\n";
    let head = RequestHead::parse(head).expect("a head").expect("a whole one").0;
    match authenticate_form(&head, &seen.fields, &OneKey::new(), REGION, NOW_MS) {
        Err(error) => refused(&error, body.len()),
        Ok(Authenticated::Anonymous) => assert!(!seen.fields.has("x-amz-signature")),
        Ok(_) => {
            for (name, value) in FORM.iter().filter(|(name, _)| ["Policy", "X-Amz-Signature"].contains(name))
            {
                assert_eq!(seen.fields.get(name), Some(value.as_str()), "nobody signed that");
            }
            form::check_object(&seen.fields, body.len());
        }
    }
}
