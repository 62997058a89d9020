//! From the file to what the authority is started with: the files that it names are read here.

use std::path::Path;

use holdfast_common::secret::Secret;

use super::{Config, ConfigError, DatabaseTlsMode};
use crate::server::{Database, DatabaseTls, GrpcTls, Settings};

impl Config {
    /// Reads every secret and certificate that the authority needs.
    ///
    /// # Errors
    /// The file that is missing, open to others or malformed.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let mut regions = vec![self.region.clone()];
        regions.extend(self.regions_also.iter().filter(|region| **region != self.region).cloned());
        Ok(Settings {
            database: Database {
                url: self.database_url()?,
                tls: match self.database_tls {
                    DatabaseTlsMode::Auto => DatabaseTls::Auto,
                    DatabaseTlsMode::VerifyFull => DatabaseTls::VerifyFull,
                    DatabaseTlsMode::Disable => DatabaseTls::Disable,
                },
                ca_file: self.database_ca_file.as_deref().map(|path| self.resolve(path)),
                connections_max: usize::try_from(self.database_connections_max).expect("32 bits fit"),
            },
            master_key: self.master_key()?,
            grpc_listen: self.grpc_addr,
            grpc_tls: self.grpc_tls_files()?,
            regions,
            holder: self.holder.clone().unwrap_or_else(host_name),
            lease_ms: self.lease_ms,
            delete_delay_ms: self.delete_delay_ms,
            dev: self.dev,
        })
    }

    fn grpc_tls_files(&self) -> Result<Option<GrpcTls>, ConfigError> {
        let (Some(cert), Some(key)) = (&self.grpc_tls_cert_file, &self.grpc_tls_key_file) else {
            return Ok(None);
        };
        let read = |what, path: &Path| {
            let path = self.resolve(path);
            let next = "check the grpc_tls_* keys of the configuration";
            std::fs::read(&path).map_err(|cause| ConfigError::SecretUnreadable { what, path, cause, next })
        };
        let client_ca_pem =
            self.grpc_tls_client_ca_file.as_deref().map(|path| read("the nodes' authorities", path));
        Ok(Some(GrpcTls {
            certificate_pem: read("the gRPC certificate", cert)?,
            key_pem: Secret::new(read("the gRPC key", key)?),
            client_ca_pem: client_ca_pem.transpose()?,
        }))
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "controlplane".to_owned() } else { name.trim().to_owned() }
}
