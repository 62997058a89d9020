//! One connection, two readers: whatever a proxy and we could read differently is refused, and nothing behind it is answered.

use crate::client::{Answer, Ask, exchange};
use crate::put;
use crate::rig::rig;

/// A request with these framing headers, and a second one behind it that must not be answered.
fn smuggled(bucket: &str, framing: &str, body: &str) -> Vec<Answer> {
    let addr = rig().addr;
    let hidden = format!("GET /{bucket}/k HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    exchange(
        format!("PUT /{bucket}/new HTTP/1.1\r\nHost: {addr}\r\n{framing}\r\n\r\n{body}{hidden}").as_bytes(),
    )
}

#[test]
fn two_lengths_are_none() {
    let rig = rig();
    let bucket = rig.open_bucket("lengths");
    put(&bucket, "k", "the secret");
    crate::put_policy(&bucket, &[("Allow", "s3:*", "/*", "")]);
    let before = rig.all_of(&bucket);
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length : 5",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\u{b}chunked",
        "X: a\r\n Content-Length: 5",
        "X: a\r\n\tTransfer-Encoding: chunked",
        "X: a\rContent-Length: 5",
        "Content-Length\0: 5",
        "Content Length: 5",
        ": x\r\nContent-Length: 5",
    ] {
        let answers = smuggled(&bucket, framing, "0\r\n\r\n");
        assert_eq!(answers.len(), 1, "{framing:?}: {answers:?}");
        assert!(matches!(answers[0].status, 400 | 411 | 501), "{framing:?}: {answers:?}");
        assert!(!answers[0].text().contains("the secret"));
    }
    assert_eq!(rig.all_of(&bucket), before);
}

#[test]
fn chunks_have_one_reading() {
    let rig = rig();
    let bucket = rig.open_bucket("sizes");
    put(&bucket, "k", "the secret");
    crate::put_policy(&bucket, &[("Allow", "s3:*", "/*", "")]);
    let before = rig.all_of(&bucket);
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
    ] {
        let answers = smuggled(&bucket, "Transfer-Encoding: chunked", body);
        assert_eq!(answers.len(), 1, "{body:?}: {answers:?}");
        assert_eq!(answers[0].status, 400, "{body:?}: {answers:?}");
    }
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(10_000));
    assert_eq!(smuggled(&bucket, "Transfer-Encoding: chunked", &extension)[0].status, 400);
    assert_eq!(rig.all_of(&bucket), before);
}

/// The body of a refused request is not the next request.
#[test]
fn a_refused_body_is_no_request() {
    let rig = rig();
    let bucket = rig.open_bucket("refused");
    put(&bucket, "k", "the secret");
    let inner = String::from_utf8(Ask::delete(&format!("/{bucket}/k")).by(&rig.owner).bytes()).expect("text");
    for head in [
        "PUT /refused/k",
        "POST /refused?delete",
        "GET /refused/k",
        "DELETE /refused/k",
        "OPTIONS /refused/k",
    ] {
        let head = head.replace("refused", &bucket);
        let request = format!(
            "{head} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{inner}",
            rig.addr,
            inner.len()
        );
        let answers = exchange(request.as_bytes());
        assert_eq!(answers.len(), 1, "{head}: {answers:?}");
    }
    Ask::get(&format!("/{bucket}/k")).by(&rig.owner).send().is(200, "");
}

#[test]
fn heads_out_of_shape_are_refused() {
    let addr = rig().addr;
    for head in [
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET / HTTP/2.0\r\nHost: {addr}\r\n\r\n"),
        format!("GET  / HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        format!("GET /\u{7f} HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        format!("GET / a HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        format!("GET /%zz HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        format!("GET /bkt/%ff HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        format!("G\u{e9}T / HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        format!("GET http://evil/ HTTP/1.1\r\nHost: {addr}\r\nHost: evil\r\n\r\n"),
        format!("CONNECT evil:80 HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        format!("TRACE / HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        format!("GET /{} HTTP/1.1\r\nHost: {addr}\r\n\r\n", "a".repeat(20_000)),
        format!("GET / HTTP/1.1\r\nHost: {addr}\r\nX: {}\r\n\r\n", "a".repeat(20_000)),
        format!("GET / HTTP/1.1\r\nHost: {addr}\r\n{}\r\n", "X: a\r\n".repeat(200)),
        format!("GET /?{} HTTP/1.1\r\nHost: {addr}\r\n\r\n", "a&".repeat(200)),
    ] {
        let answers = exchange(head.as_bytes());
        let shown: String = head.chars().take(80).collect();
        assert_eq!(answers.len(), 1, "{shown:?} {answers:?}");
        assert!(
            (400..=505).contains(&answers[0].status) && answers[0].status != 500,
            "{shown:?}: {answers:?}"
        );
    }
}
