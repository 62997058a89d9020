//! Whole heads to operations: what is accepted can be stored and answered, and nothing said twice means something else.

use bytes::Bytes;
use holdfast_common::wire::ObjectMeta;
use holdfast_protocol::http::{RequestHead, ResponseHead};
use holdfast_protocol::limits::{LIST_ENTRIES_MAX, PARTS_MAX, USER_METADATA_BYTES_MAX};
use holdfast_protocol::name::{BucketName, ObjectKey};
use holdfast_protocol::operation::{
    Addressing, Operation, RequestFacts, Routed, Selection, cors_request, route,
};

use super::dice::{Dice, Random};
use super::refusal::refused;
use super::request;
use super::text::edit;

pub(crate) fn grow(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut head = match dice.below(4) {
        0 => dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec(),
        _ => request::head(dice),
    };
    if dice.once_in(2) {
        edit(dice, &mut head, request::WORDS);
    }
    head
}

pub(crate) fn check(bytes: &[u8]) {
    let Ok(Some((head, consumed))) = RequestHead::parse(bytes) else { return };
    let addressing = Addressing::new(["s3.test"]);
    if let Err(error) = RequestFacts::read(&head, [127, 0, 0, 1].into(), true, None) {
        refused(&error, consumed);
    }
    let _ = cors_request(&head);
    match route(&head, &addressing) {
        Err(error) => refused(&error, consumed),
        Ok(routed) => {
            check_routed(&routed);
            check_said_twice(&head, &routed, &addressing);
        }
    }
}

fn check_routed(routed: &Routed) {
    let name = routed.operation.name();
    assert!(!name.is_empty(), "{routed:?}");
    if let Some(bucket) = &routed.bucket {
        assert_eq!(BucketName::parse(bucket.as_str()).as_ref(), Ok(bucket));
    }
    if let Some(key) = &routed.key {
        assert_eq!(ObjectKey::parse(Bytes::copy_from_slice(key.as_bytes())).as_ref(), Ok(key));
    }
    let of_object = name.ends_with("Object") || name.contains("Part") && name != "ListParts";
    assert!(routed.key.is_some() || !of_object || ["PostObject"].contains(&name), "{name} without a key");
    if let (Some(most), Some(body)) = (routed.operation.control_body_bytes_max(), routed.operation.body()) {
        assert!(body.size.is_none_or(|bytes| bytes <= most as u64), "{name}: a body that is too long");
    }
    check_input(&routed.operation);
}

fn check_input(operation: &Operation) {
    match operation {
        Operation::PutObject(input) => check_meta(&input.meta),
        Operation::CopyObject(input) => check_meta(&input.meta),
        Operation::UploadPart(input) => assert!((1..=PARTS_MAX).contains(&input.part_number)),
        Operation::UploadPartCopy(input) => assert!((1..=PARTS_MAX).contains(&input.part_number)),
        Operation::ListObjects(input) => assert!(input.max_keys <= LIST_ENTRIES_MAX),
        Operation::GetObject(input) | Operation::HeadObject(input) => {
            if let Selection::Part(number) = input.selection {
                assert!((1..=PARTS_MAX).contains(&number));
            }
            let overrides = &input.overrides;
            for value in [&overrides.expires, &overrides.cache_control, &overrides.content_disposition] {
                ResponseHead::new(200, 0)
                    .header("x-any", value.as_bytes())
                    .expect("an override that can be sent");
            }
        }
        _ => {}
    }
}

/// Metadata is kept as it was said, and every answer will say it again.
pub(crate) fn check_meta(meta: &ObjectMeta) {
    let said = [
        &meta.content_type,
        &meta.cache_control,
        &meta.content_disposition,
        &meta.content_encoding,
        &meta.content_language,
        &meta.expires,
        &meta.website_redirect,
        &meta.storage_class,
    ];
    let mut head = ResponseHead::new(200, 0);
    for value in said {
        head.header("x-any", value.as_bytes()).expect("a value that can be sent");
    }
    for pair in &meta.user {
        head.header(&format!("x-amz-meta-{}", pair.name), pair.value.as_bytes())
            .expect("metadata that can be sent");
    }
    let bytes: usize = meta.user.iter().map(|pair| pair.name.len() + pair.value.len()).sum();
    assert!(bytes <= USER_METADATA_BYTES_MAX && !meta.content_type.is_empty());
    assert!(!meta.content_encoding.to_ascii_lowercase().split(',').any(|one| one.trim() == "aws-chunked"));
}

/// One header line and one argument again: refused, or the same operation. What is in front of us may have read the other one.
fn check_said_twice(head: &RequestHead, routed: &Routed, addressing: &Addressing) {
    let mut random = Random::of(head.target().as_bytes());
    let headers: Vec<_> = head.headers().collect();
    if let Some(&again) = headers.get(random.below(headers.len())) {
        // these are lists: twice is one value more
        if !again.0.to_ascii_lowercase().starts_with("x-amz-meta-") {
            check_same(head, head.target(), Some(again), routed, addressing);
        }
    }
    let arguments: Vec<_> =
        head.query().split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()).collect();
    if let Some(again) = arguments.get(random.below(arguments.len())) {
        let target = format!("{}&{}", head.target(), String::from_utf8_lossy(again));
        check_same(head, &target, None, routed, addressing);
    }
}

fn check_same(
    head: &RequestHead,
    target: &str,
    more: Option<(&str, &[u8])>,
    routed: &Routed,
    addressing: &Addressing,
) {
    let mut text = format!("{} {target} HTTP/1.1\r\n", head.method_str()).into_bytes();
    for (name, value) in head.headers().chain(more) {
        text.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    text.extend(b"\r\n");
    let Ok(Some((head, _))) = RequestHead::parse(&text) else { return };
    if let Ok(other) = route(&head, addressing) {
        assert_eq!(format!("{other:?}"), format!("{routed:?}"), "{}", text.escape_ascii());
    }
}
