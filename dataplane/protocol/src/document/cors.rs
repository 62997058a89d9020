//! `?cors`: which web pages may reach a bucket from a browser, and what its answers say about it.
//!
//! The first rule that matches a request decides. S3 checks the values of a rule when it is stored; the sentences are those
//! it says then, and they are wrong in one place: a bad ExposeHeader is called an AllowedHeader.

use crate::error::{Code, S3Error};
use crate::http::response::is_field_name;
use crate::limits::{CORS_RULE_ID_CHARS_MAX, CORS_RULES_MAX};
use crate::xml::reader::{XmlError, XmlReader};
use crate::xml::writer::XmlWriter;

mod answer;
mod pattern;
mod request;

pub use answer::CorsAnswer;
pub use pattern::Pattern;
pub use request::{CorsRequest, CorsResource, CorsState};

/// A CORSConfiguration: 1 to 100 rules, in the order they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsConfiguration {
    rules: Vec<CorsRule>,
}

/// One rule; at least one method and one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsRule {
    pub id: Option<String>,
    pub allowed_origins: Vec<Pattern>,
    pub allowed_methods: Vec<CorsMethod>,
    pub allowed_headers: Vec<Pattern>,
    pub expose_headers: Vec<String>,
    pub max_age_seconds: Option<u32>,
}

/// A method that a rule may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorsMethod {
    Get,
    Put,
    Head,
    Post,
    Delete,
}

impl CorsMethod {
    pub const ALL: [Self; 5] = [Self::Get, Self::Put, Self::Head, Self::Post, Self::Delete];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    /// Reads a method; methods are case-sensitive.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

impl CorsConfiguration {
    /// Reads the body of PutBucketCors, or what [`Self::to_xml`] wrote.
    ///
    /// # Errors
    /// `MalformedXML` for its shape, no rules included; `InvalidRequest` for a value and for too many rules.
    pub fn parse(body: &[u8]) -> Result<Self, S3Error> {
        let mut xml = super::open(body, "CORSConfiguration")?;
        let mut drafts = Vec::new();
        while let Some(name) = xml.child()? {
            match name.as_str() {
                "CORSRule" if drafts.len() == CORS_RULES_MAX => return Err(too_many_rules()),
                "CORSRule" => drafts.push(Draft::read(&mut xml)?),
                _ => return Err(XmlError::Unexpected(name).into()),
            }
        }
        xml.end()?;
        if drafts.is_empty() {
            return Err(XmlError::Missing("CORSRule").into());
        }
        // The shape of the whole is judged before the value of any part.
        let rules = drafts.into_iter().map(Draft::check).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    #[must_use]
    pub fn rules(&self) -> &[CorsRule] {
        &self.rules
    }

    /// The document, as GetBucketCors answers it.
    #[must_use]
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::document();
        xml.open_root("CORSConfiguration");
        self.rules.iter().for_each(|rule| rule.write(&mut xml));
        xml.close("CORSConfiguration");
        xml.finish()
    }
}

impl CorsRule {
    fn write(&self, xml: &mut XmlWriter) {
        xml.open("CORSRule");
        if let Some(id) = &self.id {
            xml.text("ID", id);
        }
        self.allowed_origins.iter().for_each(|origin| xml.text("AllowedOrigin", origin.as_str()));
        self.allowed_methods.iter().for_each(|method| xml.text("AllowedMethod", method.name()));
        self.allowed_headers.iter().for_each(|header| xml.text("AllowedHeader", header.as_str()));
        if let Some(seconds) = self.max_age_seconds {
            xml.number("MaxAgeSeconds", seconds.into());
        }
        self.expose_headers.iter().for_each(|header| xml.text("ExposeHeader", header));
        xml.close("CORSRule");
    }
}

/// A rule as it came: its shape is right, its values are not looked at.
#[derive(Default)]
struct Draft {
    id: Option<String>,
    origins: Vec<String>,
    methods: Vec<String>,
    headers: Vec<String>,
    exposed: Vec<String>,
    max_age_seconds: Option<u32>,
}

impl Draft {
    fn read(xml: &mut XmlReader<'_>) -> Result<Self, XmlError> {
        let (mut draft, mut max_age) = (Self::default(), None);
        while let Some(name) = xml.child()? {
            match name.as_str() {
                "ID" => xml.text_once(&name, &mut draft.id)?,
                "AllowedOrigin" => draft.origins.push(xml.text()?),
                "AllowedMethod" => draft.methods.push(xml.text()?),
                "AllowedHeader" => draft.headers.push(xml.text()?),
                "ExposeHeader" => draft.exposed.push(xml.text()?),
                "MaxAgeSeconds" => xml.text_once(&name, &mut max_age)?,
                _ => return Err(XmlError::Unexpected(name)),
            }
        }
        if draft.origins.is_empty() {
            return Err(XmlError::Missing("AllowedOrigin"));
        }
        if draft.methods.is_empty() {
            return Err(XmlError::Missing("AllowedMethod"));
        }
        draft.max_age_seconds = max_age.map(|text| seconds(&text)).transpose()?;
        Ok(draft)
    }

    fn check(self) -> Result<CorsRule, S3Error> {
        if self.id.as_ref().is_some_and(|id| id.chars().count() > CORS_RULE_ID_CHARS_MAX) {
            return Err(invalid(format!(
                "The ID of a CORSRule has at most {CORS_RULE_ID_CHARS_MAX} characters."
            )));
        }
        if let Some(bad) = self.exposed.iter().find(|header| header.contains('*')) {
            return Err(invalid(format!(
                "ExposeHeader \"{bad}\" contains wildcard. We currently do not support wildcard for ExposeHeader."
            )));
        }
        // What is stored here is written into heads later.
        if let Some(bad) = self.exposed.iter().chain(&self.headers).find(|header| !is_field_name(header)) {
            return Err(invalid(format!("AllowedHeader \"{bad}\" contains invalid character.")));
        }
        Ok(CorsRule {
            id: self.id,
            allowed_methods: self.methods.iter().map(|name| method(name)).collect::<Result<_, _>>()?,
            allowed_origins: patterns("AllowedOrigin", self.origins)?,
            allowed_headers: patterns("AllowedHeader", self.headers)?,
            expose_headers: self.exposed,
            max_age_seconds: self.max_age_seconds,
        })
    }
}

fn method(name: &str) -> Result<CorsMethod, S3Error> {
    CorsMethod::parse(name).ok_or_else(|| {
        invalid(format!("Found unsupported HTTP method in CORS config. Unsupported method is {name}"))
    })
}

fn patterns(element: &str, texts: Vec<String>) -> Result<Vec<Pattern>, S3Error> {
    let pattern = |text| {
        Pattern::new(text)
            .map_err(|text| invalid(format!("{element} \"{text}\" can not have more than one wildcard.")))
    };
    texts.into_iter().map(pattern).collect()
}

/// An xsd:int that is not negative.
fn seconds(text: &str) -> Result<u32, XmlError> {
    let number = text.trim().parse::<i32>().ok();
    number.and_then(|number| u32::try_from(number).ok()).ok_or(XmlError::Value("MaxAgeSeconds"))
}

fn too_many_rules() -> S3Error {
    invalid(format!("The number of CORS rules should not exceed allowed limit of {CORS_RULES_MAX} rules."))
}

fn invalid(message: String) -> S3Error {
    S3Error::new(Code::InvalidRequest).message(message)
}

#[cfg(test)]
mod tests;
