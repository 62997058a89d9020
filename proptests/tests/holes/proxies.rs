//! A proxy in front is believed in two facts, where a request comes from and whether it came in TLS, and a stranger in none.

use crate::client::{Answer, Ask, exchange, exchange_over};
use crate::rig::{PROXY, rig};
use crate::{put, put_policy};

const FROM_INSIDE: &str = r#""Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#;
const IN_TLS: &str = r#""Condition":{"Bool":{"aws:SecureTransport":"true"}}"#;

/// A bucket with an object `k` that this condition opens to everybody.
fn opened_by(word: &str, condition: &str) -> String {
    let bucket = rig().open_bucket(word);
    put(&bucket, "k", "x");
    put_policy(&bucket, &[("Allow", "s3:GetObject", "/*", condition)]);
    bucket
}

fn get(bucket: &str, lines: &[(&str, &str)]) -> Ask {
    lines.iter().fold(Ask::get(&format!("/{bucket}/k")), |ask, (name, value)| ask.header(name, value))
}

/// The answer to the proxy that is trusted.
fn by_proxy(ask: &Ask) -> Answer {
    let _others = rig().quiet.read_recursive();
    exchange_over(rig().by_proxy(), &ask.bytes()).remove(0)
}

#[test]
fn forwarded_headers_of_strangers_mean_nothing() {
    let proxy = PROXY.to_string();
    let inside = opened_by("forwarded", FROM_INSIDE);
    for list in ["10.0.0.1", &format!("10.0.0.1, {proxy}"), &format!("{proxy}, 10.0.0.1")] {
        let ask = get(&inside, &[("X-Forwarded-For", list)]);
        ask.send().is(403, "AccessDenied");
    }
    by_proxy(&get(&inside, &[("X-Forwarded-For", "10.0.0.1")])).is(200, "");
    let tls = opened_by("forwarded-tls", IN_TLS);
    let ask = get(&tls, &[("X-Forwarded-Proto", "https")]);
    ask.send().is(403, "AccessDenied");
    by_proxy(&ask).is(200, "");
    by_proxy(&get(&tls, &[("X-Forwarded-Proto", "http")])).is(403, "AccessDenied");
    by_proxy(&get(&tls, &[])).is(403, "AccessDenied");
}

#[test]
fn what_a_client_tells_a_proxy_stays_behind_what_the_proxy_saw() {
    let bucket = opened_by("behind", FROM_INSIDE);
    for lines in [
        &[("X-Forwarded-For", "10.0.0.1, 192.0.2.9")][..],
        &[("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "192.0.2.9")],
        &[("X-Forwarded-For", "192.0.2.9"), ("Forwarded", "for=10.0.0.1"), ("X-Real-IP", "10.0.0.1")],
        &[("X-Forwarded-For", "10.0.0.1, unknown")],
        &[("X-Forwarded-For", "10.0.0.1/8")],
        &[],
    ] {
        by_proxy(&get(&bucket, lines)).is(403, "AccessDenied");
    }
    by_proxy(&get(&bucket, &[("X-Forwarded-For", "192.0.2.9, 10.0.0.1")])).is(200, "");
}

#[test]
fn a_proxy_speaks_for_nobody() {
    let bucket = rig().bucket("nobody");
    let before = rig().all_of(&bucket);
    let anonymous = Ask::put(&format!("/{bucket}/k"))
        .header("X-Forwarded-For", "127.0.0.1")
        .header("X-Forwarded-User", "root")
        .header("X-Remote-User", "root")
        .header("X-Forwarded-Client-Cert", "Subject=\"CN=root\"");
    by_proxy(&anonymous).is(403, "AccessDenied");
    // The host that was signed must be the one that came, whatever a proxy says that it was.
    let good = Ask::put(&format!("/{bucket}/k")).by(&rig().owner);
    let host = rig().addr.to_string();
    let text = String::from_utf8(good.bytes()).expect("text");
    let rewritten = text
        .replace(&format!("Host: {host}\r\n"), &format!("Host: inner:9000\r\nX-Forwarded-Host: {host}\r\n"));
    assert_ne!(rewritten, text);
    {
        let _others = rig().quiet.read_recursive();
        let answer = exchange_over(rig().by_proxy(), rewritten.as_bytes()).remove(0);
        answer.is(403, "SignatureDoesNotMatch");
    }
    assert_eq!(rig().all_of(&bucket), before);
    by_proxy(&good).is(200, "");
}

#[test]
fn a_proxy_header_nobody_asked_for_is_no_request() {
    let bucket = opened_by("headed", FROM_INSIDE);
    let v2 =
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(), &[10, 0, 0, 1, 10, 0, 0, 2, 4, 1, 4, 2]].concat();
    let v1 = b"PROXY TCP4 10.0.0.1 10.0.0.2 1025 1026\r\n".to_vec();
    let _others = rig().quiet.read_recursive();
    for header in [v2, v1] {
        let bytes = [header, get(&bucket, &[]).bytes()].concat();
        for answers in [exchange(&bytes), exchange_over(rig().by_proxy(), &bytes)] {
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert!(matches!(statuses[..], [400 | 505]), "{answers:?}");
        }
    }
}
