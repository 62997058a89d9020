//! One connection of another node, from its handshake to its end.

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Instant;

use futures_util::FutureExt as _;
use holdfast_common::certificate::Subject;
use holdfast_protocol::limits::PIECE_BYTES;
use holdfast_protocol::peer::{Answer, Denial, FrameError, Request};
use uuid::Uuid;

use super::super::frames::{Broken, Frame, Head, Incoming, Inlet, Outlet};
use super::super::load::{Load, Share};
use super::super::permit::permit;
use super::super::seen::standing;
use super::super::warnings::Warning;
use super::super::{Peers, trust};
use super::PeerServer;
use super::askers::Guest;
use super::perform::perform;
use crate::drives::Drives;
use crate::limits::{
    PEER_BYTES_MAX, PEER_CONNECT_DEADLINE, PEER_CONNECTIONS_MAX_PER_NODE, PEER_REQUESTS_MAX, PEER_UNLED_MS,
};
use crate::rt::{Conn, Rt, Stop};
use crate::server::tls::TlsConn;

/// Whom a connection's certificate names.
struct Who {
    /// Or why it is nobody to talk to.
    node: Result<Uuid, Denial>,
    /// For logs.
    name: String,
    /// When its certificate ends, ms since 1970.
    ends_ms: u64,
}

impl Who {
    fn of(certificate: Option<&[u8]>, cluster: Uuid, from: String) -> Self {
        let node = trust(certificate, cluster);
        // A refusal is logged with whatever the certificate says.
        let named = certificate.and_then(|der| Subject::of(der).ok()).map(|subject| subject.to_string());
        let name = node.map_or_else(|_| named.unwrap_or(from), |node| node.to_string());
        Self { node, name, ends_ms: certificate.and_then(Subject::ends_ms).unwrap_or(0) }
    }
}

struct Session<'s, D> {
    server: &'s Rc<PeerServer<D>>,
    who: Who,
    outlet: Outlet,
    load: Load,
    guest: Rc<Guest>,
    stop: &'s Stop,
}

/// What an answer holds until it is sent: of what the connection, its node and this core may have under way.
type Shares = (Share, Share, Share);

pub(super) async fn run<R: Rt, D: Drives>(server: &Rc<PeerServer<D>>, conn: R::Conn, stop: &Stop) {
    let (deadline, from) = (R::now() + PEER_CONNECT_DEADLINE, conn.peer().ip().to_string());
    let (tls, twin) = match shake_hands::<R>(&server.peers, conn, deadline).await {
        Ok(done) => done,
        Err(error) => return server.peers.warnings.warn(&from, Warning::NoHandshake, &error),
    };
    let who = Who::of(tls.peer_certificate(), server.peers.identity.cluster, from);
    // Those whose certificates name no node are one asker together.
    let Some(guest) = server.askers.enter(who.node.unwrap_or_default()).map(Rc::new) else {
        return server.peers.warnings.warn(&who.name, Warning::TooMany, &PEER_CONNECTIONS_MAX_PER_NODE);
    };
    let (recv, send) = tls.into_halves(twin);
    let outlet = Outlet::default();
    let (sending, counted) = (outlet.clone().run(send, stop.clone()), Rc::clone(&guest));
    R::spawn(async move {
        sending.await;
        drop(counted);
    });
    let load = Load::new(PEER_REQUESTS_MAX, PEER_BYTES_MAX);
    let session = Session { server, who, outlet, load, guest, stop };
    session.receive::<R>(Inlet::new(recv, stop.clone()), deadline).await;
    session.outlet.close();
}

async fn shake_hands<R: Rt>(
    peers: &Peers,
    conn: R::Conn,
    deadline: Instant,
) -> io::Result<(TlsConn<R::Conn>, R::Conn)> {
    let twin = R::duplicate(&conn)?;
    Ok((TlsConn::accept(conn, peers.identity.sides().server, deadline).await?, twin))
}

impl<D: Drives> Session<'_, D> {
    async fn receive<R: Rt>(&self, mut inlet: Inlet<R::Conn>, deadline: Instant) {
        let Some(asker) = self.greeted(&mut inlet, deadline).await else { return };
        loop {
            let head = match inlet.head::<R>().await {
                Ok(Incoming::Frame(head)) => head,
                Ok(Incoming::Nothing) if self.is_over::<R>() => return,
                Ok(Incoming::Nothing) => continue,
                Err(Broken::Io(_)) => return,
                Err(Broken::Frame(error)) => return self.deny(0, of_frame(error), None),
            };
            let (id, request) = (head.header.id, read(&head));
            // Before memory is taken for the payload. A refusal holds it as well: who sends nonsense and reads no answers is
            // not received from any more.
            let shares = self.shares(bytes(&head, request.as_ref().ok())).await;
            let Ok(frame) = inlet.rest(head).await else { return };
            match self.allowed::<R>(asker, request, &frame) {
                Ok(request) => self.perform::<R>(id, asker, request, frame, shares),
                Err(denial) => {
                    self.deny(id, denial, Some(shares));
                    if is_of_node(denial) {
                        return;
                    }
                }
            }
        }
    }

    /// The node, once it has greeted us as it should. Whatever else comes first is refused, and nothing after it is received.
    async fn greeted<C: Conn>(&self, inlet: &mut Inlet<C>, deadline: Instant) -> Option<Uuid> {
        let greeting = inlet.greeting(deadline).await;
        let (id, said) = match &greeting {
            Ok(head) => (head.header.id, read(head)),
            Err(Broken::Io(_)) => return None,
            Err(Broken::Frame(FrameError::TooLong { .. })) => (0, Err(Denial::OutOfPlace)),
            Err(Broken::Frame(error)) => (0, Err(of_frame(*error))),
        };
        match self.greet(said) {
            Ok(node) => {
                let ours = &self.server.peers.identity;
                let welcome =
                    Answer::Welcome { cluster: *ours.cluster.as_bytes(), node: *ours.node.as_bytes() };
                self.outlet.send(id, welcome.encode(), None, None);
                Some(node)
            }
            Err(denial) => {
                self.deny(id, denial, None);
                None
            }
        }
    }

    /// Who it is that said this first, if it may talk to us at all.
    fn greet(&self, said: Result<Request, Denial>) -> Result<Uuid, Denial> {
        let node = self.who.node?;
        standing(&self.server.seen.view(), node)?;
        match said? {
            Request::Hello { cluster } if cluster == *self.server.peers.identity.cluster.as_bytes() => {
                Ok(node)
            }
            Request::Hello { .. } => Err(Denial::OtherCluster),
            _ => Err(Denial::OutOfPlace),
        }
    }

    /// Waits until one more request with so many bytes may be under way.
    async fn shares(&self, bytes: usize) -> Shares {
        (self.load.take(bytes).await, self.guest.load.take(bytes).await, self.server.load.take(bytes).await)
    }

    /// What is to be done, if this node may ask for it now.
    fn allowed<R: Rt>(
        &self,
        asker: Uuid,
        request: Result<Request, Denial>,
        frame: &Frame,
    ) -> Result<Request, Denial> {
        if R::unix_ms() >= self.who.ends_ms {
            return Err(Denial::CertificateExpired);
        }
        let view = self.server.seen.view();
        standing(&view, asker)?;
        if !frame.payload_holds {
            return Err(Denial::Checksum);
        }
        let request = request?;
        let boottime_ms = R::boottime_ms();
        let led = self.server.seen.state.was_led(boottime_ms, PEER_UNLED_MS);
        permit((&view, led), self.server.peers.identity.node, asker, &request, boottime_ms)?;
        Ok(request)
    }

    fn perform<R: Rt>(&self, id: u32, asker: Uuid, request: Request, frame: Frame, shares: Shares) {
        let (server, outlet, stop) = (Rc::clone(self.server), self.outlet.clone(), self.stop.clone());
        R::spawn(async move {
            let work = AssertUnwindSafe(perform::<R, D>(&server, asker, request, frame.payload));
            match work.catch_unwind().await {
                Ok((answer, payload)) => {
                    let refused = matches!(answer, Answer::Denied(_));
                    let traffic = &server.peers.traffic;
                    if refused {
                        traffic.refused.add(1)
                    } else {
                        traffic.served.add(1)
                    }
                    outlet.send(id, answer.encode(), payload, Some(Box::new(shares)));
                }
                Err(_) => {
                    tracing::error!(%asker, "a node's request panicked; its connection is closed, and this is a bug to report");
                    outlet.cut();
                    stop.set();
                }
            }
        });
    }

    /// Refuses a request; without shares only what is the last of a connection.
    fn deny(&self, id: u32, denial: Denial, shares: Option<Shares>) {
        self.server.peers.traffic.refused.add(1);
        self.server.peers.warnings.warn(&self.who.name, Warning::Refused(denial), &"");
        let hold = shares.map(|shares| Box::new(shares) as Box<dyn Any>);
        self.outlet.send(id, Answer::Denied(denial).encode(), None, hold);
    }

    /// Whether the node was revoked, or its certificate ended, while it said nothing.
    fn is_over<R: Rt>(&self) -> bool {
        let node = self.who.node.ok();
        node.is_none_or(|node| standing(&self.server.seen.view(), node).is_err())
            || R::unix_ms() >= self.who.ends_ms
    }
}

/// Whether it is the node that is refused, and with it all that it asks.
fn is_of_node(denial: Denial) -> bool {
    matches!(
        denial,
        Denial::UnknownNode | Denial::RevokedNode | Denial::CertificateExpired | Denial::OutOfPlace
    )
}

fn read(head: &Head) -> Result<Request, Denial> {
    let payload_len = head.header.payload_len as usize;
    Request::decode(head.header.kind, &head.meta, payload_len).map_err(|_| Denial::Malformed)
}

/// What the payload takes, or the answer, about.
fn bytes(head: &Head, request: Option<&Request>) -> usize {
    (head.header.payload_len as usize).max(request.map_or(0, answer_bytes))
}

fn of_frame(error: FrameError) -> Denial {
    match error {
        FrameError::Magic => Denial::Malformed,
        FrameError::Version(_) => Denial::OtherVersion,
        FrameError::TooLong { .. } => Denial::TooLong,
        FrameError::Checksum | FrameError::Payload => Denial::Checksum,
    }
}

/// What the answer will take, about.
fn answer_bytes(request: &Request) -> usize {
    match request {
        Request::Read { start, end, .. } => end.saturating_sub(*start).min(PIECE_BYTES) as usize,
        Request::ReadHere { .. } => PIECE_BYTES as usize,
        _ => 0,
    }
}
