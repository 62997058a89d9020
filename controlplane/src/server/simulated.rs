//! An authority over a truth that is no PostgreSQL, behind connections that are no sockets: the one of a simulation.
//!
//! Committer, leader, sessions and the service of nodes run as ever. What asks `store` directly finds no database.

use std::sync::Arc;

use holdfast_common::secret::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tonic::transport::server::Connected;
use uuid::Uuid;

use super::{Database, DatabaseTls, StartError, handle, node_server, tonic_server};
use crate::app::commit;
use crate::app::truth::Truth;
use crate::app::vault::Vault;
use crate::grpc::NodeService;
use crate::leader;
use crate::store::Store;

/// What such an authority needs to know.
#[derive(Clone, Debug)]
pub struct Simulated {
    pub cluster_id: Uuid,
    /// Names it in the leadership row, and is where nodes are sent: `http://...`.
    pub holder: String,
    pub lease_ms: u64,
}

/// Serves for as long as it is polled, on the runtime that polls it.
///
/// # Errors
/// When the listener fails.
pub async fn serve<C>(
    settings: Simulated,
    truth: Arc<dyn Truth>,
    incoming: impl Stream<Item = std::io::Result<C>>,
) -> Result<(), StartError>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    C::ConnectInfo: Clone + Send + Sync + 'static,
{
    let nowhere = Database {
        url: Secret::new(b"host=/nowhere user=nobody".to_vec()),
        tls: DatabaseTls::Disable,
        ca_file: None,
        connections_max: 0,
    };
    let vault = Vault::new(&Secret::new(vec![0; 32])).expect("32 bytes");
    let about = super::About {
        cluster_id: settings.cluster_id,
        regions: Vec::new(),
        holder: settings.holder,
        lease_ms: settings.lease_ms,
        delete_delay_ms: 0,
    };
    let (authority, work) = handle(Store::unconnected(&nowhere)?, truth, vault, about);
    tokio::spawn(commit::run(authority.inner.clone(), work));
    tokio::spawn(leader::run(authority.clone(), None));
    let service = node_server(NodeService::new(authority));
    tonic_server(None)?
        .add_service(service)
        .serve_with_incoming(incoming)
        .await
        .map_err(|error| StartError::Listen(error.to_string()))
}
