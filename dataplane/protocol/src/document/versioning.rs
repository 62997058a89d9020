//! `?versioning`: whether a bucket keeps the versions of its objects.
//!
//! A bucket begins without a status and can never go back to that. MFA delete is not offered; a request that leaves it off
//! says what is so and is taken.

use crate::error::{Code, S3Error};
use crate::xml::reader::XmlError;
use crate::xml::writer::XmlWriter;

/// What PutBucketVersioning sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersioningStatus {
    Enabled,
    Suspended,
}

impl VersioningStatus {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Suspended => "Suspended",
        }
    }

    /// Reads the body of PutBucketVersioning.
    ///
    /// # Errors
    /// `IllegalVersioningConfigurationException` when it sets no status, `MalformedXML`, `NotImplemented` for MFA delete.
    pub fn parse(body: &[u8]) -> Result<Self, S3Error> {
        let mut xml = super::open(body, "VersioningConfiguration")?;
        let (mut status, mut mfa_delete) = (None, None);
        while let Some(name) = xml.child()? {
            match name.as_str() {
                "Status" => xml.text_once(&name, &mut status)?,
                // minio-java says MFADelete
                "MfaDelete" | "MFADelete" => xml.text_once(&name, &mut mfa_delete)?,
                _ => return Err(XmlError::Unexpected(name).into()),
            }
        }
        xml.end()?;
        match mfa_delete.as_deref().map(str::trim) {
            None | Some("" | "Disabled") => {}
            Some("Enabled") => return Err(S3Error::not_implemented("MFA delete")),
            Some(_) => return Err(XmlError::Value("MfaDelete").into()),
        }
        match status.as_deref().map(str::trim) {
            None | Some("") => Err(S3Error::new(Code::IllegalVersioningConfigurationException)),
            Some("Enabled") => Ok(Self::Enabled),
            Some("Suspended") => Ok(Self::Suspended),
            Some(_) => Err(XmlError::Value("Status").into()),
        }
    }

    /// The document, as GetBucketVersioning answers it; `None` for a bucket that never had a status.
    #[must_use]
    pub fn to_xml(status: Option<Self>) -> Vec<u8> {
        let mut xml = XmlWriter::document();
        match status {
            None => xml.empty_root("VersioningConfiguration"),
            Some(status) => {
                xml.open_root("VersioningConfiguration");
                xml.text("Status", status.name());
                xml.close("VersioningConfiguration");
            }
        }
        xml.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::VersioningStatus::{self, Enabled, Suspended};
    use crate::error::Code;
    use proptest::prelude::*;

    #[track_caller]
    fn check(inner: &str, expected: Result<VersioningStatus, Code>) {
        for root in [
            "VersioningConfiguration",
            "VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"",
        ] {
            let body = format!("<?xml version=\"1.0\"?>\n<{root}>{inner}</VersioningConfiguration>\n");
            let found = VersioningStatus::parse(body.as_bytes()).map_err(|error| error.code);
            assert_eq!(found, expected, "{body}");
        }
    }

    #[test]
    fn reads_a_status() {
        check("<Status>Enabled</Status>", Ok(Enabled));
        check("\n <Status>\nSuspended </Status>\n", Ok(Suspended));
        check("<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>", Ok(Enabled));
        check("<MFADelete/><Status>Enabled</Status>", Ok(Enabled));
    }

    #[test]
    fn refuses_what_sets_none() {
        check("", Err(Code::IllegalVersioningConfigurationException));
        check("<Status/>", Err(Code::IllegalVersioningConfigurationException));
        check("<MfaDelete>Disabled</MfaDelete>", Err(Code::IllegalVersioningConfigurationException));
        check("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", Err(Code::NotImplemented));
        check("<Status>Enabled</Status><MfaDelete>on</MfaDelete>", Err(Code::MalformedXML));
        check("<Status>enabled</Status>", Err(Code::MalformedXML));
        check("<Status>Disabled</Status>", Err(Code::MalformedXML));
        check("<Status>Enabled</Status><Status>Enabled</Status>", Err(Code::MalformedXML));
        check("<Status>Enabled</Status><Other/>", Err(Code::MalformedXML));
        let code = |body: &[u8]| VersioningStatus::parse(body).unwrap_err().code;
        assert_eq!(code(b" \n"), Code::MissingRequestBodyError);
        assert_eq!(code(b"<Versioning/>"), Code::MalformedXML);
    }

    #[test]
    fn is_rendered_as_s3_does() {
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
        let root = "VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        let text = |status| String::from_utf8(VersioningStatus::to_xml(status)).unwrap();
        assert_eq!(text(None), format!("{head}<{root}/>"));
        assert_eq!(
            text(Some(Enabled)),
            format!("{head}<{root}><Status>Enabled</Status></VersioningConfiguration>")
        );
        for status in [Enabled, Suspended] {
            assert_eq!(VersioningStatus::parse(&VersioningStatus::to_xml(Some(status))).unwrap(), status);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = VersioningStatus::parse(&body);
        }
    }
}
