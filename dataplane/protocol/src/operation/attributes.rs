//! GetObjectAttributes: what is known of an object, without its bytes or its metadata.

use crate::error::S3Error;
use crate::limits::{LIST_ENTRIES_MAX, PARTS_MAX};

use super::VersionSelector;
use super::body::invalid_request;
use super::request::Request;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetObjectAttributesInput {
    pub version: VersionSelector,
    pub attributes: ObjectAttributes,
    /// 1..=1000
    pub max_parts: u32,
    /// Parts after this number.
    pub part_number_marker: u32,
}

/// `x-amz-object-attributes`: the parts of the answer; at least one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectAttributes {
    pub etag: bool,
    pub checksum: bool,
    pub object_parts: bool,
    pub storage_class: bool,
    pub object_size: bool,
}

impl GetObjectAttributesInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let max_parts = number(request, "x-amz-max-parts")?.unwrap_or(LIST_ENTRIES_MAX);
        let part_number_marker = number(request, "x-amz-part-number-marker")?.unwrap_or(0);
        Ok(Self {
            version: VersionSelector::read(request)?,
            attributes: ObjectAttributes::read(request)?,
            max_parts: if max_parts == 0 { LIST_ENTRIES_MAX } else { max_parts.min(LIST_ENTRIES_MAX) },
            part_number_marker: part_number_marker.min(PARTS_MAX),
        })
    }
}

impl ObjectAttributes {
    const HEADER: &str = "x-amz-object-attributes";

    /// A list, and as such in one line or in several.
    fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let mut found = Self::default();
        for (rest, line) in request.with_prefix(Self::HEADER) {
            let line = String::from_utf8_lossy(line);
            for name in line.split(',').map(str::trim).filter(|name| rest.is_empty() && !name.is_empty()) {
                let attribute = found.named(name).ok_or_else(|| {
                    S3Error::invalid_argument(Self::HEADER, name, "Invalid attribute name specified.")
                })?;
                *attribute = true;
            }
        }
        if found == Self::default() {
            return Err(invalid_request(
                "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
            ));
        }
        Ok(found)
    }

    fn named(&mut self, name: &str) -> Option<&mut bool> {
        match name {
            "ETag" => Some(&mut self.etag),
            "Checksum" => Some(&mut self.checksum),
            "ObjectParts" => Some(&mut self.object_parts),
            "StorageClass" => Some(&mut self.storage_class),
            "ObjectSize" => Some(&mut self.object_size),
            _ => None,
        }
    }
}

fn number(request: &Request<'_>, name: &str) -> Result<Option<u32>, S3Error> {
    let Some(text) = request.text(name)? else { return Ok(None) };
    match text.parse::<u32>() {
        Ok(number) if i32::try_from(number).is_ok() && !text.starts_with('+') => Ok(Some(number)),
        _ => Err(S3Error::invalid_argument(
            name,
            text,
            format!("Provided {name} not an integer or within integer range"),
        )),
    }
}
