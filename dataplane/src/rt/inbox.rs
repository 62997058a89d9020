//! Waiting with a limit, in a task; for a message as `flume::Receiver::recv_timeout` does.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::time::Duration;

use flume::{Receiver, RecvTimeoutError};
use futures_util::future::{Either, select};

use super::Rt;

/// What `future` comes to, or `None` when it has not within `patience`; then it is dropped, so it must not be an operation
/// of a connection or listener (see the rules of [`super`]; one of a file may be dropped).
pub(crate) async fn within<R: Rt, F: Future>(future: F, patience: Duration) -> Option<F::Output> {
    match select(pin!(future), pin!(R::sleep(patience))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// The next message that nobody else took, or why there is none.
pub(crate) async fn receive_within<R: Rt, T>(
    inbox: &Receiver<T>,
    patience: Duration,
) -> Result<T, RecvTimeoutError> {
    let received = within::<R, _>(receive(inbox), patience).await.ok_or(RecvTimeoutError::Timeout)?;
    received.map_err(|_| RecvTimeoutError::Disconnected)
}

/// `recv_async` for an inbox from which others take as well.
///
/// flume 0.12's own future keeps for good that it was woken. If the message is gone by then, and the runtime's wakers
/// compare unequal (which depends on how their table was compiled), it wakes itself at each poll and stands in the
/// channel's queue once more each time, until memory is out. Here each poll asks with a future of its own.
async fn receive<T>(inbox: &Receiver<T>) -> Result<T, flume::RecvError> {
    let mut asking = inbox.recv_async();
    poll_fn(|cx| {
        asking = inbox.recv_async();
        Pin::new(&mut asking).poll(cx)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_is_woken_for_a_message_that_is_gone_waits_on() {
        let (sender, inbox) = flume::unbounded();
        let mut waiting = pin!(receive(&inbox));
        let wakes: [Arc<Wakes>; 3] = Default::default();
        let mut poll = |n: usize| {
            let waker = Waker::from(Arc::clone(&wakes[n]));
            waiting.as_mut().poll(&mut Context::from_waker(&waker))
        };
        let woken = |n: usize| wakes[n].0.load(Ordering::Relaxed);

        assert!(poll(0).is_pending());
        sender.send(1).unwrap();
        assert_eq!((woken(0), inbox.try_recv()), (1, Ok(1)));
        assert!(poll(1).is_pending());
        assert_eq!(woken(1), 0, "nothing came since");
        sender.send(2).unwrap();
        assert_eq!(woken(1), 1);
        assert_eq!(poll(2), std::task::Poll::Ready(Ok(2)));
    }
}
