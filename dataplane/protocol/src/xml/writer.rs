//! Writes XML into one buffer: escaping in one place, elements by name, no document tree.

/// Appends elements to a growing document. Who opens an element closes it; `finish` asserts that.
#[derive(Debug)]
pub struct XmlWriter {
    out: Vec<u8>,
    depth: usize,
}

/// Namespace of S3's answers (errors carry none).
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

impl XmlWriter {
    /// A document with its declaration.
    #[must_use]
    pub fn document() -> Self {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Self { out, depth: 0 }
    }

    /// Opens `<name>`.
    pub fn open(&mut self, name: &str) {
        self.depth += 1;
        self.tag(b"<", name);
    }

    /// Opens the root of an answer, with S3's namespace.
    pub fn open_root(&mut self, name: &str) {
        self.depth += 1;
        self.root_tag(name, b"\">");
    }

    /// The whole of an answer that says nothing: `<name xmlns="..."/>`.
    pub fn empty_root(&mut self, name: &str) {
        self.root_tag(name, b"\"/>");
    }

    /// Opens an element that tells its XML Schema type, as an ACL's grantees do. `kind` is written as it is.
    pub fn open_typed(&mut self, name: &str, kind: &'static str) {
        self.depth += 1;
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"");
        self.out.extend_from_slice(kind.as_bytes());
        self.out.extend_from_slice(b"\">");
    }

    /// `<name/>`.
    pub fn empty(&mut self, name: &str) {
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"/>");
    }

    /// Closes `</name>`.
    pub fn close(&mut self, name: &str) {
        assert!(self.depth > 0, "closed <{name}> that was not open");
        self.depth -= 1;
        self.tag(b"</", name);
    }

    /// `<name>text</name>`, escaped.
    pub fn text(&mut self, name: &str, text: &str) {
        self.tag(b"<", name);
        escape(&mut self.out, text);
        self.tag(b"</", name);
    }

    /// Escaped text inside the element that is open.
    pub fn characters(&mut self, text: &str) {
        assert!(self.depth > 0, "text outside of the root");
        escape(&mut self.out, text);
    }

    /// `<name>true</name>`.
    pub fn bool(&mut self, name: &str, value: bool) {
        self.text(name, if value { "true" } else { "false" });
    }

    /// `<name>17</name>`.
    pub fn number(&mut self, name: &str, value: u64) {
        self.text(name, &value.to_string());
    }

    /// The document. Panics if an element is still open: our own bug.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        assert_eq!(self.depth, 0, "an element was left open");
        self.out
    }

    fn root_tag(&mut self, name: &str, end: &[u8]) {
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b" xmlns=\"");
        self.out.extend_from_slice(NAMESPACE.as_bytes());
        self.out.extend_from_slice(end);
    }

    fn tag(&mut self, start: &[u8], name: &str) {
        self.out.extend_from_slice(start);
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }
}

/// Escapes character data. XML 1.0 has no way to write most control characters; S3 answers numeric references all the
/// same (`&#x1;`), and clients that meet such keys ask for `encoding-type=url`. CR is referenced, because a parser
/// would turn it into LF; U+FFFE and U+FFFF are referenced for the reason of the controls.
pub fn escape(out: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| ATTENTION[usize::from(byte)]) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let character = special.chars().next().expect("a byte of attention begins a character");
        match character {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\0'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => {
                out.extend_from_slice(format!("&#x{:x};", u32::from(character)).as_bytes());
            }
            _ => out.extend_from_slice(&special.as_bytes()[..character.len_utf8()]),
        }
        rest = &special[character.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// First bytes of characters that may need escaping; of those beyond ASCII only U+F000 to U+FFFF begin with 0xEF.
static ATTENTION: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'&' | b'<' | b'>' | b'"' | 0..=8 | 11..=0x1f | 0x7f | 0xef);
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{XmlWriter, escape};

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_what_xml_cannot_carry() {
        assert_eq!(escaped("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c'");
        assert_eq!(escaped("\u{1}\r\u{7f}\u{ffff}\t\né😀"), "&#x1;&#xd;&#x7f;&#xffff;\t\né😀");
        assert_eq!(escaped("\u{f000}\u{fffd}\u{fffe}"), "\u{f000}\u{fffd}&#xfffe;");
        assert_eq!(escaped(""), "");
    }

    #[test]
    #[should_panic(expected = "left open")]
    fn an_open_element_is_our_bug() {
        let mut xml = XmlWriter::document();
        xml.open("A");
        let _ = xml.finish();
    }
}
