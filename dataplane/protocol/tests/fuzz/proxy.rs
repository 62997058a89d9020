//! What proxies say: the PROXY header, and the forwarding headers of a request.

use core::net::{IpAddr, Ipv4Addr};

use holdfast_protocol::http::RequestHead;
use holdfast_protocol::limits::PROXY_HEADER_BYTES_MAX;
use holdfast_protocol::proxy::{Origin, Progress, ProxyHeader, TrustedProxies};

use super::dice::{Dice, Random};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

pub(crate) const FORWARDED_WORDS: &[&str] = &[
    ",",
    ", ",
    "\r\nX-Forwarded-For: ",
    "\r\nX-Forwarded-Proto: ",
    "192.0.2.1",
    "10.0.0.1",
    "[2001:db8::1]:80",
    "::ffff:10.0.0.1",
    ":",
    "[",
    "]",
    "%",
    "unknown",
    "https",
    "http",
    "\u{661}",
];

/// A header of known families with records, whose lengths are mostly right.
pub(crate) fn grow_header(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    if dice.once_in(8) {
        return seeds[dice.below(seeds.len())].clone();
    }
    let (family, addresses) = [(0x11, 12), (0x21, 36), (0x31, 216), (0x00, 0)][dice.below(4)];
    let mut rest: Vec<u8> = (0..addresses).map(|_| dice.byte()).collect();
    for _ in 0..dice.below(4) {
        let kind = [0x20, 0x01, 0x02, 0x04, dice.byte()][dice.below(5)];
        let length = dice.below(12);
        rest.extend([kind, 0, length as u8]);
        rest.extend((0..length).map(|_| dice.byte()));
    }
    if dice.once_in(6) {
        rest.truncate(dice.below(rest.len() + 1));
    }
    let length = rest.len() + if dice.once_in(6) { dice.below(70) } else { 0 };
    let command = if dice.once_in(8) { dice.byte() } else { 0x21 };
    let mut out = [SIGNATURE, &[command, family], &(length as u16).to_be_bytes(), &rest].concat();
    out.extend_from_slice(dice.bytes(5));
    if dice.once_in(6) {
        let at = dice.below(out.len());
        out[at] ^= 1 << dice.below(8);
    }
    out
}

/// What is whole stays what it is, what is refused stays refused, and nothing behind the header is ever asked for.
pub(crate) fn check_header(bytes: &[u8]) {
    let whole = ProxyHeader::parse(bytes);
    if let Ok(Progress::Whole { header, bytes: count }) = whole {
        assert!((16..=PROXY_HEADER_BYTES_MAX).contains(&count) && count <= bytes.len());
        assert_eq!(ProxyHeader::parse(&bytes[..count]), whole, "what follows is not read");
        assert_eq!(header.source, header.source.map(|address| address.to_canonical()));
    }
    for cut in Random::of(bytes).cuts(bytes.len()) {
        match (ProxyHeader::parse(&bytes[..cut]), whole) {
            (Ok(Progress::Missing(missing)), Ok(Progress::Whole { bytes: count, .. })) => {
                assert!(missing > 0 && cut + missing <= count);
            }
            (Ok(Progress::Missing(missing)), _) => {
                assert!(missing > 0 && cut + missing <= PROXY_HEADER_BYTES_MAX);
            }
            (Err(_), whole) => assert!(whole.is_err()),
            (part, whole) => assert_eq!(part, whole),
        }
    }
}

/// Only a trusted proxy changes anything, and whoever stands in front of the last stranger invents in vain.
pub(crate) fn check_forwarded(bytes: &[u8]) {
    let head = |lines: &[u8]| {
        let text = [b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: ", lines, b"\r\n\r\n"].concat();
        RequestHead::parse(&text).ok().flatten().filter(|(_, used)| *used == text.len()).map(|(head, _)| head)
    };
    let Some(invented) = head(bytes) else { return };
    let trusted = TrustedProxies::parse(&["10.0.0.0/8"]).expect("a range");
    let (proxy, stranger) = (IpAddr::from([10, 0, 0, 9]), IpAddr::from([192, 0, 2, 9]));
    let own = Origin::new(stranger, false);
    assert_eq!(own.forwarded(&invented, &trusted), own);
    let told = Origin::new(proxy, true).forwarded(&invented, &trusted);
    assert_eq!(told.address, told.address.to_canonical());
    let line = [bytes, b"\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: http"].concat();
    if let Some(added) = head(&line) {
        let expected = Origin::new(Ipv4Addr::new(192, 0, 2, 9).into(), false);
        assert_eq!(Origin::new(proxy, true).forwarded(&added, &trusted), expected);
    }
}
