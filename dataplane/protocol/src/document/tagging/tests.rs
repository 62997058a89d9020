//! Tags by body and by header, and S3's words for each fault.

use proptest::prelude::*;

use super::*;

fn body(tags: &[(&str, &str)]) -> String {
    let tag = |(key, value): &(&str, &str)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    format!("<Tagging><TagSet>{}</TagSet></Tagging>", tags.iter().map(tag).collect::<String>())
}

fn parse(tags: &[(&str, &str)], of: Tagged) -> Result<TagSet, S3Error> {
    TagSet::parse(body(tags).as_bytes(), of)
}

fn pairs(set: Result<TagSet, S3Error>) -> Vec<(String, String)> {
    set.unwrap().pairs()
}

fn owned(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn bodies_are_read_and_rendered() {
    let given = "<?xml version=\"1.0\"?>\n<Tagging xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>\n <TagSet>\n  <Tag>\
                 <Value/><Key>tag2</Key></Tag><Tag><Key>tag1</Key><Value> a+b </Value></Tag></TagSet></Tagging>\n";
    let set = TagSet::parse(given.as_bytes(), Tagged::Object).unwrap();
    assert_eq!(set.pairs(), owned(&[("tag1", " a+b "), ("tag2", "")]));
    assert_eq!((set.len(), set.value("tag1"), set.value("tag3")), (2, Some(" a+b "), None));
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    let rendered = "<TagSet><Tag><Key>tag1</Key><Value> a+b </Value></Tag><Tag><Key>tag2</Key><Value></Value></Tag></TagSet>";
    assert_eq!(String::from_utf8(set.to_xml()).unwrap(), format!("{head}{rendered}</Tagging>"));
    let none = TagSet::parse(b"<Tagging><TagSet></TagSet></Tagging>", Tagged::Bucket).unwrap();
    assert!(none.is_empty());
    assert_eq!(String::from_utf8(none.to_xml()).unwrap(), format!("{head}<TagSet/></Tagging>"));
}

#[test]
fn headers_are_queries() {
    let read = |value: &str| pairs(TagSet::parse_header(value));
    assert_eq!(read(""), []);
    assert_eq!(read("foo=bar&bar"), owned(&[("bar", ""), ("foo", "bar")]));
    assert_eq!(read("key1&&&key2="), owned(&[("key1", ""), ("key2", "")]));
    assert_eq!(read("a+b=%2B%3D&%C3%A9=%20"), owned(&[("a b", "+="), ("é", " ")]));
    let form = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name \
                duplicates.";
    for bad in ["key1=val1&key1=val2", "a=&a=", "key1=val1,key2=val2", "a=%zz", "a=%ff", "a=b=c"] {
        let error = TagSet::parse_header(bad).unwrap_err();
        let named = [("ArgumentName", "x-amz-tagging".to_owned()), ("ArgumentValue", bad.to_owned())];
        assert_eq!((error.code, error.message.as_ref()), (Code::InvalidArgument, form), "{bad}");
        assert_eq!(error.extra, named, "{bad}");
    }
}

#[track_caller]
fn refused(set: Result<TagSet, S3Error>, code: Code, message: &str, told: &[(&'static str, &str)]) {
    let error = set.expect_err(message);
    assert_eq!((error.code, error.message.as_ref()), (code, message));
    let extra: Vec<_> = error.extra.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(extra, told);
}

const KEY: &str = "The TagKey you have provided is invalid";
const VALUE: &str = "The TagValue you have provided is invalid";

#[test]
fn tags_are_refused_in_the_words_of_s3() {
    use Tagged::{Bucket, Object};
    for of in [Object, Bucket] {
        let tag = Code::InvalidTag;
        let twice = "Cannot provide multiple Tags with the same key";
        refused(parse(&[("Key1", "a"), ("Key1", "b")], of), tag, twice, &[("TagKey", "Key1")]);
        refused(parse(&[("Key1,Key2", "a")], of), tag, KEY, &[("TagKey", "Key1,Key2")]);
        refused(parse(&[("", "a")], of), tag, KEY, &[("TagKey", "")]);
        refused(parse(&[("a&#9;", "a")], of), tag, KEY, &[("TagKey", "a\t")]);
        refused(parse(&[("Key1", "a,b")], of), tag, VALUE, &[("TagKey", "Key1"), ("TagValue", "a,b")]);
        // the first fault is told, and their number last
        let many: Vec<_> = (0..60).map(|at| if at == 59 { ("a;", "") } else { ("a", "") }).collect();
        refused(parse(&many, of), tag, twice, &[("TagKey", "a")]);
    }
    let prefixed = [("aws:prefixed", "a")];
    let told = [("TagKey", "aws:prefixed")];
    refused(parse(&prefixed, Object), Code::InvalidTag, "Your TagKey cannot be prefixed with aws:", &told);
    refused(
        parse(&prefixed, Bucket),
        Code::InvalidTag,
        "System tags cannot be added/updated by requester",
        &told,
    );
    refused(
        TagSet::parse_header("aws:prefixed=a"),
        Code::InvalidTag,
        "Your TagKey cannot be prefixed with aws:",
        &told,
    );
    refused(TagSet::parse_header("=a"), Code::InvalidTag, KEY, &[("TagKey", "")]);
    refused(TagSet::parse_header("%5Ba"), Code::InvalidTag, KEY, &[("TagKey", "[a")]);
}

#[test]
fn sets_have_limits() {
    let keys: Vec<String> = (0..60).map(|at| format!("k{at}")).collect();
    let tags: Vec<_> = keys.iter().map(|key| (key.as_str(), "")).collect();
    assert_eq!(parse(&tags[..10], Tagged::Object).unwrap().len(), 10);
    assert_eq!(parse(&tags[..50], Tagged::Bucket).unwrap().len(), 50);
    let ten = "Object tags cannot be greater than 10";
    let fifty = "Bucket tag count cannot be greater than 50";
    refused(parse(&tags[..11], Tagged::Object), Code::BadRequest, ten, &[]);
    refused(parse(&tags[..51], Tagged::Bucket), Code::BadRequest, fifty, &[]);
    refused(TagSet::parse_header(&keys[..11].join("&")), Code::BadRequest, ten, &[]);
    refused(TagSet::parse_header(&"a&".repeat(200)), Code::BadRequest, ten, &[]);
    assert_eq!(TagSet::from_pairs(owned(&tags[..11]), Tagged::Object), None);
}

#[test]
fn lengths_are_counted_in_utf16() {
    let read = |key: &str, value: &str| parse(&[(key, value)], Tagged::Object).map_err(|error| error.code);
    for character in ["a", "é", "字"] {
        assert!(read(&character.repeat(128), &character.repeat(256)).is_ok());
        assert_eq!(read(&character.repeat(129), ""), Err(Code::InvalidTag));
        assert_eq!(read("k", &character.repeat(257)), Err(Code::InvalidTag));
    }
    // a letter beyond the basic plane is two
    assert!(read(&"𝒜".repeat(64), "").is_ok());
    assert_eq!(read(&"𝒜".repeat(65), ""), Err(Code::InvalidTag));
}

#[test]
fn characters() {
    let read = |key: &str| parse(&[(key, key)], Tagged::Bucket).is_ok();
    for good in ["+-=._:/@", "a b", "Ärger 9", "ключ", "キー", "a\u{a0}b", "٣", "AWS:x", "awsome"] {
        assert!(read(good), "{good}");
    }
    for bad in ["a,b", "a\"b", "a\nb", "a*", "(a)", "a;b", "😀", "a!", "[a]", "a#", "a\\", "a%"] {
        assert!(!read(bad), "{bad}");
    }
}

#[test]
fn shapes_are_refused_as_malformed() {
    for body in [
        "<Tagging/>",
        "<TagSet/>",
        "<Tagging><TagSet/><TagSet/></Tagging>",
        "<Tagging><Tag><Key>a</Key><Value>b</Value></Tag></Tagging>",
        "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        "<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>",
        "<Tagging><TagSet><Tag><Key>a</Key><Key>a</Key><Value/></Tag></TagSet></Tagging>",
        "<Tagging><TagSet><Tag><Key>a</Key><Value/><Other/></Tag></TagSet></Tagging>",
        "<Tagging><TagSet><Other/></TagSet></Tagging>",
        "<Tagging><TagSet/></Tagging><Tagging/>",
        "Tagging",
    ] {
        assert_eq!(
            TagSet::parse(body.as_bytes(), Tagged::Object).unwrap_err().code,
            Code::MalformedXML,
            "{body}"
        );
    }
    assert_eq!(TagSet::parse(b"", Tagged::Object).unwrap_err().code, Code::MissingRequestBodyError);
}

#[test]
fn directives() {
    assert_eq!(TaggingDirective::parse(None).unwrap(), TaggingDirective::Copy);
    assert_eq!(TaggingDirective::parse(Some("COPY")).unwrap(), TaggingDirective::Copy);
    assert_eq!(TaggingDirective::parse(Some("REPLACE")).unwrap(), TaggingDirective::Replace);
    for other in ["", "copy", "KEEP"] {
        assert_eq!(TaggingDirective::parse(Some(other)).unwrap_err().code, Code::InvalidArgument);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rendered_is_read_back(tags in prop::collection::btree_map("[a-zà-ü字 +=._:/@-]{1,9}", "[\\p{L}\\p{Nd} ]{0,9}", 0..11)) {
        let tags: Vec<_> = tags.into_iter().filter(|(key, _)| !key.starts_with("aws:")).collect();
        let set = TagSet::from_pairs(tags.clone(), Tagged::Object);
        prop_assume!(set.is_some());
        let set = set.unwrap();
        prop_assert_eq!(set.pairs(), tags.clone());
        prop_assert_eq!(TagSet::parse(&set.to_xml(), Tagged::Object), Ok(set.clone()));
        let mut header = Vec::new();
        for (key, value) in &tags {
            crate::uri::encode_canonical(&mut header, key.as_bytes(), false);
            header.push(b'=');
            crate::uri::encode_canonical(&mut header, value.as_bytes(), false);
            header.push(b'&');
        }
        prop_assert_eq!(TagSet::parse_header(std::str::from_utf8(&header).unwrap()), Ok(set));
    }

    #[test]
    fn any_text_is_read_or_refused(header in ".{0,60}", body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = TagSet::parse_header(&header);
        let _ = TagSet::parse(&body, Tagged::Bucket);
    }

    #[test]
    fn what_is_taken_keeps_the_rules(pieces in prop::collection::vec(prop_oneof![
        Just("<Tag>"), Just("</Tag>"), Just("<Key>"), Just("</Key>"), Just("<Value>"), Just("</Value>"), Just("<Value/>"),
        Just("a"), Just("aws:"), Just("&#9;"), Just("<Tag><Key>b</Key><Value/></Tag>"),
    ], 0..16)) {
        let body = format!("<Tagging><TagSet>{}</TagSet></Tagging>", pieces.concat());
        if let Ok(set) = TagSet::parse(body.as_bytes(), Tagged::Object) {
            prop_assert!(set.iter().all(|(key, value)| check(key, value, Tagged::Object).is_ok()));
            prop_assert!(set.len() <= 10);
        }
    }
}
