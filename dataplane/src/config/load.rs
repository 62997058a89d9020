//! File, then environment, then checks.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use holdfast_common::secret::Secret;
use toml::{Table, Value};

use super::{Config, ConfigError, ENV_PREFIX, SETTINGS};

impl Config {
    /// Reads, overrides from the environment and checks.
    ///
    /// # Errors
    /// [`ConfigError`], for the operator to read.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?;
        let config = Self::parse(path, &text, |name| std::env::var(name).ok())?;
        config.check()?;
        Ok(config)
    }

    /// As [`Config::load`] with the text at hand and without the checks. `env` looks up environment variables.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] and [`ConfigError::Parse`].
    pub fn parse(path: &Path, text: &str, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let origin = path.display().to_string();
        let syntax = |why: String| ConfigError::Syntax { origin: origin.clone(), why };
        let mut table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| syntax(error.to_string().trim().replace('\n', " ")))?;
        let mut from_env = Vec::new();
        for (key, kind, _) in SETTINGS {
            let name = env_name(key);
            if let Some(value) = env(&name) {
                table.insert((*key).to_owned(), env_value(kind, &value));
                from_env.push(*key);
            }
        }
        one_url_is_a_list(&mut table);
        let mut config: Self = serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
            let key = error.path().to_string();
            let by_env = from_env.iter().find(|known| key.starts_with(**known)).map(|known| env_name(known));
            let origin = by_env.map_or(origin.clone(), |name| format!("the environment's {name}"));
            ConfigError::Parse { origin, key, why: error.into_inner().message().to_owned() }
        })?;
        config.file = path.to_owned();
        config.base = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(config)
    }

    /// A path of the file, made absolute; see [`resolve`].
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        resolve(&self.base, path, std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).as_deref())
    }
}

/// A bare name is looked for among systemd's credentials first; any other relative path starts from the file's
/// directory.
#[must_use]
pub fn resolve(base: &Path, path: &Path, credentials: Option<&Path>) -> PathBuf {
    let bare = path.components().count() == 1 && path.is_relative();
    let credential = credentials.filter(|_| bare).map(|directory| directory.join(path));
    credential.filter(|path| path.exists()).unwrap_or_else(|| base.join(path))
}

/// Reads a secret that only its owner may read; line ends around it are not part of it.
///
/// # Errors
/// [`ConfigError::Secret`].
pub fn read_secret(key: &'static str, path: &Path) -> Result<Secret, ConfigError> {
    let failed = |why: String, next: &str| ConfigError::Secret {
        key,
        path: path.to_owned(),
        why,
        next: next.replace("{path}", &path.display().to_string()),
    };
    let readable = |cause: std::io::Error| failed(cause.to_string(), "check it with `ls -l {path}`");
    let mode = std::fs::metadata(path).map_err(readable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(failed(
            format!("others may read it (mode {:04o})", mode & 0o7777),
            "run `chmod 600 {path}`",
        ));
    }
    let text = std::fs::read(path).map_err(readable)?;
    Ok(Secret::new(text.trim_ascii().to_vec()))
}

/// `HOLDFAST_DATAPLANE_S3_ADDR` for `s3_addr`.
pub(super) fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.to_ascii_uppercase())
}

/// An environment variable as TOML: lists are separated by commas, numbers and booleans are read as such.
fn env_value(kind: &str, text: &str) -> Value {
    let kind = kind.replace(' ', "");
    if kind.starts_with("Vec<") {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        return Value::Array(parts.map(|part| Value::String(part.to_owned())).collect());
    }
    let number = kind.contains("usize").then(|| text.parse().ok().map(Value::Integer)).flatten();
    let boolean = (kind == "bool").then(|| text.parse().ok().map(Value::Boolean)).flatten();
    number.or(boolean).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// A single control plane may stand as a plain string.
fn one_url_is_a_list(table: &mut Table) {
    if let Some(value @ Value::String(_)) = table.get_mut("control_url") {
        *value = Value::Array(vec![value.clone()]);
    }
}
