//! What must hold of every XML body: read, written and read again it is the same, and a stranger in it is refused.

use holdfast_protocol::document::acl::{AclHeaders, AclOwners, AclRequest, AclResource};
use holdfast_protocol::document::cors::{CorsConfiguration, CorsRequest, CorsResource, CorsState};
use holdfast_protocol::document::ownership::ObjectOwnership;
use holdfast_protocol::document::public_access::PublicAccessBlock;
use holdfast_protocol::document::tagging::{TagSet, Tagged};
use holdfast_protocol::document::versioning::VersioningStatus;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::http::ResponseHead;
use holdfast_protocol::limits::{
    ACL_GRANTS_MAX, BUCKET_TAGS_MAX, CORS_RULES_MAX, DELETE_KEYS_MAX, OBJECT_TAGS_MAX, PARTS_MAX,
    TAG_KEY_UNITS_MAX, TAG_VALUE_UNITS_MAX,
};
use holdfast_protocol::xml::writer::XmlWriter;
use holdfast_protocol::xml::{
    CompleteBody, DeleteBody, Owner, read_complete_upload, read_create_bucket, read_delete,
};

use super::dice::Random;
use super::refusal::refused;

/// Reads a body; what was understood is written, read again, and the same.
fn check<T: PartialEq + std::fmt::Debug>(
    body: &[u8],
    read: impl Fn(&[u8]) -> Result<T, S3Error>,
    write: impl Fn(&T) -> Vec<u8>,
) -> Option<T> {
    let value = match read(body) {
        Ok(value) => value,
        Err(error) => {
            refused(&error, body.len());
            return None;
        }
    };
    let written = write(&value);
    match read(&written) {
        Ok(again) => assert_eq!(again, value, "written as {}", written.escape_ascii()),
        Err(error) => panic!("{error}: {}", written.escape_ascii()),
    }
    check_strangers(body, &read);
    Some(value)
}

/// An element that nobody knows, in any place, makes a body that was fine a refused one. So does a document type.
fn check_strangers<T>(body: &[u8], read: &impl Fn(&[u8]) -> Result<T, S3Error>) {
    // inside of a comment or CDATA nothing is an element, and a blank body has no place for one
    if memchr::memmem::find(body, b"<!").is_some() || body.trim_ascii().is_empty() {
        return;
    }
    let places: Vec<usize> = memchr::memmem::find_iter(body, b"</").chain([body.len()]).collect();
    let at = places[Random::of(body).below(places.len())];
    for stranger in ["<Zz/>", "<Zz>1</Zz>", "<!DOCTYPE a>", "<?pi?>", "&zz;"] {
        let with = [&body[..at], stranger.as_bytes(), &body[at..]].concat();
        assert!(read(&with).is_err(), "{stranger} passed at {at}");
    }
}

pub(crate) fn check_create_bucket(body: &[u8]) {
    check(body, read_create_bucket, |create| {
        let mut xml = XmlWriter::document();
        xml.open("CreateBucketConfiguration");
        xml.text("LocationConstraint", create.constraint.as_deref().unwrap_or_default());
        xml.open("Tags");
        for (key, value) in create.tags.iter() {
            xml.open("Tag");
            xml.text("Key", key);
            xml.text("Value", value);
            xml.close("Tag");
        }
        xml.close("Tags");
        xml.close("CreateBucketConfiguration");
        xml.finish()
    });
}

pub(crate) fn check_delete(body: &[u8]) {
    if let Some(delete) = check(body, read_delete, write_delete) {
        assert!((1..=DELETE_KEYS_MAX).contains(&delete.entries.len()));
    }
}

fn write_delete(delete: &DeleteBody) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open_root("Delete");
    xml.bool("Quiet", delete.quiet);
    for entry in &delete.entries {
        xml.open("Object");
        xml.text("Key", &entry.key);
        entry.version_id.iter().for_each(|version| xml.text("VersionId", version));
        entry.etag.iter().for_each(|etag| xml.text("ETag", &format!("\"{etag}\"")));
        xml.close("Object");
    }
    xml.close("Delete");
    xml.finish()
}

pub(crate) fn check_complete_upload(body: &[u8]) {
    // the checksums of parts are left out: base64 has one text for each
    let without_checksums = |body: &[u8]| {
        let mut read = read_complete_upload(body)?;
        read.parts.iter_mut().for_each(|part| part.checksums.clear());
        Ok(read)
    };
    if let Some(complete) = check(body, without_checksums, write_complete_upload) {
        let numbers: Vec<u32> = complete.parts.iter().map(|part| part.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.len() <= PARTS_MAX as usize);
        assert!((1..=PARTS_MAX).contains(&numbers[0]) && numbers.last() <= Some(&PARTS_MAX));
    }
}

fn write_complete_upload(complete: &CompleteBody) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open_root("CompleteMultipartUpload");
    for part in &complete.parts {
        xml.open("Part");
        xml.text("ETag", &format!("\"{}\"", part.etag));
        xml.number("PartNumber", part.number.into());
        xml.close("Part");
    }
    xml.close("CompleteMultipartUpload");
    xml.finish()
}

pub(crate) fn check_versioning(body: &[u8]) {
    check(body, VersioningStatus::parse, |status| VersioningStatus::to_xml(Some(*status)));
}

pub(crate) fn check_ownership(body: &[u8]) {
    check(body, ObjectOwnership::parse, |ownership| ownership.to_xml());
}

pub(crate) fn check_public_access(body: &[u8]) {
    check(body, PublicAccessBlock::parse, |block| block.to_xml());
}

pub(crate) fn check_tagging(body: &[u8]) {
    for (of, most) in [(Tagged::Object, OBJECT_TAGS_MAX), (Tagged::Bucket, BUCKET_TAGS_MAX)] {
        if let Some(tags) = check(body, |body| TagSet::parse(body, of), TagSet::to_xml) {
            assert!(tags.len() <= most);
            check_tags(&tags);
            assert_eq!(TagSet::from_pairs(tags.pairs(), of).as_ref(), Some(&tags));
        }
    }
}

pub(crate) fn check_tags(tags: &TagSet) {
    for (key, value) in tags.iter() {
        assert!((1..=TAG_KEY_UNITS_MAX).contains(&key.encode_utf16().count()) && !key.starts_with("aws:"));
        assert!(value.encode_utf16().count() <= TAG_VALUE_UNITS_MAX);
        assert!(!key.chars().chain(value.chars()).any(char::is_control));
    }
}

pub(crate) fn check_cors(body: &[u8]) {
    let Some(rules) = check(body, CorsConfiguration::parse, CorsConfiguration::to_xml) else { return };
    assert!((1..=CORS_RULES_MAX).contains(&rules.rules().len()));
    for rule in rules.rules() {
        let origin = rule.allowed_origins[0].as_str().replace('*', "x");
        let asked = rule.allowed_headers.first().map(|header| header.as_str().replace('*', "x"));
        let request = CorsRequest {
            origin: Some(&origin),
            requested_method: Some(rule.allowed_methods[0].name()),
            requested_headers: asked.as_deref(),
        };
        // an empty origin is none, and what a head cannot hold no page comes from
        if origin.is_empty() || origin.chars().any(char::is_control) {
            continue;
        }
        match request.preflight(CorsState::Enabled(&rules), CorsResource::Object) {
            Ok(answer) => {
                let mut head = ResponseHead::new(200, 0);
                for (name, value) in answer.headers() {
                    head.header(name, value.as_bytes()).expect("what a rule says can be sent");
                }
            }
            Err(error) => panic!("{error}: a rule does not match its own example"),
        }
    }
}

const OWNER: Owner<'static> =
    Owner { id: "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be", display_name: "" };
const OTHER: Owner<'static> =
    Owner { id: "0000000000000000000000000000000000000000000000000000000000000000", display_name: "o" };

pub(crate) fn check_acl(body: &[u8]) {
    let headers = AclHeaders::default();
    for owners in [AclOwners::one(OWNER), AclOwners { owner: OWNER, bucket_owner: OTHER }] {
        let read = |body: &[u8]| AclRequest::of_put(&headers, body, AclResource::Object, owners);
        let grants = |request: AclRequest| match request {
            AclRequest::Grants(grants) => grants,
            other => panic!("a body says grants, not {other:?}"),
        };
        match read(body).and_then(|request| Ok((request.canned(owners)?, grants(request)))) {
            Err(error) => refused(&error, body.len()),
            Ok((canned, _)) => {
                let known = |body: &[u8]| read(body)?.canned(owners);
                assert_eq!(check(body, known, |acl| acl.to_xml(owners)), Some(canned));
            }
        }
        if let Ok(request) = read(body) {
            assert!(grants(request).len() <= ACL_GRANTS_MAX);
            check_strangers(body, &read);
        }
    }
}
