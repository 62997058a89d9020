//! Waiting until a session has acknowledged, or can no longer serve by what it does not know of.

use tokio::time::Instant;
use uuid::Uuid;

use super::signal;

/// How far a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub acknowledged: u64,
    /// End of its record lease; `None`: it never had one.
    pub lease_until: Option<Instant>,
    /// End of its access lease, likewise.
    pub access_until: Option<Instant>,
    /// The node itself has ended it: by its next hello it gave up the lease.
    pub void: bool,
}

/// What a node may go by until it has heard otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Records of its cache may be shown.
    Records,
    /// Keys, policies and buckets may be believed.
    Access,
}

impl Progress {
    /// End of a lease. Who may show records may believe keys as well: a node of before knows one lease for both.
    fn until(&self, lease: Lease) -> Option<Instant> {
        match lease {
            Lease::Records => self.lease_until,
            Lease::Access => self.access_until.max(self.lease_until),
        }
    }
}

/// One session's acknowledgement of everything up to an ordinal.
#[derive(Clone, Debug)]
pub struct Acknowledgement {
    pub session: Uuid,
    pub ordinal: u64,
    /// Beyond this lease it is not waited for.
    pub lease: Lease,
    /// A connected session is waited for until here even without a lease (configuration only).
    pub grace_until: Option<Instant>,
    pub progress: signal::Receiver<Progress>,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Acknowledged,
    /// The lease ran out, or the session ended.
    Expired,
}

impl Acknowledgement {
    /// What a commit waits for that stands beside a change of configuration: no longer than for records.
    #[must_use]
    pub fn of_records(&self) -> Self {
        Self { lease: Lease::Records, ..self.clone() }
    }

    /// Waits. A session without a live lease is not waited for beyond its grace: it asks before it answers.
    pub async fn wait(self) -> Waited {
        loop {
            let progress = self.progress.borrow();
            if progress.acknowledged >= self.ordinal {
                return Waited::Acknowledged;
            }
            let until = progress.until(self.lease).max(self.grace_until);
            let Some(until) = until.filter(|until| !progress.void && *until > Instant::now()) else {
                return Waited::Expired;
            };
            tokio::select! {
                biased;
                changed = self.progress.wait_for(|now| now != progress) => if changed.is_err() {
                    // The session was forgotten: after its lease, by its own hello, or because leadership has ended.
                    // The last ends no lease: the node may not have heard of it.
                    let last = self.progress.borrow();
                    if let Some(until) = last.until(self.lease).filter(|_| !last.void) {
                        tokio::time::sleep_until(until).await;
                    }
                    return Waited::Expired;
                },
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

/// Waits for all.
pub async fn all(waits: Vec<Acknowledgement>) {
    each(waits).await;
}

/// Waits for all; returns how many have acknowledged, and session and ordinal of those that have not.
pub async fn each(waits: Vec<Acknowledgement>) -> (u32, Vec<(Uuid, u64)>) {
    let (mut acknowledged, mut expired) = (0, Vec::new());
    for wait in waits {
        let (session, ordinal) = (wait.session, wait.ordinal);
        match wait.wait().await {
            Waited::Acknowledged => acknowledged += 1,
            Waited::Expired => expired.push((session, ordinal)),
        }
    }
    (acknowledged, expired)
}

/// Waits until every one of these commits may be shown.
pub async fn released(pending: Vec<signal::Receiver<bool>>) {
    for pending in pending {
        // An error means that the batch's task is gone, which it is only after the release or with the process.
        let _ = pending.wait_for(|released| released).await;
    }
}
