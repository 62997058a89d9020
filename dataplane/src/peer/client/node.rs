//! Another node as one core talks to it: two connections, and a pause after it could not be reached.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::super::traffic::Asked;
use super::super::warnings::Warning;
use super::super::{PeerError, Peers};
use super::Link;
use super::open::open;
use crate::limits::{PEER_PAUSE_MAX, PEER_PAUSE_MIN};
use crate::rt::Rt;

/// What a connection is for. Order is kept within a lane: a deletion follows the appends before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Lane {
    Write,
    Read,
}

type Opened = Result<Rc<Link>, PeerError>;

/// One connection, or how far it is from one.
enum Slot {
    None,
    /// With those who wait for it.
    Opening(Vec<oneshot::Sender<Opened>>),
    Open(Rc<Link>),
}

/// After a failure nothing is tried for a while; what is asked meanwhile fails at once.
struct Rest {
    failures: u32,
    until: Instant,
    why: PeerError,
    /// What the authority had said of it then; once it says more, that is news of it, and it is tried again.
    heard: u64,
}

/// Another node.
pub(in super::super) struct Node {
    pub(in super::super) id: Uuid,
    /// As the view names it.
    pub(in super::super) name: Arc<str>,
    /// What it was asked, by all cores.
    pub(in super::super) asked: Arc<Asked>,
    peers: Arc<Peers>,
    /// How many connections this core has made, to anyone.
    numbers: Rc<Cell<u64>>,
    lanes: [RefCell<Slot>; 2],
    rest: RefCell<Option<Rest>>,
    /// How often the authority had spoken of it when it was tried last.
    heard: Cell<u64>,
}

impl Node {
    pub(in super::super) fn new(
        id: Uuid,
        name: Arc<str>,
        peers: Arc<Peers>,
        numbers: Rc<Cell<u64>>,
    ) -> Rc<Self> {
        let lanes = [RefCell::new(Slot::None), RefCell::new(Slot::None)];
        let (asked, rest) = (peers.traffic.with(&name), RefCell::default());
        Rc::new(Self { id, name, asked, peers, numbers, lanes, rest, heard: Cell::new(0) })
    }

    /// The lane's connection if it is the one of that number and still open: what a flush needs.
    pub(in super::super) fn link_numbered(&self, lane: Lane, number: u64) -> Option<Rc<Link>> {
        match &*self.lanes[lane as usize].borrow() {
            Slot::Open(link) if link.number == number && link.is_open() => Some(Rc::clone(link)),
            _ => None,
        }
    }

    /// The lane's connection, opened to `addr` if there is none. `heard`: how often the authority has spoken of the node. Its
    /// future may be dropped.
    ///
    /// # Errors
    /// Why it cannot be opened; at once while the node rests from a failure.
    pub(in super::super) async fn link<R: Rt>(self: &Rc<Self>, lane: Lane, addr: &str, heard: u64) -> Opened {
        let opened = {
            let mut slot = self.lanes[lane as usize].borrow_mut();
            let (sender, opened) = oneshot::channel();
            match &mut *slot {
                Slot::Open(link) if link.is_open() => return Ok(Rc::clone(link)),
                Slot::Opening(waiting) => waiting.push(sender),
                Slot::Open(_) | Slot::None => {
                    self.rested(R::now(), heard)?;
                    self.heard.set(heard);
                    *slot = Slot::Opening(vec![sender]);
                    R::spawn(Rc::clone(self).open::<R>(lane, addr.to_owned()));
                }
            }
            opened
        };
        opened.await.unwrap_or_else(|_| Err(PeerError::Away("no connection came of it".to_owned())))
    }

    async fn open<R: Rt>(self: Rc<Self>, lane: Lane, addr: String) {
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        let node = Rc::downgrade(&self);
        let ended = move |why: &PeerError| {
            if let Some(node) = node.upgrade() {
                node.ended(why);
                // One that merely broke off may be opened again at once; whether that fails, the next request will see.
                if !matches!(why, PeerError::Away(_)) {
                    node.rest_from::<R>(why);
                }
            }
        };
        let opened = open::<R>(&self.peers, self.id, &addr, number, ended).await;
        if let Err(error) = &opened {
            self.ended(error);
            self.rest_from::<R>(error);
        } else {
            *self.rest.borrow_mut() = None;
        }
        let next = opened.as_ref().map_or(Slot::None, |link| Slot::Open(Rc::clone(link)));
        if let Slot::Opening(waiting) = self.lanes[lane as usize].replace(next) {
            for waiting in waiting {
                let _ = waiting.send(opened.clone());
            }
        }
    }

    /// A connection could not be opened, or is over.
    fn ended(&self, why: &PeerError) {
        match why {
            PeerError::Denied(denial) => self.warn(Warning::WasRefused(*denial)),
            PeerError::Impostor(denial) => self.warn(Warning::Impostor(*denial)),
            PeerError::Lied(what) => self.warn(Warning::Lied(what)),
            _ => tracing::debug!(node = %self.name, %why, "a connection to another node is over"),
        }
    }

    /// Leaves the node alone for a while.
    fn rest_from<R: Rt>(&self, why: &PeerError) {
        self.peers.reach.lost(&self.name);
        let mut rest = self.rest.borrow_mut();
        let heard = self.heard.get();
        let failures = rest.as_ref().filter(|rest| rest.heard == heard).map_or(0, |rest| rest.failures);
        let mut random = [0; 1];
        R::random(&mut random);
        let until = R::now() + pause(failures, random[0]);
        *rest = Some(Rest { failures: failures.saturating_add(1), until, why: why.clone(), heard });
    }

    /// Ends its connections; new requests make new ones.
    pub(in super::super) fn close(&self) {
        for lane in &self.lanes {
            if let Slot::Open(link) = &*lane.borrow() {
                link.end(&PeerError::Away("this core stops".to_owned()));
            }
        }
    }

    pub(in super::super) fn warn(&self, warning: Warning) {
        self.peers.warnings.warn(&self.name, warning, &"");
    }

    /// Lets it be tried now, however often that was in vain.
    pub(in super::super) fn wake(&self, now: Instant) {
        if let Some(rest) = &mut *self.rest.borrow_mut() {
            rest.until = now;
        }
    }

    /// Whether it is time to try again.
    fn rested(&self, now: Instant, heard: u64) -> Result<(), PeerError> {
        match &*self.rest.borrow() {
            Some(rest) if now < rest.until && heard == rest.heard => Err(rest.why.clone()),
            _ => Ok(()),
        }
    }
}

/// Doubled with each failure, and half of it random, so that nodes do not come back in step.
fn pause(failures: u32, random: u8) -> Duration {
    let whole = (PEER_PAUSE_MIN * (1 << failures.min(8))).min(PEER_PAUSE_MAX);
    whole / 2 + whole.mul_f64(f64::from(random) / 512.0)
}
