//! How a connection to another node comes to be: address, TCP, TLS, whose certificate it is, greeting.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::rc::Rc;
use std::time::Instant;

use holdfast_protocol::peer::{Answer, Denial, Request};
use rustls::pki_types::ServerName;
use uuid::Uuid;

use super::super::frames::{Inlet, Outlet};
use super::super::{PeerError, Peers, trust};
use super::Link;
use crate::limits::PEER_CONNECT_DEADLINE;
use crate::rt::{Rt, Stop, blocking, within};
use crate::server::tls::TlsConn;

/// Opens a connection to `node` at `addr` (`host:port`) and greets it. `ended` is told when a
/// connection that was opened is over, and why.
/// Never drop its future.
///
/// # Errors
/// `Away`, `Impostor`, `Denied`, `Lied`, `Late`: within [`PEER_CONNECT_DEADLINE`].
pub(super) async fn open<R: Rt>(
    peers: &Peers,
    node: Uuid,
    addr: &str,
    number: u64,
    ended: impl FnOnce(&PeerError) + 'static,
) -> Result<Rc<Link>, PeerError> {
    let deadline = R::now() + PEER_CONNECT_DEADLINE;
    let away = |error: std::io::Error| PeerError::Away(format!("{addr}: {error}"));
    let to = resolve::<R>(addr, deadline).await?;
    let conn = R::connect(to, deadline).await.map_err(away)?;
    let twin = R::duplicate(&conn).map_err(away)?;
    let name = ServerName::IpAddress(to.ip().into());
    let tls = TlsConn::connect(conn, peers.identity.sides().client, name, deadline).await.map_err(away)?;
    // Before a byte of ours is sent.
    match trust(tls.peer_certificate(), peers.identity.cluster) {
        Ok(named) if named == node => {}
        Ok(_) => return Err(PeerError::Impostor(Denial::OtherNode)),
        Err(denial) => return Err(PeerError::Impostor(denial)),
    }
    let ((recv, send), outlet, stop) = (tls.into_halves(twin), Outlet::default(), Stop::new());
    R::spawn(outlet.clone().run(send, stop.clone()));
    let link = Link::new(number, outlet, stop.clone(), R::now());
    let (listening, inlet) = (Rc::clone(&link), Inlet::new(recv, stop));
    R::spawn(async move {
        let why = listening.listen::<R, _>(inlet).await;
        listening.end(&why);
        // Before the greeting whoever opens it says so.
        if listening.greeted.get() {
            ended(&why);
        }
    });
    let greeted = greet::<R>(peers, node, &link, deadline).await;
    link.greeted.set(greeted.is_ok());
    greeted.inspect_err(|error| link.end(error)).map(|()| link)
}

async fn greet<R: Rt>(peers: &Peers, node: Uuid, link: &Link, deadline: Instant) -> Result<(), PeerError> {
    let cluster = *peers.identity.cluster.as_bytes();
    let patience = deadline.saturating_duration_since(R::now());
    match link.ask::<R>(&Request::Hello { cluster }, None, patience).await?.0 {
        Answer::Welcome { cluster: theirs, node: named }
            if theirs == cluster && named == *node.as_bytes() =>
        {
            Ok(())
        }
        _ => Err(PeerError::Lied("a greeting that is not its own")),
    }
}

/// Names are looked up elsewhere than on the core.
async fn resolve<R: Rt>(addr: &str, deadline: Instant) -> Result<SocketAddr, PeerError> {
    if let Ok(addr) = addr.parse() {
        return Ok(addr);
    }
    let name = addr.to_owned();
    let look = blocking(move || name.to_socket_addrs().map(|mut found| found.next()));
    let found = within::<R, _>(look, deadline.saturating_duration_since(R::now())).await;
    match found {
        Some(Ok(Some(found))) => Ok(found),
        Some(Ok(None)) => Err(PeerError::Away(format!("{addr} has no address"))),
        Some(Err(error)) => Err(PeerError::Away(format!("{addr}: {error}"))),
        None => Err(PeerError::Away(format!("{addr} is not found in time"))),
    }
}
