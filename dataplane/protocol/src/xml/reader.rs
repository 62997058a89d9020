//! Reads the XML bodies of clients: an element at a time, bounded, refusing everything clever.
//!
//! What a body may hold is known, so nothing is skipped: an element nobody asked for, text where there should be none, a
//! DTD, a processing instruction or an entity beyond XML's own five is `MalformedXML`. Namespaces are optional and not
//! compared: clients send S3's, an older one, or none.

use std::borrow::Cow;

use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::error::{Code, S3Error};
use crate::limits::{XML_ATTRIBUTES_MAX, XML_DEPTH_MAX};

/// Why a body is not what it should be. Becomes `MalformedXML`; the sentence is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body is not well-formed XML")]
    NotWellFormed,
    #[error("document types, processing instructions and entities are not accepted")]
    NotAccepted,
    #[error("elements are nested too deeply or have too many attributes")]
    TooComplex,
    #[error("the element <{0}> is not expected here")]
    Unexpected(String),
    #[error("the element <{0}> is missing")]
    Missing(&'static str),
    #[error("the value of <{0}> is not valid")]
    Value(&'static str),
    #[error("there are more than {0} entries")]
    TooMany(usize),
}

impl From<XmlError> for S3Error {
    fn from(error: XmlError) -> Self {
        let sentence = Code::MalformedXML.sentence();
        Self::new(Code::MalformedXML).message(format!("{sentence} ({error})"))
    }
}

/// A pull reader over one complete body.
#[derive(Debug)]
pub struct XmlReader<'a> {
    reader: quick_xml::Reader<&'a [u8]>,
    depth: usize,
    /// An element like `<A/>` was opened, and its end is still to be told.
    empty_open: bool,
    /// The start of the element opened last, for its attributes.
    opened: Option<BytesStart<'a>>,
}

impl<'a> XmlReader<'a> {
    /// A reader at the start of `body`, before its root.
    ///
    /// # Errors
    /// When the body is not UTF-8 (the only encoding S3 takes), or holds NUL: nothing that is written from it could be read.
    pub fn new(body: &'a [u8]) -> Result<Self, XmlError> {
        let text = std::str::from_utf8(body).map_err(|_| XmlError::NotUtf8)?;
        if memchr::memchr(0, body).is_some() {
            return Err(XmlError::NotWellFormed);
        }
        let mut reader = quick_xml::Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        let config = reader.config_mut();
        config.check_comments = true;
        config.check_end_names = true;
        config.allow_dangling_amp = false;
        config.allow_unmatched_ends = false;
        Ok(Self { reader, depth: 0, empty_open: false, opened: None })
    }

    /// Opens the root, which must be called `name`.
    pub fn root(&mut self, name: &'static str) -> Result<(), XmlError> {
        match self.child()? {
            Some(found) if found == name => Ok(()),
            Some(found) => Err(XmlError::Unexpected(found)),
            None => Err(XmlError::Missing(name)),
        }
    }

    /// Opens the next child of the element we are in and answers its name; `None` when that element ended instead.
    pub fn child(&mut self) -> Result<Option<String>, XmlError> {
        if std::mem::take(&mut self.empty_open) {
            self.depth -= 1;
            return Ok(None);
        }
        loop {
            match self.event()? {
                Event::Start(start) => return self.open(start, false).map(Some),
                Event::Empty(start) => return self.open(start, true).map(Some),
                Event::End(_) => {
                    self.depth = self.depth.checked_sub(1).ok_or(XmlError::NotWellFormed)?;
                    return Ok(None);
                }
                Event::Text(text) if is_blank(&text.xml10_content()) => {}
                Event::Decl(_) if self.depth == 0 => {}
                Event::Comment(_) => {}
                Event::Eof if self.depth == 0 => return Ok(None),
                Event::Text(_) | Event::CData(_) | Event::Eof | Event::Decl(_) => {
                    return Err(XmlError::NotWellFormed);
                }
                Event::DocType(_) | Event::PI(_) | Event::GeneralRef(_) => return Err(XmlError::NotAccepted),
            }
        }
    }

    /// The text of the element just opened, up to its end, which is consumed. White space is kept: keys may hold it.
    pub fn text(&mut self) -> Result<String, XmlError> {
        let mut text = String::new();
        if std::mem::take(&mut self.empty_open) {
            self.depth -= 1;
            return Ok(text);
        }
        loop {
            match self.event()? {
                Event::Text(piece) => text.push_str(&piece.xml10_content()),
                Event::CData(piece) => text.push_str(&piece.xml10_content()),
                Event::GeneralRef(reference) => text.push(character(&reference)?),
                Event::Comment(_) => {}
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(text);
                }
                Event::Start(start) | Event::Empty(start) => return Err(unexpected(&start)),
                Event::Eof | Event::Decl(_) => return Err(XmlError::NotWellFormed),
                Event::DocType(_) | Event::PI(_) => return Err(XmlError::NotAccepted),
            }
        }
    }

    /// The text of the element just opened, which may stand once among its siblings: `slot` must still be empty.
    pub fn text_once(&mut self, name: &str, slot: &mut Option<String>) -> Result<(), XmlError> {
        if slot.is_some() {
            return Err(XmlError::Unexpected(name.to_owned()));
        }
        *slot = Some(self.text()?);
        Ok(())
    }

    /// An attribute of the element just opened, by its name without prefix, as written. S3 has one that means something:
    /// `xsi:type` of an ACL's grantee.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.opened.as_ref()?.attributes().flatten();
        let found = attributes.find(|attribute| attribute.key.local_name().into_inner() == name)?;
        match found.value {
            Cow::Borrowed(value) => Some(value),
            Cow::Owned(_) => None,
        }
    }

    /// After the root's end: nothing but blanks and comments may follow.
    pub fn end(&mut self) -> Result<(), XmlError> {
        assert_eq!(self.depth, 0, "end() belongs after the root's end");
        match self.child()? {
            None => Ok(()),
            Some(name) => Err(XmlError::Unexpected(name)),
        }
    }

    fn event(&mut self) -> Result<Event<'a>, XmlError> {
        self.reader.read_event().map_err(|_| XmlError::NotWellFormed)
    }

    fn open(&mut self, start: BytesStart<'a>, empty: bool) -> Result<String, XmlError> {
        if self.depth == XML_DEPTH_MAX {
            return Err(XmlError::TooComplex);
        }
        let mut attributes = 0;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| XmlError::NotWellFormed)?;
            // What other readers take for an element must not be a value here.
            if attribute.value.contains('<') {
                return Err(XmlError::NotWellFormed);
            }
            attributes += 1;
            if attributes > XML_ATTRIBUTES_MAX {
                return Err(XmlError::TooComplex);
            }
        }
        self.depth += 1;
        self.empty_open = empty;
        let name = start.local_name().into_inner().to_owned();
        self.opened = Some(start);
        Ok(name)
    }
}

fn unexpected(start: &BytesStart<'_>) -> XmlError {
    XmlError::Unexpected(start.local_name().into_inner().to_owned())
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// A character reference or one of XML's five entities. Controls are taken (`&#x1;`), because keys may hold them.
fn character(reference: &BytesRef<'_>) -> Result<char, XmlError> {
    if let Some(found) = reference.resolve_char_ref().map_err(|_| XmlError::NotWellFormed)? {
        return Ok(found);
    }
    match reference.borrow().into_inner().as_ref() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(XmlError::NotAccepted),
    }
}

#[cfg(test)]
mod tests {
    use super::{XmlError, XmlReader};

    /// Flattens a document as the reader sees it, two levels deep.
    fn read(body: &str) -> Result<Vec<(String, String)>, XmlError> {
        let mut xml = XmlReader::new(body.as_bytes())?;
        xml.root("R")?;
        let mut found = Vec::new();
        while let Some(name) = xml.child()? {
            found.push((name, xml.text()?));
        }
        xml.end()?;
        Ok(found)
    }

    #[track_caller]
    fn check(body: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
        assert_eq!(read(body), Ok(expected), "{body}");
    }

    #[test]
    fn reads_elements_in_any_dress() {
        check("<R/>", &[]);
        check(
            "<?xml version=\"1.0\"?>\n<!-- c --><R xmlns=\"x\">\n <A> b </A><B/>\n</R>\n",
            &[("A", " b "), ("B", "")],
        );
        check("\u{feff}<s:R xmlns:s='x'><s:A>1</s:A></s:R>", &[("A", "1")]);
        check(
            "<R><A>a&amp;&lt;&gt;&quot;&apos;&#65;&#x1;<![CDATA[<&>]]><!-- x -->z</A></R>",
            &[("A", "a&<>\"'A\u{1}<&>z")],
        );
        check("<R><A>a\r\nb&#13;</A></R>", &[("A", "a\nb\r")]);
    }

    #[test]
    fn refuses_what_is_clever_or_broken() {
        use XmlError::{NotAccepted, NotWellFormed};
        let deep = format!("<R>{}", "<A>".repeat(9));
        let cases: &[(&str, XmlError)] = &[
            ("", XmlError::Missing("R")),
            ("<S/>", XmlError::Unexpected("S".into())),
            ("<!DOCTYPE R [<!ENTITY a \"b\">]><R><A>&a;</A></R>", NotAccepted),
            ("<R><A>&a;</A></R>", NotAccepted),
            ("<R><?pi x?></R>", NotAccepted),
            ("<R>text</R>", NotWellFormed),
            ("<R><A>1</A>", NotWellFormed),
            ("<R><A>1</B></R>", NotWellFormed),
            ("<R><A>&#0;</A></R>", NotWellFormed),
            ("<R><A>&#xD800;</A></R>", NotWellFormed),
            ("<R><A>a & b</A></R>", NotWellFormed),
            ("<R/><R/>", XmlError::Unexpected("R".into())),
            ("<R/>x", NotWellFormed),
            ("<R><A><B/></A></R>", XmlError::Unexpected("B".into())),
            ("<R><A x='1' x='2'/></R>", NotWellFormed),
            ("<R><A x='<B/>'/></R>", NotWellFormed),
            ("<R a='' b='' c='' d='' e='' f='' g='' h='' i=''/>", XmlError::TooComplex),
            (&deep, XmlError::Unexpected("A".into())),
        ];
        for (body, expected) in cases {
            assert_eq!(read(body), Err(expected.clone()), "{body}");
        }
        assert_eq!(XmlReader::new(b"<R>\xff</R>").err(), Some(XmlError::NotUtf8));
        assert_eq!(XmlReader::new(b"<R>\0</R>").err(), Some(NotWellFormed));
    }

    #[test]
    fn attributes_are_those_of_the_element_just_opened() {
        let mut xml = XmlReader::new(b"<R xmlns:i='u'><A i:type=\"Group\" b='&lt;'/><B>1</B></R>").unwrap();
        xml.root("R").unwrap();
        assert_eq!(xml.attribute("type"), None);
        assert_eq!(xml.child().unwrap().as_deref(), Some("A"));
        assert_eq!((xml.attribute("type"), xml.attribute("b")), (Some("Group"), Some("&lt;")));
        assert_eq!(xml.text().unwrap(), "");
        assert_eq!(xml.child().unwrap().as_deref(), Some("B"));
        assert_eq!(xml.attribute("type"), None);
    }

    #[test]
    fn depth_is_bounded() {
        let body = "<A>".repeat(9);
        let mut xml = XmlReader::new(body.as_bytes()).unwrap();
        for _ in 0..8 {
            assert_eq!(xml.child().unwrap().as_deref(), Some("A"));
        }
        assert_eq!(xml.child(), Err(XmlError::TooComplex));
    }
}
