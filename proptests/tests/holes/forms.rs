//! POST forms: a page holds a policy that its signer wrote, and tries to upload something else with it.

use crate::client::{Answer, Ask, Key, base64, hmac_hex, now_ms, scope};
use crate::rig::rig;
use crate::{put, put_policy};

const BOUNDARY: &str = "----holes";

/// The fields in their order, the file, and what comes too late.
pub(crate) fn multipart(fields: &[(&str, &str)], file: &[u8], after: &[(&str, &str)]) -> Vec<u8> {
    named_multipart(fields, file, "name.txt", after)
}

fn named_multipart(fields: &[(&str, &str)], file: &[u8], filename: &str, after: &[(&str, &str)]) -> Vec<u8> {
    let field = |(name, value): &(&str, &str)| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut out: Vec<u8> = fields.iter().map(field).collect::<String>().into_bytes();
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(file);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(after.iter().map(field).collect::<String>().as_bytes());
    out.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    out
}

pub(crate) fn post(bucket: &str, body: &[u8]) -> Ask {
    Ask::post(&format!("/{bucket}"))
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(body)
}

/// The fields of a signature over these conditions, joined by those of the signature itself.
fn signed(key: &Key, conditions: &str) -> Vec<(&'static str, String)> {
    let now_ms = now_ms();
    let (credential, time) =
        (format!("{}/{}", key.id, scope(now_ms)), holdfast_protocol::date::amz_basic(now_ms));
    let text = format!(
        r#"{{"expiration":"2099-01-01T00:00:00Z","conditions":[{conditions}{{"x-amz-algorithm":"AWS4-HMAC-SHA256"}},{{"x-amz-credential":"{credential}"}},{{"x-amz-date":"{time}"}}]}}"#
    );
    let policy = base64(text.as_bytes());
    let signature = hmac_hex(key, now_ms, policy.as_bytes());
    vec![
        ("policy", policy),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256".into()),
        ("x-amz-credential", credential),
        ("x-amz-date", time),
        ("x-amz-signature", signature),
    ]
}

/// What the signer thought of: keys under `in/`, and up to five bytes.
fn conditions(bucket: &str) -> String {
    format!(r#"{{"bucket":"{bucket}"}},["starts-with","$key","in/"],["content-length-range",0,5],"#)
}

struct Page {
    bucket: String,
    signed: Vec<(&'static str, String)>,
}

impl Page {
    fn new(word: &str) -> Self {
        let bucket = rig().bucket(word);
        let signed = signed(&rig().owner, &conditions(&bucket));
        Self { bucket, signed }
    }

    fn fields<'a>(&'a self, own: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        own.iter().copied().chain(self.signed.iter().map(|(name, value)| (*name, &**value))).collect()
    }

    fn send(&self, own: &[(&str, &str)], file: &[u8]) -> Answer {
        post(&self.bucket, &multipart(&self.fields(own), file, &[])).send()
    }

    #[track_caller]
    fn refused(&self, own: &[(&str, &str)], file: &[u8], status: u16, code: &str) -> Answer {
        self.ask_refused(&post(&self.bucket, &multipart(&self.fields(own), file, &[])), status, code)
    }

    #[track_caller]
    fn ask_refused(&self, ask: &Ask, status: u16, code: &str) -> Answer {
        let before = rig().all_of(&self.bucket);
        let answer = ask.send().is(status, code);
        assert_eq!(rig().all_of(&self.bucket), before);
        answer
    }

    fn keys(&self) -> String {
        rig().all_of(&self.bucket)
    }
}

#[test]
fn a_form_says_nothing_that_its_policy_does_not_name() {
    let page = Page::new("extra");
    page.send(&[("key", "in/k")], b"x").is(204, "");
    for extra in [
        ("acl", "public-read"),
        ("tagging", "<Tagging/>"),
        ("x-amz-meta-a", "1"),
        ("content-type", "text/html"),
        ("Acl", "private"),
        ("success_action_redirect", "http://evil.example"),
        ("redirect", "http://evil.example"),
        ("success_action_status", "201"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-website-redirect-location", "/x"),
        ("unknown", "x"),
        ("", "x"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-server-side-encryption", "AES256"),
        ("If-None-Match", "*"),
    ] {
        let answer = page.send(&[("key", "in/k"), extra], b"y");
        assert!(matches!(answer.status, 400 | 403), "{extra:?}: {answer:?}");
    }
    page.refused(&[("key", "out/k")], b"y", 403, "AccessDenied");
    assert!(page.keys().matches("<Version>").count() == 1, "{}", page.keys());
}

#[test]
fn a_field_given_twice_is_refused() {
    let page = Page::new("repeated");
    let own = [("key", "in/k")];
    for name in [
        "key",
        "KEY",
        "policy",
        "Policy",
        "x-amz-signature",
        "X-Amz-Credential",
        "x-amz-date",
        "x-amz-algorithm",
    ] {
        for value in ["in/k", "out/k", ""] {
            let mut fields = page.fields(&own);
            fields.push((name, value));
            page.ask_refused(&post(&page.bucket, &multipart(&fields, b"x", &[])), 400, "InvalidArgument");
            fields.rotate_right(1);
            page.ask_refused(&post(&page.bucket, &multipart(&fields, b"x", &[])), 400, "InvalidArgument");
        }
    }
}

#[test]
fn fields_after_the_file_do_not_count() {
    let page = Page::new("after");
    let body = multipart(
        &page.fields(&[("key", "in/k")]),
        b"x",
        &[("key", "out/k"), ("acl", "public-read"), ("tagging", "x")],
    );
    post(&page.bucket, &body).send().is(204, "");
    let all = page.keys();
    assert!(all.contains("<Key>in/k</Key>") && !all.contains("out/k"), "{all}");
    Ask::get(&format!("/{}/in/k", page.bucket)).send().is(403, "AccessDenied");
    let late = multipart(&[("key", "in/late")], b"x", &page.fields(&[]));
    page.ask_refused(&post(&page.bucket, &late), 403, "AccessDenied");
    let two_files =
        [multipart(&page.fields(&[("key", "in/two")]), b"x", &[]), multipart(&[], b"y", &[])].concat();
    let answer = post(&page.bucket, &two_files).send();
    let stored = Ask::get(&format!("/{}/in/two", page.bucket)).by(&rig().owner).send();
    assert!(answer.status >= 400 && stored.status == 404 || stored.body == b"x", "{answer:?} {stored:?}");
}

#[test]
fn a_file_name_is_no_way_out() {
    let page = Page::new("traversal");
    for (filename, key) in [
        ("../../etc/passwd", "in/passwd"),
        ("..\\\\..\\\\boot.ini", "in/boot.ini"),
        ("/etc/passwd", "in/passwd"),
        ("..", "in/.."),
        ("${filename}", "in/${filename}"),
        ("%2e%2e%2fout", "in/%2e%2e%2fout"),
        ("a\u{2215}b", "in/a\u{2215}b"),
    ] {
        let body = named_multipart(&page.fields(&[("key", "in/${filename}")]), b"x", filename, &[]);
        post(&page.bucket, &body).send().is(204, "");
        let at = crate::client::encode(key.as_bytes(), true);
        assert_eq!(
            Ask::get(&format!("/{}/{at}", page.bucket)).by(&rig().owner).send().is(200, "").body,
            b"x",
            "{key}"
        );
    }
    let whole = named_multipart(&page.fields(&[("key", "${filename}")]), b"x", "in/k", &[]);
    page.ask_refused(&post(&page.bucket, &whole), 403, "AccessDenied");
    let keys = page.keys();
    assert!(keys.split("<Key>").skip(1).all(|key| key.starts_with("in/")), "{keys}");
}

#[test]
fn a_file_is_not_longer_than_the_policy_lets() {
    let page = Page::new("long");
    page.send(&[("key", "in/k")], b"12345").is(204, "");
    page.refused(&[("key", "in/k")], b"123456", 400, "EntityTooLarge");
    page.refused(&[("key", "in/k")], &vec![b'x'; 3_000_000], 400, "EntityTooLarge");
    let body = multipart(&page.fields(&[("key", "in/k")]), b"123456", &[]);
    page.ask_refused(&post(&page.bucket, &body).chunked(), 400, "EntityTooLarge");
    let long = multipart(&page.fields(&[("key", "in/k")]), &vec![b'x'; 3_000_000], &[]);
    page.ask_refused(&post(&page.bucket, &long).chunked(), 400, "EntityTooLarge");
    // Neither a length of its own for the part nor one for the file is believed.
    let claimed = String::from_utf8(body)
        .expect("text")
        .replace("filename=\"name.txt\"\r\n", "filename=\"name.txt\"\r\nContent-Length: 1\r\n");
    page.ask_refused(&post(&page.bucket, claimed.as_bytes()), 400, "EntityTooLarge");
    page.ask_refused(
        &post(&page.bucket, claimed.as_bytes()).header("x-amz-decoded-content-length", "1"),
        400,
        "EntityTooLarge",
    );
}

#[test]
fn a_form_is_signed_in_its_fields_only() {
    let page = Page::new("where");
    let body = multipart(&page.fields(&[("key", "in/k")]), b"x", &[]);
    page.ask_refused(&post(&page.bucket, &body).by(&rig().owner), 400, "InvalidArgument");
    page.ask_refused(&post(&page.bucket, &body).presigned(&rig().owner), 400, "InvalidArgument");
    let unsigned = multipart(&[("key", "in/k")], b"x", &[]);
    page.ask_refused(&post(&page.bucket, &unsigned).by(&rig().owner), 400, "InvalidArgument");
    page.ask_refused(&post(&page.bucket, &unsigned), 403, "AccessDenied");
    for left_out in ["policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"] {
        let mut fields = page.fields(&[("key", "in/k")]);
        fields.retain(|(name, _)| *name != left_out);
        page.ask_refused(&post(&page.bucket, &multipart(&fields, b"x", &[])), 400, "InvalidArgument");
    }
}

#[test]
fn a_form_signed_by_others_is_theirs() {
    let rig = rig();
    let bucket = rig.bucket("others");
    let scoped = rig.scoped_key(&[&rig.bucket("elsewhere")], &[]);
    let forged = Key { id: rig.owner.id.clone(), secret: rig.stranger.secret.clone() };
    for (key, code) in
        [(&rig.stranger, "AccessDenied"), (&scoped, "AccessDenied"), (&forged, "SignatureDoesNotMatch")]
    {
        let page = Page { bucket: bucket.clone(), signed: signed(key, &conditions(&bucket)) };
        page.refused(&[("key", "in/k")], b"x", 403, code);
    }
    let mut page = Page::new("altered");
    let other = base64(br#"{"expiration":"2099-01-01T00:00:00Z","conditions":[["starts-with","$key",""]]}"#);
    page.signed[0].1 = other;
    page.refused(&[("key", "in/k")], b"x", 403, "SignatureDoesNotMatch");
}

#[test]
fn a_form_for_one_bucket_is_not_for_another() {
    let (page, other) = (Page::new("for-one"), rig().bucket("for-another"));
    let before = rig().all_of(&other);
    let body = multipart(&page.fields(&[("key", "in/k")]), b"x", &[]);
    post(&other, &body).send().is(403, "AccessDenied");
    let named = multipart(&page.fields(&[("key", "in/k"), ("bucket", &page.bucket)]), b"x", &[]);
    post(&other, &named).send().is(403, "AccessDenied");
    assert_eq!(rig().all_of(&other), before);
}

/// The bucket's Deny holds for what a form's fields say, whatever its head says beside them.
#[test]
fn a_deny_reads_the_fields_of_a_form() {
    let rig = rig();
    for (condition, fields) in [
        (
            r#"{"StringEquals":{"s3:x-amz-acl":"public-read"}}"#,
            [("acl", "public-read"), ("x-amz-acl", "public-read")],
        ),
        (
            r#"{"StringEquals":{"s3:RequestObjectTag/a":"b"}}"#,
            [("tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"); 2],
        ),
    ] {
        let bucket = rig.open_bucket("form-deny");
        put(&bucket, "k", "x");
        put_policy(
            &bucket,
            &[
                ("Allow", "s3:*", "/*", ""),
                ("Deny", "s3:PutObject", "/*", &format!(r#""Condition":{condition}"#)),
            ],
        );
        let before = rig.all_of(&bucket);
        let any = r#"["starts-with","$key",""],["starts-with","$acl",""],["starts-with","$tagging",""],["starts-with","$x-amz-acl",""],"#;
        for field in fields {
            let conditions = any
                .split_inclusive("],")
                .filter(|one| one.contains("$key") || one.contains(&format!("${}\"", field.0)));
            let conditions = format!(r#"{}{{"bucket":"{bucket}"}},"#, conditions.collect::<String>());
            let page = Page { bucket: bucket.clone(), signed: signed(&rig.owner, &conditions) };
            let own = [("key", "k"), field];
            let body = multipart(&page.fields(&own), b"y", &[]);
            post(&bucket, &body).send().is(403, "AccessDenied");
            post(&bucket, &body)
                .header("x-amz-acl", "private")
                .header("x-amz-tagging", "a=c")
                .send()
                .is(403, "AccessDenied");
            post(&bucket, &multipart(&own, b"y", &[])).send().is(403, "AccessDenied");
        }
        assert_eq!(rig.all_of(&bucket), before);
    }
}

#[test]
fn forms_out_of_shape_are_refused() {
    let page = Page::new("shapes");
    let good = String::from_utf8(multipart(&page.fields(&[("key", "in/k")]), b"x", &[])).expect("text");
    let deep = base64("[".repeat(100_000).as_bytes());
    let long_field = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"x-ignore-a\"\r\n\r\n{}\r\n{good}",
        "x".repeat(40_000)
    );
    let many: String = (0..200)
        .map(|n| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"x-ignore-{n}\"\r\n\r\n\r\n"))
        .collect();
    for body in [
        good.replace("name=\"key\"", "name=\"key\"; name=\"acl\""),
        good.replace("name=\"key\"", "name=\"key"),
        good.replace("form-data; name=\"key\"", "attachment"),
        good.replace(&format!("--{BOUNDARY}--"), ""),
        good.replace("\r\n", "\n"),
        format!("--{BOUNDARY}--\r\n"),
        String::new(),
        long_field,
        format!("{many}{good}"),
        good.replace(&page.signed[0].1, &deep),
        good.replace("Content-Disposition", "Content-Transfer-Encoding: base64\r\nContent-Disposition"),
        good.replacen(
            "name=\"key\"\r\n",
            "name=\"key\"\r\nContent-Disposition: form-data; name=\"acl\"\r\n",
            1,
        ),
    ] {
        let answer = post(&page.bucket, body.as_bytes()).send();
        let shown: String = body.chars().take(300).collect();
        assert!(matches!(answer.status, 400 | 403 | 501), "{} {}\n{shown}", answer.status, answer.text());
    }
    assert!(!page.keys().contains("<Version>"), "{}", page.keys());
}
