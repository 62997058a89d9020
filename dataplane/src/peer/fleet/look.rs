//! Looking again: a write that finds too few nodes has those tried at once that are believed to be away, instead of being
//! refused until the next round. One look at a time and core, whoever asks, and none right after another.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::Others;
use super::routes::Other;
use crate::limits::{PEER_LOOK_DEADLINE, PEER_LOOK_EVERY};
use crate::link::Link;
use crate::rt::{Rt, within};

/// A core's look, if one is under way.
#[derive(Default)]
pub(super) struct Look {
    under_way: Cell<bool>,
    ended: Cell<Option<Instant>>,
    /// Who wants to know of each node that answers, and of the end.
    waiting: RefCell<Vec<oneshot::Sender<bool>>>,
}

impl Look {
    fn tell(&self, reached: bool) {
        for waiting in self.waiting.take() {
            // Who has gone does not want to know.
            let _ = waiting.send(reached);
        }
    }
}

impl<L: Link, R: Rt> Others<L, R> {
    /// As [`crate::drives::Drives::look_again`]. Its future may be dropped.
    pub(super) async fn look_again(self: &Rc<Self>) -> bool {
        let look = &self.look;
        let just_now = || look.ended.get().is_some_and(|at| R::now().duration_since(at) < PEER_LOOK_EVERY);
        if !look.under_way.get() {
            if just_now() || self.are_all_reached() {
                return false;
            }
            look.under_way.set(true);
            R::spawn(Rc::clone(self).look());
        }
        let (sender, told) = oneshot::channel();
        look.waiting.borrow_mut().push(sender);
        told.await.unwrap_or(false)
    }

    /// Every node with drives has some that take fragments, as far as is known.
    pub(super) fn are_all_reached(&self) -> bool {
        self.all().iter().all(|other| self.is_reached(other))
    }

    fn is_reached(&self, other: &Other) -> bool {
        other.backends.is_empty() || self.peers.reach.has(&other.name)
    }

    async fn look(self: Rc<Self>) {
        let away = self.all().into_iter().filter(|other| !self.is_reached(other));
        let asked = away.map(|other| async {
            if let Ok(node) = self.node(&other.name) {
                node.wake(R::now());
            }
            self.ask_writable(other).await;
            self.look.tell(true);
        });
        within::<R, _>(join_all(asked), PEER_LOOK_DEADLINE).await;
        self.look.ended.set(Some(R::now()));
        self.look.under_way.set(false);
        self.look.tell(false);
    }
}
