//! The byte stream below HTTP: TCP, or TLS over it.

use super::failure::{Failure, Stop};
use crate::limits::CA_FILE;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where connections go, and how.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Tls>,
}

/// Whom to believe, and who the server must be.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Believes the certificates in `ca`, else those of the system; `host` is the name or address that the server's own must
    /// carry.
    ///
    /// # Errors
    /// A file that cannot be read or holds no certificate; a host that is neither name nor address.
    pub(super) fn new(host: &str, ca: Option<&Path>) -> Result<Self, Stop> {
        let path = ca.map_or_else(|| PathBuf::from(CA_FILE), Path::to_owned);
        let refuse = |cause: String| Stop::Certificates { path: path.clone(), cause };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| refuse(error.to_string()))? {
            let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
            roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(refuse("no certificate in it".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| refuse(error.to_string()))?;
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name =
            name.map_err(|_| Stop::Endpoint(host.to_owned(), "no host name that a certificate can carry"))?;
        Ok(Self { config: Arc::new(config), name })
    }
}

pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    pub(super) async fn open(door: &Door) -> Result<Self, Failure> {
        let stream = TcpStream::connect(door.address).await?;
        stream.set_nodelay(true)?;
        match &door.tls {
            None => Ok(Self::Plain(stream)),
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(&tls.config));
                let stream = connector.connect(tls.name.clone(), stream).await?;
                Ok(Self::Tls(Box::new(stream)))
            }
        }
    }

    /// Some bytes; 0 when the server has closed.
    pub(super) async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into).await,
            Self::Tls(stream) => stream.read(into).await,
        }
    }

    /// Acknowledges what was received without the usual wait for company. For a head that came alone: a server that sends the
    /// body apart and leaves Nagle's algorithm on (Garage 2.5 does) would else be measured by this side's 40 ms.
    pub(super) fn acknowledge(&self) {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        // A connection that is broken says so when it is read.
        let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
    }

    /// Some of the bytes, at least one.
    pub(super) async fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write_vectored(slices).await,
            Self::Tls(stream) => stream.write_vectored(slices).await,
        }
    }

    /// What was written is on its way.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.flush().await,
        }
    }

    /// True when the server has closed, or spoken out of turn, on a connection that nothing was asked on.
    pub(super) fn is_closed(&self) -> bool {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        // session tickets of TLS 1.3 may lie unread: only an end or an error counts
        let mut byte = [0];
        match rustix::net::recv(
            stream,
            &mut byte[..],
            rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT,
        ) {
            Ok((_, count)) => count == 0,
            Err(error) => error != rustix::io::Errno::AGAIN,
        }
    }
}
