//! Whatever arrives, routing answers: no panic, and the same key in both styles of addressing.

use proptest::prelude::*;

use super::*;
use crate::uri::encode_canonical;

fn target(bucket: &str, key: &str) -> String {
    let mut path = format!("/{bucket}/").into_bytes();
    encode_canonical(&mut path, key.as_bytes(), true);
    String::from_utf8(path).unwrap()
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        Just("delete".to_owned()),
        Just("uploads".to_owned()),
        Just("uploadId".to_owned()),
        Just("partNumber".to_owned()),
        Just("list-type".to_owned()),
        Just("max-keys".to_owned()),
        Just("continuation-token".to_owned()),
        Just("X-Amz-Signature".to_owned()),
        Just("x-amz-checksum-crc32".to_owned()),
        Just("x-amz-copy-source".to_owned()),
        Just("2".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_key_arrives_as_it_was_meant(key in "[^\0]{1,200}") {
        prop_assume!(target("bkt", &key).len() < 4000);
        let path_style = routed(&format!("GET {}", target("bkt", &key)), &[]);
        let hosted = routed(&format!("GET {}", &target("bkt", &key)[4..]), &["Host: bkt.example.test"]);
        prop_assert_eq!(&path_style, &hosted);
        prop_assert_eq!(path_style.2, key);
    }

    #[test]
    fn any_request_is_answered(
        method in "(GET|PUT|POST|HEAD|DELETE)",
        path in prop_oneof![Just("/".to_owned()), Just("/bkt".to_owned()), Just("/bkt/key".to_owned()), "/[!-~]{0,20}"],
        arguments in prop::collection::vec((word(), word()), 0..5),
        headers in prop::collection::vec(("(x-amz-[a-z-]{1,20}|x-amz-copy-source|range|content-md5)", "[ -~]{0,20}"), 0..4),
    ) {
        let mut query = Vec::new();
        for (name, value) in &arguments {
            encode_canonical(&mut query, name.as_bytes(), false);
            query.push(b'=');
            encode_canonical(&mut query, value.as_bytes(), false);
            query.push(b'&');
        }
        let path = path.replace(['?', '#'], "_");
        let mut text = format!("{method} {path}?{} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n", String::from_utf8(query).unwrap());
        for (name, value) in &headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        if let Ok(Some((head, _))) = RequestHead::parse(text.as_bytes())
            && let Err(error) = route(&head, &addressing())
        {
            prop_assert!((400..=501).contains(&error.status()), "{error}");
        }
    }

    #[test]
    fn any_listing_of_versions_and_any_attributes_are_answered(
        arguments in prop::collection::vec(("(max-keys|key-marker|version-id-marker|encoding-type|prefix|versionId)", "[ -~]{0,12}"), 0..5),
        headers in prop::collection::vec(("x-amz-(object-attributes|max-parts|part-number-marker|optional-object-attributes)", "([!-~]{0,9}|ETag(,Checksum)?|[0-9]{1,11})"), 0..4),
    ) {
        let mut query = Vec::new();
        for (name, value) in &arguments {
            query.extend_from_slice(format!("&{name}=").as_bytes());
            encode_canonical(&mut query, value.as_bytes(), false);
        }
        let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let head = head(&format!("GET /bkt/key?versions{}", String::from_utf8(query).unwrap()), &headers);
        let request = Request::new(&head).unwrap();
        match ListObjectVersionsInput::read(&request) {
            Ok(input) => prop_assert!(input.max_keys <= 1000),
            Err(error) => prop_assert_eq!(error.status(), 400),
        }
        match GetObjectAttributesInput::read(&request) {
            Ok(input) => prop_assert!((1..=1000).contains(&input.max_parts) && input.part_number_marker <= 10_000),
            Err(error) => prop_assert_eq!(error.status(), 400),
        }
    }

    #[test]
    fn any_copy_source_is_read_or_refused(source in "(/?src(/|%2F)|%2F)?[ -~]{0,30}(\\?versionId=[ -~]{0,8})?") {
        let headers = [format!("x-amz-copy-source: {source}")];
        if let Err(error) = ask("PUT /bkt/key", &[&headers[0]]) {
            prop_assert!(matches!(error.status(), 400 | 501), "{}", error);
        }
    }

    #[test]
    fn tokens_come_back(after in prop::collection::vec(any::<u8>(), 0..=1024)) {
        prop_assert_eq!(decode_token(&encode_token(&after)), Some(after));
    }

    #[test]
    fn any_token_is_read_or_refused(token in "[ -~]{0,40}") {
        let _ = decode_token(&token);
    }
}
