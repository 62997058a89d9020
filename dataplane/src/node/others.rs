//! What a node has for the others and of them: its certificate, the port where its fragments are served, their drives.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::identity::Identity;
use super::{Node, Real};
use crate::config::Config;
use crate::drives::CoreDrives;
use crate::env::Env;
use crate::limits::LISTEN_BACKLOG;
use crate::peer::{Fleet, IdentityFiles, PeerIdentity, PeerServer, Peers, serve};
use crate::rt::{ListenConfig, Rt, Stop};

/// The node's certificate, if it has one.
pub(super) fn peers(config: &Config, identity: &Identity) -> Result<Option<Arc<Peers>>, String> {
    let Some(files) = IdentityFiles::of(config) else {
        let Some(addr) = config.peer_addr else { return Ok(None) };
        return Err(format!(
            "`peer_addr` is {addr}, and this node has no certificate to show there; get one with `holdfast-dataplane \
             join`, or remove the key"
        ));
    };
    let node: Uuid = identity.node_id.parse().map_err(|error| format!("the node's id is none: {error}"))?;
    let cluster = Uuid::from_bytes(identity.cluster_id);
    let identity = PeerIdentity::load(files, cluster, node).map_err(|error| error.to_string())?;
    Ok(Some(Peers::new(identity)))
}

/// Where others find this node's fragments; empty: nowhere.
pub(super) fn advertised(config: &Config) -> String {
    let listened = config.peer_addr.map(|addr| addr.to_string()).unwrap_or_default();
    config.peer_advertise.clone().unwrap_or(listened)
}

/// One core's port for other nodes.
pub(super) struct Serving {
    stop: Stop,
    ended: oneshot::Receiver<()>,
}

impl Serving {
    /// Stops it, and waits until what is under way is done, within a bound.
    pub(super) async fn stop(self) {
        self.stop.set();
        // It cannot have gone without this.
        let _ = self.ended.await;
    }
}

impl Node {
    /// Loads the node's certificate again if its files have changed; `None`: they have not. What was there stays in use when
    /// that fails.
    pub fn reload_identity_if_changed(&self) -> Option<Result<(), String>> {
        let loaded = self.peers.as_ref()?.identity.reload_if_changed()?;
        Some(loaded.map_err(|error| error.to_string()))
    }

    pub(super) fn fleet<R: Rt>(&self, local: &Rc<CoreDrives<R>>) -> <Real<R> as Env>::Drives {
        match &self.peers {
            None => Fleet::alone(Rc::clone(local)),
            Some(peers) => {
                Fleet::new(Rc::clone(local), Arc::clone(peers), Arc::clone(&self.state), self.link.clone())
            }
        }
    }

    /// Opens this core's port for other nodes, if the node has one.
    pub(super) fn serve_others<R: Rt>(&self, local: &Rc<CoreDrives<R>>) -> std::io::Result<Option<Serving>> {
        let (Some(peers), Some(addr)) = (&self.peers, self.peer_addr) else { return Ok(None) };
        let listener = R::listen(&ListenConfig { addr, backlog: LISTEN_BACKLOG })
            .map_err(|error| std::io::Error::new(error.kind(), format!("`peer_addr` {addr}: {error}")))?;
        let (stop, (end, ended)) = (Stop::new(), oneshot::channel());
        let server =
            PeerServer::new(Arc::clone(peers), Arc::clone(&self.state), Rc::clone(local), stop.clone());
        R::spawn(async move {
            serve::<R, _>(server, listener).await;
            let _ = end.send(());
        });
        Ok(Some(Serving { stop, ended }))
    }
}
