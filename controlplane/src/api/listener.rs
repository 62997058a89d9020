//! The admin listener: plain on loopback, TLS elsewhere, bounded in connections and time.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::limits::{API_CONNECTIONS_MAX, API_CONNECTIONS_PER_SOURCE_MAX, API_DRAIN, API_HEAD, API_REQUEST};
use crate::sources::Sources;

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("admin_addr {addr} cannot be listened on: {cause}; `ss -ltnp 'sport = :{port}'` names who holds it", port = addr.port())]
    Bind { addr: SocketAddr, cause: std::io::Error },
    #[error("the admin listener's {what} {path} cannot be used: {cause}", path = path.display())]
    Tls { what: &'static str, path: std::path::PathBuf, cause: String },
}

/// A bound listener that serves nothing yet.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Binds `admin_addr`.
    ///
    /// # Errors
    /// Port taken, certificate unusable.
    pub async fn bind(config: &Config) -> Result<Self, ListenError> {
        let tls = match (&config.admin_tls_cert_file, &config.admin_tls_key_file) {
            (Some(cert), Some(key)) => Some(acceptor(&config.resolve(cert), &config.resolve(key))?),
            _ => None,
        };
        let addr = config.admin_addr;
        let tcp = TcpListener::bind(addr).await.map_err(|cause| ListenError::Bind { addr, cause })?;
        Ok(Self { tcp, tls })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.tcp.local_addr().ok()
    }

    /// Serves until `stop` says so, then lets what is in flight finish within a bound.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(API_CONNECTIONS_MAX));
        let sources = Sources::new(API_CONNECTIONS_PER_SOURCE_MAX);
        loop {
            let place = places.clone().acquire_owned().await.expect("never closed");
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                () = told(&mut stop) => break,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of descriptors, mostly: others must end first.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Some(source) = sources.place(peer.ip()) else {
                tracing::debug!(%peer, "too many connections of one address to the admin listener");
                continue;
            };
            let (tls, router, stop) = (self.tls.clone(), router.clone(), stop.clone());
            tokio::spawn(async move {
                connection(stream, peer, tls, router, stop).await;
                drop((place, source));
            });
        }
        let all = u32::try_from(API_CONNECTIONS_MAX).expect("a small number");
        let _ = tokio::time::timeout(API_DRAIN, places.acquire_many(all)).await;
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    let Some(tls) = tls else { return serve(stream, peer, router, stop).await };
    match tokio::time::timeout(API_HEAD, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, peer, router, stop).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(API_HEAD);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let outcome = tokio::select! {
        outcome = &mut served => outcome,
        () = told(&mut stop) => {
            served.as_mut().graceful_shutdown();
            match tokio::time::timeout(API_REQUEST, served).await {
                Ok(outcome) => outcome,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "admin connection broke off");
    }
}

/// Resolves when it is time to stop, or nobody is left who could say so.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, ListenError> {
    let wrong = |what, path: &Path, cause: String| ListenError::Tls { what, path: path.to_owned(), cause };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| wrong("certificate", cert, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("key", key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| wrong("certificate", cert, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
