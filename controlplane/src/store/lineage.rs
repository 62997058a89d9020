//! Which of a server's histories a connection is of: PostgreSQL counts a new timeline with every promotion.
//!
//! A leader assigns sequences from memory. On a standby that was promoted under it the rows of its last commits may be missing,
//! and nothing in the rows that are there would say so; so it never goes on there. A connection of another timeline than the one
//! it leads on is refused, it steps down, and the next epoch begins with the question what was lost.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use deadpool_postgres::{Hook, HookError};
use tokio::sync::Notify;

/// Shared by the pools and the leader.
#[derive(Debug, Default)]
pub struct Lineage {
    /// 0: this process does not lead, any timeline will do.
    led_on: AtomicU32,
    broken: AtomicBool,
    broke: Notify,
}

impl Lineage {
    /// From now on connections of other timelines are refused. 0: no longer, or the server has none.
    pub fn lead_on(&self, timeline: u32) {
        self.broken.store(false, Ordering::Release);
        self.led_on.store(timeline, Ordering::Release);
    }

    /// A connection was refused since.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Waits for that.
    pub async fn broke(&self) {
        while !self.is_broken() {
            self.broke.notified().await;
        }
    }

    fn admits(&self, timeline: u32) -> bool {
        let led_on = self.led_on.load(Ordering::Acquire);
        if led_on == 0 || timeline == 0 || led_on == timeline {
            return true;
        }
        self.broken.store(true, Ordering::Release);
        self.broke.notify_waiters();
        self.broke.notify_one();
        false
    }
}

/// The timeline a server writes now; 0: it is another product, which has none. A standby refuses.
pub async fn timeline(client: &tokio_postgres::Client) -> Result<u32, tokio_postgres::Error> {
    // The first eight of a WAL file's digits.
    let row = client.query_one("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)", &[]).await;
    match row {
        Ok(row) => Ok(u32::from_str_radix(row.get(0), 16).unwrap_or(0)),
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_FUNCTION) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Whether a standby follows that commits do not wait for: promoted, it lacks the last ones. False where that cannot be told.
pub async fn has_lagging_standby(client: &tokio_postgres::Client) -> bool {
    let text = "SELECT current_setting('synchronous_standby_names') = '' AND EXISTS (SELECT 1 FROM pg_stat_replication)";
    client.query_one(text, &[]).await.is_ok_and(|row| row.get(0))
}

/// Looks at every new connection of a pool.
pub(super) fn hook(lineage: std::sync::Arc<Lineage>) -> Hook {
    Hook::async_fn(move |client, _| {
        let lineage = lineage.clone();
        Box::pin(async move {
            let timeline = timeline(client).await.map_err(HookError::Backend)?;
            if lineage.admits(timeline) {
                return Ok(());
            }
            Err(HookError::message("the database is another one than before: a standby was promoted"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::Lineage;

    #[test]
    fn another_timeline_is_refused_only_while_leading() {
        let lineage = Lineage::default();
        assert!(lineage.admits(1) && lineage.admits(2) && !lineage.is_broken());
        lineage.lead_on(2);
        assert!(lineage.admits(2) && lineage.admits(0) && !lineage.is_broken());
        assert!(!lineage.admits(3) && lineage.is_broken());
        lineage.lead_on(0);
        assert!(lineage.admits(3) && !lineage.is_broken());
    }
}
