//! The server over real sockets, on every runtime.

mod client;
mod handler;
mod proxy;
mod tls;

use std::time::{Duration, Instant};

use client::{Client, start, start_with};

/// Runs each named check on each runtime.
macro_rules! on_every_runtime {
    ($($check:ident),* $(,)?) => {
        mod uring {
            $(#[test] fn $check() { super::$check::<crate::rt::monoio::UringRt>(); })*
        }
        mod glommio {
            $(#[test] #[ignore = "glommio may sleep for good: rt/glommio.rs"] fn $check() {
                super::$check::<crate::rt::glommio::GlommioRt>();
            })*
        }
        mod epoll {
            $(#[test] fn $check() { super::$check::<crate::rt::epoll::EpollRt>(); })*
        }
    };
}

on_every_runtime!(
    a_head_in_single_bytes_is_answered,
    requests_in_one_packet_are_answered_in_order,
    a_body_comes_back_however_it_is_framed,
    a_waiting_client_is_told_to_continue_when_the_body_is_wanted,
    a_waiting_client_that_is_refused_is_not_told_to_continue,
    a_small_unread_body_keeps_the_connection,
    an_early_answer_reaches_a_client_that_goes_on_sending,
    a_malformed_head_is_answered_and_closed,
    an_oversize_head_is_answered_and_closed,
    a_head_that_stops_is_answered_at_its_deadline,
    a_truncated_body_closes_the_connection,
    a_malformed_chunk_closes_the_connection,
    a_long_answer_is_whole_and_keeps_the_connection,
    a_failing_answer_is_never_a_short_success,
    head_sends_no_body,
    http_10_and_close_are_closed,
    stopping_ends_idle_connections_and_finishes_others,
    a_connection_too_many_is_told_so,
    answers_carry_their_ids,
    tls_carries_requests_both_ways,
    certificates_are_replaced_while_serving,
    a_clear_text_client_on_tls_is_dropped,
    forwarded_headers_count_from_trusted_proxies_alone,
    a_proxy_header_names_the_client,
    a_proxy_header_comes_before_the_handshake,
    a_connection_without_its_header_is_closed_without_a_word,
);

use crate::limits::HEAD_DEADLINE;
use crate::rt::Rt;
use proxy::{
    a_connection_without_its_header_is_closed_without_a_word, a_proxy_header_comes_before_the_handshake,
    a_proxy_header_names_the_client, forwarded_headers_count_from_trusted_proxies_alone,
};
use tls::{
    a_clear_text_client_on_tls_is_dropped, certificates_are_replaced_while_serving,
    tls_carries_requests_both_ways,
};

fn a_head_in_single_bytes_is_answered<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    for byte in b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.answer().body, b"hello");
}

fn requests_in_one_packet_are_answered_in_order<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send(
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none\
         PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
         GET /hello HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    for expected in [&b"one"[..], b"two", b"hello"] {
        assert_eq!(client.answer().body, expected);
    }
}

fn a_body_comes_back_however_it_is_framed<R: Rt>() {
    let server = start::<R>();
    let body: Vec<u8> = (0..1_000_003u32).map(|at| (at % 251) as u8).collect();
    let mut client = Client::connect(server.addr());
    client.send(format!("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    assert!(client.answer().body == body);
    client.send("PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in body.chunks(77_777) {
        client.send(format!("{:x};x=y\r\n", chunk.len()));
        client.send(chunk);
        client.send("\r\n");
    }
    client.send("0\r\nTrailer: t\r\n\r\n");
    assert!(client.answer().body == body);
}

fn a_waiting_client_is_told_to_continue_when_the_body_is_wanted<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.line(), "HTTP/1.1 100 Continue");
    assert_eq!(client.line(), "");
    client.send("body");
    assert_eq!(client.answer().body, b"body");
    client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().body, b"hello");
}

fn a_waiting_client_that_is_refused_is_not_told_to_continue<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("connection"), Some("close"));
    client.expect_end();
}

fn a_small_unread_body_keeps_the_connection<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    client.send(vec![7; 100_000]);
    assert_eq!(client.answer().status, 403);
    client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().body, b"hello");
}

fn an_early_answer_reaches_a_client_that_goes_on_sending<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n");
    for _ in 0..100 {
        client.send(vec![7; 100_000]);
    }
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (403, Some("close")));
    client.expect_end();
}

fn a_malformed_head_is_answered_and_closed<R: Rt>() {
    let server = start::<R>();
    for head in
        ["GET  /hello HTTP/1.1\r\n\r\n", "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n"]
    {
        let mut client = Client::connect(server.addr());
        client.send(head);
        assert_eq!(client.answer().status, 400, "{head:?}");
        client.expect_end();
    }
}

fn an_oversize_head_is_answered_and_closed<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("GET /hello HTTP/1.1\r\nHost: h\r\n");
    for _ in 0..40 {
        client.send(format!("x-filler: {}\r\n", "y".repeat(1000)));
    }
    assert_eq!(client.answer().status, 431);
    client.expect_end();
}

fn a_head_that_stops_is_answered_at_its_deadline<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    let start = Instant::now();
    client.send("GET /hello HTTP/1.1\r\nHo");
    assert_eq!(client.answer().status, 408);
    assert!(start.elapsed() >= HEAD_DEADLINE, "{:?}", start.elapsed());
    client.expect_end();
}

fn a_truncated_body_closes_the_connection<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    client.end();
    let answer = client.answer();
    assert_eq!((answer.status, &answer.body[..]), (400, &b"truncated"[..]));
    client.expect_end();
}

fn a_malformed_chunk_closes_the_connection<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, &answer.body[..]), (400, &b"chunked"[..]));
    client.expect_end();
}

fn a_long_answer_is_whole_and_keeps_the_connection<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    for bytes in [0, 1, 262_144, 5_000_001] {
        client.send(format!("GET /stream/{bytes} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.body.len()), (200, bytes));
        assert!(answer.body.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
    }
}

fn a_failing_answer_is_never_a_short_success<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("GET /break HTTP/1.1\r\nHost: h\r\n\r\n");
    let rest = client.rest();
    let text = String::from_utf8_lossy(&rest);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("Content-Length: 1000\r\n"), "{text}");
    assert!(rest.len() < 1000, "fewer bytes than announced");
}

fn head_sends_no_body<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\nHEAD /stream/99 HTTP/1.1\r\nHost: h\r\n\r\n");
    for length in ["5", "99"] {
        let head = client.head();
        assert_eq!((head.status, head.header("content-length")), (200, Some(length)));
    }
    client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().body, b"hello");
}

fn http_10_and_close_are_closed<R: Rt>() {
    let server = start::<R>();
    for request in
        ["GET /hello HTTP/1.0\r\n\r\n", "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"]
    {
        let mut client = Client::connect(server.addr());
        client.send(request);
        let answer = client.answer();
        assert_eq!((&answer.body[..], answer.header("connection")), (&b"hello"[..], Some("close")));
        client.expect_end();
    }
}

fn stopping_ends_idle_connections_and_finishes_others<R: Rt>() {
    let server = start::<R>();
    let mut idle = Client::connect(server.addr());
    idle.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    idle.answer();
    let mut busy = Client::connect(server.addr());
    busy.send("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nha");
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    server.stop();
    idle.expect_end();
    busy.send("lf");
    let answer = busy.answer();
    assert_eq!((&answer.body[..], answer.header("connection")), (&b"half"[..], Some("close")));
    drop(server);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

fn a_connection_too_many_is_told_so<R: Rt>() {
    let server = start_with::<R>(None, 1);
    let mut first = Client::connect(server.addr());
    first.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    first.answer();
    let mut second = Client::connect(server.addr());
    assert_eq!(second.answer().status, 503);
    second.expect_end();
    drop(first);
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let mut third = Client::connect(server.addr());
        third.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
        if third.answer().status == 200 {
            return;
        }
        assert!(Instant::now() < end, "the place never came free");
    }
}

fn answers_carry_their_ids<R: Rt>() {
    let server = start::<R>();
    let mut client = Client::connect(server.addr());
    client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    let ids: Vec<String> = (0..2)
        .map(|_| {
            let answer = client.answer();
            assert_eq!(answer.header("x-amz-id-2"), Some("test-host"));
            answer.header("x-amz-request-id").unwrap().to_owned()
        })
        .collect();
    assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    assert_ne!(ids[0], ids[1]);
}
