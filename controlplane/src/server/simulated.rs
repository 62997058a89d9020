//! An authority over a truth that is no PostgreSQL, behind connections that are no sockets: the one of a simulation.
//!
//! Committer, leader, sessions and the service of nodes run as ever. What asks `store` directly finds no database.

use std::pin::pin;
use std::sync::Arc;

use holdfast_common::secret::Secret;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::{Stream, StreamExt as _};
use uuid::Uuid;

use super::transport::{GRPC_KEEPALIVE, no_enrolment, node_server};
use super::{Database, DatabaseTls, Lengths, STOP_DEADLINE, StartError, handle};
use crate::app::commit;
use crate::app::truth::Truth;
use crate::app::vault::Vault;
use crate::leader;
use crate::store::Store;

/// What such an authority needs to know.
#[derive(Clone, Debug)]
pub struct Simulated {
    pub cluster_id: Uuid,
    /// Names it in the leadership row, and is where nodes are sent: `http://...`.
    pub holder: String,
    pub lengths: Lengths,
}

/// Serves until `stop`, on the runtime that polls it, and gives leadership back then as [`super::Running::stop`] does.
/// Connections are accepted in their order, which tonic's own listener leaves to chance; they end with the runtime.
///
/// # Errors
/// None, but that the settings of a database that is not there do not parse.
pub async fn serve<C>(
    settings: Simulated,
    truth: Arc<dyn Truth>,
    incoming: impl Stream<Item = C>,
    stop: impl Future<Output = ()>,
) -> Result<(), StartError>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
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
        lengths: settings.lengths,
        delete_delay_ms: 0,
        enrolment: no_enrolment(settings.cluster_id, truth.now_ms() / 1000)?,
        manifest_root: Secret::new(vec![0; 32]),
    };
    let (authority, work) = handle(Store::unconnected(&nowhere)?, truth, vault, about);
    tokio::spawn(commit::run(authority.inner.clone(), work));
    let leads = tokio::spawn(leader::run(authority.clone(), None));
    let service = TowerToHyperService::new(node_server(&authority));
    let (mut incoming, mut stop) = (pin!(incoming), pin!(stop));
    loop {
        let connection = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(connection) = incoming.next() => connection,
            else => break,
        };
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(GRPC_KEEPALIVE)
            .keep_alive_timeout(GRPC_KEEPALIVE)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20);
        let served = http.serve_connection(TokioIo::new(connection), service.clone());
        tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection has ended");
            }
        });
    }
    leads.abort();
    authority.inner.drain(STOP_DEADLINE).await;
    leader::hand_back(&authority).await;
    Ok(())
}
