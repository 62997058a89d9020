//! Memory that bodies may take on one core: a request that finds none left waits a little, then S3 says SlowDown.
//!
//! What a body takes is bounded by two rows of fragments whatever its size (DESIGN 4.2), so the budget bounds the whole
//! core: a thousand slow uploads wait here, before their `100 Continue`, and not in memory.

use std::sync::Arc;

use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::limits::FORM_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{
    BODY_BUDGET_BYTES_PER_CORE, BODY_BUDGET_FORM_BYTES_PER_CORE, BODY_BUDGET_SMALL_BYTES_PER_CORE,
    BODY_BUDGET_WAIT, BODY_BUFFER_BYTES, BODY_BYTES_MAX_PER_REQUEST, BODY_SMALL_BYTES,
};
use crate::rt::{Rt, within};

/// Bytes that one permit stands for.
const UNIT: u64 = 16 << 10;

/// Small bodies have a pool of their own: a large one that waits for its share stands before nobody but its like. So have forms
/// until it is known who sends them, for that may be anybody, as slowly as he likes.
pub(super) struct Budget {
    large: Arc<Semaphore>,
    small: Arc<Semaphore>,
    forms: Arc<Semaphore>,
}

/// A request's share; given back when dropped.
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Default for Budget {
    fn default() -> Self {
        let pool = |bytes: u64| Arc::new(Semaphore::new((bytes / UNIT) as usize));
        Self {
            large: pool(BODY_BUDGET_BYTES_PER_CORE),
            small: pool(BODY_BUDGET_SMALL_BYTES_PER_CORE),
            forms: pool(BODY_BUDGET_FORM_BYTES_PER_CORE),
        }
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
        share::<R>(if wanted <= 2 * BODY_SMALL_BYTES { &self.small } else { &self.large }, wanted).await
    }

    /// Takes what the fields of a form need: themselves, and the buffer in which they arrive.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) async fn take_form<R: Rt>(&self) -> Result<Share, S3Error> {
        share::<R>(&self.forms, (FORM_BYTES_MAX + BODY_BUFFER_BYTES) as u64).await
    }
}

async fn share<R: Rt>(pool: &Arc<Semaphore>, bytes: u64) -> Result<Share, S3Error> {
    let permits = (bytes / UNIT) as u32 + 1;
    if let Ok(permit) = pool.clone().try_acquire_many_owned(permits) {
        return Ok(Share { _permit: permit });
    }
    let permit = within::<R, _>(pool.clone().acquire_many_owned(permits), BODY_BUDGET_WAIT).await;
    let permit = permit.ok_or_else(|| S3Error::new(Code::SlowDown))?;
    Ok(Share { _permit: permit.expect("the semaphore is never closed") })
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
            assert!(
                budget.take::<EpollRt>(Some(BODY_SMALL_BYTES)).await.is_ok(),
                "small bodies do not stand behind"
            );
            assert!(budget.take_form::<EpollRt>().await.is_ok(), "nor do forms");
            held.pop();
            budget.take::<EpollRt>(None).await.is_ok()
        });
        assert!(outcome.expect("runs"));
    }
}
