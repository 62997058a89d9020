//! Every header twice, empty, too long and in other letters; every argument twice: refused or harmless, never a crash, never half.

use crate::client::{Ask, exchange};
use crate::put;
use crate::rig::rig;

/// Headers that a write gives a meaning to, each with a good value.
const OF_WRITES: [(&str, &str); 33] = [
    ("x-amz-acl", "private"),
    ("x-amz-grant-read", "id=\"x\""),
    ("x-amz-grant-full-control", "id=\"x\""),
    ("x-amz-tagging", "a=b"),
    ("x-amz-storage-class", "STANDARD"),
    ("x-amz-website-redirect-location", "/x"),
    ("x-amz-copy-source", "/a-bucket/k"),
    ("x-amz-metadata-directive", "COPY"),
    ("x-amz-tagging-directive", "COPY"),
    ("x-amz-copy-source-if-match", "\"x\""),
    ("x-amz-copy-source-if-none-match", "\"x\""),
    ("x-amz-copy-source-if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("x-amz-copy-source-if-unmodified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("x-amz-expected-bucket-owner", "1"),
    ("x-amz-source-expected-bucket-owner", "1"),
    ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ("x-amz-checksum-crc32", "AAAAAA=="),
    ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
    ("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
    ("content-type", "text/plain"),
    ("content-encoding", "gzip"),
    ("content-language", "en"),
    ("content-disposition", "inline"),
    ("cache-control", "no-cache"),
    ("expires", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("if-match", "\"x\""),
    ("if-none-match", "*"),
    ("x-amz-trailer", "x-amz-checksum-crc32"),
    ("x-amz-decoded-content-length", "1"),
    ("x-amz-meta-a", "1"),
    ("x-amz-object-lock-mode", "GOVERNANCE"),
    ("x-amz-server-side-encryption", "AES256"),
];

const OF_READS: [(&str, &str); 9] = [
    ("range", "bytes=0-0"),
    ("if-match", "\"x\""),
    ("if-none-match", "\"x\""),
    ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("if-unmodified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("x-amz-checksum-mode", "ENABLED"),
    ("x-amz-expected-bucket-owner", "1"),
    ("origin", "https://a.example"),
    ("x-amz-request-payer", "requester"),
];

/// Headers whose lines are one list for HTTP: two of them are as good as one.
const LISTS: [&str; 9] = [
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "cache-control",
    "expires",
    "x-amz-meta-a",
    "origin",
    "x-amz-request-payer",
];

fn furnished(word: &str) -> String {
    let bucket = rig().open_bucket(word);
    put(&bucket, "k", "x");
    bucket
}

fn write(bucket: &str) -> Ask {
    Ask::put(&format!("/{bucket}/new")).body("x")
}

/// With the copy that a header is about.
fn whole(ask: &Ask, name: &str) -> Ask {
    let of_copies =
        ["x-amz-copy-source-", "x-amz-source-", "x-amz-metadata-directive", "x-amz-tagging-directive"];
    match of_copies.iter().any(|prefix| name.starts_with(prefix)) {
        true => ask.clone().header("x-amz-copy-source", "/a-bucket/k"),
        false => ask.clone(),
    }
}

fn read(bucket: &str) -> Ask {
    Ask::get(&format!("/{bucket}/k"))
}

#[test]
fn a_header_that_decides_is_given_once() {
    let bucket = furnished("twice");
    for (ask, headers) in [(write(&bucket), &OF_WRITES[..]), (read(&bucket), &OF_READS[..])] {
        for (name, value) in headers.iter().filter(|(name, _)| !LISTS.contains(name)) {
            for (one, other) in [(*value, *value), (*value, "other"), ("other", *value), (*value, "")] {
                let twice = whole(&ask, name).header(name, one).header(&name.to_ascii_uppercase(), other);
                let answer = twice.by(&rig().owner).send();
                assert!(
                    matches!(answer.status, 400 | 501),
                    "{name}: {one} {other}: {} {}",
                    answer.status,
                    answer.text()
                );
            }
        }
    }
    Ask::head(&format!("/{bucket}/new")).by(&rig().owner).send().is(404, "");
}

#[test]
fn credentials_are_given_once() {
    let bucket = furnished("once");
    let good = write(&bucket).by(&rig().owner);
    for name in ["authorization", "x-amz-date", "x-amz-content-sha256"] {
        for value in ["", "x", "UNSIGNED-PAYLOAD"] {
            let answer = good.clone().unsigned(name, value).send();
            assert!(
                matches!(answer.status, 400 | 403),
                "{name}: {value}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    Ask::head(&format!("/{bucket}/new")).by(&rig().owner).send().is(404, "");
}

/// Neither empty nor endless nor foreign letters bring more than an error of the client's.
#[test]
fn odd_values_are_the_clients_fault() {
    let bucket = furnished("odd");
    let long = "a".repeat(7000);
    let odd: [&[u8]; 9] = [
        b"",
        b" ",
        b",",
        b"\"",
        long.as_bytes(),
        "é\u{2028}".as_bytes(),
        b"\xff\xfe",
        b"\t\x80",
        b"%00%0d%0a",
    ];
    for (ask, headers) in [(write(&bucket), &OF_WRITES[..]), (read(&bucket), &OF_READS[..])] {
        for (name, _) in headers {
            for value in odd {
                let answer = ask.clone().header(name, value).by(&rig().owner).send();
                let fine = answer.status < 500 || answer.status == 501;
                assert!(
                    fine,
                    "{name}: {:?}: {} {}",
                    String::from_utf8_lossy(value),
                    answer.status,
                    answer.text()
                );
                assert_ne!(
                    answer.code(),
                    "SignatureDoesNotMatch",
                    "{name}: {:?}",
                    String::from_utf8_lossy(value)
                );
            }
        }
    }
}

#[test]
fn a_header_too_long_is_refused_whole() {
    let bucket = furnished("long");
    for (name, _) in OF_WRITES.iter().chain(&OF_READS) {
        let answers = exchange(&write(&bucket).header(name, "a".repeat(17_000)).bytes());
        assert_eq!(answers.len(), 1, "{name}");
        assert_eq!((answers[0].status, &*answers[0].code()), (431, "RequestHeaderSectionTooLarge"), "{name}");
    }
}

/// An argument with a meaning, on what it has one.
const ARGUMENTS: [(&str, &str, &str); 30] = [
    ("GET", "", "prefix"),
    ("GET", "", "delimiter"),
    ("GET", "", "max-keys"),
    ("GET", "", "marker"),
    ("GET", "", "encoding-type"),
    ("GET", "", "list-type"),
    ("GET", "list-type=2", "continuation-token"),
    ("GET", "list-type=2", "start-after"),
    ("GET", "list-type=2", "fetch-owner"),
    ("GET", "versions", "key-marker"),
    ("GET", "versions", "version-id-marker"),
    ("GET", "uploads", "upload-id-marker"),
    ("GET", "uploads", "max-uploads"),
    ("GET", "", "uploads"),
    ("GET", "", "versions"),
    ("GET", "", "acl"),
    ("GET", "", "policy"),
    ("DELETE", "", "policy"),
    ("PUT", "", "tagging"),
    ("POST", "", "delete"),
    ("GET", "/", "versionId"),
    ("DELETE", "/", "versionId"),
    ("GET", "/", "partNumber"),
    ("GET", "/", "tagging"),
    ("GET", "/", "response-content-type"),
    ("GET", "/", "uploadId"),
    ("PUT", "/uploadId=x", "partNumber"),
    ("POST", "/", "uploads"),
    ("GET", "/uploadId=x", "part-number-marker"),
    ("GET", "/uploadId=x", "max-parts"),
];

#[test]
fn an_argument_that_decides_is_given_once() {
    let bucket = furnished("arguments");
    let before = rig().all_of(&bucket);
    for (method, place, name) in ARGUMENTS {
        let (key, with) = place.strip_prefix('/').map_or(("", place), |rest| ("/k", rest));
        let escaped = format!("%{:02X}{}", name.as_bytes()[0], &name[1..]);
        for (one, other) in [("1", "1"), ("1", "2"), ("", "1"), ("null", "")] {
            for second in [name, &escaped] {
                let target = format!("/{bucket}{key}?{with}&{name}={one}&{second}={other}");
                for ask in [
                    Ask::new(method, &target).by(&rig().owner),
                    Ask::new(method, &target).presigned(&rig().owner),
                ] {
                    let answer = ask.send();
                    assert_eq!(answer.status, 400, "{method} {target}: {}", answer.text());
                }
            }
        }
    }
    assert_eq!(rig().all_of(&bucket), before);
}

#[test]
fn two_questions_are_none() {
    let bucket = furnished("questions");
    let before = rig().all_of(&bucket);
    for (one, other) in [
        ("acl", "policy"),
        ("policy", "cors"),
        ("tagging", "acl"),
        ("versions", "uploads"),
        ("delete", "policy"),
        ("uploads", "uploadId=x"),
    ] {
        for method in ["GET", "PUT", "DELETE", "POST"] {
            for target in [format!("/{bucket}?{one}&{other}"), format!("/{bucket}/k?{other}&{one}")] {
                Ask::new(method, &target).by(&rig().owner).send().is(400, "InvalidArgument");
            }
        }
    }
    assert_eq!(rig().all_of(&bucket), before);
}

#[test]
fn odd_arguments_are_the_clients_fault() {
    let bucket = furnished("odd-arguments");
    let long = "a".repeat(6000);
    for (method, place, name) in ARGUMENTS {
        let (key, with) = place.strip_prefix('/').map_or(("", place), |rest| ("/k", rest));
        for value in [
            "",
            "-1",
            "99999999999999999999",
            "1e9",
            "%00",
            "%ff",
            "%C3%A9",
            "%0d%0aX:%20y",
            "..%2f..%2fetc",
            "'%20or%201=1",
            &long,
        ] {
            let target = format!("/{bucket}{key}?{with}&{name}={value}");
            if matches!(method, "DELETE") {
                continue;
            }
            let answer = Ask::new(method, &target).by(&rig().owner).send();
            let shown: String = target.chars().take(120).collect();
            assert!(
                answer.status < 500 || answer.status == 501,
                "{method} {shown}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(answer.header("x").is_none());
        }
    }
}
