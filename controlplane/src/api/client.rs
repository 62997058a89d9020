//! One request to an admin or operational address: what the CLI, the scrape and `dev`'s waiting are made of.
//!
//! A connection per request: there are few, and none may hang on a connection that an earlier one left.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::limits::CLIENT_BODY_BYTES_MAX;

/// Where the distribution keeps the authorities it believes.
const SYSTEM_CAS: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// An address and how to speak with it.
#[derive(Clone, Debug)]
pub struct Target {
    authority: String,
    host: String,
    port: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("`{0}` is not an address such as http://127.0.0.1:9001 or https://admin.example:9001")]
    Address(String),
    #[error("no certificate authority to believe: {path}: {cause}; name a PEM file in HOLDFAST_ADMIN_CA", path = path.display())]
    Authorities { path: PathBuf, cause: String },
    #[error("{authority} does not answer: {cause}")]
    Connect { authority: String, cause: std::io::Error },
    #[error("{authority} broke off: {cause}")]
    Http { authority: String, cause: String },
}

impl Target {
    /// Plain HTTP to an address.
    #[must_use]
    pub fn plain(addr: SocketAddr) -> Self {
        Self { authority: addr.to_string(), host: addr.ip().to_string(), port: addr.port(), tls: None }
    }

    /// From a URL. `ca_file` holds the authorities to believe, or the server's very certificate; `None`: the system's.
    ///
    /// # Errors
    /// When it is not a URL of ours, or no authority can be read for an https one.
    pub fn parse(url: &str, ca_file: Option<&Path>) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let authority = rest.trim_end_matches('/').to_owned();
        let (default_port, tls) = match scheme {
            "http" => (80, false),
            "https" => (443, true),
            _ => return Err(wrong()),
        };
        let parsed: hyper::http::uri::Authority = authority.parse().map_err(|_| wrong())?;
        let host = parsed.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || authority.contains('@') {
            return Err(wrong());
        }
        let port = parsed.port_u16().unwrap_or(default_port);
        let tls = if tls { Some(Arc::new(tls_config(ca_file)?)) } else { None };
        Ok(Self { authority, host, port, tls })
    }
}

impl Target {
    /// Host and port, for people.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// Sends a request and reads the whole answer. `token` goes into the Authorization header.
///
/// # Errors
/// When nobody answers or the connection breaks.
pub async fn request(
    target: &Target,
    method: &str,
    path: &str,
    token: Option<&str>,
) -> Result<Answer, ClientError> {
    request_with(target, method, path, token, Bytes::new()).await
}

/// The same with a JSON body.
///
/// # Errors
/// As [`request`].
pub async fn request_with(
    target: &Target,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Bytes,
) -> Result<Answer, ClientError> {
    let connect = |cause| ClientError::Connect { authority: target.authority.clone(), cause };
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(connect)?;
    let Some(tls) = &target.tls else { return exchange(target, stream, method, path, token, body).await };
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| ClientError::Address(target.authority.clone()))?;
    let stream =
        tokio_rustls::TlsConnector::from(tls.clone()).connect(name, stream).await.map_err(connect)?;
    exchange(target, stream, method, path, token, body).await
}

async fn exchange(
    target: &Target,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Bytes,
) -> Result<Answer, ClientError> {
    let broke = |cause: String| ClientError::Http { authority: target.authority.clone(), cause };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broke(error.to_string()))?;
    let driver = tokio::spawn(connection);
    let mut request = hyper::Request::builder().method(method).uri(path).header("host", &target.authority);
    if let Some(token) = token {
        let mut value = hyper::header::HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| broke("the token holds characters that no header may".to_owned()))?;
        value.set_sensitive(true);
        request = request.header("authorization", value);
    }
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Full::new(body)).map_err(|error| broke(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(|error| broke(error.to_string()))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), CLIENT_BODY_BYTES_MAX).collect().await;
    drop(sender);
    driver.abort();
    Ok(Answer { status, body: body.map_err(|error| broke(error.to_string()))?.to_bytes() })
}

fn tls_config(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, ClientError> {
    let system =
        || SYSTEM_CAS.iter().map(Path::new).find(|path| path.exists()).unwrap_or(Path::new(SYSTEM_CAS[0]));
    let path = ca_file.unwrap_or_else(system);
    let wrong = |cause: String| ClientError::Authorities { path: path.to_owned(), cause };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(error.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots);
    let inner = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    // Only what the operator named is pinned, never the system's bundle.
    let pinned = if ca_file.is_some() { certificates } else { Vec::new() };
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    let verifier = Arc::new(NamedOrPinned { inner, pinned });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Believes a server whose very certificate the operator named (a self-signed one, whatever name it carries), and
/// every other by the usual rules. The handshake's signature is checked in both cases.
#[derive(Debug)]
struct NamedOrPinned {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for NamedOrPinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.iter().any(|pinned| pinned == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn addresses_as_people_write_them() {
        let at = |url| Target::parse(url, None).map(|target| (target.host, target.port));
        assert_eq!(at("http://127.0.0.1:9001/").expect("good"), ("127.0.0.1".to_owned(), 9001));
        assert_eq!(at("http://[::1]:9001").expect("good"), ("::1".to_owned(), 9001));
        assert_eq!(at("http://admin").expect("good"), ("admin".to_owned(), 80));
        for bad in ["127.0.0.1:9001", "ftp://x", "http://", "http://user@host", "http://a b"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
