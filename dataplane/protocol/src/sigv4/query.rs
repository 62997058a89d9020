//! The query as the signature sees it: spans of the raw bytes, on the stack.

use super::encode::{Part, decoded, encoded};
use crate::error::{Code, S3Error};
use crate::limits::{CREDENTIAL_BYTES_MAX, QUERY_ARGUMENTS_MAX, SIGNED_HEADERS_BYTES_MAX};

/// One raw `name=value`.
#[derive(Clone, Copy, Default)]
pub(super) struct RawArgument<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

/// All arguments, in the order of the wire.
pub(super) struct QueryArguments<'a> {
    list: [RawArgument<'a>; QUERY_ARGUMENTS_MAX],
    count: usize,
}

/// Which kind of credentials a query carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Credentials {
    V4,
    /// `AWSAccessKeyId`, `Signature`, `Expires`: boto3's default for presigning in us-east-1.
    V2,
}

/// Room for the decoded values of a presigned query.
pub(super) struct Scratch {
    pub(super) credential: [u8; CREDENTIAL_BYTES_MAX],
    pub(super) signed_headers: [u8; SIGNED_HEADERS_BYTES_MAX],
    pub(super) payload: [u8; 64],
    pub(super) short: [u8; 64],
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self {
            credential: [0; CREDENTIAL_BYTES_MAX],
            signed_headers: [0; SIGNED_HEADERS_BYTES_MAX],
            payload: [0; 64],
            short: [0; 64],
        }
    }
}

impl<'a> QueryArguments<'a> {
    pub(super) fn scan(raw: &'a [u8]) -> Result<Self, S3Error> {
        let mut found = Self { list: [RawArgument::default(); QUERY_ARGUMENTS_MAX], count: 0 };
        if raw.is_empty() {
            return Ok(found);
        }
        for piece in raw.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
            let at = memchr::memchr(b'=', piece).unwrap_or(piece.len());
            let slot = found.list.get_mut(found.count).ok_or_else(too_many)?;
            *slot = RawArgument { name: &piece[..at], value: piece.get(at + 1..).unwrap_or(&[]) };
            found.count += 1;
        }
        Ok(found)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RawArgument<'a>> {
        self.list[..self.count].iter()
    }

    /// Any sign of credentials counts: half of them are an error, not an anonymous request.
    pub(super) fn credentials(&self) -> Option<Credentials> {
        const V4: [&str; 3] = ["X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential"];
        const V2: [&str; 2] = ["AWSAccessKeyId", "Signature"];
        let any = |names: &[&str]| self.iter().any(|argument| names.iter().any(|name| argument.is(name)));
        if any(&V4) { Some(Credentials::V4) } else { any(&V2).then_some(Credentials::V2) }
    }

    /// The raw value of an argument, which must not stand twice.
    pub(super) fn one(&self, name: &'static str) -> Result<Option<&'a [u8]>, S3Error> {
        let mut found = self.iter().filter(|argument| argument.is(name));
        let first = found.next().map(|argument| argument.value);
        match found.next() {
            Some(_) => Err(S3Error::new(Code::AuthorizationQueryParametersError)
                .message(format!("{name} is given more than once."))),
            None => Ok(first),
        }
    }

    /// In the order of the canonical query: by encoded name, then encoded value, without the signature.
    pub(super) fn canonical_order(&self, mut each: impl FnMut(&RawArgument<'a>)) {
        let mut sorted = self.list;
        let sorted = &mut sorted[..self.count];
        sorted.sort_unstable_by(|a, b| {
            let by_name = encoded(a.name, Part::Query).cmp(encoded(b.name, Part::Query));
            by_name.then_with(|| encoded(a.value, Part::Query).cmp(encoded(b.value, Part::Query)))
        });
        sorted.iter().for_each(&mut each);
    }
}

impl RawArgument<'_> {
    /// An escape in the name does not hide it.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.len() >= name.len() && decoded(self.name, Part::Query).eq(name.bytes())
    }
}

/// Decodes a raw value into `room`; `None` when it does not fit or is not ASCII.
pub(super) fn decode_into<'s>(raw: &[u8], room: &'s mut [u8]) -> Option<&'s str> {
    let mut length = 0;
    for byte in decoded(raw, Part::Query) {
        *room.get_mut(length)? = byte.is_ascii().then_some(byte)?;
        length += 1;
    }
    std::str::from_utf8(&room[..length]).ok()
}

fn too_many() -> S3Error {
    S3Error::new(Code::InvalidURI)
        .message(format!("The query has more than {QUERY_ARGUMENTS_MAX} arguments."))
}
