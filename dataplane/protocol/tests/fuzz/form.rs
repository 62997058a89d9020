//! Forms: a Content-Type on the first line, and the body after it.

use bytes::Bytes;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::form::{
    Boundary, FormDecoder, FormError, FormEvent, FormFields, PostObject, StoredObject,
};
use holdfast_protocol::http::ResponseHead;
use holdfast_protocol::limits::{FORM_BYTES_MAX, FORM_FIELDS_MAX, PUT_BYTES_MAX};
use holdfast_protocol::name::{BucketName, ObjectKey};

use super::dice::{Dice, Random};
use super::refusal::refused;
use super::signed;
use super::text::edit;

pub(crate) const WORDS: &[&str] = &[
    "--b",
    "--b--",
    "\r\n",
    "\r\n\r\n",
    "--b\r\n",
    "\r",
    "\n",
    "-",
    "\"",
    "\\",
    ";",
    "=",
    "filename=\"",
    "name=\"file\"",
    "name*=utf-8''%0A",
    "Content-Disposition: form-data; name=\"key\"\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "${filename}",
    "\0",
    "\u{e4}",
    "boundary=\"a b\"",
    "multipart/form-data",
    "%ff",
    "x-amz-meta-a",
];

const FIELDS: &[(&str, &str)] = &[
    ("key", "user/${filename}"),
    ("key", "k"),
    ("acl", "public-read"),
    ("x-amz-acl", "private"),
    ("tagging", "<Tagging/>"),
    ("Content-Type", "text/plain"),
    ("Content-MD5", "XrY7u+Ae7tCTyyK/j1rNww=="),
    ("success_action_status", "201"),
    ("success_action_redirect", "http://page.test/?a=\u{e4}#f"),
    ("redirect", "https://h"),
    ("x-amz-meta-A", "1\u{4e16}"),
    ("x-amz-checksum-crc32", "AAAAAA=="),
    ("x-amz-checksum-algorithm", "CRC32"),
    ("x-ignore-a", "b"),
    ("bucket", "bucket"),
    ("x-amz-storage-class", "STANDARD_IA"),
    ("x-amz-server-side-encryption", "AES256"),
    ("if-match", "*"),
    ("policy", "e30="),
    ("Expires", "never"),
    ("x-amz-website-redirect-location", "/x"),
    ("submit", "Upload"),
    ("x-amz-date", "20130524T120000Z"),
];

/// A form of a few fields, or one of the corpus. Then edited.
pub(crate) fn grow(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut form = match dice.below(3) {
        0 => dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec(),
        _ => {
            let mut fields: Vec<(&str, &str)> = vec![("key", "k/${filename}")];
            (0..dice.below(6)).for_each(|_| fields.push(FIELDS[dice.below(FIELDS.len())]));
            let length = dice.below(80);
            [b"multipart/form-data; boundary=b\n".as_slice(), &multipart("b", &fields, dice.bytes(length))]
                .concat()
        }
    };
    edit(dice, &mut form, WORDS);
    form
}

/// A whole body, as browsers write it. Names must be plain ones.
pub(crate) fn multipart(boundary: &str, fields: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(head.bytes());
    }
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a b.txt\"\r\nContent-Type: text/plain";
    body.extend(format!("--{boundary}\r\n{head}\r\n\r\n").bytes());
    body.extend([file, format!("\r\n--{boundary}--\r\n").as_bytes()].concat());
    body
}

pub(crate) fn check(form: &[u8]) {
    let (content_type, body) =
        form.split_at(form.iter().position(|&byte| byte == b'\n').unwrap_or(form.len()));
    let body = body.get(1..).unwrap_or_default();
    let boundary = match Boundary::parse(content_type.trim_ascii()) {
        Ok(boundary) => boundary,
        Err(error) => return refused(&S3Error::from(error), form.len()),
    };
    let whole = decode(&boundary, body, &[body.len()]);
    assert_eq!(decode(&boundary, body, &Random::of(form).cuts(body.len())), whole, "in pieces");
    let seen = match whole {
        Ok(seen) => seen,
        Err(error) => return refused(&S3Error::from(error), form.len()),
    };
    assert!(seen.fields.iter().count() <= FORM_FIELDS_MAX && seen.file.len() <= body.len());
    let kept: usize = seen.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(kept <= 2 * FORM_BYTES_MAX, "{kept} bytes of fields");
    assert!(seen.file_bytes_max >= Some(seen.file.len() as u64));
    check_again(&seen);
    check_object(&seen.fields, form.len());
}

/// What came of a form, less the pieces it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) fields: FormFields,
    file: Vec<u8>,
    file_bytes_max: Option<u64>,
}

pub(crate) fn decode(boundary: &Boundary, body: &[u8], cuts: &[usize]) -> Result<Seen, FormError> {
    let mut decoder = FormDecoder::new(boundary, Some(body.len() as u64));
    let (mut fields, mut file, mut ended, mut at) = (None, Vec::new(), false, 0);
    for &cut in cuts {
        while at < cut {
            let (consumed, event) = decoder.feed(&body[at..cut])?;
            match event {
                FormEvent::Framing => assert!(consumed > 0, "no progress at {at}"),
                FormEvent::File(found) => assert!(fields.replace(found).is_none(), "two files"),
                FormEvent::Data(data) => {
                    assert!(fields.is_some() && !ended && consumed > 0);
                    assert_eq!(data, &body[at..at + consumed]);
                    file.extend(data);
                }
                FormEvent::Held(held) => {
                    assert!(fields.is_some() && !ended && consumed == 0 && !held.is_empty());
                    file.extend(&held);
                }
                FormEvent::FileEnd => ended = true,
            }
            at += consumed;
        }
    }
    decoder.finish()?;
    assert!(ended, "a closed form has had its file");
    Ok(Seen { fields: fields.expect("its file has begun"), file, file_bytes_max: decoder.file_bytes_max() })
}

/// Fields and file read back from a form made of them, every byte of the names escaped.
fn check_again(seen: &Seen) {
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let boundary = "boundary-that-nobody-guessed";
    let mut body = Vec::new();
    for (name, value) in seen.fields.iter() {
        let name = escaped(name);
        body.extend(
            format!("--{boundary}\r\nContent-Disposition: form-data; name*=UTF-8''{name}\r\n\r\n{value}\r\n")
                .bytes(),
        );
    }
    body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=file\r\n\r\n").bytes());
    body.extend([&seen.file, format!("\r\n--{boundary}--").as_bytes()].concat());
    let rewritten =
        Boundary::parse(format!("multipart/form-data; boundary={boundary}").as_bytes()).expect("a boundary");
    // escaping triples names, and a file's name may have held the variable itself
    let left_out = seen.fields.iter().any(|(name, value)| name.len() > 1000 || value.contains("${filename}"));
    if body.len() - seen.file.len() > FORM_BYTES_MAX / 2 || left_out {
        return;
    }
    let again = decode(&rewritten, &body, &[body.len()]).expect("a form");
    assert_eq!((again.fields, again.file), (seen.fields.clone(), seen.file.clone()));
}

/// What the fields ask for can be stored and answered.
pub(crate) fn check_object(fields: &FormFields, sent_bytes: usize) {
    let bucket = BucketName::parse("bucket").expect("a name");
    let object = match PostObject::read(fields, &bucket, signed::NOW_MS) {
        Ok(object) => object,
        Err(error) => return refused(&error, sent_bytes),
    };
    assert!(object.body.bytes_max <= Some(PUT_BYTES_MAX));
    let key = ObjectKey::parse(Bytes::copy_from_slice(object.key.as_bytes()));
    assert_eq!(key.as_ref(), Ok(&object.key));
    super::route::check_meta(&object.meta);
    let stored =
        StoredObject { bucket: "bucket", key: &object.key, etag: "e", location: "http://h/bucket/k" };
    let answer = object.answer.render(stored);
    assert!([200, 201, 204, 303].contains(&answer.status));
    ResponseHead::new(answer.status, 0).header("Location", &answer.location).expect("a URL that can be sent");
    assert!(answer.location.is_ascii() && answer.location.len() <= 4096 + 6 * sent_bytes);
}
