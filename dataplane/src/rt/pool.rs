//! A bounded pool of threads for calls that block: a core hands a call over and awaits its result.
//!
//! monoio 0.2.4's own `spawn_blocking` is not used: dropping its handle races with the pool thread (MEASURED.md A3).

use std::sync::OnceLock;
use std::thread;

use crate::limits::{BLOCKING_QUEUE_MAX, BLOCKING_THREADS};

type Call = Box<dyn FnOnce() + Send>;

/// Runs `call` on a thread of the pool. Dropping the future lets the call run to its end and forgets the result.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let (answer, result) = flume::bounded(1);
    let call: Call = Box::new(move || {
        // The caller may have gone: then nobody wants the result.
        let _ = answer.send(call());
    });
    queue().send_async(call).await.expect("the pool's threads live as long as the process");
    result.recv_async().await.expect("a blocking call does not panic")
}

fn queue() -> &'static flume::Sender<Call> {
    static QUEUE: OnceLock<flume::Sender<Call>> = OnceLock::new();
    QUEUE.get_or_init(|| {
        let (sender, receiver) = flume::bounded::<Call>(BLOCKING_QUEUE_MAX);
        for number in 0..BLOCKING_THREADS {
            let calls = receiver.clone();
            thread::Builder::new()
                .name(format!("blocking-{number}"))
                .spawn(move || calls.iter().for_each(run_guarded))
                .expect("the system gives us threads at start");
        }
        sender
    })
}

/// A panicking call drops its answer's sender, which its caller sees; the thread lives on.
fn run_guarded(call: Call) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err() {
        tracing::error!("a blocking call panicked");
    }
}
