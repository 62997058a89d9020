//! One connection's loop: take the next operation, do it, note how long it took.

use super::connection::Connection;
use super::failure::Failure;
use super::operations::Client;
use super::options::Op;
use super::pacer::Pacer;
use super::record::Record;
use super::shared::{Phase, Shared, Work};
use crate::limits::RECONNECT_PAUSE;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

pub(super) struct Worker {
    shared: Arc<Shared>,
    phase: Arc<Phase>,
    client: Client,
    connection: Option<Connection>,
    pacer: Option<Pacer>,
    record: Record,
    /// Names this worker put and a mixed run may delete.
    mine: VecDeque<String>,
}

/// One operation to do.
struct Job {
    op: Op,
    /// Of a key that is written or removed.
    name: String,
    /// Decides the content, and for reads the key.
    number: u64,
    /// Latency counts from here.
    start: Instant,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, phase: Arc<Phase>, index: usize) -> Result<Self, Failure> {
        let pacer = phase.schedule.as_ref().map(|_| Pacer::new()).transpose()?;
        let client = Client::new(Arc::clone(&shared), index as u64);
        Ok(Self {
            shared,
            phase,
            client,
            connection: None,
            pacer,
            record: Record::default(),
            mine: VecDeque::new(),
        })
    }

    /// Works until the phase has nothing more.
    pub(super) async fn run(mut self) -> Record {
        while let Some(job) = self.next().await {
            let done = self.attempt(&job).await;
            self.note(job, done).await;
        }
        self.phase.leave();
        self.record.verified += self.client.verified;
        self.record
    }

    async fn next(&mut self) -> Option<Job> {
        if self.phase.work == Work::Load {
            let number = self.phase.take(self.shared.options.keys)?;
            let name = self.shared.loaded_name(number);
            return Some(Job { op: Op::Put, name, number, start: Instant::now() });
        }
        let due = self.wait_until_due().await;
        if due.max(Instant::now()) >= self.phase.until {
            return None;
        }
        let op = match self.shared.options.op {
            Op::Mixed => self.shared.options.mix.pick(self.client.random.next() >> 32),
            op => op,
        };
        self.job(op, due)
    }

    /// When the operation counts from: its moment of the schedule, or now.
    async fn wait_until_due(&self) -> Instant {
        let (Some(schedule), Some(pacer)) = (&self.phase.schedule, &self.pacer) else {
            return Instant::now();
        };
        let due = schedule.next();
        // A timer that fails lets the operation go early; there is none that does.
        let _ = pacer.until(due.min(self.phase.until)).await;
        due
    }

    fn job(&mut self, op: Op, start: Instant) -> Option<Job> {
        let shared = &self.shared;
        let keys = shared.options.keys;
        let loaded = |number| Job { op, name: shared.loaded_name(number), number, start };
        Some(match op {
            Op::Put if shared.options.overwrite => loaded(self.client.random.below(keys)),
            Op::Put | Op::Multipart => {
                let number = shared.named.fetch_add(1, Relaxed);
                Job { op, name: shared.new_name(number), number, start }
            }
            Op::Delete if shared.options.op == Op::Mixed => match self.mine.pop_front() {
                Some(name) => Job { op, name, number: 0, start },
                // nothing of its own yet: it makes something to delete
                None => return self.job(Op::Put, start),
            },
            Op::Delete => loaded(self.phase.take(keys)?),
            Op::Get | Op::Head | Op::Range | Op::List | Op::Mixed => {
                let number = shared.choice.pick(&mut self.client.random);
                Job { op, name: String::new(), number, start }
            }
        })
    }

    /// Does the job within the time allowed, and keeps the connection if it still can be used.
    async fn attempt(&mut self, job: &Job) -> Result<u64, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.shared.target.door).await?,
        };
        let timeout = self.shared.options.timeout;
        let done = tokio::time::timeout(timeout, self.perform(&mut connection, job)).await;
        let done = done.unwrap_or(Err(Failure::Timeout));
        let whole = done.as_ref().map_or_else(Failure::connection_is_whole, |_| true);
        if whole {
            self.connection = Some(connection);
        }
        done
    }

    async fn perform(&mut self, connection: &mut Connection, job: &Job) -> Result<u64, Failure> {
        match job.op {
            Op::Put => self.client.put(connection, &job.name, job.number).await,
            Op::Get => self.client.get(connection, job.number).await,
            Op::Head => self.client.stat(connection, job.number).await,
            Op::Delete => self.client.delete(connection, &job.name).await,
            Op::List => self.client.list(connection).await,
            Op::Range => self.client.range(connection, job.number).await,
            Op::Multipart => self.client.multipart(connection, &job.name).await,
            Op::Mixed => unreachable!("a mix is resolved before"),
        }
    }

    async fn note(&mut self, job: Job, done: Result<u64, Failure>) {
        let now = Instant::now();
        let counts = (self.phase.from..self.phase.until).contains(&now);
        match done {
            Ok(bytes) => {
                self.phase.count_done();
                if counts {
                    self.record.success(job.op, bytes, now.saturating_duration_since(job.start));
                }
                if job.op == Op::Put && self.shared.options.op == Op::Mixed {
                    self.mine.push_back(job.name);
                }
            }
            Err(failure) => {
                if counts {
                    self.record.failure(&failure);
                }
                if self.connection.is_none() {
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
        }
    }
}
