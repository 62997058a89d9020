//! How much is under way: requests and their bytes. Who is at the bound waits, and TCP makes the sender wait.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// A bound on requests and bytes. Clones share it.
#[derive(Clone)]
pub(super) struct Load(Rc<State>);

struct State {
    requests: Cell<usize>,
    bytes: Cell<usize>,
    requests_max: usize,
    bytes_max: usize,
    waiting: RefCell<Vec<Waker>>,
}

impl Load {
    pub(super) fn new(requests_max: usize, bytes_max: usize) -> Self {
        let (requests, bytes, waiting) = (Cell::new(0), Cell::new(0), RefCell::default());
        Self(Rc::new(State { requests, bytes, requests_max, bytes_max, waiting }))
    }

    /// Requests under way.
    pub(super) fn requests(&self) -> usize {
        self.0.requests.get()
    }

    /// Waits until one more request with so many bytes is within the bound, and counts it. One that is larger than the
    /// whole bound has it for itself.
    pub(super) async fn take(&self, bytes: usize) -> Share {
        poll_fn(|cx| {
            let state = &self.0;
            let fits = state.bytes.get() == 0 || state.bytes.get() + bytes <= state.bytes_max;
            if state.requests.get() < state.requests_max && fits {
                return Poll::Ready(());
            }
            state.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        self.0.requests.set(self.0.requests.get() + 1);
        self.0.bytes.set(self.0.bytes.get() + bytes);
        Share { load: self.clone(), bytes }
    }
}

/// One request's part of a [`Load`], given back when it is dropped.
pub(super) struct Share {
    load: Load,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        let state = &self.load.0;
        state.requests.set(state.requests.get() - 1);
        state.bytes.set(state.bytes.get() - self.bytes);
        state.waiting.take().into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn who_is_at_the_bound_waits_for_who_leaves() {
        let load = Load::new(2, 100);
        let cx = &mut Context::from_waker(Waker::noop());
        let take = |bytes| {
            let load = load.clone();
            Box::pin(async move { load.take(bytes).await })
        };
        let Poll::Ready(large) = take(1000).as_mut().poll(cx) else { panic!("alone it may be larger") };
        let mut next = take(1);
        assert!(next.as_mut().poll(cx).is_pending());
        drop(large);
        let Poll::Ready(_one) = next.as_mut().poll(cx) else { panic!("there is room") };
        let Poll::Ready(_two) = pin!(load.take(99)).poll(cx) else { panic!("there is room") };
        assert!(pin!(load.take(0)).poll(cx).is_pending(), "two requests are the bound");
    }
}
