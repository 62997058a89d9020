//! `holdfast-dataplane --config-reference`: every key, printed from the table the parser uses.

use std::fmt::Write;

use super::load::env_name;
use super::{Config, SETTINGS};

/// One key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: &'static str,
    /// As Rust has it: `Vec<PathBuf>`, `Option<usize>`.
    pub kind: &'static str,
    /// As it would stand in the file; `None`: absent.
    pub default: Option<String>,
    pub env: String,
    pub meaning: String,
}

/// Every key, in the order of declaration.
#[must_use]
pub fn reference() -> Vec<Setting> {
    let defaults = toml::Value::try_from(Config::default()).expect("defaults are plain values");
    SETTINGS
        .iter()
        .map(|(key, kind, doc)| Setting {
            key,
            kind,
            default: defaults.get(key).map(ToString::to_string),
            env: env_name(key),
            meaning: doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "),
        })
        .collect()
}

/// The reference as a file that parses: meanings as comments, keys without default commented out.
#[must_use]
pub fn render() -> String {
    let mut text = String::new();
    for setting in reference() {
        let Setting { key, meaning, env, .. } = &setting;
        let line = match &setting.default {
            Some(default) => format!("{key} = {default}"),
            None => format!("# {key} ="),
        };
        write!(text, "# {meaning}\n# environment: {env}\n{line}\n\n").expect("a String takes every write");
    }
    text
}
