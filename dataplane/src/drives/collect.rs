//! Collecting the delete log: deletes that no segment needs any more are dropped.
//!
//! A delete is needed while some segment physically holds a record of its fragment, living or not: a start that rebuilds the
//! index would bring it back. Names are never written again after their delete, and compaction copies only what is not
//! deleted, so a segment whose life began after a log's segment was sealed holds nothing of what that log deletes. A round
//! takes some sealed segments of deletes into memory and looks through the tables of all pieces' segments that are older
//! than that. What is still needed is written again, durably; then, when no removed segment can come back (its directory
//! is synced) and a checkpoint has made the index forget what was deleted, the old log segments are given back.
//!
//! The keeper runs it a step at a time: one table, or one batch of deletes. An open segment, or one whose table cannot be
//! read, is walked in one go; that is the longest step.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use holdfast_common::id::FragmentId;
use holdfast_protocol::record::{Entry, Kind, SegmentRole};

use super::budget::Budget;
use super::drive::Phase;
use super::flush::io as io_error;
use super::keeper::Keeper;
use super::{DriveError, recovery};
use crate::index::{IndexError, Life};
use crate::limits::{
    COLLECT_DELETES_MAX, COLLECT_LOOK, COLLECT_PATIENCE, COLLECT_SEGMENTS_MAX, COLLECT_WAIT,
    DELETES_PER_BATCH_MAX, KEEPER_RETRY,
};

/// Bytes of a delete in the log: a record without fields and payload.
const DELETE_BYTES: u64 = 192;

/// Where collection on one drive is.
#[derive(Debug)]
pub(super) struct Collector {
    budget: Budget,
    look_at: Instant,
    stage: Stage,
    /// Segments of deletes after the last round, and their bytes: what it could not drop.
    kept: (usize, u64),
    waited: u32,
    /// What this round has to write again.
    needed_bytes: u64,
    /// Log segments that nothing needs any more.
    vacant: VecDeque<Life>,
}

#[derive(Debug)]
enum Stage {
    Idle,
    /// For segments of pieces that are about to be given back.
    Waiting,
    Looking(Round),
    /// What is needed is being written again.
    Keeping(Vec<Life>, Vec<(FragmentId, u32)>),
    /// The checkpoint is being made that lets these go.
    Covering(Vec<Life>, flume::Receiver<Result<(), IndexError>>),
}

/// Some segments of deletes, held against all segments of pieces that may need them.
#[derive(Debug)]
struct Round {
    logs: Vec<Life>,
    /// Rows, and whether it is needed.
    deletes: HashMap<FragmentId, (u32, bool)>,
    /// Still to be looked through.
    todo: Vec<Life>,
}

impl Collector {
    pub(super) fn new(now: Instant) -> Self {
        let (budget, vacant) = (Budget::new(now), VecDeque::new());
        Self { budget, look_at: now, stage: Stage::Idle, kept: (0, 0), waited: 0, needed_bytes: 0, vacant }
    }

    /// Does one thing, and says how long the next can wait.
    pub(super) fn step(&mut self, keeper: &mut Keeper) -> Duration {
        self.give_back(keeper);
        let now = keeper.now();
        if keeper.drive.failed() {
            // For good, and `look_at` may be long past: zero would spin.
            return COLLECT_LOOK;
        }
        if now < self.look_at {
            return self.look_at.saturating_duration_since(now).min(COLLECT_LOOK);
        }
        if let Some(wait) = self.budget.wait(now, &keeper.drive.stats) {
            return wait;
        }
        let done = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle | Stage::Waiting => self.begin(keeper),
            Stage::Looking(round) => self.look(keeper, round),
            Stage::Keeping(logs, needed) => Self::keep(keeper, logs, needed),
            Stage::Covering(logs, covered) => return self.cover(keeper, logs, covered),
        };
        match done {
            Ok(Stage::Idle) => {
                self.look_at = now + COLLECT_LOOK;
                COLLECT_LOOK
            }
            Ok(Stage::Waiting) => COLLECT_WAIT,
            Ok(stage) => {
                self.stage = stage;
                Duration::ZERO
            }
            Err(error) => {
                tracing::warn!(drive = %keeper.drive.id(), %error, "collecting deletes pauses");
                self.look_at = now + KEEPER_RETRY;
                KEEPER_RETRY
            }
        }
    }

    /// Begins a round when there is enough to look at.
    fn begin(&mut self, keeper: &Keeper) -> Result<Stage, DriveError> {
        let mut logs: Vec<(Life, u64)> = Vec::new();
        {
            let segments = keeper.drive.segments.lock();
            if segments.values().any(|segment| segment.phase == Phase::Unknown) {
                // It may hold anything.
                return Ok(Stage::Idle);
            }
            for (number, segment) in segments.iter() {
                let life = (*number, segment.generation);
                let sealed = segment.phase == Phase::Sealed && segment.role == SegmentRole::Deletes;
                if sealed && !self.vacant.contains(&life) {
                    logs.push((life, segment.bytes));
                }
            }
        }
        let bytes: u64 = logs.iter().map(|(_, bytes)| bytes).sum();
        let many = logs.len() > self.kept.0 + COLLECT_SEGMENTS_MAX;
        if !many && bytes <= 2 * self.kept.1 + keeper.drive.segment_bytes / 2 {
            return Ok(Stage::Idle);
        }
        // What is about to be given back needs no delete soon; but something may keep it.
        let empty = keeper
            .index
            .lives(keeper.drive.slot)
            .is_none_or(|lives| lives.iter().any(|(_, living)| living.pieces == 0));
        if empty && self.waited < COLLECT_PATIENCE {
            self.waited += 1;
            return Ok(Stage::Waiting);
        }
        self.waited = 0;
        self.kept = (logs.len(), bytes);
        logs.sort_unstable_by_key(|((_, generation), _)| *generation);
        let mut round = Round { logs: Vec::new(), deletes: HashMap::new(), todo: Vec::new() };
        let mut bound = 0;
        for (life, bytes) in logs {
            if round.deletes.len() >= COLLECT_DELETES_MAX {
                break;
            }
            self.budget.took(bytes);
            for entry in entries(keeper, life)?.iter().filter(|entry| entry.kind == Kind::Delete) {
                let (rows, _) = round.deletes.entry(entry.fragment).or_default();
                *rows = entry.row.max(*rows);
            }
            round.logs.push(life);
            bound = bound.max(keeper.deletes_bound(life));
        }
        let segments = keeper.drive.segments.lock();
        let pieces =
            segments.iter().filter(|(_, segment)| segment.holds() && segment.role == SegmentRole::Pieces);
        let lives = pieces.map(|(number, segment)| (*number, segment.generation));
        round.todo = lives.filter(|(_, generation)| *generation < bound).collect();
        Ok(Stage::Looking(round))
    }

    /// Looks through one segment of pieces.
    fn look(&mut self, keeper: &Keeper, mut round: Round) -> Result<Stage, DriveError> {
        let Some(life) = round.todo.pop() else {
            let all = round.deletes.len() as u64;
            let needed = round.deletes.into_iter().filter(|(_, (_, needed))| *needed);
            let needed: Vec<_> = needed.map(|(fragment, (rows, _))| (fragment, rows)).collect();
            self.needed_bytes = needed.len() as u64 * DELETE_BYTES;
            keeper.drive.stats.deletes_dropped.add(all - needed.len() as u64);
            return Ok(Stage::Keeping(round.logs, needed));
        };
        if keeper.drive.is_there(life) {
            let entries = entries(keeper, life)?;
            self.budget.took(entries.len() as u64 * 40);
            for entry in entries {
                if let Some((_, needed)) = round.deletes.get_mut(&entry.fragment) {
                    *needed = true;
                }
            }
        }
        Ok(Stage::Looking(round))
    }

    /// Writes some of what is needed again; behind the last, asks for the checkpoint.
    fn keep(
        keeper: &mut Keeper,
        logs: Vec<Life>,
        mut needed: Vec<(FragmentId, u32)>,
    ) -> Result<Stage, DriveError> {
        if needed.is_empty() {
            let segments = keeper.drive.path().join(super::format::SEGMENTS);
            let synced = keeper.drive.host().sync_dir(&segments);
            synced.map_err(|error| io_error("sync the segments' directory", &error))?;
            return Ok(Stage::Covering(logs, keeper.index.begin_checkpoint()));
        }
        let rest = needed.len().saturating_sub(DELETES_PER_BATCH_MAX);
        keeper.keep_deletes(&needed.split_off(rest))?;
        Ok(Stage::Keeping(logs, needed))
    }

    fn cover(
        &mut self,
        keeper: &Keeper,
        logs: Vec<Life>,
        covered: flume::Receiver<Result<(), IndexError>>,
    ) -> Duration {
        match covered.try_recv() {
            Err(flume::TryRecvError::Empty) => self.stage = Stage::Covering(logs, covered),
            Ok(Ok(())) => {
                let segments = keeper.drive.segments.lock();
                let given_back = logs.iter().filter_map(|(number, _)| segments.get(number));
                let left = self.kept.1.saturating_sub(given_back.map(|segment| segment.bytes).sum());
                let again = self.needed_bytes.div_ceil(keeper.drive.segment_bytes);
                let again = usize::try_from(again).unwrap_or(usize::MAX);
                self.kept = (self.kept.0 - logs.len() + again, left + self.needed_bytes);
                self.vacant.extend(logs);
            }
            // Logged by the index. What was written again does no harm.
            _ => self.look_at = keeper.now() + KEEPER_RETRY,
        }
        Duration::from_millis(10)
    }

    fn give_back(&mut self, keeper: &mut Keeper) {
        for _ in 0..self.vacant.len() {
            let Some(life) = self.vacant.pop_front() else { return };
            if !keeper.recycle(life) {
                self.vacant.push_back(life);
            }
        }
    }
}

/// All records of a life.
fn entries(keeper: &Keeper, life: Life) -> Result<Vec<Entry>, DriveError> {
    recovery::records_of(&keeper.drive, life).map_err(|error| io_error("read a segment's records", &error))
}
