//! How nodes reach the authority: in clear on loopback, else TLS with a certificate that this process renews by itself.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use holdfast_common::certificate::{Role, Subject};
use holdfast_common::wire::{self, enrolment_server::EnrolmentServer, node_server::NodeServer};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::{GrpcTls, OwnPki, StartError};
use crate::app::Authority;
use crate::app::commit::now_ms;
use crate::app::enrol::{Enrolment, Listener};
use crate::app::pki::Pki;
use crate::grpc::gate::Gate;
use crate::grpc::incoming::incoming;
use crate::grpc::tls::{self, Shown};
use crate::grpc::{EnrolmentService, NodeService};
use crate::limits::{CONTROL_CERTIFICATE, CONTROL_CERTIFICATE_TICK, ENROLMENT_BYTES_MAX, GRPC_STREAMS_MAX};

/// A node that has gone without a word is noticed within twice this.
pub(super) const GRPC_KEEPALIVE: Duration = Duration::from_secs(10);
/// Life of nodes' certificates where nobody has one.
const NO_CERTIFICATES: Duration = Duration::ZERO;

type Renewal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the authority needs for making nodes.
pub(super) fn enrolment(pki: Pki, tls: Option<&GrpcTls>, holder: &str, addr: SocketAddr) -> Enrolment {
    let listener = match tls {
        None => Listener::Plain,
        Some(GrpcTls { own: Some(_), .. }) => Listener::Operator,
        Some(GrpcTls { own: None, .. }) => Listener::Cluster,
    };
    let names = tls.map(|tls| tls.names.as_slice()).unwrap_or_default();
    let node_certificate = tls.map_or(NO_CERTIFICATES, |tls| tls.node_certificate);
    Enrolment { pki, control: urls(names, holder, addr), node_certificate, listener }
}

/// The same for a simulation, where nobody joins.
pub(super) fn no_enrolment(cluster_id: uuid::Uuid, now: u64) -> Result<Enrolment, StartError> {
    let pki = Pki::fresh(cluster_id, now).map_err(|error| StartError::Setting(error.to_string()))?;
    Ok(Enrolment { pki, control: Vec::new(), node_certificate: NO_CERTIFICATES, listener: Listener::Plain })
}

/// Where nodes can be told to ask.
fn urls(names: &[String], holder: &str, addr: SocketAddr) -> Vec<String> {
    let mut urls: Vec<String> = Some(holder.trim_end_matches('/').to_owned())
        .filter(|holder| holder.starts_with("https://") && !addr.ip().is_unspecified())
        .into_iter()
        .collect();
    for name in names {
        let host = match name.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => name.clone(),
        };
        urls.push(format!("https://{host}:{}", addr.port()));
    }
    if urls.is_empty() {
        let host = if addr.ip().is_unspecified() { host_name() } else { addr.ip().to_string() };
        urls.push(format!("https://{host}:{}", addr.port()));
    }
    let mut seen = std::collections::HashSet::new();
    urls.retain(|url| seen.insert(url.clone()));
    urls
}

/// The acceptor, and what renews its certificate, unless that is the operator's.
pub(super) fn prepare(
    authority: &Authority,
    settings: &GrpcTls,
    addr: SocketAddr,
) -> Result<(TlsAcceptor, Option<Renewal>), StartError> {
    let inner = &authority.inner;
    let pki = &inner.enrolment.pki;
    let wrong = |error: tls::TlsError| StartError::Setting(error.to_string());
    let mut authorities = vec![pki.ca().clone()];
    if let Some(own) = &settings.own {
        let (chain, key) = own_pair(own, inner.cluster_id)?;
        authorities.extend(certificates("grpc_tls_client_ca_file", &own.client_ca_pem)?);
        let shown = Arc::new(Shown::new(chain, key).map_err(wrong)?);
        return Ok((tls::acceptor(shown, &authorities).map_err(wrong)?, None));
    }
    let names = names(&settings.names, &inner.holder, addr);
    let made = |error: crate::app::pki::PkiError| StartError::Setting(error.to_string());
    let (chain, key) = pki.control(&names, now_ms() / 1000, CONTROL_CERTIFICATE).map_err(made)?;
    let shown = Arc::new(Shown::new(chain, key).map_err(wrong)?);
    let acceptor = tls::acceptor(shown.clone(), &authorities).map_err(wrong)?;
    Ok((acceptor, Some(Box::pin(renew(authority.clone(), shown, names)))))
}

/// Names that this process's certificate carries. Nodes go by its URI; these are for other tools.
fn names(configured: &[String], holder: &str, addr: SocketAddr) -> Vec<String> {
    let mut names = configured.to_vec();
    if !addr.ip().is_unspecified() {
        names.push(addr.ip().to_string());
    }
    let of_holder = holder.split_once("://").map_or(holder, |(_, rest)| rest);
    let of_holder: Option<hyper::http::uri::Authority> = of_holder.trim_end_matches('/').parse().ok();
    names.extend(of_holder.map(|holder| holder.host().trim_matches(['[', ']']).to_owned()));
    names.extend([host_name(), "localhost".to_owned()]);
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| name.is_ascii() && !name.is_empty() && seen.insert(name.clone()));
    names
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

/// Makes the next certificate at half of the last one's life.
async fn renew(authority: Authority, shown: Arc<Shown>, names: Vec<String>) {
    let mut made = Instant::now();
    loop {
        tokio::time::sleep(CONTROL_CERTIFICATE_TICK).await;
        if made.elapsed() < CONTROL_CERTIFICATE / 2 {
            continue;
        }
        let pki = &authority.inner.enrolment.pki;
        let next =
            pki.control(&names, now_ms() / 1000, CONTROL_CERTIFICATE).map_err(|error| error.to_string());
        let replaced =
            next.and_then(|(chain, key)| shown.replace(chain, key).map_err(|error| error.to_string()));
        match replaced {
            Ok(()) => made = Instant::now(),
            Err(error) => {
                tracing::error!(%error, "the control plane's certificate was not renewed; trying again")
            }
        }
    }
}

fn own_pair(
    own: &OwnPki,
    cluster: uuid::Uuid,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), StartError> {
    let chain = certificates("grpc_tls_cert_file", &own.certificate_pem)?;
    let key = PrivateKeyDer::from_pem_slice(own.key_pem.expose())
        .map_err(|error| StartError::Setting(format!("`grpc_tls_key_file` holds no usable key: {error}")))?;
    let wanted = Subject { cluster, role: Role::ControlPlane };
    let names = |chain: &[CertificateDer<'static>]| Subject::of(&chain[0]).is_ok_and(|found| found == wanted);
    if !names(&chain) {
        return Err(StartError::Setting(format!(
            "the certificate of `grpc_tls_cert_file` does not name this control plane, and no node would believe it: have it made \
             with the URI {wanted} among its alternative names, or remove the grpc_tls_* keys to use the cluster's own authority"
        )));
    }
    Ok((chain, key))
}

/// At least one.
fn certificates(key: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(StartError::Setting(format!("`{key}` holds no certificate"))),
        Err(error) => Err(StartError::Setting(format!("`{key}` holds no usable certificate: {error}"))),
    }
}

/// The service of nodes behind its gate, in one place for every listener.
pub(super) fn node_server(authority: &Authority) -> InterceptedService<NodeServer<NodeService>, Gate> {
    let node = NodeServer::new(NodeService::new(authority.clone()))
        .max_decoding_message_size(wire::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(wire::MESSAGE_BYTES_MAX);
    InterceptedService::new(node, Gate::new(authority))
}

/// Serves both services, each behind its gate, until it is told to stop.
pub(super) async fn serve(
    authority: Authority,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let enrolment = EnrolmentServer::new(EnrolmentService::new(authority.clone()))
        .max_decoding_message_size(ENROLMENT_BYTES_MAX);
    let router = Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(GRPC_KEEPALIVE))
        .http2_keepalive_timeout(Some(GRPC_KEEPALIVE))
        .max_concurrent_streams(GRPC_STREAMS_MAX)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .add_service(node_server(&authority))
        .add_service(InterceptedService::new(enrolment, Gate::of_enrolment(&authority)));
    let until = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let served = match tls {
        Some(tls) => router.serve_with_incoming_shutdown(incoming(listener, tls), until).await,
        None => {
            let plain = TcpIncoming::from(listener).with_nodelay(Some(true));
            router.serve_with_incoming_shutdown(plain, until).await
        }
    };
    if let Err(error) = served {
        tracing::error!(%error, "the listener for nodes has failed");
    }
}

#[cfg(test)]
mod tests {
    use super::{names, urls};

    #[test]
    fn nodes_are_sent_where_the_control_plane_is() {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let addr = "10.0.0.1:9100".parse().expect("an address");
        assert_eq!(urls(&[], "box", addr), ["https://10.0.0.1:9100"]);
        assert_eq!(
            urls(&own(&["c.example", "fd00::1"]), "https://a:1/", addr),
            ["https://a:1", "https://c.example:9100", "https://[fd00::1]:9100"]
        );
        let any = "0.0.0.0:9100".parse().expect("an address");
        assert_eq!(urls(&own(&["c"]), "https://0.0.0.0:9100", any), ["https://c:9100"]);
        assert!(names(&own(&["c"]), "https://a.example:1", any).starts_with(&own(&["c", "a.example"])));
    }
}
