//! What a form is answered with once its file is stored: a redirect, a document, or nothing.

use super::fields::FormFields;
use crate::name::ObjectKey;
use crate::uri::encode_canonical;
use crate::xml::writer::XmlWriter;

/// What the form asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostAnswer {
    /// `success_action_redirect`
    Redirect(RedirectUrl),
    /// `success_action_status`
    Status(PostStatus),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostStatus {
    Ok,
    /// The only one with a document.
    Created,
    NoContent,
}

/// An absolute HTTP URL that can stand in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUrl(String);

/// The object, after its commit.
#[derive(Clone, Copy, Debug)]
pub struct StoredObject<'a> {
    pub bucket: &'a str,
    pub key: &'a ObjectKey,
    /// Without quotes.
    pub etag: &'a str,
    /// As [`object_location`] gives it.
    pub location: &'a str,
}

/// The answer, less the headers that a PUT has too (`ETag`, checksums, version).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostAnswered {
    pub status: u16,
    /// The header `Location`: where to go next, or where the object is.
    pub location: String,
    /// `application/xml`, or empty.
    pub body: Vec<u8>,
}

impl PostAnswer {
    /// Reads the three fields. What S3 cannot interpret (another status, a URL that is none) it takes as not being there.
    pub(super) fn read(fields: &FormFields) -> Self {
        let url = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
        if let Some(url) = url.and_then(RedirectUrl::parse) {
            return Self::Redirect(url);
        }
        Self::Status(match fields.get("success_action_status") {
            Some("200") => PostStatus::Ok,
            Some("201") => PostStatus::Created,
            _ => PostStatus::NoContent,
        })
    }

    /// The answer to the form that stored `object`.
    #[must_use]
    pub fn render(&self, object: StoredObject<'_>) -> PostAnswered {
        let here = |status, body| PostAnswered { status, location: object.location.to_owned(), body };
        match self {
            Self::Redirect(url) => PostAnswered { status: 303, location: url.to(object), body: Vec::new() },
            Self::Status(PostStatus::Ok) => here(200, Vec::new()),
            Self::Status(PostStatus::Created) => here(201, document(object)),
            Self::Status(PostStatus::NoContent) => here(204, Vec::new()),
        }
    }
}

impl RedirectUrl {
    /// Blanks and what is not ASCII are escaped; a control character makes it no URL.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_http = ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
        let has_host = !rest.starts_with(['/', '?', '#', ':']) && !rest.is_empty();
        if !is_http || !has_host || text.bytes().any(|byte| byte.is_ascii_control()) {
            return None;
        }
        let mut url = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'!'..=b'~' => url.push(char::from(byte)),
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
        Some(Self(url))
    }

    /// With bucket, key and ETag added to its query, before a fragment.
    fn to(&self, object: StoredObject<'_>) -> String {
        let (url, fragment) = self.0.split_at(self.0.find('#').unwrap_or(self.0.len()));
        let separator = match url.rfind('?') {
            None => "?",
            Some(at) if at + 1 == url.len() => "",
            Some(_) => "&",
        };
        let etag = form_encoded(format!("\"{}\"", object.etag).as_bytes());
        let (bucket, key) = (form_encoded(object.bucket.as_bytes()), form_encoded(object.key.as_bytes()));
        format!("{url}{separator}bucket={bucket}&key={key}&etag={etag}{fragment}")
    }
}

/// Where an object can be fetched: the URL the form was sent to, and the key, whose slashes S3 escapes here.
#[must_use]
pub fn object_location(bucket_url: &str, key: &ObjectKey) -> String {
    format!("{}/{}", bucket_url.trim_end_matches('/'), encoded(key.as_bytes()))
}

/// `PostResponse`. It has no namespace.
fn document(object: StoredObject<'_>) -> Vec<u8> {
    let mut xml = XmlWriter::document();
    xml.open("PostResponse");
    xml.text("Location", object.location);
    xml.text("Bucket", object.bucket);
    xml.text("Key", object.key.as_str());
    xml.text("ETag", &format!("\"{}\"", object.etag));
    xml.close("PostResponse");
    xml.finish()
}

fn encoded(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    encode_canonical(&mut out, bytes, false);
    out.into_iter().map(char::from).collect()
}

/// As a form sends a value: a space is a plus.
fn form_encoded(bytes: &[u8]) -> String {
    encoded(bytes).replace("%20", "+")
}

#[cfg(test)]
mod tests {
    use super::{FormFields, PostAnswer, StoredObject, object_location};
    use crate::name::ObjectKey;
    use bytes::Bytes;

    /// Status, Location and body of the answer to a form with these fields.
    #[track_caller]
    fn check(fields: &[(&str, &str)], status: u16, location: &str, body: &str) {
        let mut form = FormFields::default();
        for (name, value) in fields {
            form.push((*name).to_owned(), value.as_bytes().to_vec()).unwrap();
        }
        let key = ObjectKey::parse(Bytes::from_static("dir/a b&\u{e4}".as_bytes())).unwrap();
        let location_of_object = object_location("http://h/bucket/", &key);
        let object = StoredObject { bucket: "bucket", key: &key, etag: "e1", location: &location_of_object };
        let answered = PostAnswer::read(&form).render(object);
        assert_eq!((answered.status, answered.location.as_str()), (status, location), "{fields:?}");
        assert_eq!(String::from_utf8(answered.body).unwrap(), body);
    }

    #[test]
    fn statuses() {
        const HERE: &str = "http://h/bucket/dir%2Fa%20b%26%C3%A4";
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{HERE}</Location><Bucket>bucket</Bucket>\
             <Key>dir/a b&amp;\u{e4}</Key><ETag>&quot;e1&quot;</ETag></PostResponse>"
        );
        check(&[], 204, HERE, "");
        check(&[("success_action_status", "200")], 200, HERE, "");
        check(&[("success_action_status", "204")], 204, HERE, "");
        check(&[("Success_Action_Status", "201")], 201, HERE, &document);
        check(&[("success_action_status", "404")], 204, HERE, "");
        for no_url in [
            "",
            "/relative",
            "ftp://h/",
            "http:///path",
            "http://",
            "https://?a",
            "//h",
            "http://h/\r\nX: y",
            "javascript:alert(1)//://",
        ] {
            check(&[("success_action_redirect", no_url)], 204, HERE, "");
        }
    }

    #[test]
    fn redirects() {
        const ADDED: &str = "bucket=bucket&key=dir%2Fa+b%26%C3%A4&etag=%22e1%22";
        let redirect = |url: &str, expected: &str| {
            check(&[("success_action_redirect", url), ("success_action_status", "201")], 303, expected, "")
        };
        redirect("http://x.example/done", &format!("http://x.example/done?{ADDED}"));
        redirect("HTTPS://x.example", &format!("HTTPS://x.example?{ADDED}"));
        redirect("http://x/?a=b", &format!("http://x/?a=b&{ADDED}"));
        redirect("http://x/?", &format!("http://x/?{ADDED}"));
        redirect("http://x/y z\u{e4}#f?g", &format!("http://x/y%20z%C3%A4?{ADDED}#f?g"));
        check(&[("redirect", "http://old/")], 303, &format!("http://old/?{ADDED}"), "");
        check(
            &[("redirect", "http://old/"), ("success_action_redirect", "http://new/")],
            303,
            &format!("http://new/?{ADDED}"),
            "",
        );
    }
}
