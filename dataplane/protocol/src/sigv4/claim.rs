//! What a request says about itself before any of it is believed: one form for header and query credentials.

use super::credential::{Credential, HeaderFields};
use super::payload::{self, PayloadClaim};
use super::query::{QueryArguments, Scratch, decode_into};
use super::text::ALGORITHM;
use super::time::RequestTime;
use super::{refusal, rules};
use crate::error::{Code, S3Error};
use crate::http::head::RequestHead;
use crate::limits::{PRESIGN_EXPIRES_S_MAX, SIGNED_HEADERS_BYTES_MAX};

/// Where the credentials stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Header,
    /// Presigned, good for so many seconds.
    Query {
        expires_s: u64,
    },
}

/// Parsed credentials.
pub(super) struct Claim<'a> {
    pub(super) place: Place,
    pub(super) credential: Credential<'a>,
    /// Lower-case names joined with `;`, as sent.
    pub(super) signed_headers: &'a str,
    /// As sent: may be anything.
    pub(super) signature: &'a [u8],
    pub(super) time: RequestTime,
    pub(super) payload: PayloadClaim,
    /// The last line of the canonical request, as sent.
    pub(super) payload_text: &'a [u8],
}

impl<'a> Claim<'a> {
    pub(super) fn from_header(head: &'a RequestHead, value: &'a [u8]) -> Result<Self, S3Error> {
        let value =
            std::str::from_utf8(value).map_err(|_| refusal::header_malformed("it is not text"))?.trim();
        let (scheme, fields) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        if scheme != ALGORITHM {
            return Err(refusal::other_scheme(scheme));
        }
        let fields = HeaderFields::parse(fields).map_err(refusal::header_malformed)?;
        let credential = Credential::parse(fields.credential).map_err(refusal::header_malformed)?;
        check_signed_headers(fields.signed_headers).map_err(refusal::header_malformed)?;
        let payload_text = rules::header_once(head, payload::HEADER)?.ok_or_else(refusal::no_payload_hash)?;
        Ok(Self {
            place: Place::Header,
            credential,
            signed_headers: fields.signed_headers,
            signature: fields.signature.as_bytes(),
            time: header_time(head)?,
            payload: PayloadClaim::parse(payload_text)?,
            payload_text,
        })
    }

    pub(super) fn from_query(
        head: &'a RequestHead,
        query: &QueryArguments<'a>,
        scratch: &'a mut Scratch,
    ) -> Result<Self, S3Error> {
        let need = |name| query.one(name)?.ok_or_else(|| refusal::query_malformed(INCOMPLETE));
        let algorithm = decode_into(need("X-Amz-Algorithm")?, &mut scratch.short);
        if algorithm != Some(ALGORITHM) {
            return Err(refusal::query_malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
        }
        let credential = need("X-Amz-Credential")?;
        let signature = need("X-Amz-Signature")?;
        let time = decode_into(need("X-Amz-Date")?, &mut scratch.short)
            .and_then(|text| RequestTime::parse_basic(text.as_bytes()))
            .ok_or_else(|| refusal::query_malformed(DATE_FORM))?;
        let expires_s = expires(decode_into(need("X-Amz-Expires")?, &mut scratch.short))?;
        let signed_headers = decode_into(need("X-Amz-SignedHeaders")?, &mut scratch.signed_headers)
            .ok_or_else(|| refusal::query_malformed("X-Amz-SignedHeaders is too long or not text"))?;
        check_signed_headers(signed_headers).map_err(refusal::query_malformed)?;
        let credential = decode_into(credential, &mut scratch.credential)
            .ok_or_else(|| refusal::query_malformed("X-Amz-Credential is too long or not text"))?;
        let credential = Credential::parse(credential).map_err(refusal::query_malformed)?;
        let payload_text = presigned_payload(head, query, signed_headers, &mut scratch.payload)?;
        let payload = PayloadClaim::parse(payload_text)?;
        if payload.is_streaming() {
            return Err(refusal::streaming_presigned());
        }
        let place = Place::Query { expires_s };
        Ok(Self { place, credential, signed_headers, signature, time, payload, payload_text })
    }
}

const INCOMPLETE: &str = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                          X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters";
const DATE_FORM: &str = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"";

/// `x-amz-date`, or `Date` where it is absent.
fn header_time(head: &RequestHead) -> Result<RequestTime, S3Error> {
    let amz = rules::header_once(head, "x-amz-date")?;
    let date = rules::header_once(head, "date")?;
    let time = match (amz, date) {
        (Some(text), _) => RequestTime::parse_basic(text),
        (None, Some(text)) => RequestTime::parse_date_header(text),
        (None, None) => None,
    };
    time.ok_or_else(|| {
        S3Error::new(Code::AccessDenied)
            .message("AWS authentication requires a valid Date or x-amz-date header.")
    })
}

/// The query's value, or a signed header's, else UNSIGNED-PAYLOAD.
fn presigned_payload<'a>(
    head: &'a RequestHead,
    query: &QueryArguments<'a>,
    signed_headers: &str,
    room: &'a mut [u8],
) -> Result<&'a [u8], S3Error> {
    if let Some(raw) = query.one("X-Amz-Content-Sha256")? {
        return decode_into(raw, room).map(str::as_bytes).ok_or_else(payload::invalid);
    }
    match rules::header_once(head, payload::HEADER)? {
        Some(value) if rules::is_signed(signed_headers, payload::HEADER) => Ok(value),
        _ => Ok(payload::UNSIGNED),
    }
}

fn expires(text: Option<&str>) -> Result<u64, S3Error> {
    let seconds =
        text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok());
    match seconds {
        None => Err(refusal::query_malformed("X-Amz-Expires should be a number")),
        Some(seconds) if seconds > PRESIGN_EXPIRES_S_MAX => Err(refusal::query_malformed(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        )),
        Some(seconds) => Ok(seconds),
    }
}

/// Names must be lower-case tokens: that is how they stand in the canonical request.
fn check_signed_headers(list: &str) -> Result<(), &'static str> {
    let token = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b':';
    if list.len() > SIGNED_HEADERS_BYTES_MAX {
        return Err("the list of signed headers is too long");
    }
    if list.split(';').any(|name| name.is_empty() || !name.bytes().all(token)) {
        return Err("SignedHeaders must be lower-case header names joined with ';'");
    }
    Ok(())
}
