//! The request target: origin form, absolute form, or `*` for OPTIONS.

use std::ops::Range;

use super::HeadError;
use crate::limits::TARGET_BYTES_MAX;

/// Spans of a target in its head.
#[derive(Clone, Copy)]
pub(super) struct Target {
    start: u16,
    path_start: u16,
    path_end: u16,
    end: u16,
}

impl Target {
    /// `start` is where `target` begins in the head. An absolute form must name the host of the Host header, because
    /// that one is signed and this one is not.
    pub(super) fn parse(
        target: &str,
        start: usize,
        method: &str,
        host: Option<&[u8]>,
    ) -> Result<Self, HeadError> {
        if target.len() > TARGET_BYTES_MAX {
            return Err(HeadError::TargetTooLong);
        }
        // A fragment is never sent; what reads it as one would see another path than we do.
        if target.contains('#') {
            return Err(HeadError::Target);
        }
        let path_at = match target {
            "*" if method == "OPTIONS" => 0,
            _ if target.starts_with('/') => 0,
            _ => path_of_absolute_form(target, host)?,
        };
        let path_len = target[path_at..].find('?').unwrap_or(target.len() - path_at);
        Ok(Self {
            start: start as u16,
            path_start: (start + path_at) as u16,
            path_end: (start + path_at + path_len) as u16,
            end: (start + target.len()) as u16,
        })
    }

    pub(super) fn all(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    pub(super) fn path(self) -> Range<usize> {
        usize::from(self.path_start)..usize::from(self.path_end)
    }

    pub(super) fn query(self) -> Range<usize> {
        let question_mark = usize::from(self.path_end < self.end);
        usize::from(self.path_end) + question_mark..usize::from(self.end)
    }
}

fn path_of_absolute_form(target: &str, host: Option<&[u8]>) -> Result<usize, HeadError> {
    let (scheme, rest) = target.split_once("://").ok_or(HeadError::Target)?;
    let default_port: &[u8] = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => b":80",
        _ if scheme.eq_ignore_ascii_case("https") => b":443",
        _ => return Err(HeadError::Target),
    };
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    if !is_authority(authority.as_bytes()) {
        return Err(HeadError::Target);
    }
    let without_default = |host: &[u8]| host.strip_suffix(default_port).unwrap_or(host).to_ascii_lowercase();
    match host {
        Some(host) if without_default(host) != without_default(authority.as_bytes()) => {
            Err(HeadError::HostMismatch)
        }
        _ => Ok(scheme.len() + "://".len() + authority.len()),
    }
}

/// `host[:port]`: a DNS name, an IPv4 address, or an IPv6 address in brackets. No user information.
pub(super) fn is_authority(text: &[u8]) -> bool {
    let (host, port) = match text.iter().rposition(|&b| b == b':') {
        Some(at) if !text[at..].contains(&b']') => (&text[..at], &text[at + 1..]),
        _ => (text, &b""[..]),
    };
    let port_ok = port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    let host_ok = match host.strip_prefix(b"[") {
        Some(v6) => v6.strip_suffix(b"]").is_some_and(|v6| {
            !v6.is_empty() && v6.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }),
        None => {
            !host.is_empty()
                && host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    };
    port_ok && host_ok
}
