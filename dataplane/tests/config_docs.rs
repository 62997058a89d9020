//! Holds the example and the printed reference in `deploy/config` against the parser's own table.
//!
//! After a key was added: `HOLDFAST_UPDATE_DOCS=1 cargo test -p holdfast-dataplane --test config_docs`.

use std::path::{Path, PathBuf};

use holdfast_dataplane::config::{Config, reference, render};

/// By the working directory, which is the package's: a binary that another checkout built reads this one's files.
fn file(name: &str) -> PathBuf {
    Path::new("../deploy/config").join(name)
}

#[test]
fn the_reference_is_what_the_program_prints() {
    let path = file("dataplane.reference.toml");
    let printed = format!("{}\n", render().trim_end());
    if std::env::var_os("HOLDFAST_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &printed).expect("the checkout is writable");
    }
    let written = std::fs::read_to_string(&path).expect("the reference is in deploy/config");
    assert_eq!(format!("{}\n", written.trim_end()), printed, "run it with HOLDFAST_UPDATE_DOCS=1");
}

#[test]
fn the_reference_parses_to_the_defaults_and_names_every_key() {
    let text = std::fs::read_to_string(file("dataplane.reference.toml")).expect("the reference");
    let parsed = Config::parse(Path::new("reference"), &text, |_| None).expect("it parses");
    assert_eq!(Config { base: PathBuf::new(), file: PathBuf::new(), ..parsed }, Config::default());
    assert!(reference().iter().all(|setting| text.contains(&setting.env)));
}

#[test]
fn the_example_parses() {
    let path = file("dataplane.toml");
    let text = std::fs::read_to_string(&path).expect("the example");
    Config::parse(&path, &text, |_| None).expect("it parses");
}
