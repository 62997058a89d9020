//! This node's fragments for others: connections of one core, each request checked and then done by its drives.

mod askers;
mod leases;
mod perform;
mod session;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use askers::Askers;
use leases::Leases;

use super::Peers;
use super::load::Load;
use super::seen::Seen;
use crate::drives::Drives;
use crate::limits::{
    ACCEPT_PAUSE, PEER_BYTES_MAX_PER_CORE, PEER_CONNECTIONS_MAX_PER_CORE, PEER_REQUESTS_MAX, PEER_STOP_WAIT,
    PEER_TICK,
};
use crate::link::state::NodeState;
use crate::rt::{Listener, Rt, Stop};

/// One core's part. `D` are this node's own drives: what another node asks is never passed on.
pub struct PeerServer<D> {
    peers: Arc<Peers>,
    seen: Seen,
    drives: Rc<D>,
    load: Load,
    askers: Askers,
    leases: Leases,
    stop: Stop,
    /// What ends each open connection.
    open: RefCell<HashMap<u64, Stop>>,
    next: Cell<u64>,
}

impl<D: Drives> PeerServer<D> {
    #[must_use]
    pub fn new(peers: Arc<Peers>, state: Arc<NodeState>, drives: Rc<D>, stop: Stop) -> Rc<Self> {
        let requests = PEER_CONNECTIONS_MAX_PER_CORE * PEER_REQUESTS_MAX;
        Rc::new(Self {
            peers,
            leases: Leases::new(Arc::clone(&state.pins)),
            seen: Seen::new(state),
            drives,
            load: Load::new(requests, PEER_BYTES_MAX_PER_CORE),
            askers: Askers::default(),
            stop,
            open: RefCell::default(),
            next: Cell::new(0),
        })
    }
}

/// Serves `listener` until the server's stop is set; then every connection is closed, and what is under way is waited for
/// ([`PEER_STOP_WAIT`]).
pub async fn serve<R: Rt, D: Drives>(server: Rc<PeerServer<D>>, listener: R::Listener) {
    R::spawn(keep_leases::<R, D>(Rc::clone(&server)));
    while !server.stop.is_set() {
        match listener.accept(&server.stop).await {
            Ok(conn) => admit::<R, D>(&server, conn),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => break,
            Err(error) => {
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    tracing::warn!(%error, "accepting a node failed; if this goes on raise LimitNOFILE");
                    R::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    let open: Vec<Stop> = server.open.borrow().values().cloned().collect();
    open.iter().for_each(Stop::set);
    let deadline = R::now() + PEER_STOP_WAIT;
    while server.load.requests() > 0 && R::now() < deadline {
        R::sleep(Duration::from_millis(5)).await;
    }
}

fn admit<R: Rt, D: Drives>(server: &Rc<PeerServer<D>>, conn: R::Conn) {
    if server.open.borrow().len() >= PEER_CONNECTIONS_MAX_PER_CORE {
        tracing::warn!("closed a node's connection: there are {PEER_CONNECTIONS_MAX_PER_CORE} on this core");
        return;
    }
    let (number, stop) = (server.next.replace(server.next.get() + 1), Stop::new());
    server.open.borrow_mut().insert(number, stop.clone());
    let server = Rc::clone(server);
    R::spawn(async move {
        session::run::<R, D>(&server, conn, &stop).await;
        server.open.borrow_mut().remove(&number);
    });
}

async fn keep_leases<R: Rt, D: Drives>(server: Rc<PeerServer<D>>) {
    while !server.stop.is_set() {
        R::sleep(PEER_TICK).await;
        server.leases.sweep(R::now());
    }
}
