//! The three XML bodies of clients: CreateBucketConfiguration, Delete, CompleteMultipartUpload.

use crate::digest::{ChecksumAlgorithm, ChecksumValue};
use crate::document::tagging::{TagSet, Tagged};
use crate::error::{Code, S3Error};
use crate::limits::{DELETE_KEYS_MAX, PARTS_MAX};

use holdfast_common::wire;

use super::reader::{XmlError, XmlReader};

/// A CreateBucket body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateBucketBody {
    /// The region that is wanted.
    pub constraint: Option<String>,
    pub tags: TagSet,
}

/// A DeleteObjects body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteBody {
    /// Answer failures only.
    pub quiet: bool,
    /// 1 to 1000, in the order of the body.
    pub entries: Vec<DeleteEntry>,
}

/// One object to delete. The key is checked when it is its turn, because a bad one fails alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteEntry {
    pub key: String,
    pub version_id: Option<String>,
    /// Without quotes: delete only if this is the object's.
    pub etag: Option<String>,
}

/// A CompleteMultipartUpload body: parts in strictly ascending order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompleteBody {
    pub parts: Vec<wire::CompletedPart>,
}

/// Reads a CreateBucket body; an empty one says nothing.
///
/// # Errors
/// `MalformedXML`; `InvalidTag` and `BadRequest` as [`TagSet::parse`]; `NotImplemented` for directory buckets.
pub fn read_create_bucket(body: &[u8]) -> Result<CreateBucketBody, S3Error> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(CreateBucketBody::default());
    }
    let mut tags = None;
    let mut xml = XmlReader::new(body)?;
    xml.root("CreateBucketConfiguration")?;
    let mut constraint = None;
    while let Some(name) = xml.child()? {
        match name.as_str() {
            "LocationConstraint" => xml.text_once(&name, &mut constraint)?,
            "Tags" if tags.is_none() => tags = Some(TagSet::read(&mut xml, Tagged::Bucket)?),
            "Location" | "Bucket" => {
                return Err(S3Error::not_implemented(format_args!("<{name}> in CreateBucketConfiguration")));
            }
            _ => return Err(XmlError::Unexpected(name).into()),
        }
    }
    xml.end()?;
    let constraint = constraint.map(|region| region.trim().to_owned());
    Ok(CreateBucketBody {
        constraint: constraint.filter(|region| !region.is_empty()),
        tags: tags.unwrap_or_default(),
    })
}

/// Reads a DeleteObjects body.
///
/// # Errors
/// `MalformedXML`: also for no key and for more than 1000, as S3 does.
pub fn read_delete(body: &[u8]) -> Result<DeleteBody, S3Error> {
    let mut xml = XmlReader::new(body)?;
    xml.root("Delete")?;
    let (mut quiet, mut entries) = (None, Vec::new());
    while let Some(name) = xml.child()? {
        match name.as_str() {
            "Quiet" => xml.text_once(&name, &mut quiet)?,
            "Object" if entries.len() == DELETE_KEYS_MAX => {
                return Err(XmlError::TooMany(DELETE_KEYS_MAX).into());
            }
            "Object" => entries.push(delete_entry(&mut xml)?),
            _ => return Err(XmlError::Unexpected(name).into()),
        }
    }
    xml.end()?;
    if entries.is_empty() {
        return Err(XmlError::Missing("Object").into());
    }
    let quiet = match quiet.as_deref().map(str::trim) {
        None | Some("" | "false" | "False" | "0") => false,
        Some("true" | "True" | "1") => true,
        Some(_) => return Err(XmlError::Value("Quiet").into()),
    };
    Ok(DeleteBody { quiet, entries })
}

fn delete_entry(xml: &mut XmlReader<'_>) -> Result<DeleteEntry, S3Error> {
    let (mut key, mut version_id, mut etag) = (None, None, None);
    while let Some(name) = xml.child()? {
        match name.as_str() {
            "Key" => xml.text_once(&name, &mut key)?,
            "VersionId" => xml.text_once(&name, &mut version_id)?,
            "ETag" => xml.text_once(&name, &mut etag)?,
            "LastModifiedTime" | "Size" => {
                return Err(S3Error::not_implemented(format_args!("<{name}> in DeleteObjects")));
            }
            _ => return Err(XmlError::Unexpected(name).into()),
        }
    }
    let key = key.filter(|key| !key.is_empty()).ok_or(XmlError::Missing("Key"))?;
    let version_id = version_id.filter(|version| !version.is_empty());
    Ok(DeleteEntry { key, version_id, etag: etag.map(|etag| unquoted(&etag)) })
}

/// Reads a CompleteMultipartUpload body.
///
/// # Errors
/// `MalformedXML`: also for no part and for more than 10,000; `InvalidPartOrder` for numbers that do not ascend.
pub fn read_complete_upload(body: &[u8]) -> Result<CompleteBody, S3Error> {
    let mut xml = XmlReader::new(body)?;
    xml.root("CompleteMultipartUpload")?;
    let mut parts: Vec<wire::CompletedPart> = Vec::new();
    let mut ascending = true;
    while let Some(name) = xml.child()? {
        match name.as_str() {
            "Part" if parts.len() == PARTS_MAX as usize => return Err(XmlError::TooMany(parts.len()).into()),
            "Part" => {
                let part = completed_part(&mut xml)?;
                ascending &= parts.last().is_none_or(|last| last.number < part.number);
                parts.push(part);
            }
            _ => return Err(XmlError::Unexpected(name).into()),
        }
    }
    xml.end()?;
    if parts.is_empty() {
        return Err(XmlError::Missing("Part").into());
    }
    if ascending { Ok(CompleteBody { parts }) } else { Err(S3Error::new(Code::InvalidPartOrder)) }
}

fn completed_part(xml: &mut XmlReader<'_>) -> Result<wire::CompletedPart, S3Error> {
    let (mut number, mut etag) = (None, None);
    let mut checksums: Vec<wire::Checksum> = Vec::new();
    while let Some(name) = xml.child()? {
        match name.as_str() {
            "PartNumber" => xml.text_once(&name, &mut number)?,
            "ETag" => xml.text_once(&name, &mut etag)?,
            _ => {
                let checksum = part_checksum(xml, name)?;
                if !checksums.is_empty() {
                    return Err(wrong_checksum(""));
                }
                checksums.push(checksum);
            }
        }
    }
    let number = number.ok_or(XmlError::Missing("PartNumber"))?;
    let number: u32 = number.trim().parse().map_err(|_| XmlError::Value("PartNumber"))?;
    if !(1..=PARTS_MAX).contains(&number) {
        return Err(S3Error::invalid_argument(
            "PartNumber",
            number.to_string(),
            "PartNumber must be an integer between 1 and 10000, inclusive",
        ));
    }
    let etag = etag.ok_or(XmlError::Missing("ETag"))?;
    Ok(wire::CompletedPart { number, etag: unquoted(&etag), checksums })
}

/// `<ChecksumCRC32C>` and its kin.
fn part_checksum(xml: &mut XmlReader<'_>, name: String) -> Result<wire::Checksum, S3Error> {
    let Some(algorithm) = ChecksumAlgorithm::ALL.into_iter().find(|known| known.element() == name) else {
        return Err(XmlError::Unexpected(name).into());
    };
    let text = xml.text()?;
    let value = ChecksumValue::from_base64(algorithm, text.trim().as_bytes());
    let value = value.ok_or_else(|| wrong_checksum(&text))?;
    Ok(value.to_wire(wire::checksum::Kind::FullObject))
}

fn wrong_checksum(value: &str) -> S3Error {
    let message = "Invalid Base64 or multiple checksums present in request";
    S3Error::invalid_argument("Checksum", value, message)
}

/// ETags come with and without quotes.
fn unquoted(etag: &str) -> String {
    let etag = etag.trim();
    etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(etag).to_owned()
}

#[cfg(test)]
mod tests;
