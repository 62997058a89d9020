//! `holdfast-controlplane init`: the master key and the first admin token.

use holdfast_common::secret::Secret;

use super::{Config, ConfigError, hash_token, write_owner_only};
use crate::dev::random_hex;

/// Makes the master key, unless there is one, and an admin token, whose hash is stored.
///
/// # Errors
/// When there is a token already (it cannot be shown again), or a file cannot be written.
pub fn init_secrets(config: &Config) -> Result<Secret, ConfigError> {
    let token_file = config.base.join(&config.admin_token_file);
    if token_file.exists() {
        return Err(ConfigError::TokenExists { path: token_file });
    }
    // Never overwritten: what it sealed could not be opened again.
    let master_file = config.base.join(&config.master_key_file);
    if !master_file.exists() {
        write_owner_only(&master_file, format!("{}\n", random_hex(32)).as_bytes())?;
    }
    let token = Secret::from(format!("hfa_{}", random_hex(24)));
    let hash = format!("sha256:{}\n", hex::encode(hash_token(token.expose())));
    write_owner_only(&token_file, hash.as_bytes())?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::{Config, hash_token, init_secrets};

    #[test]
    fn a_token_is_made_once_and_only_its_hash_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("controlplane.toml");
        let config = Config::parse(&path, "database_url = 'x'", |_| None).expect("parses");
        let token = init_secrets(&config).expect("made");
        assert_eq!(config.admin_token_hash().expect("read"), hash_token(token.expose()));
        let key = config.master_key().expect("read");
        assert_eq!(key.expose().len(), 32);
        assert!(init_secrets(&config).expect_err("twice").to_string().contains("remove it"));
        std::fs::remove_file(directory.path().join("admin-token")).expect("removed");
        init_secrets(&config).expect("a new token");
        assert_eq!(config.master_key().expect("read").expose(), key.expose(), "the master key stays");
    }
}
