//! A value, and who waits until it is another one.
//!
//! Its shape and its names are those of tokio's `watch`, which wakes its waiters in an order of its own chance. Here they wake
//! in the order in which they came, so that a history of the simulated cluster can be repeated.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Changes the value; there is one. When it is dropped, the value is the last.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Reads the value, and waits for another.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

/// The value will not change any more, and is not what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last;

#[derive(Debug)]
struct Shared<T> {
    /// With whether it is the last.
    value: Mutex<(T, bool)>,
    /// Wakes in order of arrival.
    changed: Notify,
}

/// A value and its first reader.
pub fn channel<T: Copy>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared { value: Mutex::new((value, false)), changed: Notify::new() }))
    }

    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(Arc::clone(&self.0))
    }

    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        modify(&mut self.0.value.lock().0);
        self.0.changed.notify_waiters();
    }

    pub fn send_replace(&self, value: T) {
        self.send_modify(|held| *held = value);
    }
}

impl<T: Copy> Sender<T> {
    #[must_use]
    pub fn borrow(&self) -> T {
        self.0.value.lock().0
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.value.lock().1 = true;
        self.0.changed.notify_waiters();
    }
}

impl<T: Copy> Receiver<T> {
    #[must_use]
    pub fn borrow(&self) -> T {
        self.0.value.lock().0
    }

    /// Waits until the value is such.
    ///
    /// # Errors
    /// [`Last`]: it never will be.
    pub async fn wait_for(&self, such: impl Fn(T) -> bool) -> Result<(), Last> {
        loop {
            // Made before the look: what changes after the look wakes it.
            let changed = self.0.changed.notified();
            let (value, last) = *self.0.value.lock();
            if such(value) {
                return Ok(());
            }
            if last {
                return Err(Last);
            }
            changed.await;
        }
    }
}

impl<T> Receiver<T> {
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::{Last, channel};

    #[tokio::test]
    async fn a_value_that_is_there_is_not_waited_for() {
        let (sender, receiver) = channel(3);
        assert_eq!(receiver.wait_for(|value| value == 3).await, Ok(()));
        sender.send_replace(4);
        assert_eq!(receiver.borrow(), 4);
        assert_eq!(receiver.wait_for(|value| value == 4).await, Ok(()));
    }

    #[tokio::test]
    async fn the_last_value_counts_and_no_other_is_waited_for() {
        let (sender, receiver) = channel(3);
        drop(sender);
        assert_eq!(receiver.wait_for(|value| value == 3).await, Ok(()));
        assert_eq!(receiver.wait_for(|value| value == 4).await, Err(Last));
    }

    #[tokio::test]
    async fn waiters_wake_in_the_order_in_which_they_came() {
        for turn in 0..20 {
            let (sender, receiver) = channel(false);
            let woken = Arc::new(Mutex::new(Vec::new()));
            let mut waiting = Vec::new();
            for number in 0..40 {
                let (receiver, woken) = (receiver.clone(), Arc::clone(&woken));
                waiting.push(tokio::spawn(async move {
                    assert_eq!(receiver.wait_for(|value| value).await, Ok(()));
                    woken.lock().push(number);
                }));
                // It waits before the next one comes.
                tokio::task::yield_now().await;
            }
            sender.send_replace(true);
            for waiting in waiting {
                waiting.await.expect("no panic");
            }
            assert_eq!(*woken.lock(), (0..40).collect::<Vec<_>>(), "turn {turn}");
        }
    }
}
