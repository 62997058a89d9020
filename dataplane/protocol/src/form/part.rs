//! The head of one part: which field it is, and what the file was called.
//!
//! Of the headers of a part only Content-Disposition says something here. A part's Content-Type is passed over, as S3
//! does: the object's type is the field `Content-Type`. Any other header must be ignored (RFC 7578, 4.8), but one that
//! says the bytes are not the bytes (Content-Transfer-Encoding) is refused.

use super::{FormError, parameters};

/// What a part says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartHead {
    pub(super) name: String,
    /// As sent: may be a path.
    pub(super) filename: Option<String>,
}

impl PartHead {
    /// Reads the lines of a head, up to and without its empty one.
    pub(super) fn parse(head: &[u8]) -> Result<Self, FormError> {
        let head = std::str::from_utf8(head).map_err(|_| FormError::PartHead)?;
        let mut disposition = None;
        for line in head.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) = header(line)?;
            if name.eq_ignore_ascii_case("content-disposition") {
                if disposition.replace(value).is_some() {
                    return Err(FormError::Disposition);
                }
            } else if name.eq_ignore_ascii_case("content-transfer-encoding") && !is_identity(value) {
                return Err(FormError::TransferEncoding);
            }
        }
        Self::of_disposition(disposition.ok_or(FormError::Disposition)?)
    }

    fn of_disposition(value: &str) -> Result<Self, FormError> {
        let (kind, parameters) = parameters::split(value);
        if !kind.eq_ignore_ascii_case("form-data") {
            return Err(FormError::Disposition);
        }
        let text = |name: &str| {
            let plain = parameters::one(&parameters, name).map_err(|_| FormError::Disposition)?;
            let extended =
                parameters::one(&parameters, &format!("{name}*")).map_err(|_| FormError::Disposition)?;
            match extended {
                Some(extended) => decode_extended(&extended).map(Some),
                None => Ok(plain.map(std::borrow::Cow::into_owned)),
            }
        };
        Ok(Self { name: text("name")?.ok_or(FormError::Disposition)?, filename: text("filename")? })
    }
}

fn header(line: &str) -> Result<(&str, &str), FormError> {
    let (name, value) = line.split_once(':').ok_or(FormError::PartHead)?;
    let is_name = |byte: u8| byte.is_ascii_graphic();
    let is_clean = |byte: u8| byte == b'\t' || !byte.is_ascii_control();
    if name.is_empty() || !name.bytes().all(is_name) || !value.bytes().all(is_clean) {
        return Err(FormError::PartHead);
    }
    Ok((name, value.trim_ascii()))
}

fn is_identity(encoding: &str) -> bool {
    ["binary", "8bit", "7bit"].iter().any(|identity| identity.eq_ignore_ascii_case(encoding))
}

/// `UTF-8''na%C3%AFve.txt` (RFC 8187): forbidden in forms (RFC 7578, 4.2) and sent by older clients all the same.
fn decode_extended(value: &str) -> Result<String, FormError> {
    let mut pieces = value.splitn(3, '\'');
    let (charset, _language, text) = (pieces.next(), pieces.next(), pieces.next());
    let text = text.ok_or(FormError::Disposition)?;
    if !charset.is_some_and(|charset| charset.eq_ignore_ascii_case("utf-8")) {
        return Err(FormError::Disposition);
    }
    let bytes = crate::uri::decode_percent(text.as_bytes()).map_err(|_| FormError::Disposition)?;
    String::from_utf8(bytes.into_owned()).map_err(|_| FormError::Disposition)
}

#[cfg(test)]
mod tests {
    use super::{FormError, PartHead};

    #[track_caller]
    fn check(head: &str, expected: Result<(&str, Option<&str>), FormError>) {
        let found = PartHead::parse(head.as_bytes());
        let found = found.as_ref().map(|head| (head.name.as_str(), head.filename.as_deref()));
        assert_eq!(found.map_err(Clone::clone), expected, "{head}");
    }

    #[test]
    fn heads_of_clients() {
        // a browser's field and file, requests', curl's, an older urllib3's
        check("Content-Disposition: form-data; name=\"key\"\r\n", Ok(("key", None)));
        check(
            "Content-Disposition: form-data; name=\"file\"; filename=\"\u{e4} %22.jpg\"\r\nContent-Type: image/jpeg\r\n",
            Ok(("file", Some("\u{e4} %22.jpg"))),
        );
        check("Content-Disposition: form-data; name=\"acl\"; filename=\"acl\"\r\n", Ok(("acl", Some("acl"))));
        check(
            "Content-Disposition: form-data; name=\"file\"; filename=\"a\\\"b.txt\"",
            Ok(("file", Some("a\"b.txt"))),
        );
        check(
            "Content-Disposition: form-data; name=\"file\"; filename*=utf-8''na%C3%AFve.txt",
            Ok(("file", Some("na\u{ef}ve.txt"))),
        );
        check("content-disposition:FORM-DATA;name=file;filename=\"\"", Ok(("file", Some(""))));
        check(
            "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: Binary\r\nX-Any: 1",
            Ok(("a", None)),
        );
    }

    #[test]
    fn heads_that_nobody_should_send() {
        for wrong in [
            "",
            "Content-Type: a/b",
            "Content-Disposition: form-data",
            "Content-Disposition: file; name=\"file\"",
            "Content-Disposition: form-data; name=\"a\r\nContent-Disposition: form-data; name=a",
            "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
            "Content-Disposition: form-data; name=a; name=b",
            "Content-Disposition: form-data; name*=latin1''a",
            "Content-Disposition: form-data; name*=utf-8''%C3",
            "Content-Disposition: form-data; name*=a",
        ] {
            check(wrong, Err(FormError::Disposition));
        }
        for wrong in ["a", ": b", "a b: c", "a: b\nc: d", "a: b\r", "a: b\r\n c", "a: \0"] {
            check(wrong, Err(FormError::PartHead));
        }
        check(
            "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
            Err(FormError::TransferEncoding),
        );
        assert_eq!(PartHead::parse(b"a: \xff"), Err(FormError::PartHead));
    }
}
