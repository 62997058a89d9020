//! Cases of percent-coding and queries, and encode/decode as inverses.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn decoded(raw: &str, expected: Result<&[u8], UriError>) {
    assert_eq!(decode_percent(raw.as_bytes()).as_deref(), expected.as_ref().map(|b| *b), "{raw:?}");
}

#[test]
fn percent_decoding_is_strict_and_happens_once() {
    decoded("/a+b", Ok(b"/a+b"));
    decoded("%2f%2F", Ok(b"//"));
    decoded("%252F", Ok(b"%2F"));
    decoded("a%20b%", Err(UriError::BadEscape));
    decoded("%4", Err(UriError::BadEscape));
    decoded("%G0", Err(UriError::BadEscape));
    decoded("%+1", Err(UriError::BadEscape));
    decoded("%00%ff", Ok(b"\0\xff"));
    decoded("é", Ok("é".as_bytes()));
}

#[test]
fn canonical_encoding() {
    let encode = |bytes: &str, keep_slash| {
        let mut out = Vec::new();
        encode_canonical(&mut out, bytes.as_bytes(), keep_slash);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        encode("/a b+(c)'!*=:@&$,;~-._/é", true),
        "/a%20b%2B%28c%29%27%21%2A%3D%3A%40%26%24%2C%3B~-._/%C3%A9"
    );
    assert_eq!(encode("a/b", false), "a%2Fb");
}

#[test]
fn queries() {
    let query = Query::parse(b"acl&prefix=a+b%2Bc&&x-id=PutObject&empty=&twice=1&twice=1&k=a=b").unwrap();
    assert!(query.has("acl") && !query.has("ACL"));
    assert_eq!(query.one("acl"), Ok(Some("")));
    assert_eq!(query.one("prefix"), Ok(Some("a b+c")));
    assert_eq!(query.one("empty"), Ok(Some("")));
    assert_eq!(query.one("k"), Ok(Some("a=b")));
    assert_eq!(query.one("none"), Ok(None));
    assert_eq!(query.one("twice"), Err(Repeated { name: "twice".to_owned() }));
    assert_eq!(query.iter().nth(1).unwrap().raw_value, b"a+b%2Bc");
    assert_eq!(query.iter().count(), 7);
    assert!(Query::parse(b"").unwrap().is_empty());
    assert_eq!(Query::parse(b"a=%zz"), Err(UriError::BadEscape));
    assert_eq!(Query::parse(b"a=%ff"), Err(UriError::NotUtf8));
    assert!(Query::parse("a&".repeat(100).as_bytes()).is_ok());
    assert_eq!(Query::parse("a&".repeat(101).as_bytes()), Err(UriError::TooManyArguments));
}

#[test]
fn an_escaped_name_is_the_same_argument() {
    let query = Query::parse(b"version%49d=1&versionId=2").unwrap();
    assert!(query.one("versionId").is_err(), "an escape must not hide the repetition");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn encoding_and_decoding_are_inverse(bytes in prop::collection::vec(any::<u8>(), 0..200), keep_slash: bool) {
        let mut encoded = Vec::new();
        encode_canonical(&mut encoded, &bytes, keep_slash);
        prop_assert_eq!(&*decode_percent(&encoded).unwrap(), &bytes[..]);
        prop_assert_eq!(&*decode(&encoded, true).unwrap(), &bytes[..]);
    }

    #[test]
    fn no_bytes_upset_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Query::parse(&bytes);
        let _ = decode_percent(&bytes);
    }
}
