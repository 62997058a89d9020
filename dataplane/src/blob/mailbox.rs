//! Results of a request's tasks, in the order in which they came: one reader, any number of senders, one core.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The reader's end. Bounded by how many tasks the reader starts.
pub(super) struct Mailbox<T>(Rc<RefCell<State<T>>>);

/// A sender's end; messages to a reader that is gone are dropped with it.
pub(super) struct Sender<T>(Rc<RefCell<State<T>>>);

struct State<T> {
    letters: VecDeque<T>,
    waker: Option<Waker>,
    closed: bool,
}

impl<T> Mailbox<T> {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new(State { letters: VecDeque::new(), waker: None, closed: false })))
    }

    pub(super) fn sender(&self) -> Sender<T> {
        Sender(self.0.clone())
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.borrow_mut().letters.pop_front()
    }

    /// The next message. Dropping the future loses none.
    pub(super) async fn next(&self) -> T {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            match state.letters.pop_front() {
                Some(letter) => Poll::Ready(letter),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let letters = {
            let mut state = self.0.borrow_mut();
            state.closed = true;
            std::mem::take(&mut state.letters)
        };
        drop(letters);
    }
}

impl<T> Sender<T> {
    pub(super) fn send(&self, letter: T) {
        let waker = {
            let mut state = self.0.borrow_mut();
            if state.closed {
                return;
            }
            state.letters.push_back(letter);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
