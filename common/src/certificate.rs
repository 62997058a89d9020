//! Whom a certificate of the cluster names: a node, or the control plane. The name is one URI among its alternative names,
//! `holdfast://CLUSTER/node/NODE` or `holdfast://CLUSTER/control`, both ids as UUIDs.
//!
//! An operator's own PKI is accepted when its certificates carry that URI. Chain, validity and usage are checked by TLS;
//! what is here only reads the name.

use std::fmt;

use uuid::Uuid;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Whom a certificate names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub cluster: Uuid,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Node(Uuid),
    ControlPlane,
}

/// From when until when a certificate counts, unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: u64,
    pub not_after: u64,
}

impl Validity {
    /// Reads it from a certificate, DER.
    ///
    /// # Errors
    /// [`NamelessCertificate::Unreadable`].
    pub fn of(der: &[u8]) -> Result<Self, NamelessCertificate> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| NamelessCertificate::Unreadable(error.to_string()))?;
        let unix = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let validity = certificate.validity();
        Ok(Self { not_before: unix(validity.not_before), not_after: unix(validity.not_after) })
    }
}

/// Why a certificate names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamelessCertificate {
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("it has no alternative name `holdfast://CLUSTER/node/NODE` or `holdfast://CLUSTER/control`")]
    NoName,
    #[error("it has more than one name of a cluster")]
    TwoNames,
}

const SCHEME: &str = "holdfast://";

impl Subject {
    /// Reads the name from a certificate, DER.
    ///
    /// # Errors
    /// [`NamelessCertificate`].
    pub fn of(der: &[u8]) -> Result<Self, NamelessCertificate> {
        let unreadable = |error: String| NamelessCertificate::Unreadable(error);
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| unreadable(error.to_string()))?;
        let names = certificate.subject_alternative_name().map_err(|error| unreadable(error.to_string()))?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let mut ours = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
            _ => None,
        });
        let name = ours.next().ok_or(NamelessCertificate::NoName)?;
        if ours.next().is_some() {
            return Err(NamelessCertificate::TwoNames);
        }
        Self::parse(name).ok_or(NamelessCertificate::NoName)
    }

    /// When a certificate (DER) ends, milliseconds since 1970; `None` when it cannot be read.
    #[must_use]
    pub fn ends_ms(der: &[u8]) -> Option<u64> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        u64::try_from(certificate.validity().not_after.timestamp()).ok()?.checked_mul(1000)
    }

    fn parse(uri: &str) -> Option<Self> {
        let (cluster, role) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let role = match role.split_once('/') {
            Some(("node", node)) => Role::Node(Uuid::try_parse(node).ok()?),
            None if role == "control" => Role::ControlPlane,
            _ => return None,
        };
        Some(Self { cluster: Uuid::try_parse(cluster).ok()?, role })
    }
}

/// The URI that stands in the certificate.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Node(node) => write!(f, "{SCHEME}{}/node/{node}", self.cluster),
            Role::ControlPlane => write!(f, "{SCHEME}{}/control", self.cluster),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, Subject};

    #[test]
    fn a_name_is_read_as_it_was_written_and_nothing_else_is_one() {
        let cluster = uuid::Uuid::from_u128(7);
        for role in [Role::ControlPlane, Role::Node(uuid::Uuid::from_u128(9))] {
            let subject = Subject { cluster, role };
            assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
        }
        for bad in ["", "holdfast://", "holdfast://x/control", "http://a/control"] {
            assert_eq!(Subject::parse(bad), None, "{bad}");
        }
        for tail in ["node", "node/", "node/x", "control/", "admin", "control/x"] {
            assert_eq!(Subject::parse(&format!("holdfast://{cluster}/{tail}")), None, "{tail}");
        }
        assert!(Subject::of(b"no certificate").is_err());
    }
}
