use std::path::{Path, PathBuf};

use super::{Config, ConfigError, SETTINGS, read_secret, reference, render, resolve};

const GOOD: &str = "drives = ['/d0', '/d1', '/d2', '/d3']\n";

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let lookup = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let config = Config::parse(Path::new("/etc/holdfast/dataplane.toml"), text, lookup)?;
    config.check()?;
    Ok(config)
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let sentence = parse(text, &[]).expect_err(text).to_string();
    assert!(sentence.contains(expected), "{sentence}");
}

#[test]
fn every_key_is_in_the_reference_and_the_reference_parses() {
    let written = toml::Table::try_from(Config::default()).unwrap();
    for (key, value) in &written {
        let row = reference().into_iter().find(|row| row.key == key).expect(key);
        assert_eq!(row.default.as_deref(), Some(value.to_string().as_str()));
    }
    assert!(reference().iter().all(|row| row.meaning.ends_with('.')), "{:?}", reference());
    let parsed = Config::parse(Path::new("r.toml"), &render(), |_| None).unwrap();
    assert_eq!(parsed, Config { file: PathBuf::from("r.toml"), ..Config::default() });
}

#[test]
fn every_key_of_the_table_is_accepted_from_the_environment() {
    for (key, _, _) in SETTINGS {
        let name = format!("HOLDFAST_DATAPLANE_{}", key.to_ascii_uppercase());
        let sentence = match parse(GOOD, &[(&name, "\u{1}")]) {
            Ok(_) => continue,
            Err(error) => error.to_string(),
        };
        assert!(!sentence.contains("unknown field"), "{sentence}");
    }
    let env = [
        ("HOLDFAST_DATAPLANE_CORES", "1"),
        ("HOLDFAST_DATAPLANE_DRIVES", "/a, /b"),
        ("HOLDFAST_DATAPLANE_PARITY", "1"),
        ("HOLDFAST_DATAPLANE_REQUIRE_IO_URING", "true"),
        ("HOLDFAST_DATAPLANE_S3_ADDR", "[::1]:1"),
        ("HOLDFAST_DATAPLANE_TRUSTED_PROXIES", "10.0.0.7,2001:db8::/48"),
        ("HOLDFAST_DATAPLANE_PROXY_PROTOCOL", "required"),
    ];
    let config = parse(GOOD, &env).unwrap();
    assert_eq!(config.cores, Some(1));
    assert_eq!(config.drives, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert!(config.require_io_uring);
    let proxies = config.proxies().unwrap();
    assert!(proxies.header_required && proxies.trusted.holds("2001:db8::1".parse().unwrap()));
    assert_eq!(config.s3_addr.to_string(), "[::1]:1");
}

#[test]
fn what_is_wrong_is_said_with_its_key() {
    refused("drives = [1]", "`drives[0]`");
    refused("colour = 'red'", "unknown field `colour`");
    refused("drives = [", "/etc/holdfast/dataplane.toml: ");
    refused("", "`drives` names no directory");
    refused("drives = ['/a', '/a', '/b', '/c']", "names /a twice");
    refused("drives = ['/a', '/b', '/c']", "`parity` is 2 of 3 drives");
    refused(&format!("{GOOD}spread = 'regions'"), "unknown variant `regions`");
    refused("drives = ['/a']\nspread = 'nodes'\nparity = 4", "`parity` is 4 with `spread = \"nodes\"`");
    refused("drives = ['/a']\nspread = 'nodes'\nparity = 0", "1 to 3 nodes can be spare");
    refused(&format!("{GOOD}cores = 0"), "`cores` is 0");
    refused(&format!("{GOOD}cores = 100000"), "this process may use");
    refused(&format!("{GOOD}control_url = 'http://10.0.0.1:9100'"), "only loopback is allowed");
    refused(&format!("{GOOD}control_url = 'ftp://x'"), "not a URL");
    refused(&format!("{GOOD}tls_cert_file = 'c'"), "`tls_key_file` is missing");
    refused(&format!("{GOOD}node_cert_file = 'c'\ncluster_ca_file = 'a'"), "`node_key_file` is missing");
    refused(&format!("{GOOD}s3_addr = '127.0.0.1:9002'"), "like `s3_addr`");
    refused(&format!("{GOOD}reap_period_seconds = 0"), "`reap_period_seconds` is 0");
    refused(&format!("{GOOD}background_bytes_per_second = 5"), "set it to 1048576 or more");
    refused(&format!("{GOOD}region = 'US'"), "`region` is \"US\"");
    refused(&format!("{GOOD}domains = ['http://x']"), "bare host names");
    refused(&format!("{GOOD}trusted_proxies = ['10.0.0.0/33']"), "`trusted_proxies` holds \"10.0.0.0/33\"");
    refused(
        &format!("{GOOD}trusted_proxies = ['0.0.0.0/0']"),
        "any address; name the proxies' own addresses",
    );
    refused(&format!("{GOOD}proxy_protocol = 'required'"), "`proxy_protocol` is `required`, and no proxy");
    refused(&format!("{GOOD}proxy_protocol = 'v1'"), "`proxy_protocol`: unknown variant");
    let sentence = parse(GOOD, &[("HOLDFAST_DATAPLANE_CORES", "two")]).unwrap_err().to_string();
    assert!(sentence.contains("the environment's HOLDFAST_DATAPLANE_CORES"), "{sentence}");
}

#[test]
fn one_control_plane_may_be_a_string() {
    for url in ["http://127.0.0.1:9100", "http://[::1]:9100", "http://localhost:9100", "https://control:9100"]
    {
        let config = parse(&format!("{GOOD}control_url = '{url}'"), &[]).unwrap();
        assert_eq!(config.control_url, [url]);
    }
}

#[test]
fn bare_names_are_looked_for_among_the_credentials() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "x").unwrap();
    let (base, credentials) = (Path::new("/etc/holdfast"), Some(dir.path()));
    assert_eq!(resolve(base, Path::new("token"), credentials), dir.path().join("token"));
    assert_eq!(resolve(base, Path::new("other"), credentials), Path::new("/etc/holdfast/other"));
    assert_eq!(resolve(base, Path::new("tls/key"), credentials), Path::new("/etc/holdfast/tls/key"));
    assert_eq!(resolve(base, Path::new("/abs"), credentials), Path::new("/abs"));
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "hush\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let sentence = read_secret("node_token_file", &path).unwrap_err().to_string();
    assert!(sentence.contains("chmod 600"), "{sentence}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read_secret("node_token_file", &path).unwrap().expose(), b"hush");
}
