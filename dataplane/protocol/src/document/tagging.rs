//! `?tagging` and `x-amz-tagging`: the tags of an object or a bucket.
//!
//! The same faults are told differently by body and by header, and the reserved prefix differently for objects and
//! buckets; the sentences are S3's. A set is kept in the order of its keys, in which S3 answers it too, so that equal sets
//! are stored alike.

use std::collections::BTreeMap;

use holdfast_common::wire;

use crate::error::{Code, S3Error};
use crate::limits::{BUCKET_TAGS_MAX, OBJECT_TAGS_MAX, TAG_KEY_UNITS_MAX, TAG_VALUE_UNITS_MAX};
use crate::uri::{Query, UriError};
use crate::xml::reader::{XmlError, XmlReader};
use crate::xml::writer::XmlWriter;

/// What the tags are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    Object,
    Bucket,
}

/// Tags that kept all rules: unique keys, at most 10 of an object and 50 of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSet {
    tags: BTreeMap<String, String>,
}

/// `x-amz-tagging-directive` of CopyObject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaggingDirective {
    /// The tags of the source.
    #[default]
    Copy,
    /// Those of `x-amz-tagging`, or none.
    Replace,
}

impl TaggingDirective {
    /// Reads the header; without it the tags are copied.
    ///
    /// # Errors
    /// `InvalidArgument` for another word.
    pub fn parse(header: Option<&str>) -> Result<Self, S3Error> {
        match header {
            None | Some("COPY") => Ok(Self::Copy),
            Some("REPLACE") => Ok(Self::Replace),
            Some(other) => {
                Err(S3Error::invalid_argument("x-amz-tagging-directive", other, "Unknown tagging directive."))
            }
        }
    }
}

impl TagSet {
    /// Reads the body of PutObjectTagging or PutBucketTagging, the `tagging` field of a form, or what [`Self::to_xml`]
    /// wrote. An empty set is one.
    ///
    /// # Errors
    /// `MalformedXML` for its shape, `InvalidTag` for a tag, `BadRequest` for too many.
    pub fn parse(body: &[u8], of: Tagged) -> Result<Self, S3Error> {
        let mut xml = super::open(body, "Tagging")?;
        let mut tags = None;
        while let Some(name) = xml.child()? {
            match name.as_str() {
                "TagSet" if tags.is_none() => tags = Some(read_set(&mut xml)?),
                _ => return Err(XmlError::Unexpected(name).into()),
            }
        }
        xml.end()?;
        Self::checked(tags.ok_or(XmlError::Missing("TagSet"))?, of)
    }

    /// Reads the children of an element that was opened, `<Tags>` of CreateBucket.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(crate) fn read(xml: &mut XmlReader<'_>, of: Tagged) -> Result<Self, S3Error> {
        Self::checked(read_set(xml)?, of)
    }

    /// Reads `x-amz-tagging`: the tags of a new object as a query, `a=1&b=` (`b` alone is the same).
    ///
    /// # Errors
    /// `InvalidArgument` for what is no query or names a key twice, else as [`Self::parse`].
    pub fn parse_header(value: &str) -> Result<Self, S3Error> {
        let malformed = || S3Error::invalid_argument("x-amz-tagging", value, HEADER_FORM);
        let query = match Query::parse(value.as_bytes()) {
            Ok(query) => query,
            Err(UriError::TooManyArguments) => return Err(too_many(Tagged::Object)),
            Err(UriError::BadEscape | UriError::NotUtf8) => return Err(malformed()),
        };
        let mut pairs: Vec<(String, String)> = Vec::new();
        for argument in &query {
            // `a=1,b=2` is one argument with two equals signs, and a mistake that is worth telling.
            let twice = pairs.iter().any(|(key, _)| *key == argument.name);
            if twice || argument.raw_value.contains(&b'=') {
                return Err(malformed());
            }
            pairs.push((argument.name.to_string(), argument.value.to_string()));
        }
        Self::checked(pairs, Tagged::Object)
    }

    /// What [`Self::pairs`] gave, as it was stored; `None` when the rules are not kept: then it is not ours.
    #[must_use]
    pub fn from_pairs(pairs: Vec<(String, String)>, of: Tagged) -> Option<Self> {
        Self::checked(pairs, of).ok()
    }

    /// The tags, one after the other: the first that breaks a rule is told, then their number.
    fn checked(pairs: Vec<(String, String)>, of: Tagged) -> Result<Self, S3Error> {
        let mut tags = BTreeMap::new();
        for (key, value) in pairs {
            check(&key, &value, of)?;
            if tags.contains_key(&key) {
                return Err(invalid("Cannot provide multiple Tags with the same key", key));
            }
            tags.insert(key, value);
        }
        if tags.len() > of.tags_max() { Err(too_many(of)) } else { Ok(Self { tags }) }
    }

    /// As a record keeps them.
    #[must_use]
    pub fn to_wire(&self) -> Vec<wire::Pair> {
        self.pairs().into_iter().map(|(name, value)| wire::Pair { name, value }).collect()
    }

    /// Those of a record.
    #[must_use]
    pub fn of_record(pairs: &[wire::Pair]) -> Self {
        Self { tags: pairs.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect() }
    }

    /// For storing: in the order of the keys.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of a key, for the conditions of policies.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// `x-amz-tagging-count`, which is not sent for 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The document, as GetObjectTagging and GetBucketTagging answer it.
    #[must_use]
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::document();
        xml.open_root("Tagging");
        if self.tags.is_empty() {
            xml.empty("TagSet");
        } else {
            xml.open("TagSet");
            for (key, value) in &self.tags {
                xml.open("Tag");
                xml.text("Key", key);
                xml.text("Value", value);
                xml.close("Tag");
            }
            xml.close("TagSet");
        }
        xml.close("Tagging");
        xml.finish()
    }
}

impl Tagged {
    fn tags_max(self) -> usize {
        match self {
            Self::Object => OBJECT_TAGS_MAX,
            Self::Bucket => BUCKET_TAGS_MAX,
        }
    }
}

const HEADER_FORM: &str = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters \
                           without tag name duplicates.";

/// The tags of a body, unchecked: how many fit is bounded by the body.
fn read_set(xml: &mut XmlReader<'_>) -> Result<Vec<(String, String)>, XmlError> {
    let mut tags = Vec::new();
    while let Some(name) = xml.child()? {
        if name != "Tag" {
            return Err(XmlError::Unexpected(name));
        }
        let (mut key, mut value) = (None, None);
        while let Some(name) = xml.child()? {
            match name.as_str() {
                "Key" => xml.text_once(&name, &mut key)?,
                "Value" => xml.text_once(&name, &mut value)?,
                _ => return Err(XmlError::Unexpected(name)),
            }
        }
        tags.push((key.ok_or(XmlError::Missing("Key"))?, value.ok_or(XmlError::Missing("Value"))?));
    }
    Ok(tags)
}

fn check(key: &str, value: &str, of: Tagged) -> Result<(), S3Error> {
    if key.is_empty() || !is_tag_text(key, TAG_KEY_UNITS_MAX) {
        return Err(invalid("The TagKey you have provided is invalid", key));
    }
    if !is_tag_text(value, TAG_VALUE_UNITS_MAX) {
        return Err(invalid("The TagValue you have provided is invalid", key).with("TagValue", value));
    }
    match of {
        _ if !key.starts_with("aws:") => Ok(()),
        Tagged::Object => Err(invalid("Your TagKey cannot be prefixed with aws:", key)),
        Tagged::Bucket => Err(invalid("System tags cannot be added/updated by requester", key)),
    }
}

/// Letters, numbers and spaces of any script, and `+-=._:/@`. S3 keeps tags in UTF-16 and counts its units.
fn is_tag_text(text: &str, units_max: usize) -> bool {
    let allowed = |character: char| {
        character.is_alphanumeric()
            || character.is_whitespace() && !character.is_control()
            || "+-=._:/@".contains(character)
    };
    text.encode_utf16().take(units_max + 1).count() <= units_max && text.chars().all(allowed)
}

fn invalid(message: &'static str, key: impl Into<String>) -> S3Error {
    S3Error::new(Code::InvalidTag).message(message).with("TagKey", key)
}

fn too_many(of: Tagged) -> S3Error {
    S3Error::new(Code::BadRequest).message(match of {
        Tagged::Object => format!("Object tags cannot be greater than {OBJECT_TAGS_MAX}"),
        Tagged::Bucket => format!("Bucket tag count cannot be greater than {BUCKET_TAGS_MAX}"),
    })
}

#[cfg(test)]
mod tests;
