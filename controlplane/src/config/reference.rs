//! `holdfast config reference`: every key with its default and environment name, printed from the code.

use super::load::env_name;
use super::{Config, SETTINGS};

/// One key of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingRow {
    pub key: &'static str,
    /// As it would stand in the file; `None`: absent.
    pub default: Option<String>,
    pub env: String,
    pub meaning: String,
}

/// Every key of the control plane, in the order of declaration.
#[must_use]
pub fn reference() -> Vec<SettingRow> {
    let defaults = toml::Value::try_from(Config::default()).expect("defaults are plain values");
    SETTINGS
        .iter()
        .map(|(key, _, doc)| SettingRow {
            key,
            default: defaults.get(key).map(ToString::to_string),
            env: env_name(key),
            meaning: doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn every_key_has_a_meaning_and_the_defaults_are_real() {
        let rows = reference();
        assert!(rows.iter().all(|row| row.meaning.ends_with('.')), "{rows:?}");
        let find = |key: &str| rows.iter().find(|row| row.key == key).expect("there");
        assert_eq!(find("grpc_addr").default.as_deref(), Some("\"127.0.0.1:9100\""));
        assert_eq!(find("dev").default.as_deref(), Some("false"));
        assert_eq!(find("database_url").default, None);
        assert_eq!(find("log_format").env, "HOLDFAST_CONTROLPLANE_LOG_FORMAT");
    }
}
