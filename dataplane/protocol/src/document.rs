//! The configurations of buckets and objects that clients send and read as XML, one file each: parsed once into a type that
//! cannot be wrong, rendered as S3 renders it, and the decision each carries as a pure function.
//!
//! What is parsed comes from a client's body or from what we rendered ourselves and stored, so `parse(to_xml(x)) == x` for
//! each of them. An element that nobody knows is `MalformedXML`, as a body that does not follow S3's schema is: it would be
//! stored and never enforced.

use crate::error::{Code, S3Error};
use crate::xml::reader::XmlReader;

pub mod acl;
pub mod cors;
pub mod ownership;
pub mod public_access;
pub mod tagging;
pub mod unset;
pub mod versioning;

/// A reader inside the root of a body that must be there.
fn open<'a>(body: &'a [u8], root: &'static str) -> Result<XmlReader<'a>, S3Error> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(S3Error::new(Code::MissingRequestBodyError));
    }
    let mut xml = XmlReader::new(body)?;
    xml.root(root)?;
    Ok(xml)
}
