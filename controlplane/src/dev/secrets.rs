//! The secrets of a data directory: made at the first start, kept, shown to no log. There is no default pair.

use std::path::Path;

use holdfast_common::secret::Secret;
use ring::rand::{SecureRandom, SystemRandom};

use super::ready::AdminFile;
use super::{DataDir, DevError, DevOptions};
use crate::config::{ConfigError, RootCredentials, hash_token, write_owner_only};

/// Makes what is missing and returns the admin token.
pub(super) fn prepare(directory: &DataDir, options: &DevOptions) -> Result<Secret, DevError> {
    let master = directory.path("secrets/master-key");
    if !master.exists() {
        write_owner_only(&master, random_hex(32).as_bytes())?;
    }
    root_credentials(&directory.path("root-credentials.json"), options)?;
    let token = match AdminFile::read(&directory.path("admin.json")) {
        Ok(file) => Secret::from(file.token),
        Err(_) => Secret::from(format!("hfa_{}", random_hex(24))),
    };
    let hash = format!("sha256:{}\n", hex::encode(hash_token(token.expose())));
    write_owner_only(&directory.path("secrets/admin-token"), hash.as_bytes())?;
    Ok(token)
}

/// What the environment says wins and is kept; without it, what was kept; without that, a new pair.
fn root_credentials(path: &Path, options: &DevOptions) -> Result<(), ConfigError> {
    let (id, secret) = match (&options.root_access_key, &options.root_secret_key) {
        (Some(id), Some(secret)) => (id.clone(), String::from_utf8_lossy(secret.expose()).into_owned()),
        _ if path.exists() => return RootCredentials::read(path).map(drop),
        _ => (random_text(20, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), random_text(40, ALPHANUMERIC)),
    };
    let file = serde_json::json!({ "access_key_id": id, "secret_access_key": secret });
    write_owner_only(path, format!("{file:#}\n").as_bytes())
}

/// 64 characters, so that six bits of a random byte choose one without bias; the last two are safe in URLs and shells.
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Random text over an alphabet whose size is a power of two.
fn random_text(length: usize, alphabet: &[u8]) -> String {
    assert!(alphabet.len().is_power_of_two() && alphabet.len() <= 256, "{} characters", alphabet.len());
    random(length)
        .into_iter()
        .map(|byte| char::from(alphabet[usize::from(byte) & (alphabet.len() - 1)]))
        .collect()
}

/// As many random bytes, in hex.
pub(crate) fn random_hex(bytes: usize) -> String {
    hex::encode(random(bytes))
}

fn random(bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    SystemRandom::new().fill(&mut buffer).expect("the kernel gives random bytes");
    buffer
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::options;
    use super::{RootCredentials, random_text, root_credentials};

    #[test]
    fn a_pair_is_made_once_and_the_environment_wins() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("root-credentials.json");
        let mut options = options(&[]);
        (options.root_access_key, options.root_secret_key) = (None, None);
        root_credentials(&path, &options).expect("made");
        let first = RootCredentials::read(&path).expect("read");
        assert_eq!((first.access_key_id.len(), first.secret_access_key.expose().len()), (20, 40));
        root_credentials(&path, &options).expect("kept");
        assert_eq!(RootCredentials::read(&path).expect("read").access_key_id, first.access_key_id);
        options.root_access_key = Some("mine".to_owned());
        options.root_secret_key = Some("only-mine".to_owned().into());
        root_credentials(&path, &options).expect("replaced");
        assert_eq!(RootCredentials::read(&path).expect("read").access_key_id, "mine");
    }

    #[test]
    fn random_text_keeps_to_its_alphabet() {
        assert!(random_text(200, b"ab").bytes().all(|byte| byte == b'a' || byte == b'b'));
    }
}
