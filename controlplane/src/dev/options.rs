//! The flags of `holdfast dev`, and what of them can be refused without touching anything.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::DevError;
use crate::limits::{DEV_DRIVES_MAX, SECRET_KEY_BYTES};

#[derive(Clone, Debug, clap::Args)]
pub struct DevOptions {
    /// Where everything is kept; made when it does not exist.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Drives to spread fragments over: directories under DIR/drives. Fixed at the first start.
    #[arg(long, default_value_t = 4)]
    pub drives: u8,
    /// Drives that may be lost without losing an object. Fixed at the first start.
    #[arg(long, default_value_t = 2)]
    pub parity: u8,
    /// Where S3 is served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    pub s3_addr: SocketAddr,
    /// Where administration, metrics and health are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001")]
    pub admin_addr: SocketAddr,
    /// CPU cores the data plane uses; all of them unless said.
    #[arg(long, value_name = "N")]
    pub cores: Option<usize>,
    /// Domain for virtual-hosted addressing: BUCKET.DOMAIN. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub domain: Vec<String>,
    /// Region that clients sign for.
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
    /// Certificate for S3 over TLS, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A PostgreSQL of your own instead of the private one.
    #[arg(long, value_name = "URL", env = "HOLDFAST_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Where `initdb` and `postgres` are, when they are in no usual place.
    #[arg(long, value_name = "DIR")]
    pub pg_bin_dir: Option<PathBuf>,
    /// Start only the private PostgreSQL, for psql and pg_dump, and print its address.
    #[arg(long, conflicts_with = "database_url")]
    pub only_postgres: bool,
    /// How the data plane's cores do their I/O; `monoio` unless said.
    #[arg(long, value_name = "NAME", value_parser = ["monoio", "glommio", "epoll"])]
    pub runtime: Option<String>,
    /// Refuse to start without io_uring instead of falling back to epoll.
    #[arg(long)]
    pub require_io_uring: bool,
    /// Start although drives are missing, and serve from the others.
    #[arg(long)]
    pub degraded: bool,
    /// What the processes log: `info`, `debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// Access key id of the root key; generated when absent.
    #[arg(skip = std::env::var("HOLDFAST_ROOT_ACCESS_KEY").ok())]
    pub root_access_key: Option<String>,
    /// Its secret.
    #[arg(skip = std::env::var("HOLDFAST_ROOT_SECRET_KEY").ok().map(holdfast_common::secret::Secret::from))]
    pub root_secret_key: Option<holdfast_common::secret::Secret>,
}

impl DevOptions {
    /// Refuses what no machine could do.
    ///
    /// # Errors
    /// The flag and what it may be.
    pub fn check(&self, cores_available: usize) -> Result<(), DevError> {
        let refuse = |sentence: String| Err(DevError::Option(sentence));
        if self.drives == 0 || self.drives > DEV_DRIVES_MAX {
            return refuse(format!("--drives {}: it may be 1 to {DEV_DRIVES_MAX}", self.drives));
        }
        // The data plane's own rule: half the fragments at most may be spare.
        if self.parity > self.drives / 2 {
            return refuse(format!(
                "--parity {} of --drives {}: at most half of the drives can be spare; try --parity {}, or more drives",
                self.parity,
                self.drives,
                self.drives / 2
            ));
        }
        match self.cores {
            Some(0) => return refuse("--cores 0: at least one is needed".to_owned()),
            Some(asked) if asked > cores_available => {
                return Err(DevError::TooFewCores { asked, available: cores_available });
            }
            _ => {}
        }
        if self.region.is_empty()
            || !self
                .region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        {
            return refuse(format!(
                "--region `{}`: lower-case letters, digits and dashes, such as us-east-1",
                self.region
            ));
        }
        if !self.admin_addr.ip().is_loopback() && self.tls_cert.is_none() {
            return refuse(format!(
                "--admin-addr {} is not loopback and would carry its token in clear; give --tls-cert and --tls-key, or listen on 127.0.0.1",
                self.admin_addr
            ));
        }
        for (flag, file) in [("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key)] {
            if let Some(path) = file {
                std::fs::File::open(path)
                    .map_err(|cause| DevError::Option(format!("{flag} {}: {cause}", path.display())))?;
            }
        }
        self.check_root_key()
    }

    fn check_root_key(&self) -> Result<(), DevError> {
        let refuse = |sentence: &str| Err(DevError::Option(sentence.to_owned()));
        match (&self.root_access_key, &self.root_secret_key) {
            (None, None) => Ok(()),
            (Some(id), Some(secret)) => {
                if !(3..=128).contains(&id.len())
                    || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                {
                    return refuse("HOLDFAST_ROOT_ACCESS_KEY: 3 to 128 letters, digits, `-`, `_` and `.`");
                }
                if !SECRET_KEY_BYTES.contains(&secret.expose().len()) {
                    return refuse("HOLDFAST_ROOT_SECRET_KEY: 8 to 128 characters");
                }
                Ok(())
            }
            _ => refuse(
                "HOLDFAST_ROOT_ACCESS_KEY and HOLDFAST_ROOT_SECRET_KEY go together; set both or neither",
            ),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::DevOptions;
    use clap::Parser;

    #[derive(Parser)]
    struct Wrapper {
        #[command(flatten)]
        options: DevOptions,
    }

    pub(crate) fn options(flags: &[&str]) -> DevOptions {
        Wrapper::parse_from(["dev", "--data-dir", "/nowhere"].iter().chain(flags)).options
    }

    fn refused(flags: &[&str]) -> String {
        options(flags).check(2).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_sentence() {
        assert!(options(&[]).check(2).is_ok());
        assert!(refused(&["--drives", "0"]).contains("1 to"));
        assert!(refused(&["--drives", "4", "--parity", "3"]).contains("at most half"));
        assert!(refused(&["--cores", "3"]).contains("gives 2"));
        assert!(refused(&["--region", "us east"]).contains("us-east-1"));
        assert!(refused(&["--admin-addr", "0.0.0.0:1"]).contains("loopback"));
        assert!(refused(&["--tls-cert", "/no", "--tls-key", "/no"]).starts_with("--tls-cert"));
    }
}
