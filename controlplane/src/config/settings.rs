//! From the file to what the authority is started with: the files that it names are read here.

use std::path::Path;
use std::time::Duration;

use super::{Config, ConfigError, DatabaseTlsMode, read_owner_only};
use crate::server::{Database, DatabaseTls, GrpcTls, Lengths, OwnPki, Settings};

impl Config {
    /// Reads every secret and certificate that the authority needs.
    ///
    /// # Errors
    /// The file that is missing, open to others or malformed.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let mut regions = vec![self.region.clone()];
        regions.extend(self.regions_also.iter().filter(|region| **region != self.region).cloned());
        Ok(Settings {
            database: self.database()?,
            master_key: self.master_key()?,
            grpc_listen: self.grpc_addr,
            grpc_tls: self.grpc_tls_settings()?,
            regions,
            holder: self.holder.clone().unwrap_or_else(host_name),
            lengths: Lengths {
                lease_ms: self.lease_ms,
                access_ms: self.access_lease_ms.unwrap_or(self.lease_ms),
            },
            delete_delay_ms: self.delete_delay_ms,
            dev: self.dev,
        })
    }

    /// Where the truth is, a password possibly within.
    ///
    /// # Errors
    /// As [`Config::database_url`].
    pub fn database(&self) -> Result<Database, ConfigError> {
        Ok(Database {
            url: self.database_url()?,
            tls: match self.database_tls {
                DatabaseTlsMode::Auto => DatabaseTls::Auto,
                DatabaseTlsMode::VerifyFull => DatabaseTls::VerifyFull,
                DatabaseTlsMode::Disable => DatabaseTls::Disable,
            },
            ca_file: self.database_ca_file.as_deref().map(|path| self.resolve(path)),
            connections_max: usize::try_from(self.database_connections_max).expect("32 bits fit"),
        })
    }

    /// `None`: in clear, on loopback.
    fn grpc_tls_settings(&self) -> Result<Option<GrpcTls>, ConfigError> {
        if !self.speaks_grpc_tls() {
            return Ok(None);
        }
        Ok(Some(GrpcTls {
            own: self.own_pki()?,
            names: self.grpc_names.clone(),
            node_certificate: Duration::from_secs(u64::from(self.node_cert_hours) * 3600),
        }))
    }

    fn own_pki(&self) -> Result<Option<OwnPki>, ConfigError> {
        let (Some(cert), Some(key), Some(client_ca)) =
            (&self.grpc_tls_cert_file, &self.grpc_tls_key_file, &self.grpc_tls_client_ca_file)
        else {
            return Ok(None);
        };
        let read = |what, path: &Path| {
            let path = self.resolve(path);
            let next = "check the grpc_tls_* keys of the configuration";
            std::fs::read(&path).map_err(|cause| ConfigError::SecretUnreadable { what, path, cause, next })
        };
        let next = "check the grpc_tls_* keys of the configuration";
        Ok(Some(OwnPki {
            certificate_pem: read("the gRPC certificate", cert)?,
            key_pem: read_owner_only("the gRPC key", &self.resolve(key), next)?,
            client_ca_pem: read("the nodes' authorities", client_ca)?,
        }))
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "controlplane".to_owned() } else { name.trim().to_owned() }
}
