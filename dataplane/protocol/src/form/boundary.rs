//! The boundary between the parts of a form, as the request's Content-Type names it.

use bytes::Bytes;

use super::{FormError, parameters};
use crate::http::head::RequestHead;
use crate::limits::BOUNDARY_BYTES_MAX;

/// 1 to 70 characters of RFC 2046's set, none of which ends a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(Bytes);

impl Boundary {
    /// Reads the Content-Type of a request that shall be a form.
    ///
    /// # Errors
    /// [`FormError::NotMultipart`]; [`FormError::Boundary`], also for two Content-Types: each could name another.
    pub fn of(head: &RequestHead) -> Result<Self, FormError> {
        let value = head.header_one("content-type").map_err(|_| FormError::Boundary)?;
        Self::parse(value.unwrap_or_default())
    }

    /// Reads a Content-Type.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn parse(content_type: &[u8]) -> Result<Self, FormError> {
        let text = std::str::from_utf8(content_type).map_err(|_| FormError::NotMultipart)?;
        let (media_type, parameters) = parameters::split(text);
        if !media_type.eq_ignore_ascii_case("multipart/form-data") {
            return Err(FormError::NotMultipart);
        }
        let found = parameters::one(&parameters, "boundary").map_err(|_| FormError::Boundary)?;
        let boundary = found.ok_or(FormError::Boundary)?;
        let length_legal = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len());
        if !length_legal || !boundary.bytes().all(is_legal) || boundary.ends_with(' ') {
            return Err(FormError::Boundary);
        }
        Ok(Self(Bytes::copy_from_slice(boundary.as_bytes())))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Boundary, FormError};

    #[track_caller]
    fn check(content_type: &str, expected: Result<&str, FormError>) {
        let found = Boundary::parse(content_type.as_bytes());
        let found = found.as_ref().map(|boundary| std::str::from_utf8(boundary.as_bytes()).unwrap());
        assert_eq!(found.map_err(Clone::clone), expected, "{content_type}");
    }

    #[test]
    fn boundaries_of_clients() {
        check("multipart/form-data; boundary=----WebKitFormBoundaryZj5I", Ok("----WebKitFormBoundaryZj5I"));
        check(
            "multipart/form-data; boundary=0123456789abcdef0123456789abcdef",
            Ok("0123456789abcdef0123456789abcdef"),
        );
        check(
            "multipart/form-data; boundary=------------------------d74496d66958873e",
            Ok("------------------------d74496d66958873e"),
        );
        check("Multipart/Form-Data; charset=utf-8; boundary=\"a b:c=d?\"", Ok("a b:c=d?"));
        check("multipart/form-data;boundary==_Part_1", Ok("=_Part_1"));
        check(&format!("multipart/form-data; boundary={}", "a".repeat(70)), Ok(&"a".repeat(70)));
    }

    #[test]
    fn what_is_no_form_or_names_no_boundary() {
        for wrong in [
            "",
            "text/html",
            "application/x-www-form-urlencoded",
            "multipart/mixed; boundary=a",
            "multipart/form-datax",
        ] {
            check(wrong, Err(FormError::NotMultipart));
        }
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        for wrong in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=a_b@c",
            "multipart/form-data; boundary=\u{e4}",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=\"a",
            &long,
        ] {
            check(wrong, Err(FormError::Boundary));
        }
        assert_eq!(Boundary::parse(b"\xff"), Err(FormError::NotMultipart));
    }
}
