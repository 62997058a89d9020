//! `X-Forwarded-For` and `X-Forwarded-Proto`, of which only the end is worth anything: each proxy adds what it saw behind
//! what it was sent, and what it was sent may be a client's invention.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::http::head::RequestHead;
use crate::limits::FORWARDED_HOPS_MAX;
use crate::proxy::TrustedProxies;

/// Follows the list from its end while who named the next address is trusted: the result is the first that is not, or the
/// last that could be read. `connection`, which is trusted, named the last one.
pub(super) fn address(head: &RequestHead, connection: IpAddr, trusted: &TrustedProxies) -> IpAddr {
    let mut client = connection;
    for hop in from_the_end(head, "x-forwarded-for").take(FORWARDED_HOPS_MAX) {
        match parse(hop) {
            Some(address) => client = address,
            None => break,
        }
        if !trusted.holds(client) {
            break;
        }
    }
    client
}

/// What the nearest proxy says of its client's transport; `None`: nothing that could be read.
pub(super) fn secure(head: &RequestHead) -> Option<bool> {
    let last = from_the_end(head, "x-forwarded-proto").next()?;
    let is = |scheme: &[u8]| last.eq_ignore_ascii_case(scheme);
    (is(b"https") || is(b"http")).then(|| is(b"https"))
}

/// The elements of a list, the last of the last line first.
fn from_the_end<'a>(head: &'a RequestHead, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let mut lines: Vec<_> = head.values(name).collect();
    lines.reverse();
    lines.into_iter().flat_map(|line| line.rsplit(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}
