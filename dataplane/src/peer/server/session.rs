//! One connection of another node, from its handshake to its end.

use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Instant;

use futures_util::FutureExt as _;
use holdfast_common::certificate::Subject;
use holdfast_protocol::limits::PIECE_BYTES;
use holdfast_protocol::peer::{Answer, Denial, FrameError, Request};
use uuid::Uuid;

use super::super::frames::{Broken, Frame, Incoming, Inlet, Outlet};
use super::super::load::Load;
use super::super::permit::permit;
use super::super::seen::standing;
use super::super::warnings::Warning;
use super::super::{Peers, trust};
use super::PeerServer;
use super::perform::perform;
use crate::drives::Drives;
use crate::limits::{PEER_BYTES_MAX, PEER_CONNECT_DEADLINE, PEER_REQUESTS_MAX};
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
    stop: &'s Stop,
}

/// Whether a connection goes on.
enum After {
    GoOn,
    Close,
}

pub(super) async fn run<R: Rt, D: Drives>(server: &Rc<PeerServer<D>>, conn: R::Conn, stop: &Stop) {
    let (deadline, from) = (R::now() + PEER_CONNECT_DEADLINE, conn.peer().ip().to_string());
    let (tls, twin) = match shake_hands::<R>(&server.peers, conn, deadline).await {
        Ok(done) => done,
        Err(error) => return server.peers.warnings.warn(&from, Warning::NoHandshake, &error),
    };
    let who = Who::of(tls.peer_certificate(), server.peers.identity.cluster, from);
    let (recv, send) = tls.into_halves(twin);
    let outlet = Outlet::default();
    R::spawn(outlet.clone().run(send, stop.clone()));
    let load = Load::new(PEER_REQUESTS_MAX, PEER_BYTES_MAX);
    let session = Session { server, who, outlet, load, stop };
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
        let mut greeted = None;
        loop {
            let frame = match inlet.next::<R>().await {
                Ok(Incoming::Frame(frame)) => frame,
                Ok(Incoming::Nothing) if self.is_over::<R>() => return,
                Ok(Incoming::Nothing) if greeted.is_none() && R::now() >= deadline => return,
                Ok(Incoming::Nothing) => continue,
                Err(Broken::Io(_)) => return,
                Err(Broken::Frame(error)) => return self.deny(0, of_frame(error)),
            };
            let id = frame.header.id;
            let request = match read(&frame) {
                Ok(request) => request,
                // Where the next frame begins is known.
                Err(denial) => {
                    self.deny(id, denial);
                    continue;
                }
            };
            let after = match (greeted, request) {
                (None, Request::Hello { cluster }) => match self.greet(id, cluster) {
                    Ok(node) => {
                        greeted = Some(node);
                        After::GoOn
                    }
                    Err(denial) => self.refuse(id, denial),
                },
                (None, _) => self.refuse(id, self.who.node.err().unwrap_or(Denial::OutOfPlace)),
                (Some(node), request) => self.request::<R>(id, node, request, frame).await,
            };
            if matches!(after, After::Close) {
                return;
            }
        }
    }

    /// The answer to a greeting, if the node may talk to us at all.
    fn greet(&self, id: u32, cluster: [u8; 16]) -> Result<Uuid, Denial> {
        let node = self.who.node?;
        let ours = &self.server.peers.identity;
        if cluster != *ours.cluster.as_bytes() {
            return Err(Denial::OtherCluster);
        }
        standing(&self.server.seen.view(), node)?;
        let welcome = Answer::Welcome { cluster, node: *ours.node.as_bytes() };
        self.outlet.send(id, welcome.encode(), None, None);
        Ok(node)
    }

    async fn request<R: Rt>(&self, id: u32, asker: Uuid, request: Request, frame: Frame) -> After {
        if R::unix_ms() >= self.who.ends_ms {
            return self.refuse(id, Denial::CertificateExpired);
        }
        let this = self.server.peers.identity.node;
        if let Err(denial) = permit(&self.server.seen.view(), this, asker, &request, R::boottime_ms()) {
            return self.refuse(id, denial);
        }
        let bytes = frame.payload.as_ref().map_or_else(|| answer_bytes(&request), |payload| payload.len());
        let shares = (self.load.take(bytes).await, self.server.load.take(bytes).await);
        let (server, outlet, stop) = (Rc::clone(self.server), self.outlet.clone(), self.stop.clone());
        R::spawn(async move {
            let work = AssertUnwindSafe(perform::<R, D>(&server, asker, request, frame.payload));
            match work.catch_unwind().await {
                Ok((answer, payload)) => outlet.send(id, answer.encode(), payload, Some(Box::new(shares))),
                Err(_) => {
                    tracing::error!(%asker, "a node's request panicked; its connection is closed, and this is a bug to report");
                    outlet.cut();
                    stop.set();
                }
            }
        });
        After::GoOn
    }

    fn deny(&self, id: u32, denial: Denial) {
        self.server.peers.warnings.warn(&self.who.name, Warning::Refused(denial), &"");
        self.outlet.send(id, Answer::Denied(denial).encode(), None, None);
    }

    /// Denies one request, and all of them where it is the node that is refused.
    fn refuse(&self, id: u32, denial: Denial) -> After {
        self.deny(id, denial);
        match denial {
            Denial::OtherCluster
            | Denial::WrongRole
            | Denial::UnknownNode
            | Denial::RevokedNode
            | Denial::CertificateExpired
            | Denial::OutOfPlace => After::Close,
            _ => After::GoOn,
        }
    }

    /// Whether the node was revoked, or its certificate ended, while it said nothing.
    fn is_over<R: Rt>(&self) -> bool {
        let node = self.who.node.ok();
        node.is_none_or(|node| standing(&self.server.seen.view(), node).is_err())
            || R::unix_ms() >= self.who.ends_ms
    }
}

fn read(frame: &Frame) -> Result<Request, Denial> {
    if !frame.payload_holds {
        return Err(Denial::Checksum);
    }
    let payload_len = frame.header.payload_len as usize;
    Request::decode(frame.header.kind, &frame.meta, payload_len).map_err(|_| Denial::Malformed)
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
