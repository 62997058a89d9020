//! POST policies: what is signed with a form, and what it lets pass.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_protocol::form::{Boundary, FormFields, Policy};
use holdfast_protocol::name::BucketName;

use super::dice::Dice;
use super::policy::{check_strangers, without_blanks};
use super::refusal::refused;
use super::text::edit;
use super::{form, signed};

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0041",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\$",
    "\\v",
    "null",
    "true",
    "1.5",
    "-1",
    "99999999999999999999",
    "expiration",
    "conditions",
    "eq",
    "starts-with",
    "content-length-range",
    "$key",
    "$",
    "",
    " ",
    "\u{e4}",
];
const CONDITIONS: &[&str] = &[
    "{\"bucket\":\"bucket\"}",
    "[\"starts-with\",\"$key\",\"\"]",
    "{\"acl\":\"private\"}",
    "[\"eq\",\"$acl\",\"private\"]",
    "[\"content-length-range\",1,10]",
    "[\"content-length-range\",\"0\",5]",
    "[\"starts-with\",\"$x-amz-meta-\",\"\"]",
    "{}",
    "[]",
    "[\"eq\",\"key\",\"k\"]",
    "[\"STARTS-WITH\",\"$Content-Type\",\"image/\"]",
    "{\"Key\":\"k\"}",
    "{\"a\":1}",
    "[\"in\",\"$a\",\"b\"]",
    "[\"starts-with\",\"$success_action_redirect\",\"http\"]",
    "{\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\"}",
    "[\"eq\",\"$\",\"\"]",
    "[\"starts-with\",\"$\u{e4}\",\"\"]",
    "[\"content-length-range\",\"a\",\"b\"]",
    "[\"content-length-range\",18446744073709551615,1]",
];

/// A policy of a few conditions, or one of the corpus. Then edited, mostly.
pub(crate) fn grow(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut policy = match dice.below(3) {
        0 => dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec(),
        _ => {
            let expiration =
                dice.pick(&["2033-05-24T12:00:00Z", "2033-05-24T12:00:00.000Z", "2001-01-01T00:00:00Z", "x"]);
            let mut conditions = CONDITIONS[..2].to_vec();
            (0..dice.below(4)).for_each(|_| conditions.push(dice.pick(CONDITIONS)));
            let comma = dice.pick(&["", "", ","]);
            format!("{{\"expiration\":\"{expiration}\",\"conditions\":[{}{comma}]}}", conditions.join(","))
                .into_bytes()
        }
    };
    if !dice.once_in(3) {
        edit(dice, &mut policy, WORDS);
    }
    policy
}

pub(crate) fn check(document: &[u8]) {
    // as it stands, for base64's own faults
    if let Ok(Err(error)) = std::str::from_utf8(document).map(Policy::parse) {
        refused(&error, document.len());
    }
    let read = |document: &[u8]| Policy::parse(&STANDARD.encode(document));
    let policy = match read(document) {
        Ok(policy) => policy,
        Err(error) => return refused(&error, document.len()),
    };
    assert_eq!(read(&without_blanks(document)).as_ref(), Ok(&policy), "blanks mean something");
    check_strangers(document, |with| read(with).is_ok());
    let bucket = BucketName::parse("bucket").expect("a name");
    for sent in
        [vec![("key", "k")], vec![("key", "user/k"), ("acl", "private")], vec![("KEY", ""), ("Zz", "1")]]
    {
        let fields = fields(&sent);
        match policy.check(&fields, &bucket, signed::NOW_MS) {
            Err(error) => refused(&error, document.len() + 1024),
            Ok(_) => sent
                .iter()
                .for_each(|(name, _)| assert!(names(document, name), "{name} is not in the policy")),
        }
        assert!(policy.check(&fields, &bucket, u64::MAX).is_err(), "never expires");
    }
}

fn fields(sent: &[(&str, &str)]) -> FormFields {
    let boundary = Boundary::parse(b"multipart/form-data; boundary=b").expect("a boundary");
    let body = form::multipart("b", sent, b"");
    form::decode(&boundary, &body, &[body.len()]).expect("a form").fields
}

/// Whether the text of a policy names a field; an escape may spell it otherwise.
fn names(document: &[u8], field: &str) -> bool {
    let lower = document.to_ascii_lowercase();
    lower.contains(&b'\\') || memchr::memmem::find(&lower, field.to_ascii_lowercase().as_bytes()).is_some()
}
