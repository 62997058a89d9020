//! What a client says about an object: content headers, user metadata, storage class. Kept as said, checked once.

use holdfast_common::wire::{ObjectMeta, Pair};

use crate::document::tagging::TagSet;
use crate::error::{Code, S3Error};
use crate::http::response::is_field_name;
use crate::limits::USER_METADATA_BYTES_MAX;

use super::request::{Request, header_text};

/// The type of an object whose writer named none, as S3 answers it.
pub const CONTENT_TYPE_DEFAULT: &str = "binary/octet-stream";

/// The storage classes of S3's general purpose buckets. All are taken as labels and stored alike; an unknown one is the client's mistake.
const STORAGE_CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
];

/// Where a client says it: the headers of a PUT, or the fields of a form.
pub(crate) trait MetadataSource {
    /// The one value of that name, as text that can stand in an answer's head again.
    fn text(&self, name: &str) -> Result<Option<String>, S3Error>;

    /// Every value whose name begins with `prefix` (lower-case), the prefix taken off, as sent.
    fn with_prefix(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &[u8])>;
}

/// Reads the metadata of an object to be written.
pub(crate) fn object_meta(source: &impl MetadataSource) -> Result<ObjectMeta, S3Error> {
    let text = |name| source.text(name).map(Option::unwrap_or_default);
    let content_type = text("content-type")?;
    Ok(ObjectMeta {
        content_type: if content_type.is_empty() { CONTENT_TYPE_DEFAULT.to_owned() } else { content_type },
        cache_control: text("cache-control")?,
        content_disposition: text("content-disposition")?,
        content_encoding: without_aws_chunked(&text("content-encoding")?),
        content_language: text("content-language")?,
        expires: text("expires")?,
        website_redirect: website_redirect(text("x-amz-website-redirect-location")?)?,
        storage_class: storage_class(text("x-amz-storage-class")?)?,
        user: user_metadata(source)?,
        tags: Vec::new(),
        acl: String::new(),
        writer_owns: false,
        checksums: Vec::new(),
    })
}

/// The same with `x-amz-tagging`.
pub(super) fn tagged_meta(request: &Request<'_>) -> Result<ObjectMeta, S3Error> {
    let mut meta = object_meta(request)?;
    if let Some(tags) = request.text("x-amz-tagging")? {
        meta.tags = TagSet::parse_header(&tags)?.to_wire();
    }
    Ok(meta)
}

/// `aws-chunked` is how the body travelled, not what the object is.
fn without_aws_chunked(value: &str) -> String {
    let is_ours = |token: &str| token.eq_ignore_ascii_case("aws-chunked");
    if !value.split(',').any(|token| is_ours(token.trim())) {
        return value.to_owned();
    }
    let kept: Vec<&str> =
        value.split(',').map(str::trim).filter(|token| !token.is_empty() && !is_ours(token)).collect();
    kept.join(",")
}

fn website_redirect(value: String) -> Result<String, S3Error> {
    let legal = ["/", "http://", "https://"].iter().any(|start| value.starts_with(start));
    if value.is_empty() || legal { Ok(value) } else { Err(S3Error::new(Code::InvalidRedirectLocation)) }
}

/// Empty for `STANDARD`.
fn storage_class(value: String) -> Result<String, S3Error> {
    match value.as_str() {
        "" | "STANDARD" => Ok(String::new()),
        name if STORAGE_CLASSES.contains(&name) => Ok(value),
        _ => Err(S3Error::new(Code::InvalidStorageClass).with("StorageClassRequested", value)),
    }
}

/// `x-amz-meta-*`: names lower-case, values as sent, those of one name joined with commas in their order.
fn user_metadata(source: &impl MetadataSource) -> Result<Vec<Pair>, S3Error> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut bytes = 0;
    for (name, value) in source.with_prefix("x-amz-meta-") {
        let name = name.to_ascii_lowercase();
        if !is_field_name(&name) {
            return Err(S3Error::invalid_argument(
                "x-amz-meta-",
                name,
                "The name of a metadata header is not valid.",
            ));
        }
        let value = header_text(&name, value)?;
        match pairs.iter_mut().find(|pair| pair.name == name) {
            Some(pair) => {
                bytes += 1 + value.len();
                pair.value.push(',');
                pair.value.push_str(&value);
            }
            None => {
                bytes += name.len() + value.len();
                pairs.push(Pair { name, value });
            }
        }
    }
    if bytes > USER_METADATA_BYTES_MAX {
        return Err(S3Error::new(Code::MetadataTooLarge)
            .with("Size", bytes.to_string())
            .with("MaxSizeAllowed", USER_METADATA_BYTES_MAX.to_string()));
    }
    Ok(pairs)
}
