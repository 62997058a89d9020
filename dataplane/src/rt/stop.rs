//! The wish of one core to stop: wakes what waits for work (accept, idle connections), leaves what works alone.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// A flag of one core with waiters. Clones share it.
#[derive(Clone, Default)]
pub struct Stop(Rc<State>);

#[derive(Default)]
struct State {
    set: Cell<bool>,
    next: Cell<u64>,
    /// In the order in which they came, so that a simulation wakes them alike each time.
    waiting: RefCell<std::collections::BTreeMap<u64, Waker>>,
}

impl Stop {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes all that wait for it.
    pub fn set(&self) {
        self.0.set.set(true);
        let waiting = std::mem::take(&mut *self.0.waiting.borrow_mut());
        waiting.into_values().for_each(Waker::wake);
    }

    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.set.get()
    }

    /// Ends when the flag is set. May be dropped.
    pub fn wait(&self) -> impl Future<Output = ()> + use<> {
        let ticket = Ticket { id: self.0.next.get(), state: Rc::clone(&self.0) };
        self.0.next.set(ticket.id + 1);
        poll_fn(move |cx| {
            if ticket.state.set.get() {
                return Poll::Ready(());
            }
            ticket.state.waiting.borrow_mut().insert(ticket.id, cx.waker().clone());
            Poll::Pending
        })
    }
}

/// One waiter's place, given up when its future is dropped.
struct Ticket {
    id: u64,
    state: Rc<State>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.state.waiting.borrow_mut().remove(&self.id);
    }
}
