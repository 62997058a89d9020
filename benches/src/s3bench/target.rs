//! Which server: its address, credentials, processes and metrics.

use super::failure::Stop;
use super::options::TargetOptions;
use super::transport::{Door, Tls};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

/// A server to measure.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) endpoint: String,
    pub(super) door: Door,
    /// Value of the Host header.
    pub(super) host: String,
    pub(super) bucket: String,
    pub(super) region: String,
    pub(super) credentials: Credentials,
    /// Role and process id.
    pub(super) processes: Vec<(String, u32)>,
    pub(super) metrics: Vec<HttpAddress>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, ..)", self.access_key_id)
    }
}

/// `DIR/ready.json` of a running `holdfast dev`.
#[derive(Deserialize)]
struct Ready {
    s3: String,
    region: String,
    admin: Option<String>,
    dataplane_ops: Option<String>,
    pids: BTreeMap<String, u32>,
}

/// Host, port and path of an http or https URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpAddress {
    pub(super) is_tls: bool,
    /// As in the URL: `host[:port]`.
    pub(super) authority: String,
    pub(super) path: String,
}

impl HttpAddress {
    pub(super) fn parse(url: &str) -> Result<Self, Stop> {
        let refuse = |why| Stop::Endpoint(url.to_owned(), why);
        let (is_tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(refuse("the scheme is missing")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() || authority.contains('@') {
            return Err(refuse("the host is missing"));
        }
        Ok(Self { is_tls, authority: authority.to_owned(), path: format!("/{path}") })
    }

    pub(super) fn resolve(&self) -> Option<SocketAddr> {
        let port = if self.is_tls { 443 } else { 80 };
        let with_port =
            if self.has_port() { self.authority.clone() } else { format!("{}:{port}", self.authority) };
        with_port.to_socket_addrs().ok()?.next()
    }

    fn has_port(&self) -> bool {
        self.authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    }

    /// Without the port.
    fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, _)) if self.has_port() => host,
            _ => &self.authority,
        }
    }
}

impl Target {
    /// Puts the command line and the data directory together; the command line wins.
    pub(super) fn of(options: &TargetOptions) -> Result<Self, Stop> {
        let (mut ready, mut credentials) = (None, None);
        if let Some(dir) = &options.data_dir {
            ready = Some(read::<Ready>(&dir.join("ready.json"))?);
            credentials = Some(read::<Credentials>(&dir.join("root-credentials.json"))?);
        }
        if let (Some(id), Some(secret)) = (&options.access_key, &options.secret_key) {
            // AWS_* of the environment are for other endpoints than a directory's own
            if credentials.is_none() {
                credentials =
                    Some(Credentials { access_key_id: id.clone(), secret_access_key: secret.clone() });
            }
        }
        let endpoint = options.endpoint.clone().or(ready.as_ref().map(|ready| ready.s3.clone()));
        let endpoint = endpoint.ok_or(Stop::NoTarget)?;
        let at = HttpAddress::parse(&endpoint)?;
        let address =
            at.resolve().ok_or_else(|| Stop::Endpoint(endpoint.clone(), "the host has no address"))?;
        let tls = at.is_tls.then(|| Tls::new(at.host(), options.ca.as_deref())).transpose()?;
        let region = options.region.clone().or(ready.as_ref().map(|ready| ready.region.clone()));
        Ok(Self {
            endpoint,
            door: Door { address, tls },
            host: at.authority,
            bucket: options.bucket.clone(),
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            credentials: credentials.ok_or(Stop::NoCredentials)?,
            processes: processes(options, ready.as_ref()),
            metrics: metrics(options, ready.as_ref())?,
        })
    }
}

fn processes(options: &TargetOptions, ready: Option<&Ready>) -> Vec<(String, u32)> {
    match ready {
        Some(ready) if options.pids.is_empty() => {
            ready.pids.iter().map(|(role, pid)| (role.clone(), *pid)).collect()
        }
        _ => options.pids.iter().map(|pid| (process_name(*pid), *pid)).collect(),
    }
}

fn process_name(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim().is_empty() { format!("pid {pid}") } else { format!("{} {pid}", name.trim()) }
}

/// The admin address shows both planes; the data plane's own is asked when it does not.
fn metrics(options: &TargetOptions, ready: Option<&Ready>) -> Result<Vec<HttpAddress>, Stop> {
    let mut urls = options.metrics.clone();
    if let (true, Some(ready)) = (urls.is_empty(), ready) {
        let known = [&ready.dataplane_ops, &ready.admin];
        urls =
            known.into_iter().flatten().map(|url| format!("{}/metrics", url.trim_end_matches('/'))).collect();
        urls.retain(|url| url.starts_with("http://"));
    }
    match urls.iter().find(|url| !url.starts_with("http://")) {
        Some(url) => Err(Stop::Endpoint(url.clone(), "metrics are read over plain http")),
        None => urls.iter().map(|url| HttpAddress::parse(url)).collect(),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Stop> {
    let stop = |cause: String| Stop::DataDir { path: path.to_owned(), cause };
    let text = std::fs::read(path).map_err(|error| stop(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| stop(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::HttpAddress;

    #[test]
    fn endpoints_are_urls() {
        let address = HttpAddress::parse("http://127.0.0.1:9001/metrics").expect("an address");
        assert_eq!((address.authority.as_str(), address.path.as_str()), ("127.0.0.1:9001", "/metrics"));
        assert!(address.resolve().is_some());
        let secure = HttpAddress::parse("https://localhost:9443").expect("an address");
        assert!(secure.is_tls && !address.is_tls);
        assert_eq!(
            (secure.host(), HttpAddress::parse("https://[::1]").expect("one").host()),
            ("localhost", "[::1]")
        );
        assert!(HttpAddress::parse("127.0.0.1:9000").is_err() && HttpAddress::parse("http:///x").is_err());
    }
}
