//! What proxies say, what strangers pretend that they say, and any split of either.

use proptest::prelude::*;

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn trusted() -> TrustedProxies {
    TrustedProxies::parse(&["10.0.0.0/8", "2001:db8:1::/48"]).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn head(lines: &str) -> RequestHead {
    let text = format!("GET /b/k HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    RequestHead::parse(text.as_bytes()).unwrap().unwrap().0
}

/// The source address of a request that comes from `connection` with these header lines.
#[track_caller]
fn check_address(connection: &str, lines: &str, expected: &str) {
    let origin = Origin::new(ip(connection), false).forwarded(&head(lines), &trusted());
    assert_eq!(origin.address, ip(expected), "{lines:?} from {connection}");
}

#[track_caller]
fn check_secure(lines: &str, tls: bool, expected: bool) {
    let origin = Origin::new(ip("10.0.0.1"), tls).forwarded(&head(lines), &trusted());
    assert_eq!(origin.secure, expected, "{lines:?}, TLS {tls}");
}

/// A header of version 2.
fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// From 192.0.2.7:1025 to 10.0.0.9:443, and these records.
fn from_ipv4(records: &[u8]) -> Vec<u8> {
    header(0x21, 0x11, &[&[192, 0, 2, 7, 10, 0, 0, 9, 4, 1, 1, 0xbb], records].concat())
}

fn ssl(flags: u8) -> Vec<u8> {
    vec![0x20, 0, 5, flags, 0, 0, 0, 0]
}

#[track_caller]
fn check_header(bytes: &[u8], source: Option<&str>, secure: Option<bool>) {
    let expected = ProxyHeader { source: source.map(ip), secure };
    let whole = Progress::Whole { header: expected, bytes: bytes.len() };
    assert_eq!(ProxyHeader::parse(bytes), Ok(whole), "{}", bytes.escape_ascii());
}

#[track_caller]
fn refused(bytes: &[u8], expected: ProxyHeaderError) {
    assert_eq!(ProxyHeader::parse(bytes), Err(expected), "{}", bytes.escape_ascii());
}

#[test]
fn a_stranger_says_nothing_by_headers() {
    for stranger in ["192.0.2.1", "2001:db8:2::1", "::1", "11.0.0.1"] {
        for tls in [false, true] {
            let own = Origin::new(ip(stranger), tls);
            let lines =
                "X-Forwarded-For: 10.0.0.5\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n";
            assert_eq!(own.forwarded(&head(lines), &trusted()), own);
        }
    }
    let lines = head("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n");
    let own = Origin::new(ip("10.0.0.1"), false);
    assert_eq!(own.forwarded(&lines, &TrustedProxies::default()), own, "nobody is trusted");
}

#[test]
fn the_address_nearest_to_the_trusted_proxies_is_the_client() {
    check_address("10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1");
    check_address("::ffff:10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1");
    check_address("10.0.0.1", "X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\n", "192.0.2.1");
    check_address("10.0.0.1", "X-Forwarded-For: 10.0.0.7, 192.0.2.1\r\n", "192.0.2.1");
    check_address("10.0.0.1", "X-Forwarded-For: 203.0.113.9,192.0.2.1, 10.0.0.7\r\n", "192.0.2.1");
    check_address("10.0.0.1", "x-forwarded-for: 9.9.9.9\r\nX-FORWARDED-FOR: 192.0.2.1\r\n", "192.0.2.1");
    check_address("2001:db8:1::1", "X-Forwarded-For: 2001:db8:1::2, 2001:db8:7::3\r\n", "2001:db8:7::3");
    check_address("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3");
    check_address("10.0.0.1", "", "10.0.0.1");
}

#[test]
fn addresses_come_with_and_without_ports() {
    for (text, expected) in [
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8:7::3", "2001:db8:7::3"),
        ("[2001:db8:7::3]", "2001:db8:7::3"),
        ("[2001:DB8:7::3]:4711", "2001:db8:7::3"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        (" \t192.0.2.1\t ", "192.0.2.1"),
    ] {
        check_address("10.0.0.1", &format!("X-Forwarded-For: {text}\r\n"), expected);
    }
}

#[test]
fn what_cannot_be_read_ends_the_way_back() {
    for garbage in [
        "",
        ",",
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.1.1",
        "192.0.2.1/32",
        "192.0.2.01",
        "0x7f000001",
        "\"192.0.2.1\"",
        "for=192.0.2.1",
        "fe80::1%eth0",
        "[192.0.2.1]",
        "[2001:db8::1",
        "2001:db8::1]:80",
        "192.0.2.1:99999",
        "192.0.2.1 192.0.2.2",
        "\u{661}.0.2.1",
    ] {
        check_address("10.0.0.1", &format!("X-Forwarded-For: {garbage}\r\n"), "10.0.0.1");
        check_address("10.0.0.1", &format!("X-Forwarded-For: 192.0.2.1, {garbage}\r\n"), "10.0.0.1");
        check_address(
            "10.0.0.1",
            &format!("X-Forwarded-For: 192.0.2.1, {garbage}, 10.0.0.2\r\n"),
            "10.0.0.2",
        );
        check_address("10.0.0.1", &format!("X-Forwarded-For: {garbage}, 192.0.2.1\r\n"), "192.0.2.1");
    }
}

#[test]
fn the_way_back_has_an_end() {
    let proxies = vec!["10.0.0.2"; crate::limits::FORWARDED_HOPS_MAX].join(",");
    check_address("10.0.0.1", &format!("X-Forwarded-For: 192.0.2.1,{proxies}\r\n"), "10.0.0.2");
    let proxies = &proxies["10.0.0.2,".len()..];
    check_address("10.0.0.1", &format!("X-Forwarded-For: 192.0.2.1,{proxies}\r\n"), "192.0.2.1");
}

#[test]
fn the_nearest_proxy_says_whether_the_transport_is_secure() {
    for tls in [false, true] {
        check_secure("X-Forwarded-Proto: https\r\n", tls, true);
        check_secure("X-Forwarded-Proto: HTTP\r\n", tls, false);
        check_secure("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", tls, false);
        check_secure("X-Forwarded-Proto: http,https\r\n", tls, true);
        for unclear in
            ["", "X-Forwarded-Proto:\r\n", "X-Forwarded-Proto: ftp\r\n", "X-Forwarded-Proto: https,\r\n"]
        {
            check_secure(unclear, tls, tls);
        }
        check_secure("X-Forwarded-Ssl: on\r\nFront-End-Https: on\r\nForwarded: proto=https\r\n", tls, tls);
    }
}

#[test]
fn who_can_be_trusted() {
    let parse = |text: &str| TrustedProxies::parse(&[text]);
    for (text, inside, outside) in [
        ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
        ("10.1.2.3/16", "::ffff:10.1.0.0", "10.2.0.0"),
        ("2001:db8::/48", "2001:db8:0:ffff::", "2001:db8:1::"),
        ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
    ] {
        let trusted = parse(text).unwrap();
        assert!(trusted.holds(ip(inside)) && !trusted.holds(ip(outside)), "{text}");
    }
    for malformed in [
        "",
        "proxy.example",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0",
        "::/129",
        "10.0.0.1:80",
        " 10.0.0.1",
        "unix:",
    ] {
        assert_eq!(parse(malformed), Err(TrustError::Malformed(malformed.into())));
    }
    for broad in ["0.0.0.0/0", "::/0", "10.0.0.0/7", "2001:db8::/31", "::ffff:0.0.0.0/96"] {
        assert_eq!(parse(broad), Err(TrustError::Broad(broad.into())));
    }
    let many = vec!["10.0.0.1"; TRUSTED_PROXIES_MAX + 1];
    assert_eq!(TrustedProxies::parse(&many), Err(TrustError::TooMany(many.len())));
    assert!(TrustedProxies::parse::<&str>(&[]).unwrap().is_empty());
}

#[test]
fn a_header_tells_the_source() {
    check_header(&from_ipv4(b""), Some("192.0.2.7"), None);
    check_header(&header(0x21, 0x12, &from_ipv4(b"")[16..]), Some("192.0.2.7"), None);
    let v6 = [&ip6("2001:db8::7")[..], &ip6("2001:db8::9"), &[4, 1, 1, 0xbb]].concat();
    check_header(&header(0x21, 0x21, &v6), Some("2001:db8::7"), None);
    let mapped = [&ip6("::ffff:192.0.2.7")[..], &ip6("::ffff:10.0.0.9"), &[4, 1, 1, 0xbb]].concat();
    check_header(&header(0x21, 0x21, &mapped), Some("192.0.2.7"), None);
    check_header(&header(0x21, 0x31, &[b'/'; 216]), None, None);
    check_header(&header(0x21, 0x00, b"whatever"), None, None);
    check_header(&header(0x20, 0x00, b""), None, None);
    check_header(&header(0x20, 0x11, &from_ipv4(&ssl(1))[16..]), None, None);
}

fn ip6(text: &str) -> [u8; 16] {
    match ip(text) {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(_) => panic!("{text}"),
    }
}

#[test]
fn a_header_of_haproxy() {
    // 2.6.12, `send-proxy-v2-ssl`, as it came.
    let records = b"\x20\x00\x0f\x01\x00\x00\x00\x00\x21\x00\x07TLSv1.3";
    let addresses = b"\x7f\x00\x00\x09\x7f\x00\x00\x01\xba\x5d\x9a\xcd";
    let bytes = [SIGNATURE, b"\x21\x11\x00\x1e", addresses, records].concat();
    check_header(&bytes, Some("127.0.0.9"), Some(true));
}

#[test]
fn a_record_tells_of_tls_and_others_are_passed_over() {
    let alpn = [&[1, 0, 2][..], b"h2"].concat();
    let noop = [4, 0, 0];
    check_header(&from_ipv4(&ssl(1)), Some("192.0.2.7"), Some(true));
    check_header(&from_ipv4(&ssl(0)), Some("192.0.2.7"), Some(false));
    check_header(&from_ipv4(&ssl(6)), Some("192.0.2.7"), Some(false));
    check_header(&from_ipv4(&[&alpn[..], &ssl(7), &noop].concat()), Some("192.0.2.7"), Some(true));
    check_header(&from_ipv4(&[&alpn[..], &noop].concat()), Some("192.0.2.7"), None);
    check_header(&from_ipv4(&[0x20, 0, 8, 1, 0, 0, 0, 0, 0x22, 0, 0]), Some("192.0.2.7"), Some(true));
    for malformed in [
        &[1][..],
        &[1, 0],
        &[1, 0, 1],
        &[1, 0xff, 0xff, 0],
        &[0x20, 0, 4, 1, 0, 0, 0],
        &[ssl(1), ssl(1)].concat(),
    ] {
        refused(&from_ipv4(malformed), ProxyHeaderError::Records);
    }
}

#[test]
fn what_is_no_header_of_version_2_is_refused() {
    refused(b"PROXY TCP4 192.0.2.7 10.0.0.9 1025 443\r\n", ProxyHeaderError::Version1);
    refused(b"GET / HTTP/1.1\r\n", ProxyHeaderError::Signature);
    refused(b"\x16\x03\x01", ProxyHeaderError::Signature);
    refused(b"\r\n\r\n\0\r\nQUIT\r", ProxyHeaderError::Signature);
    refused(&header(0x11, 0x11, &[0; 12]), ProxyHeaderError::Version);
    refused(&header(0x31, 0x11, &[0; 12]), ProxyHeaderError::Version);
    refused(&header(0x22, 0x11, &[0; 12]), ProxyHeaderError::Command);
    for family in [0x01, 0x10, 0x13, 0x20, 0x41, 0xff] {
        refused(&header(0x21, family, &[0; 216]), ProxyHeaderError::Family);
    }
    refused(&header(0x21, 0x11, &[0; 11]), ProxyHeaderError::Addresses);
    refused(&header(0x21, 0x21, &[0; 35]), ProxyHeaderError::Addresses);
    refused(&header(0x21, 0x31, &[0; 215]), ProxyHeaderError::Addresses);
}

#[test]
fn a_header_is_bounded_before_it_has_come() {
    let most = crate::limits::PROXY_HEADER_BYTES_MAX - 16;
    let start =
        |length: usize| [SIGNATURE, &[0x21, 0], &u16::try_from(length).unwrap().to_be_bytes()].concat();
    assert_eq!(ProxyHeader::parse(&start(most)), Ok(Progress::Missing(most)));
    refused(&start(most + 1), ProxyHeaderError::TooLong);
    check_header(&header(0x21, 0, &vec![0; most]), None, None);
}

#[test]
fn what_a_header_leaves_out_is_the_connections_own() {
    let own = Origin::new(ip("10.0.0.1"), true);
    let silent = own.proxied(&ProxyHeader::default());
    assert_eq!((silent.address, silent.secure), (own.address, own.secure));
    let told = ProxyHeader { source: Some(ip("192.0.2.7")), secure: Some(false) };
    assert_eq!(own.proxied(&told), Origin::new(ip("192.0.2.7"), false));
    // Whom a header names is no proxy of ours, unless it is trusted, too.
    let lines = head("X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Proto: https\r\n");
    assert_eq!(own.proxied(&told).forwarded(&lines, &trusted()), Origin::new(ip("192.0.2.7"), false));
    let inner = own.proxied(&ProxyHeader { source: Some(ip("10.9.9.9")), secure: None });
    assert_eq!(inner.forwarded(&lines, &trusted()).address, ip("203.0.113.1"));
}

#[test]
fn who_has_no_address_says_nothing_by_headers() {
    let own = Origin::new(ip("10.0.0.1"), false);
    let lines = head("X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Proto: https\r\n");
    assert_eq!(own.forwarded(&lines, &trusted()).address, ip("203.0.113.1"), "the proxy itself is believed");
    // The proxy's own connection, one of no family, one over a Unix socket with TLS and without.
    let unix = [&[b'/'; 216][..], &ssl(1)].concat();
    for (bytes, secure) in [
        (header(0x20, 0x00, b""), false),
        (header(0x21, 0x00, b""), false),
        (header(0x21, 0x31, &[b'/'; 216]), false),
        (header(0x21, 0x31, &unix), true),
    ] {
        let Ok(Progress::Whole { header: told, .. }) = ProxyHeader::parse(&bytes) else { panic!("a header") };
        let origin = own.proxied(&told).forwarded(&lines, &trusted());
        assert_eq!((origin.address, origin.secure), (ip("10.0.0.1"), secure), "{}", bytes.escape_ascii());
    }
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..4u8).prop_map(|last| IpAddr::from([10, 0, 0, last])),
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(octets).to_canonical()),
    ]
}

/// The rule in the plainest words: of all that was named, with the connection last, the last address that a stranger has,
/// or else the first of the trusted ones behind the last stranger's word.
fn oracle(connection: IpAddr, hops: &[Option<IpAddr>], trusted: &TrustedProxies) -> IpAddr {
    let mut all = hops.to_vec();
    all.push(Some(connection));
    let readable = all.iter().rposition(Option::is_none).map_or(0, |at| at + 1);
    let chain: Vec<IpAddr> = all[readable..].iter().copied().flatten().collect();
    chain.iter().copied().rfind(|hop| !trusted.holds(*hop)).unwrap_or(chain[0])
}

proptest! {
    #[test]
    fn the_way_back_is_the_oracles(connection in any_ip(), hops in prop::collection::vec(prop::option::weighted(0.8, any_ip()), 0..8)) {
        let list: Vec<String> = hops.iter().map(|hop| hop.map_or("?".to_owned(), |hop| hop.to_string())).collect();
        let lines = if list.is_empty() { String::new() } else { format!("X-Forwarded-For: {}\r\n", list.join(", ")) };
        let origin = Origin::new(connection, false).forwarded(&head(&lines), &trusted());
        prop_assert_eq!(origin.address, oracle(connection, &hops, &trusted()));
    }

    #[test]
    fn what_a_client_invents_in_front_changes_nothing(client in any_ip(), invented in "[ -~]{0,60}") {
        prop_assume!(!trusted().holds(client));
        let lines = format!("X-Forwarded-For: {invented}\r\nX-Forwarded-For: {client}\r\n");
        let origin = Origin::new(ip("10.0.0.1"), true).forwarded(&head(&lines), &trusted());
        prop_assert_eq!(origin, Origin::new(client, true));
    }

    #[test]
    fn a_header_may_come_in_any_pieces(source in any_ip(), flags in prop::option::of(any::<u8>()), after in any::<[u8; 3]>()) {
        let records = flags.map_or(Vec::new(), ssl);
        let (family, octets) = match source {
            IpAddr::V4(source) => (0x11, source.octets().to_vec()),
            IpAddr::V6(source) => (0x21, source.octets().to_vec()),
        };
        let rest = [&octets[..], &vec![7; octets.len() + 4], &records].concat();
        let bytes = header(0x21, family, &rest);
        let told = ProxyHeader { source: Some(source), secure: flags.map(|flags| flags & 1 == 1) };
        let whole = Progress::Whole { header: told, bytes: bytes.len() };
        for cut in 0..bytes.len() {
            match ProxyHeader::parse(&bytes[..cut]).unwrap() {
                Progress::Missing(missing) => prop_assert!(missing > 0 && cut + missing <= bytes.len()),
                Progress::Whole { .. } => prop_assert!(false, "whole after {} bytes", cut),
            }
        }
        prop_assert_eq!(ProxyHeader::parse(&bytes), Ok(whole));
        prop_assert_eq!(ProxyHeader::parse(&[&bytes[..], &after].concat()), Ok(whole));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = ProxyHeader::parse(&[SIGNATURE, &bytes].concat());
        let _ = ProxyHeader::parse(&bytes);
    }
}
