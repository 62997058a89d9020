//! The lines of a head: where it ends, which line ends are refused, and which offence made httparse stop.

use super::HeadError;
use crate::limits::{HEAD_BYTES_MAX, LEADING_EMPTY_LINES_MAX, TARGET_BYTES_MAX};

pub(super) fn skip_empty(buf: &[u8]) -> Result<usize, HeadError> {
    let mut skipped = 0;
    while buf[skipped..].starts_with(b"\r\n") {
        skipped += 2;
        if skipped > 2 * LEADING_EMPTY_LINES_MAX {
            return Err(HeadError::RequestLine);
        }
    }
    Ok(skipped)
}

/// The length of the head with its blank line. Wrong line ends, NUL and excess are seen as they arrive, so that a
/// client that ends lines with LF is answered and not left waiting for its deadline.
pub(super) fn find_end(buf: &[u8]) -> Result<Option<usize>, HeadError> {
    let bounded = &buf[..buf.len().min(HEAD_BYTES_MAX)];
    let mut line_start = 0;
    for at in memchr::memchr3_iter(b'\r', b'\n', 0, bounded) {
        match bounded[at] {
            0 => return Err(HeadError::Nul),
            b'\n' if at == 0 || bounded[at - 1] != b'\r' => return Err(HeadError::BareLineEnd),
            b'\r' if at + 1 < bounded.len() && bounded[at + 1] != b'\n' => {
                return Err(HeadError::BareLineEnd);
            }
            b'\r' => continue,
            _ if at - 1 == line_start => return Ok(Some(at + 1)),
            _ => line_start = at + 1,
        }
    }
    check_request_line(bounded.split(|&b| b == b'\n').next().unwrap_or_default())?;
    if buf.len() >= HEAD_BYTES_MAX { Err(HeadError::HeadTooLarge) } else { Ok(None) }
}

/// A TLS hello or a long target on its way is told apart before the head is complete, whether or not its line is.
fn check_request_line(line: &[u8]) -> Result<(), HeadError> {
    if line.first().is_some_and(|first| !first.is_ascii_graphic() && *first != b'\r') {
        return Err(HeadError::RequestLine);
    }
    match memchr::memchr(b' ', line) {
        Some(space) if line.len() - space > TARGET_BYTES_MAX + " HTTP/1.1\r".len() + 1 => {
            Err(HeadError::TargetTooLong)
        }
        _ => Ok(()),
    }
}

/// httparse's refusals in our words. It stops at the first offence, which is found again for the two that it does not
/// tell apart from others.
pub(super) fn explain(error: httparse::Error, head: &[u8]) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooManyHeaders,
        httparse::Error::Version => HeadError::Version,
        httparse::Error::HeaderName => explain_name(head),
        // A folded line begins with white space, and httparse reports it as the value going on.
        httparse::Error::HeaderValue | httparse::Error::NewLine if has_fold(head) => HeadError::FoldedHeader,
        httparse::Error::HeaderValue => HeadError::HeaderValue,
        _ => HeadError::RequestLine,
    }
}

fn explain_name(head: &[u8]) -> HeadError {
    if has_fold(head) {
        return HeadError::FoldedHeader;
    }
    let spaced = |line: &[u8]| {
        let name = line.split(|&b| b == b':').next().unwrap_or_default();
        name.len() < line.len() && (name.ends_with(b" ") || name.ends_with(b"\t"))
    };
    if head.split(|&b| b == b'\n').skip(1).any(spaced) {
        HeadError::SpaceBeforeColon
    } else {
        HeadError::HeaderName
    }
}

fn has_fold(head: &[u8]) -> bool {
    head.windows(3).any(|w| w[..2] == *b"\r\n" && matches!(w[2], b' ' | b'\t'))
}
