//! What a node has for the others and of them: its certificate, the port where its fragments are served, their drives.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Node, Real};
use crate::config::Config;
use crate::drives::CoreDrives;
use crate::enrol::Current;
use crate::env::Env;
use crate::limits::LISTEN_BACKLOG;
use crate::peer::{Fleet, PeerIdentity, PeerServer, Peers, serve};
use crate::rt::{ListenConfig, Rt, Stop};

/// What this node shows to others, if it has a certificate; kept up with its renewals.
pub(super) fn peers(config: &Config, certificate: Option<&Current>) -> Result<Option<Arc<Peers>>, String> {
    let Some(certificate) = certificate else {
        let Some(addr) = config.peer_addr else { return Ok(None) };
        return Err(format!(
            "`peer_addr` is {addr}, and this node has no certificate to show there; get one with `holdfast-dataplane \
             join`, or remove the key"
        ));
    };
    let peers = Peers::new(PeerIdentity::new(&certificate.get())?);
    let renewed = Arc::clone(&peers);
    certificate.on_change(Box::new(move |next| {
        if let Err(error) = renewed.identity.renew(next) {
            tracing::error!(%error, "other nodes are shown the certificate of before");
        }
    }));
    Ok(Some(peers))
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
