//! Memory that bodies may take on one core: a request that finds none left waits a little, then S3 says SlowDown.
//!
//! What a body takes is bounded by two rows of fragments whatever its size (DESIGN 4.2), so the budget bounds the whole
//! core: a thousand slow uploads wait here, before their `100 Continue`, and not in memory.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use holdfast_protocol::error::{Code, S3Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{BODY_BUDGET_BYTES_PER_CORE, BODY_BUDGET_WAIT, BODY_BYTES_MAX_PER_REQUEST};
use crate::rt::Rt;

/// Bytes that one permit stands for.
const UNIT: u64 = 16 << 10;

pub(super) struct Budget(Arc<Semaphore>);

/// A request's share; given back when dropped.
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new((BODY_BUDGET_BYTES_PER_CORE / UNIT) as usize)))
    }
}

impl Budget {
    /// Takes what a body of `bytes` bytes needs (`None`: unknown, so as much as any).
    ///
    /// # Errors
    /// `SlowDown` when the core had nothing to spare for [`BODY_BUDGET_WAIT`].
    pub(super) async fn take<R: Rt>(&self, bytes: Option<u64>) -> Result<Share, S3Error> {
        // Twice the body: data and as much parity.
        let wanted = bytes.map_or(u64::MAX, |bytes| bytes.saturating_mul(2)).min(BODY_BYTES_MAX_PER_REQUEST);
        let permits = (wanted / UNIT) as u32 + 1;
        if let Ok(permit) = self.0.clone().try_acquire_many_owned(permits) {
            return Ok(Share { _permit: permit });
        }
        let permit = pin!(self.0.clone().acquire_many_owned(permits));
        let late = pin!(R::sleep(BODY_BUDGET_WAIT));
        match select(permit, late).await {
            Either::Left((permit, _)) => {
                Ok(Share { _permit: permit.expect("the semaphore is never closed") })
            }
            Either::Right(_) => Err(S3Error::new(Code::SlowDown)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::CoreConfig;
    use crate::rt::epoll::EpollRt;

    #[test]
    fn beyond_the_budget_a_request_is_told_to_slow_down_and_a_freed_share_serves_the_next() {
        let core = CoreConfig { index: 0, cpu: None };
        let outcome = EpollRt::run(&core, async {
            let budget = Budget::default();
            let mut held = Vec::new();
            for _ in 0..BODY_BUDGET_BYTES_PER_CORE / (BODY_BYTES_MAX_PER_REQUEST + UNIT) {
                held.push(budget.take::<EpollRt>(None).await.expect("within the budget"));
            }
            assert_eq!(
                budget.take::<EpollRt>(None).await.err().map(|error| error.code),
                Some(Code::SlowDown)
            );
            held.pop();
            budget.take::<EpollRt>(None).await.is_ok()
        });
        assert!(outcome.expect("runs"));
    }
}
