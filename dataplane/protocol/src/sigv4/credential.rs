//! The credential and the three fields of the `Authorization` header.

use super::time::parse_day;
use crate::limits::{ACCESS_KEY_ID_BYTES_MAX, REGION_BYTES_MAX};

/// `AKID/20130524/us-east-1/s3/aws4_request`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credential<'a> {
    pub(super) access_key_id: &'a str,
    /// Everything after the key id: a line of the string to sign.
    pub(super) scope: &'a str,
    /// yyyymmdd
    pub(super) day: u32,
    pub(super) region: &'a str,
}

/// What is wrong with a credential or header, as the end of AWS's sentence.
pub(super) type Fault = &'static str;

impl<'a> Credential<'a> {
    /// Read from the right: the last four pieces are fixed, whatever the key id holds.
    pub(super) fn parse(text: &'a str) -> Result<Self, Fault> {
        const SHAPE: Fault =
            "the Credential must have the form \"<your-access-key-id>/YYYYMMDD/REGION/s3/aws4_request\"";
        let mut pieces = text.rsplitn(5, '/');
        let mut piece = || pieces.next().ok_or(SHAPE);
        let (terminator, service, region, day, access_key_id) =
            (piece()?, piece()?, piece()?, piece()?, piece()?);
        if terminator != "aws4_request" {
            return Err("incorrect terminal in the credential scope; this endpoint expects \"aws4_request\"");
        }
        if service != "s3" {
            return Err("incorrect service in the credential scope; this endpoint belongs to \"s3\"");
        }
        let day =
            parse_day(day).ok_or("incorrect date format in the credential scope; it must be \"yyyyMMdd\"")?;
        let printable = access_key_id.bytes().all(|byte| byte.is_ascii_graphic());
        if access_key_id.is_empty() || access_key_id.len() > ACCESS_KEY_ID_BYTES_MAX || !printable {
            return Err("the access key id in the Credential is not valid");
        }
        if region.len() > REGION_BYTES_MAX || region.is_empty() {
            return Err("the region in the credential scope is not valid");
        }
        Ok(Self { access_key_id, scope: &text[access_key_id.len() + 1..], day, region })
    }
}

/// The fields after the algorithm, in any order, with or without spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeaderFields<'a> {
    pub(super) credential: &'a str,
    pub(super) signed_headers: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> HeaderFields<'a> {
    pub(super) fn parse(fields: &'a str) -> Result<Self, Fault> {
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',').map(str::trim).filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').ok_or("each field must have the form name=value")?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err("it has a field that is none of Credential, SignedHeaders, Signature"),
            };
            if place.replace(value).is_some() {
                return Err("a field is given more than once");
            }
        }
        Ok(Self {
            credential: credential.ok_or("missing Credential")?,
            signed_headers: signed_headers.ok_or("missing SignedHeaders")?,
            signature: signature.ok_or("missing Signature")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Credential, HeaderFields};

    #[test]
    fn credentials() {
        let good =
            Credential::parse("A/K/20130524/us-east-1/s3/aws4_request").expect("a key id may hold a slash");
        assert_eq!((good.access_key_id, good.day, good.region), ("A/K", 20_130_524, "us-east-1"));
        assert_eq!(good.scope, "20130524/us-east-1/s3/aws4_request");
        for bad in [
            "",
            "AK/20130524/us-east-1/s3",
            "/20130524/us-east-1/s3/aws4_request",
            "AK/20130230/us-east-1/s3/aws4_request",
            "AK/20130524/us-east-1/ec2/aws4_request",
            "AK/20130524/us-east-1/s3/aws3_request",
            "AK/20130524//s3/aws4_request",
            "A K/20130524/us-east-1/s3/aws4_request",
        ] {
            assert!(Credential::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn header_fields_with_and_without_spaces() {
        let expected = HeaderFields { credential: "c", signed_headers: "h;x", signature: "s" };
        for good in
            ["Credential=c, SignedHeaders=h;x, Signature=s", " Signature=s,SignedHeaders=h;x ,Credential=c,"]
        {
            assert_eq!(HeaderFields::parse(good), Ok(expected));
        }
        for bad in [
            "",
            "Credential=c,SignedHeaders=h",
            "Credential=c,Credential=c,SignedHeaders=h,Signature=s",
            "x",
            "X=y",
        ] {
            assert!(HeaderFields::parse(bad).is_err(), "{bad}");
        }
    }
}
