//! From text to a checked [`Config`]: file, then environment, then the rules between keys.

use std::net::IpAddr;
use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError, ENV_PREFIX, SETTINGS};
use crate::limits::{ACCESS_LEASE_MS_MAX, GRPC_NAMES_MAX, NODE_CERT_HOURS};

impl Config {
    /// Reads the file and the environment.
    ///
    /// # Errors
    /// A sentence for each thing wrong: unreadable, unknown key, wrong type, keys that contradict each other.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        Self::parse(path, &text, |name| std::env::var(name).ok())
    }

    /// The same with the text and the environment as arguments.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut table: Table = toml::from_str(text)
            .map_err(|cause| ConfigError::Malformed { path: path.to_owned(), cause: one_line(&cause) })?;
        overlay(&mut table, env);
        let mut config: Self = serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
            let key = error.path().to_string();
            ConfigError::BadValue { path: path.to_owned(), key, cause: one_line(error.inner()) }
        })?;
        config.base = path.parent().map(Path::to_owned).unwrap_or_default();
        config.check()?;
        Ok(config)
    }

    /// The rules between keys.
    fn check(&self) -> Result<(), ConfigError> {
        match (&self.database_url, &self.database_url_file) {
            (None, None) => return Err(ConfigError::NoDatabase),
            (Some(_), Some(_)) => return Err(ConfigError::TwoDatabases),
            _ => {}
        }
        both(
            "grpc_tls_cert_file",
            self.grpc_tls_cert_file.is_some(),
            "grpc_tls_key_file",
            self.grpc_tls_key_file.is_some(),
        )?;
        both(
            "grpc_tls_cert_file",
            self.grpc_tls_cert_file.is_some(),
            "grpc_tls_client_ca_file",
            self.grpc_tls_client_ca_file.is_some(),
        )?;
        both(
            "admin_tls_cert_file",
            self.admin_tls_cert_file.is_some(),
            "admin_tls_key_file",
            self.admin_tls_key_file.is_some(),
        )?;
        if self.admin_tls_cert_file.is_none() && !self.admin_addr.ip().is_loopback() {
            let (key, tls) = ("admin_addr", "admin_tls_cert_file");
            return Err(ConfigError::PlainBeyondLoopback { key, addr: self.admin_addr, tls });
        }
        self.check_nodes()
    }

    fn check_nodes(&self) -> Result<(), ConfigError> {
        if let Some(ms) = self.access_lease_ms
            && !(self.lease_ms..=ACCESS_LEASE_MS_MAX).contains(&ms)
        {
            let least = self.lease_ms;
            let why =
                format!("is {ms}; it may be {least}, which is lease_ms, to {ACCESS_LEASE_MS_MAX}, a day");
            return Err(ConfigError::OutOfBounds { key: "access_lease_ms", why });
        }
        if !NODE_CERT_HOURS.contains(&self.node_cert_hours) {
            let (least, most) = (NODE_CERT_HOURS.start(), NODE_CERT_HOURS.end());
            let why = format!("is {}; it may be {least} to {most}", self.node_cert_hours);
            return Err(ConfigError::OutOfBounds { key: "node_cert_hours", why });
        }
        let host = |name: &str| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            name.parse::<IpAddr>().is_ok()
                || !name.is_empty() && name.len() <= 253 && name.bytes().all(letter)
        };
        let why = match self.grpc_names.iter().find(|name| !host(name)) {
            Some(name) => format!("holds {name:?}; it holds host names and addresses, without port"),
            None if self.grpc_names.len() > GRPC_NAMES_MAX => {
                format!("holds more than {GRPC_NAMES_MAX} names")
            }
            None => return Ok(()),
        };
        Err(ConfigError::OutOfBounds { key: "grpc_names", why })
    }
}

fn both(key: &'static str, has_key: bool, other: &'static str, has_other: bool) -> Result<(), ConfigError> {
    match (has_key, has_other) {
        (true, false) => Err(ConfigError::Incomplete { key, other }),
        (false, true) => Err(ConfigError::Incomplete { key: other, other: key }),
        _ => Ok(()),
    }
}

/// Puts what the environment says over the table. Lists are separated by commas.
fn overlay(table: &mut Table, env: impl Fn(&str) -> Option<String>) {
    for (name, kind, _) in SETTINGS {
        let Some(text) = env(&env_name(name)) else { continue };
        let value = match *kind {
            "u32" | "u64" => text.parse().map_or(Value::String(text), Value::Integer),
            "Vec<String>" => {
                text.split(',').map(|item| Value::String(item.trim().to_owned())).collect::<Vec<_>>().into()
            }
            "bool" => text.parse().map_or(Value::String(text), Value::Boolean),
            _ => Value::String(text),
        };
        table.insert((*name).to_owned(), value);
    }
}

/// `grpc_addr` is `HOLDFAST_CONTROLPLANE_GRPC_ADDR`.
pub(super) fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.to_ascii_uppercase())
}

/// toml's errors draw the line they mean over several lines; a sentence needs one.
fn one_line(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigError};
    use std::path::Path;

    fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/etc/holdfast/controlplane.toml"), text, |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn refused(text: &str) -> String {
        parse(text, &[]).expect_err("this must be refused").to_string()
    }

    #[test]
    fn the_smallest_file_is_one_line() {
        let config = parse("database_url = 'host=/run/postgresql'", &[]).expect("parses");
        assert_eq!(config.admin_addr.port(), 9001);
        assert_eq!(config.region, "us-east-1");
        assert!(!config.dev);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let env = [
            ("HOLDFAST_CONTROLPLANE_REGION", "eu-central-1"),
            ("HOLDFAST_CONTROLPLANE_DEV", "true"),
            ("HOLDFAST_CONTROLPLANE_DATABASE_CONNECTIONS_MAX", "7"),
        ];
        let config = parse("database_url = 'x'\nregion = 'a'", &env).expect("parses");
        assert_eq!(
            (config.region.as_str(), config.dev, config.database_connections_max),
            ("eu-central-1", true, 7)
        );
    }

    #[test]
    fn each_mistake_is_a_sentence_that_names_the_key() {
        assert!(refused("database_url = 'x'\nregoin = 'y'").contains("regoin"));
        assert!(refused("database_url = 'x'\ngrpc_addr = 'here'").starts_with("grpc_addr in /etc"));
        assert!(refused("").contains("database_url"));
        assert!(refused("database_url = 'x'\ndatabase_url_file = 'y'").contains("keep one"));
        assert!(refused("database_url = 'x'\nadmin_addr = '0.0.0.0:1'").contains("not loopback"));
        assert!(refused("database_url = 'x'\nadmin_tls_cert_file = 'c'").contains("admin_tls_key_file"));
        assert!(refused("database_url = ").contains("does not parse"));
        assert!(refused("database_url = 'x'\nnode_cert_hours = 0").contains("node_cert_hours is 0"));
        assert!(refused("database_url = 'x'\ngrpc_names = ['https://x']").contains("grpc_names holds"));
    }

    #[test]
    fn nodes_are_served_in_clear_on_loopback_only() {
        let speaks = |text: &str| {
            let config = parse(&format!("database_url = 'x'\n{text}"), &[]).expect("parses");
            config.speaks_grpc_tls()
        };
        assert!(!speaks(""));
        assert!(!speaks("grpc_addr = '[::1]:1'"));
        assert!(speaks("grpc_addr = '0.0.0.0:1'"));
        assert!(speaks("grpc_addr = '10.0.0.1:1'"));
        assert!(speaks("grpc_tls = true"));
    }
}
