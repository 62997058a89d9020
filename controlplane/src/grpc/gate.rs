//! Who calls: read from the certificate that TLS has verified, before any service sees the request.
//!
//! What a service may do with a caller is decided where it is done; that there is one at all is decided here. A service
//! without a gate before it refuses everything ([`caller`]).

use std::net::SocketAddr;
use std::sync::Arc;

use holdfast_common::certificate::{Role, Subject, Validity};
use tonic::service::Interceptor;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::app::Authority;
use crate::app::commit::now_ms;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Without TLS, which there is on loopback only: whoever is on this machine.
    Local,
    /// By a certificate of this cluster.
    Node(Uuid),
    /// By one that has ended not long ago: good for renewing it.
    ExpiredNode(Uuid),
    /// Without a certificate.
    Nobody,
}

/// Whom a gate lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    /// Nodes, and who is local.
    Node,
    /// Anybody; the service looks at the caller.
    Anybody,
}

/// Puts a [`Caller`] into each request, or refuses it.
#[derive(Clone)]
pub struct Gate {
    cluster: Uuid,
    wants: Wants,
}

impl Gate {
    /// Before the node's service.
    #[must_use]
    pub fn new(authority: &Authority) -> Self {
        Self { cluster: authority.inner.cluster_id, wants: Wants::Node }
    }

    /// Before the service by which nodes become nodes.
    #[must_use]
    pub fn of_enrolment(authority: &Authority) -> Self {
        Self { cluster: authority.inner.cluster_id, wants: Wants::Anybody }
    }

    fn caller(&self, chain: Option<&[u8]>) -> Result<Caller, Status> {
        let Some(certificate) = chain else { return Ok(Caller::Nobody) };
        let unusable = |error: &dyn std::fmt::Display| {
            Status::unauthenticated(format!("the certificate names nobody: {error}"))
        };
        let subject = Subject::of(certificate).map_err(|error| unusable(&error))?;
        let validity = Validity::of(certificate).map_err(|error| unusable(&error))?;
        if subject.cluster != self.cluster {
            return Err(Status::permission_denied(format!(
                "the certificate names {subject}, and this is cluster {}; join this cluster with a token of its own",
                self.cluster
            )));
        }
        match subject.role {
            Role::Node(node) if validity.not_after < now_ms() / 1000 => Ok(Caller::ExpiredNode(node)),
            Role::Node(node) => Ok(Caller::Node(node)),
            Role::ControlPlane => Err(Status::permission_denied(format!(
                "the certificate names {subject}; a node's is wanted here"
            ))),
        }
    }

    fn admit(&self, caller: Caller) -> Result<Caller, Status> {
        match (caller, self.wants) {
            (Caller::Nobody, Wants::Node) => Err(Status::unauthenticated(
                "a node's certificate is wanted; `holdfast-dataplane join` gets one with a token of `holdfast admin node invite`",
            )),
            (Caller::ExpiredNode(node), Wants::Node) => Err(Status::unauthenticated(format!(
                "the certificate of node {node} has ended; the node renews it by itself, or joins anew if that ended too long ago"
            ))),
            (caller, _) => Ok(caller),
        }
    }
}

impl Interceptor for Gate {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let tls = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let (found, from) = match tls {
            Some(tls) => {
                let chain: Option<Arc<_>> = tls.peer_certs();
                let certificate = chain.as_ref().and_then(|chain| chain.first()).map(|der| der.as_ref());
                (self.caller(certificate), tls.get_ref().remote_addr())
            }
            None => plain(&request),
        };
        match found.and_then(|caller| self.admit(caller)) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Ok(request)
            }
            Err(refused) => {
                tracing::warn!(?from, reason = refused.message(), "a caller was refused");
                Err(refused)
            }
        }
    }
}

/// The configuration allows a listener without TLS on loopback only; what comes from elsewhere is refused once more.
fn plain(request: &Request<()>) -> (Result<Caller, Status>, Option<SocketAddr>) {
    let from = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let local = from.is_none_or(|from| from.ip().to_canonical().is_loopback());
    let caller =
        if local { Ok(Caller::Local) } else { Err(Status::unauthenticated("TLS is wanted beyond loopback")) };
    (caller, from)
}

/// The caller that a gate has found.
///
/// # Errors
/// There is no gate before the service.
pub(super) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let found = request.extensions().get::<Caller>().copied();
    found.ok_or_else(|| Status::unauthenticated("nobody has looked at who calls"))
}

impl Caller {
    /// May speak for this node.
    #[must_use]
    pub fn is_node(self, node: Uuid) -> bool {
        self == Self::Local || self == Self::Node(node)
    }
}
