//! What must hold of every refusal, whichever parser it comes from.

use holdfast_protocol::error::S3Error;
use holdfast_protocol::http::ResponseHead;
use holdfast_protocol::xml::reader::{XmlError, XmlReader};

/// It blames the client or names what we lack, its answer is XML that reads back as what it says, is bounded by what was sent,
/// and its headers can be sent.
#[track_caller]
pub(crate) fn refused(error: &S3Error, sent_bytes: usize) {
    let status = error.status();
    assert!((400..500).contains(&status) || status == 501, "{status} {error}");
    let answer = error.to_xml("/bucket/key", "id", "host");
    assert!(answer.len() <= 64 * 1024 + 40 * sent_bytes, "{} bytes for {sent_bytes}", answer.len());
    let mut said =
        vec![("Code", error.code.name().to_owned()), ("Message", error.message.clone().into_owned())];
    said.extend(error.extra.iter().cloned());
    let read = read(&answer).unwrap_or_else(|fault| panic!("{fault}: {}", answer.escape_ascii()));
    for ((name, value), (sent_name, sent_value)) in said.iter().zip(&read) {
        assert_eq!(
            (*name, readable(value)),
            (sent_name.as_str(), sent_value.clone()),
            "{}",
            answer.escape_ascii()
        );
    }
    let mut head = ResponseHead::new(status, 0);
    for (name, value) in &error.headers {
        head.header(name, value).expect("a header that can be sent");
    }
}

/// What XML cannot hold is told as U+FFFD.
fn readable(text: &str) -> String {
    let barred = |character: char| character.is_ascii_control() && !"\t\n\r\u{7f}".contains(character);
    text.replace(|character| barred(character) || matches!(character, '\u{fffe}' | '\u{ffff}'), "\u{fffd}")
}

/// The elements of an answer.
fn read(answer: &[u8]) -> Result<Vec<(String, String)>, XmlError> {
    let mut xml = XmlReader::new(answer)?;
    xml.root("Error")?;
    let mut elements = Vec::new();
    while let Some(name) = xml.child()? {
        let text = xml.text()?;
        elements.push((name, text));
    }
    xml.end()?;
    Ok(elements)
}
