//! Heads as clients send them, heads that two readers could read differently, and any split of either.

use proptest::prelude::*;

use super::*;

fn parse(head: &str) -> Result<RequestHead, HeadError> {
    let (parsed, used) = RequestHead::parse(head.as_bytes())?.expect("a complete head");
    assert_eq!(used, head.len());
    Ok(parsed)
}

/// Header lines after `GET / HTTP/1.1` and `Host: h`.
#[track_caller]
fn check(lines: &str, expected: Result<BodyFraming, HeadError>) {
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    assert_eq!(parse(&head).map(|head| head.framing()), expected, "{lines:?}");
}

#[track_caller]
fn refused(head: &str, expected: HeadError) {
    assert_eq!(RequestHead::parse(head.as_bytes()).map(|_| ()), Err(expected), "{head:?}");
}

#[test]
fn a_head_of_botocore() {
    let text = "PUT /bucket/a%20b/c?partNumber=1&uploadId=u HTTP/1.1\r\nHost: s3.example.test:9000\r\n\
        X-Amz-Meta-A:  padded\t\r\nx-amz-meta-a: two\r\nEmpty:\r\nContent-Length: 12\r\nExpect: 100-Continue\r\n\r\nbody";
    let (head, used) = RequestHead::parse(text.as_bytes()).unwrap().unwrap();
    assert_eq!(&text[used..], "body");
    assert_eq!((head.method(), head.method_str()), (Method::Put, "PUT"));
    assert_eq!(head.target(), "/bucket/a%20b/c?partNumber=1&uploadId=u");
    assert_eq!(head.path(), b"/bucket/a%20b/c");
    assert_eq!(head.query(), b"partNumber=1&uploadId=u");
    assert_eq!(head.host(), Some("s3.example.test:9000"));
    assert_eq!(head.header("x-amz-META-a"), Some(&b"padded"[..]));
    assert_eq!(head.header("empty"), Some(&b""[..]));
    assert_eq!(head.header("missing"), None);
    assert_eq!(head.header_one("content-length"), Ok(Some(&b"12"[..])));
    assert_eq!(head.header_one("x-amz-meta-a"), Err(Repeated { name: "x-amz-meta-a".to_owned() }));
    assert_eq!(head.values("x-amz-meta-a").count(), 2);
    assert_eq!(head.headers().next(), Some(("Host", &b"s3.example.test:9000"[..])));
    assert_eq!(head.framing(), BodyFraming::Length(12));
    assert!(head.keep_alive() && head.expects_continue() && head.is_http11());
}

#[test]
fn a_head_in_a_log_tells_no_secret() {
    let head = parse("GET /b/k?X-Amz-Signature=abcdef HTTP/1.1\r\nHost: h\r\nAuthorization: secret\r\n\r\n")
        .unwrap();
    let log = format!("{head:?}");
    assert!(log.contains("/b/k") && log.contains("Authorization"), "{log}");
    assert!(!log.contains("abcdef") && !log.contains("secret"), "{log}");
}

#[test]
fn framing() {
    check("", Ok(BodyFraming::None));
    check("Content-Length: 0\r\n", Ok(BodyFraming::Length(0)));
    check("content-LENGTH:18446744073709551615\r\n", Ok(BodyFraming::Length(u64::MAX)));
    check("Transfer-Encoding: Chunked\r\n", Ok(BodyFraming::Chunked));
    check("Content-Length: 5\r\nContent-Length: 5\r\n", Err(HeadError::ContentLengthRepeated));
    check("Content-Length: 5, 5\r\n", Err(HeadError::ContentLength));
    check("Content-Length: +5\r\n", Err(HeadError::ContentLength));
    check("Content-Length: 5_0\r\n", Err(HeadError::ContentLength));
    check("Content-Length:\r\n", Err(HeadError::ContentLength));
    check("Content-Length: 18446744073709551616\r\n", Err(HeadError::ContentLength));
    check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::BothLengths));
    check("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", Err(HeadError::BothLengths));
    check("Transfer-Encoding: gzip, chunked\r\n", Err(HeadError::TransferEncoding));
    check("Transfer-Encoding: chunked, identity\r\n", Err(HeadError::TransferEncoding));
    check("Transfer-Encoding: xchunked\r\n", Err(HeadError::TransferEncoding));
    check("Transfer-Encoding: \"chunked\"\r\n", Err(HeadError::TransferEncoding));
    check("Transfer-Encoding:\r\n", Err(HeadError::TransferEncoding));
    check(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Err(HeadError::TransferEncodingRepeated),
    );
    refused("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HeadError::TransferEncodingInHttp10);
}

#[test]
fn header_lines() {
    check("a: b\r\n c\r\n", Err(HeadError::FoldedHeader));
    check("a:\r\n\tc\r\n", Err(HeadError::FoldedHeader));
    check("a : b\r\n", Err(HeadError::SpaceBeforeColon));
    check("Content-Length\t: 5\r\n", Err(HeadError::SpaceBeforeColon));
    check("Content-Length : 5\r\nContent-Length: 6\r\n", Err(HeadError::SpaceBeforeColon));
    check(": b\r\n", Err(HeadError::HeaderName));
    check("a\r\n", Err(HeadError::HeaderName));
    check("a b: c\r\n", Err(HeadError::HeaderName));
    check("é: c\r\n", Err(HeadError::HeaderName));
    check("a: b\u{1}\r\n", Err(HeadError::HeaderValue));
    check("a: b\u{7f}\r\n", Err(HeadError::HeaderValue));
    check("a: b\0c\r\n", Err(HeadError::Nul));
    check("a: b\rc\r\n", Err(HeadError::BareLineEnd));
    check("a: b\nc: d\r\n", Err(HeadError::BareLineEnd));
    check("a: b\r\r\n", Err(HeadError::BareLineEnd));
    check("x-amz-meta-a: é\r\n", Ok(BodyFraming::None));
    check(&"a: b\r\n".repeat(HEADERS_MAX - 1), Ok(BodyFraming::None));
    check(&"a: b\r\n".repeat(HEADERS_MAX), Err(HeadError::TooManyHeaders));
    check(&format!("a: {}\r\n", "b".repeat(HEAD_BYTES_MAX)), Err(HeadError::HeadTooLarge));
    refused("GET / HTTP/1.1\r\n Host: h\r\n\r\n", HeadError::FoldedHeader);
    refused("GET / HTTP/1.1\nHost: h\n\n", HeadError::BareLineEnd);
}

#[test]
fn hosts() {
    refused("GET / HTTP/1.1\r\n\r\n", HeadError::HostMissing);
    refused("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", HeadError::HostRepeated);
    for host in ["", "a b", "a/b", "u@h", "h:port", "h:123456", "[::1", "::1", "h,g", "é", "a\\b", "[]"] {
        refused(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), HeadError::Host);
    }
    for host in ["h", "127.0.0.1:9000", "[::1]", "[fe80::1]:80", "a_b.c-d:", "MiXeD"] {
        assert_eq!(parse(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).unwrap().host(), Some(host));
    }
    let old = parse("GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((old.host(), old.keep_alive(), old.is_http11()), (None, false, false));
}

/// (path, query) of a target, with `Host: h`.
#[track_caller]
fn target(method: &str, target: &str, expected: Result<(&str, &str), HeadError>) {
    let head = parse(&format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let got = head.map(|head| (text(head.path()), text(head.query())));
    assert_eq!(got, expected.map(|(path, query)| (path.to_owned(), query.to_owned())), "{target:?}");
}

#[test]
fn targets() {
    target("GET", "/", Ok(("/", "")));
    target("GET", "/?", Ok(("/", "")));
    target("GET", "//a//../b?c?d=/e", Ok(("//a//../b", "c?d=/e")));
    target("GET", "/b/é(')+", Ok(("/b/é(')+", "")));
    target("GET", "http://h/a?b", Ok(("/a", "b")));
    target("GET", "HTTP://H:80", Ok(("/", "")));
    target("GET", "http://h?a=b", Ok(("/", "a=b")));
    target("GET", "https://h:443/a", Ok(("/a", "")));
    target("OPTIONS", "*", Ok(("*", "")));
    target("OPTIONS", "/a", Ok(("/a", "")));
    target("GET", "*", Err(HeadError::Target));
    target("GET", "a", Err(HeadError::Target));
    target("GET", "?a", Err(HeadError::Target));
    target("GET", "/a#b", Err(HeadError::Target));
    target("CONNECT", "h:443", Err(HeadError::Target));
    target("GET", "ftp://h/a", Err(HeadError::Target));
    target("GET", "http:///a", Err(HeadError::Target));
    target("GET", "http://u@h/a", Err(HeadError::Target));
    target("GET", "http://g/a", Err(HeadError::HostMismatch));
    target("GET", "http://h:81/a", Err(HeadError::HostMismatch));
    target(
        "GET",
        &format!("/{}", "a".repeat(TARGET_BYTES_MAX - 1)),
        Ok((&format!("/{}", "a".repeat(8191)), "")),
    );
    target("GET", &format!("/{}", "a".repeat(TARGET_BYTES_MAX)), Err(HeadError::TargetTooLong));
}

#[test]
fn request_lines() {
    refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n", HeadError::Version);
    refused("GET / HTTP/0.9\r\nHost: h\r\n\r\n", HeadError::Version);
    refused("GET / http/1.1\r\nHost: h\r\n\r\n", HeadError::Version);
    refused("GET /\r\nHost: h\r\n\r\n", HeadError::RequestLine);
    refused("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine);
    refused("GET / b HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Version);
    refused(" GET / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine);
    refused("G@T / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine);
    refused("GET /\u{1} HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine);
    refused("\x16\x03\x01", HeadError::RequestLine);
    refused("\x16\x03\x01\r\n", HeadError::RequestLine);
    refused("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine);
    assert!(parse("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").is_ok());
    let patch = parse("patch / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!((patch.method(), patch.method_str()), (Method::Other, "patch"));
    refused(&format!("GET /{}", "a".repeat(9000)), HeadError::TargetTooLong);
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\na: {}", "b".repeat(HEAD_BYTES_MAX));
    refused(&long, HeadError::HeadTooLarge);
}

#[test]
fn connections() {
    let head = |lines: &str| parse(&format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    assert!(head("Connection: keep-alive\r\n").unwrap().keep_alive());
    assert!(!head("Connection: te, Close\r\n").unwrap().keep_alive());
    assert!(!head("Connection: te\r\nConnection: close\r\n").unwrap().keep_alive());
    assert!(!head("Expect: 200-ok\r\n").unwrap().expects_continue());
    assert!(!head("").unwrap().expects_continue());
    let old = parse("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").unwrap();
    assert!(!old.expects_continue(), "HTTP/1.0 has no 100");
}

#[test]
fn every_cause_has_its_status() {
    assert_eq!(HeadError::BothLengths.status(), 400);
    assert_eq!(HeadError::HeadTooLarge.status(), 431);
    assert_eq!(HeadError::TargetTooLong.status(), 414);
    assert_eq!(HeadError::Version.status(), 505);
    assert_eq!(HeadError::TransferEncoding.status(), 501);
}

/// What a reader who gets the bytes one after another learns, and after how many.
fn by_and_by(bytes: &[u8]) -> (usize, Result<Option<usize>, HeadError>) {
    for len in 0..=bytes.len() {
        match RequestHead::parse(&bytes[..len]) {
            Ok(None) => {}
            Ok(Some((_, used))) => return (len, Ok(Some(used))),
            Err(error) => return (len, Err(error)),
        }
    }
    (bytes.len(), Ok(None))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// A head arriving in pieces is never taken early, and never refused where the whole would be taken.
    #[test]
    fn a_head_in_pieces_reads_as_the_whole(at: usize, byte: u8, damaged: bool) {
        let mut head = b"PUT /b/k%20?a=b HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\nx: y\r\n\r\n".to_vec();
        if damaged {
            let at = at % head.len();
            head[at] = byte;
        }
        let whole = RequestHead::parse(&head).map(|parsed| parsed.map(|(_, used)| used));
        let (len, pieces) = by_and_by(&head);
        match whole {
            Ok(Some(used)) => prop_assert_eq!((len, pieces), (used, Ok(Some(used)))),
            Ok(None) => prop_assert_eq!(pieces, Ok(None)),
            Err(_) => prop_assert!(pieces.is_err()),
        }
    }

    #[test]
    fn what_was_sent_is_what_is_read(
        path in "/[!-\"$->@-~]{0,40}",
        query in "[!-\"$-~]{0,40}",
        headers in prop::collection::vec(("[a-zA-Z0-9-]{1,20}", "([!-~]([ -~]{0,20}[!-~])?)?"), 0..10),
    ) {
        let framing = ["host", "content-length", "transfer-encoding", "expect"];
        let headers: Vec<_> =
            headers.into_iter().filter(|(name, _)| !framing.contains(&&*name.to_ascii_lowercase())).collect();
        let mut text = format!("DELETE {path}?{query} HTTP/1.1\r\nHost: h\r\n");
        for (name, value) in &headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let head = parse(&text).unwrap();
        prop_assert_eq!(head.path(), path.as_bytes());
        prop_assert_eq!(head.query(), query.as_bytes());
        let read: Vec<_> = head.headers().skip(1).map(|(n, v)| (n.to_owned(), String::from_utf8(v.to_vec()).unwrap())).collect();
        prop_assert_eq!(read, headers);
    }

    #[test]
    fn no_bytes_upset_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = RequestHead::parse(&bytes);
        let _ = RequestHead::parse(&[b"GET / HTTP/1.1\r\nHost: h\r\n", &bytes[..], b"\r\n\r\n"].concat());
    }
}
