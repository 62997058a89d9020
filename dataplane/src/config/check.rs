//! What can be known to be wrong before anything is started.

use std::net::IpAddr;

use holdfast_protocol::limits::{LOCAL_FRAGMENTS_MAX, NODES_PARITY_MAX};
use holdfast_protocol::proxy::TrustedProxies;

use super::{Config, ConfigError, ProxyProtocol, SpreadChoice};
use crate::limits::BACKGROUND_RATE_MIN;
use crate::rt::thread::cpus_allowed;
use crate::server::Proxies;

impl Config {
    /// The proxies in front of the S3 port.
    ///
    /// # Errors
    /// [`ConfigError::Value`]: `trusted_proxies` holds what is no address or range, or too broad a one.
    pub fn proxies(&self) -> Result<Proxies, ConfigError> {
        let trusted = TrustedProxies::parse(&self.trusted_proxies).map_err(|error| ConfigError::Value {
            key: "trusted_proxies",
            why: error.to_string(),
            next: "name the proxies' own addresses, e.g. `10.0.0.7` or `10.1.0.0/16`".to_owned(),
        })?;
        Ok(Proxies { trusted, header_required: self.proxy_protocol == ProxyProtocol::Required })
    }

    /// # Errors
    /// The first offence, as a sentence.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_addresses()?;
        self.check_control_urls()?;
        self.check_drives()?;
        self.check_background()?;
        self.check_cores()?;
        self.check_names()?;
        self.check_identity()?;
        self.check_proxies()?;
        self.check_tls()?;
        self.check_peers()
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        let same = self.s3_addr == self.ops_addr && self.s3_addr.port() != 0;
        refuse(same, "ops_addr", || {
            (format!("is {} like `s3_addr`", self.ops_addr), "give it a port of its own".to_owned())
        })
    }

    fn check_control_urls(&self) -> Result<(), ConfigError> {
        refuse(self.control_url.is_empty(), "control_url", || {
            ("is empty".to_owned(), "name the control plane, e.g. `http://127.0.0.1:9100`".to_owned())
        })?;
        for url in &self.control_url {
            let wrong = control_url_offence(url);
            if let Some(why) = wrong {
                let next =
                    "use `http://127.0.0.1:9100`, `unix:/run/holdfast/control.sock` or `https://host:port`";
                return Err(ConfigError::Value { key: "control_url", why, next: next.to_owned() });
            }
        }
        Ok(())
    }

    fn check_drives(&self) -> Result<(), ConfigError> {
        let count = self.drives.len();
        refuse(count == 0, "drives", || {
            (
                "names no directory".to_owned(),
                "name at least one: `drives = [\"/srv/holdfast/d0\"]`".to_owned(),
            )
        })?;
        let twice = self.drives.iter().enumerate().find(|(at, drive)| self.drives[..*at].contains(drive));
        refuse(twice.is_some(), "drives", || {
            (format!("names {} twice", twice.expect("found").1.display()), "remove one".to_owned())
        })?;
        refuse(count > LOCAL_FRAGMENTS_MAX, "drives", || {
            let next = "run several nodes on this machine".to_owned();
            (format!("names {count} directories; a node uses at most {LOCAL_FRAGMENTS_MAX}"), next)
        })?;
        if self.spread == SpreadChoice::Nodes {
            return self.check_parity_over_nodes();
        }
        refuse(self.parity * 2 > count, "parity", || {
            let most = count / 2;
            (
                format!(
                    "is {} of {count} drives; fewer than half of the fragments can be spare",
                    self.parity
                ),
                format!("set it to {most} or less, or add drives"),
            )
        })
    }

    /// How many nodes there are is known only later.
    fn check_parity_over_nodes(&self) -> Result<(), ConfigError> {
        refuse(!(1..=NODES_PARITY_MAX).contains(&self.parity), "parity", || {
            (
                format!(
                    "is {} with `spread = \"nodes\"`; 1 to {NODES_PARITY_MAX} nodes can be spare",
                    self.parity
                ),
                format!("set it to 1 with three nodes, or to as much as {NODES_PARITY_MAX} with six"),
            )
        })
    }

    fn check_background(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("scrub_period_seconds", self.scrub_period_seconds),
            ("reap_period_seconds", self.reap_period_seconds),
        ] {
            refuse(value == 0, key, || ("is 0".to_owned(), "set it to 1 or more".to_owned()))?;
        }
        let (rate, least) = (self.background_bytes_per_second, BACKGROUND_RATE_MIN);
        refuse(rate < least, "background_bytes_per_second", || {
            (
                format!("is {rate}; repair would not keep up with anything"),
                format!("set it to {least} or more"),
            )
        })
    }

    fn check_cores(&self) -> Result<(), ConfigError> {
        let allowed = cpus_allowed().len();
        let Some(cores) = self.cores else { return Ok(()) };
        refuse(cores == 0, "cores", || {
            ("is 0".to_owned(), "remove the key to use every CPU, or set it to 1 or more".to_owned())
        })?;
        refuse(allowed > 0 && cores > allowed, "cores", || {
            (
                format!("is {cores}, and this process may use {allowed} CPUs"),
                format!("set it to {allowed} or less"),
            )
        })
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        let word = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
        };
        refuse(!word(&self.region), "region", || {
            (
                format!("is {:?}", self.region),
                "use lower-case letters, digits and hyphens, e.g. `us-east-1`".to_owned(),
            )
        })?;
        let domain = self.domains.iter().find(|domain| !word(domain));
        refuse(domain.is_some(), "domains", || {
            (
                format!("holds {:?}", domain.expect("found")),
                "use bare host names, e.g. `s3.example.com`".to_owned(),
            )
        })
    }

    fn check_proxies(&self) -> Result<(), ConfigError> {
        let proxies = self.proxies()?;
        refuse(proxies.header_required && proxies.trusted.is_empty(), "proxy_protocol", || {
            (
                "is `required`, and no proxy is trusted, so that every connection would be refused"
                    .to_owned(),
                "name the proxies: `trusted_proxies = [\"10.0.0.7\"]`".to_owned(),
            )
        })
    }

    fn check_identity(&self) -> Result<(), ConfigError> {
        let files = [
            ("node_cert_file", &self.node_cert_file),
            ("node_key_file", &self.node_key_file),
            ("cluster_ca_file", &self.cluster_ca_file),
        ];
        let some = files.iter().any(|(_, file)| file.is_some());
        let missing = files.iter().find(|(_, file)| some && file.is_none()).map(|(key, _)| *key);
        refuse(missing.is_some(), missing.unwrap_or_default(), || {
            let next = "give all three of `node_cert_file`, `node_key_file` and `cluster_ca_file`, or none and `join`";
            ("is missing beside the other two".to_owned(), next.to_owned())
        })
    }

    fn check_tls(&self) -> Result<(), ConfigError> {
        let (key, other) = match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) => ("tls_key_file", "tls_cert_file"),
            (None, Some(_)) => ("tls_cert_file", "tls_key_file"),
            _ => return Ok(()),
        };
        Err(ConfigError::Value {
            key,
            why: format!("is missing beside `{other}`"),
            next: "give both for TLS, or none".to_owned(),
        })
    }
}

impl Config {
    fn check_peers(&self) -> Result<(), ConfigError> {
        let unknown = self.peer_addr.is_some_and(|addr| addr.port() == 0 || addr.ip().is_unspecified());
        refuse(unknown && self.peer_advertise.is_none(), "peer_advertise", || {
            let why = "is missing: other nodes cannot connect to `peer_addr` as it stands".to_owned();
            (why, "say what they shall use: `peer_advertise = \"10.0.0.7:9003\"`".to_owned())
        })?;
        refuse(self.peer_advertise.is_some() && self.peer_addr.is_none(), "peer_addr", || {
            ("is missing beside `peer_advertise`".to_owned(), "give both, or none".to_owned())
        })?;
        let bad = self.peer_advertise.as_deref().filter(|text| {
            let port = text.rsplit_once(':').map(|(host, port)| (host.is_empty(), port.parse::<u16>()));
            !matches!(port, Some((false, Ok(1..))))
        });
        refuse(bad.is_some(), "peer_advertise", || {
            (format!("is {:?}", bad.unwrap_or_default()), "write it as `host:port`".to_owned())
        })
    }
}

fn refuse(
    wrong: bool,
    key: &'static str,
    sentence: impl FnOnce() -> (String, String),
) -> Result<(), ConfigError> {
    if !wrong {
        return Ok(());
    }
    let (why, next) = sentence();
    Err(ConfigError::Value { key, why, next })
}

/// What is wrong with a control plane's address: in clear it must not leave the machine.
fn control_url_offence(url: &str) -> Option<String> {
    if url.starts_with("https://") || url.starts_with("unix:/") {
        return None;
    }
    let Some(authority) = url.strip_prefix("http://") else {
        return Some(format!("holds {url:?}, which is not a URL this node can use"));
    };
    let authority = authority.trim_end_matches('/');
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    (!loopback).then(|| format!("holds {url:?}: without TLS only loopback is allowed"))
}
