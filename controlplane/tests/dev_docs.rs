//! The documentation of the configuration is what the code says; `HOLDFAST_UPDATE_DOCS=1` writes it anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_controlplane::config::Config;

/// By the working directory, which is the package's: a binary that another checkout built reads this one's files.
fn deploy(name: &str) -> PathBuf {
    Path::new("../deploy").join(name)
}

#[test]
fn the_reference_in_the_repository_is_the_codes() {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["config", "reference", "--plane", "controlplane"])
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = deploy("config/controlplane.reference.toml");
    if std::env::var_os("HOLDFAST_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &output.stdout).expect("written");
    }
    let documented = std::fs::read(&path).expect("the reference is part of the repository");
    assert!(
        documented == output.stdout,
        "{} is not what the code says; run this test once with HOLDFAST_UPDATE_DOCS=1",
        path.display()
    );
}

#[test]
fn the_example_is_a_good_configuration() {
    let path = deploy("config/controlplane.toml");
    let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.admin_addr.ip().is_loopback());
}

#[test]
fn the_units_name_files_that_init_makes() {
    let unit = std::fs::read_to_string(deploy("systemd/holdfast-controlplane.service")).expect("the unit");
    let defaults = Config::default();
    for file in [&defaults.master_key_file, &defaults.admin_token_file] {
        assert!(unit.contains(&format!("LoadCredential={}:", file.display())), "{}", file.display());
    }
}
