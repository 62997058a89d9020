//! One connection to another node: requests out, answers in, matched by their ids.
//!
//! A node that owes an answer and says nothing is asked something that costs it nothing; when that is not answered either
//! ([`PEER_SILENCE`]) it is gone, and everything that waits fails at once. So a drive that is slow over there is waited for,
//! and a machine that is off is not.

mod node;
mod open;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use holdfast_protocol::peer::{Answer, Request};
use tokio::sync::oneshot;

pub(super) use node::{Lane, Node};

use super::frames::{Broken, Frame, Incoming, Inlet, Outlet};
use super::{PeerError, error_of};
use crate::limits::{PEER_REQUESTS_MAX, PEER_SILENCE};
use crate::rt::{Chunk, Conn, Rt, Stop, within};

/// An answer and its payload.
pub(super) type Reply = (Answer, Option<Chunk>);

/// Ids of requests begin behind those that nobody waits for: 0 is of the connection itself, 1 of questions whether the other
/// is still there.
const ID_CONNECTION: u32 = 0;
const ID_ALIVE: u32 = 1;

/// A connection.
pub(super) struct Link {
    /// Greater than of all earlier ones of this core.
    pub(super) number: u64,
    outlet: Outlet,
    stop: Stop,
    waiting: RefCell<HashMap<u32, oneshot::Sender<Result<Reply, PeerError>>>>,
    next: Cell<u32>,
    /// When the other said something last, or began to owe an answer, whichever is later.
    heard: Cell<Instant>,
    /// The other has answered our greeting.
    greeted: Cell<bool>,
    /// Why it is over.
    broken: RefCell<Option<PeerError>>,
}

impl Link {
    fn new(number: u64, outlet: Outlet, stop: Stop, now: Instant) -> Rc<Self> {
        Rc::new(Self {
            number,
            outlet,
            stop,
            waiting: RefCell::default(),
            next: Cell::new(ID_ALIVE + 1),
            heard: Cell::new(now),
            greeted: Cell::new(false),
            broken: RefCell::default(),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.broken.borrow().is_none()
    }

    /// Asks, and waits for the answer. Its future may be dropped; then the answer is.
    ///
    /// # Errors
    /// Whatever is not an answer to the request: [`PeerError`].
    pub(super) async fn ask<R: Rt>(
        &self,
        request: &Request,
        payload: Option<Chunk>,
        patience: Duration,
    ) -> Result<Reply, PeerError> {
        if let Some(error) = &*self.broken.borrow() {
            return Err(error.clone());
        }
        let id = self.next.get();
        self.next.set(id.checked_add(1).unwrap_or(ID_ALIVE + 1));
        let (sender, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting.borrow_mut();
            if waiting.len() >= PEER_REQUESTS_MAX || waiting.contains_key(&id) {
                return Err(PeerError::Busy);
            }
            if waiting.is_empty() {
                self.heard.set(R::now());
            }
            waiting.insert(id, sender);
        }
        let _gone = Gone { link: self, id };
        self.outlet.send(id, request.encode(), payload, None);
        let answer = within::<R, _>(answered, patience).await.ok_or(PeerError::Late)?;
        match answer.map_err(|_| PeerError::Away("the connection was closed".to_owned()))?? {
            (Answer::Denied(denial), _) => Err(PeerError::Denied(denial)),
            (Answer::Fault(fault), _) => Err(PeerError::Drive(error_of(fault))),
            reply => Ok(reply),
        }
    }

    /// Ends the connection; whoever waits is told why.
    pub(super) fn end(&self, why: &PeerError) {
        self.broken.borrow_mut().get_or_insert_with(|| why.clone());
        self.outlet.cut();
        self.stop.set();
        for (_, waiting) in self.waiting.take() {
            // Who has gone does not want to know.
            let _ = waiting.send(Err(why.clone()));
        }
    }

    /// Receives answers until the end; says why it came. Never drop its future.
    async fn listen<R: Rt, C: Conn>(&self, mut inlet: Inlet<C>) -> PeerError {
        loop {
            match inlet.next::<R>().await {
                Ok(Incoming::Frame(frame)) => {
                    self.heard.set(R::now());
                    if let Err(error) = self.handle(frame) {
                        return error;
                    }
                }
                Ok(Incoming::Nothing) if self.waiting.borrow().is_empty() => {}
                Ok(Incoming::Nothing) if R::now() - self.heard.get() >= PEER_SILENCE => {
                    return PeerError::Late;
                }
                Ok(Incoming::Nothing) => {
                    self.outlet.send(ID_ALIVE, Request::Writable.encode(), None, None);
                }
                Err(Broken::Io(error)) => return PeerError::Away(error.to_string()),
                Err(Broken::Frame(_)) => return PeerError::Lied("bytes that are no frame"),
            }
        }
    }

    /// Hands an answer to who waits for it.
    fn handle(&self, frame: Frame) -> Result<(), PeerError> {
        let payload_len = frame.header.payload_len as usize;
        let answer = Answer::decode(frame.header.kind, &frame.meta, payload_len)
            .map_err(|_| PeerError::Lied("a message that makes no sense"))?;
        match (frame.header.id, &answer) {
            (ID_CONNECTION, Answer::Denied(denial)) => return Err(PeerError::Denied(*denial)),
            (ID_ALIVE, _) => return Ok(()),
            _ => {}
        }
        let holds = frame.payload_holds;
        let reply = holds.then_some((answer, frame.payload)).ok_or(PeerError::Lied("a false checksum"));
        // Who has gone, or waited too long, does not want it any more.
        if let Some(waiting) = self.waiting.borrow_mut().remove(&frame.header.id) {
            let _ = waiting.send(reply);
        }
        Ok(())
    }
}

/// Takes its request off the list when the asker goes.
struct Gone<'l> {
    link: &'l Link,
    id: u32,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.link.waiting.borrow_mut().remove(&self.id);
    }
}
