//! Bodies as clients send them, and bodies sent to do harm.

use proptest::prelude::*;

use super::*;
use crate::xml::writer::escape;

fn code<T: std::fmt::Debug>(result: Result<T, S3Error>) -> Code {
    result.expect_err("a refusal").code
}

#[test]
fn create_bucket() {
    let read = |body: &str| read_create_bucket(body.as_bytes()).map_err(|error| error.code);
    for nothing in ["", " \r\n", "<CreateBucketConfiguration/>"] {
        assert_eq!(read(nothing), Ok(CreateBucketBody::default()));
    }
    let body = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>eu-west-1\
                </LocationConstraint></CreateBucketConfiguration>";
    let elsewhere = CreateBucketBody { constraint: Some("eu-west-1".into()), ..CreateBucketBody::default() };
    assert_eq!(read(body), Ok(elsewhere));
    let tagged = |tags: &str| read(&format!("<CreateBucketConfiguration>{tags}</CreateBucketConfiguration>"));
    let one = "<Tag><Key>a</Key><Value>1</Value></Tag>";
    let tags = tagged(&format!("<Tags>{one}</Tags>")).map(|body| body.tags.pairs());
    assert_eq!(tags, Ok(vec![("a".into(), "1".into())]));
    assert_eq!(tagged(&format!("<Tags>{one}{one}</Tags>")), Err(Code::InvalidTag));
    assert_eq!(tagged("<Tags/><Tags/>"), Err(Code::MalformedXML));
    assert_eq!(tagged("<Bucket/>"), Err(Code::NotImplemented));
    assert_eq!(read("<CreateBucketConfiguration><X/></CreateBucketConfiguration>"), Err(Code::MalformedXML));
    assert_eq!(read("<Delete/>"), Err(Code::MalformedXML));
    let twice = "<CreateBucketConfiguration><LocationConstraint>a</LocationConstraint><LocationConstraint>b\
                 </LocationConstraint></CreateBucketConfiguration>";
    assert_eq!(read(twice), Err(Code::MalformedXML));
}

#[test]
fn delete() {
    let body = "<Delete xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Quiet>true</Quiet>\n<Object><Key> a&amp;&#x1;b </Key>\
                </Object><Object><ETag>\"e\"</ETag><Key>k</Key><VersionId>null</VersionId></Object></Delete>";
    let read = read_delete(body.as_bytes()).unwrap();
    assert!(read.quiet);
    assert_eq!(
        read.entries,
        [
            DeleteEntry { key: " a&\u{1}b ".into(), version_id: None, etag: None },
            DeleteEntry { key: "k".into(), version_id: Some("null".into()), etag: Some("e".into()) },
        ]
    );
}

#[test]
fn delete_refuses() {
    let object = "<Object><Key>k</Key></Object>";
    for body in [
        "<Delete/>".to_owned(),
        "<Delete><Object/></Delete>".to_owned(),
        "<Delete><Object><Key></Key></Object></Delete>".to_owned(),
        "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>".to_owned(),
        "<Delete><Object><Key>a</Key><Other/></Object></Delete>".to_owned(),
        format!("<Delete><Quiet>maybe</Quiet>{object}</Delete>"),
        format!("<Delete>{object}"),
        format!("<Delete>{}</Delete>", object.repeat(1001)),
        format!("<!DOCTYPE d [<!ENTITY k \"v\">]><Delete>{object}</Delete>"),
        "<Delete><Object><Key>&lol;</Key></Object></Delete>".to_owned(),
        String::new(),
    ] {
        assert_eq!(code(read_delete(body.as_bytes())), Code::MalformedXML, "{:.80}", body);
    }
    let most = format!("<Delete>{}</Delete>", object.repeat(1000));
    assert_eq!(read_delete(most.as_bytes()).unwrap().entries.len(), 1000);
}

fn part(number: u32) -> String {
    format!("<Part><ETag>&quot;e{number}&quot;</ETag><PartNumber>{number}</PartNumber></Part>")
}

fn complete(parts: &str) -> Result<CompleteBody, S3Error> {
    read_complete_upload(format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").as_bytes())
}

#[test]
fn complete_upload() {
    let more =
        "<Part><PartNumber> 7 </PartNumber><ETag>e7</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>";
    let parts = complete(&format!("{}{more}", part(2))).unwrap().parts;
    assert_eq!((parts[0].number, parts[0].etag.as_str()), (2, "e2"));
    assert_eq!((parts[1].number, parts[1].etag.as_str()), (7, "e7"));
    assert_eq!(parts[1].checksums[0].value.as_ref(), [0; 4]);
    let all: String = (1..=10_000).map(part).collect();
    assert_eq!(complete(&all).unwrap().parts.len(), 10_000);
}

#[test]
fn complete_upload_refuses() {
    assert_eq!(code(complete("")), Code::MalformedXML);
    assert_eq!(code(complete(&format!("{}{}", part(2), part(1)))), Code::InvalidPartOrder);
    assert_eq!(code(complete(&format!("{}{}", part(1), part(1)))), Code::InvalidPartOrder);
    assert_eq!(code(complete(&part(0))), Code::InvalidArgument);
    assert_eq!(code(complete(&part(10_001))), Code::InvalidArgument);
    let all: String = (1..=10_000).map(part).collect();
    assert_eq!(code(complete(&format!("{all}{}", part(10_000)))), Code::MalformedXML);
    for inner in [
        "<PartNumber>1</PartNumber>",
        "<ETag>e</ETag>",
        "<ETag>e</ETag><PartNumber>one</PartNumber>",
        "<ETag>e</ETag><PartNumber>-1</PartNumber>",
        "<ETag>e</ETag><PartNumber>1</PartNumber><ChecksumCRC16>AAA=</ChecksumCRC16>",
    ] {
        assert_eq!(code(complete(&format!("<Part>{inner}</Part>"))), Code::MalformedXML, "{inner}");
    }
    let crc32 = "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>";
    let two = format!("{crc32}<ChecksumXXHASH64>AAAAAAAAAAA=</ChecksumXXHASH64>");
    let not_base64 = "<ChecksumCRC32>x</ChecksumCRC32>".to_owned();
    for checksums in
        [two, format!("{crc32}{crc32}"), not_base64, "<ChecksumMD5>AAAA</ChecksumMD5>".to_owned()]
    {
        let part = format!("<Part><ETag>e</ETag><PartNumber>1</PartNumber>{checksums}</Part>");
        assert_eq!(code(complete(&part)), Code::InvalidArgument, "{checksums}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_escaped_is_read_back(key in "[^\0]{1,80}") {
        let mut body = b"<Delete><Object><Key>".to_vec();
        escape(&mut body, &key);
        body.extend_from_slice(b"</Key></Object></Delete>");
        prop_assert_eq!(&read_delete(&body).unwrap().entries[0].key, &key);
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (read_delete(&body).is_ok(), read_complete_upload(&body).is_ok(), read_create_bucket(&body).is_ok());
    }

    #[test]
    fn any_markup_is_read_or_refused(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("<Delete>"), Just("</Delete>"), Just("<Object>"), Just("</Object>"), Just("<Key>"), Just("</Key>"),
                Just("<Key/>"), Just("k"), Just("&amp;"), Just("&#9;"), Just("<![CDATA["), Just("]]>"), Just("<!--"),
                Just("-->"), Just("<?x?>"), Just("&"), Just("<"), Just(" "), Just("<!DOCTYPE x>"), Just("<Quiet>"),
            ],
            0..20,
        ),
    ) {
        let body = pieces.concat();
        let _ = (read_delete(body.as_bytes()).is_ok(), read_complete_upload(body.as_bytes()).is_ok());
    }
}
