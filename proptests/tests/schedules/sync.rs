//! `crate::sync` of the data plane, with shuttle's parts.

pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};

/// parking_lot's shape: a lock is never poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> shuttle::sync::MutexGuard<'_, T> {
        self.0.lock().expect("nobody panicked")
    }
}

/// tokio's shape, of shuttle's channel: one answer, or the news that there will be none.
pub(crate) mod oneshot {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::Mutex;

    #[derive(Debug)]
    struct Shared<T> {
        value: Option<T>,
        closed: bool,
        waker: Option<Waker>,
    }

    #[derive(Debug)]
    pub(crate) struct Sender<T>(Arc<Mutex<Shared<T>>>);
    #[derive(Debug)]
    pub(crate) struct Receiver<T>(Arc<Mutex<Shared<T>>>);

    pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let shared = Shared { value: None, closed: false, waker: None };
        let shared = Arc::new(Mutex(shuttle::sync::Mutex::new(shared)));
        (Sender(Arc::clone(&shared)), Receiver(shared))
    }

    impl<T> Sender<T> {
        pub(crate) fn send(self, value: T) -> Result<(), T> {
            self.0.lock().value = Some(value);
            Ok(())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            let waker = {
                let mut shared = self.0.lock();
                shared.closed = true;
                shared.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = Result<T, ()>;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let mut shared = self.0.lock();
            match shared.value.take() {
                Some(value) => Poll::Ready(Ok(value)),
                None if shared.closed => Poll::Ready(Err(())),
                None => {
                    shared.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        }
    }
}
