//! Secrets live in files of their own: read once, refused when others can read them, never printed.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use holdfast_common::secret::Secret;

use super::{Config, ConfigError};

const RUN_INIT: &str = "run `holdfast-controlplane init --config FILE` to make it";

/// A key with every right, installed at start.
#[derive(Clone, Debug)]
pub struct RootCredentials {
    pub access_key_id: String,
    pub secret_access_key: Secret,
}

impl Config {
    /// PostgreSQL's address, a password possibly within.
    ///
    /// # Errors
    /// When its file cannot be read or is open to others.
    pub fn database_url(&self) -> Result<Secret, ConfigError> {
        if let Some(url) = &self.database_url {
            return Ok(Secret::from(url.clone()));
        }
        let path = self.database_url_file.as_deref().ok_or(ConfigError::NoDatabase)?;
        let text = read_owner_only("the database address", &self.resolve(path), "check `database_url_file`")?;
        Ok(Secret::new(text.expose().trim_ascii().to_vec()))
    }

    /// The 32 bytes that seal secrets in PostgreSQL.
    ///
    /// # Errors
    /// When the file is missing, open to others, or not 64 hex digits.
    pub fn master_key(&self) -> Result<Secret, ConfigError> {
        read_master_key(&self.resolve(&self.master_key_file))
    }

    /// SHA-256 of the admin token.
    ///
    /// # Errors
    /// When the file is missing or does not hold `sha256:` and 64 hex digits.
    pub fn admin_token_hash(&self) -> Result<[u8; 32], ConfigError> {
        let path = self.resolve(&self.admin_token_file);
        let text = read_owner_only("the admin token's hash", &path, RUN_INIT)?;
        let digits = text.expose().trim_ascii().strip_prefix(b"sha256:");
        let hash = digits.and_then(|digits| hex::decode(digits).ok()).and_then(|bytes| bytes.try_into().ok());
        hash.ok_or(ConfigError::SecretMalformed {
            what: "the admin token's hash",
            path,
            expected: "`sha256:` and 64 hex digits",
            next: "remove it and run `holdfast-controlplane init --config FILE` for a new token",
        })
    }

    /// The root key to install, when one is configured.
    ///
    /// # Errors
    /// When its file cannot be read, is open to others, or lacks a field.
    pub fn root_credentials(&self) -> Result<Option<RootCredentials>, ConfigError> {
        let Some(path) = &self.root_credentials_file else { return Ok(None) };
        RootCredentials::read(&self.resolve(path)).map(Some)
    }
}

impl RootCredentials {
    /// Reads `{"access_key_id": ..., "secret_access_key": ...}`.
    ///
    /// # Errors
    /// As [`Config::root_credentials`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        #[derive(serde::Deserialize)]
        struct File {
            access_key_id: String,
            secret_access_key: String,
        }
        let text = read_owner_only("the root credentials", path, "check `root_credentials_file`")?;
        let file: File = serde_json::from_slice(text.expose()).map_err(|_| ConfigError::SecretMalformed {
            what: "the root credentials",
            path: path.to_owned(),
            expected: "a JSON object with `access_key_id` and `secret_access_key`",
            next: "write both, or remove the file to have new ones made",
        })?;
        Ok(Self {
            access_key_id: file.access_key_id,
            secret_access_key: Secret::from(file.secret_access_key),
        })
    }
}

/// A master key: 64 hex digits, 32 bytes.
///
/// # Errors
/// When the file is missing, open to others, or holds something else.
pub fn read_master_key(path: &Path) -> Result<Secret, ConfigError> {
    let text = read_owner_only("the master key", path, RUN_INIT)?;
    let bytes = hex::decode(text.expose().trim_ascii()).ok().filter(|bytes| bytes.len() == 32);
    bytes.map(Secret::new).ok_or_else(|| ConfigError::SecretMalformed {
        what: "the master key",
        path: path.to_owned(),
        expected: "64 hex digits",
        next: "restore it from where you keep it; a new one cannot open what the old one sealed",
    })
}

/// What is stored of an admin token.
#[must_use]
pub fn hash_token(token: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, token);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Reads a file that only its owner (or root, through systemd's credentials) may read.
///
/// # Errors
/// Unreadable, or readable by others.
pub fn read_owner_only(what: &'static str, path: &Path, next: &'static str) -> Result<Secret, ConfigError> {
    let unreadable = |cause| ConfigError::SecretUnreadable { what, path: path.to_owned(), cause, next };
    let mode = std::fs::metadata(path).map_err(unreadable)?.mode() & 0o777;
    // Group-read is how systemd and configuration tools hand a root-owned secret to a service; world-read is a mistake.
    if mode & 0o007 != 0 {
        return Err(ConfigError::SecretOpen { what, path: path.to_owned(), mode });
    }
    std::fs::read(path).map(Secret::new).map_err(unreadable)
}

/// Writes a file of mode 0600 so that a reader sees the old content or the whole new one, after a power cut too.
///
/// # Errors
/// When the directory refuses.
pub fn write_owner_only(path: &Path, content: &[u8]) -> Result<(), ConfigError> {
    let failed = |cause| ConfigError::Unwritable { path: path.to_owned(), cause };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // What a kill left behind may have another mode; a fresh file cannot.
    match std::fs::remove_file(&new) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(failed(cause)),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

/// Where a path of the file leads; see [`Config::resolve`].
pub(super) fn resolve(base: &Path, path: &Path, credentials: Option<&Path>) -> PathBuf {
    let bare = path.components().count() == 1 && path.is_relative();
    let credential =
        credentials.filter(|_| bare).map(|directory| directory.join(path)).filter(|found| found.exists());
    credential.unwrap_or_else(|| base.join(path))
}

#[cfg(test)]
mod tests {
    use super::{hash_token, read_owner_only, resolve, write_owner_only};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    #[test]
    fn bare_names_come_from_systemd_when_it_has_them() {
        let credentials = tempfile::tempdir().expect("a directory");
        std::fs::write(credentials.path().join("master-key"), "k").expect("written");
        let at = |path: &str| resolve(Path::new("/etc/holdfast"), Path::new(path), Some(credentials.path()));
        assert_eq!(at("master-key"), credentials.path().join("master-key"));
        assert_eq!(at("admin-token"), Path::new("/etc/holdfast/admin-token"));
        assert_eq!(at("keys/master-key"), Path::new("/etc/holdfast/keys/master-key"));
        assert_eq!(at("/srv/master-key"), Path::new("/srv/master-key"));
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        write_owner_only(&path, b"one").expect("written");
        write_owner_only(&path, b"two").expect("written over");
        assert_eq!(read_owner_only("it", &path, "").expect("read").expose(), b"two");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        let error = read_owner_only("it", &path, "").expect_err("refused").to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn the_hash_is_sha_256() {
        assert_eq!(hex::encode(hash_token(b""))[..8], *"e3b0c442");
    }
}
