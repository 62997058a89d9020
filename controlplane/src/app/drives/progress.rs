//! How far a drain is, of one drive and of a node's together, and what those that cannot move would have to find.

use holdfast_common::wire::{self, DrainWant};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct DrainInfo {
    pub left_pieces: u64,
    pub left_bytes: u64,
    /// Of them: nothing that is there may take them.
    pub stuck_pieces: u64,
    /// What one of those would have to find; null: none is stuck, or its node does not say.
    pub stuck_why: Option<String>,
    pub bytes_per_second: u64,
    /// Null: cannot be told yet, or never at this rate.
    pub estimated_seconds: Option<u64>,
}

impl DrainInfo {
    /// Of one drive, as its node says.
    pub(in crate::app) fn of(work: &wire::DriveWork) -> Self {
        // Before the node's first look everything is left.
        let (left_pieces, left_bytes) = match work.drain_left_bytes {
            0 => (work.drain_left_pieces.max(work.pieces), work.live_bytes),
            left_bytes => (work.drain_left_pieces, left_bytes),
        };
        let info = Self {
            left_pieces,
            left_bytes,
            stuck_pieces: work.drain_stuck_pieces,
            stuck_why: stuck_why(work),
            bytes_per_second: work.bytes_per_second,
            estimated_seconds: None,
        };
        info.estimated()
    }

    /// Of several drives together.
    pub(in crate::app) fn sum(drives: impl Iterator<Item = Self>) -> Self {
        let add = |sum: Self, drive: Self| Self {
            left_pieces: sum.left_pieces + drive.left_pieces,
            left_bytes: sum.left_bytes + drive.left_bytes,
            stuck_pieces: sum.stuck_pieces + drive.stuck_pieces,
            stuck_why: sum.stuck_why.or(drive.stuck_why),
            bytes_per_second: sum.bytes_per_second + drive.bytes_per_second,
            estimated_seconds: None,
        };
        drives.fold(Self::default(), add).estimated()
    }

    fn estimated(mut self) -> Self {
        let moving = self.bytes_per_second > 0 && self.stuck_pieces < self.left_pieces;
        self.estimated_seconds = match self.left_pieces {
            0 => Some(0),
            _ => moving.then(|| self.left_bytes.div_ceil(self.bytes_per_second)),
        };
        self
    }
}

fn stuck_why(work: &wire::DriveWork) -> Option<String> {
    let (needs, there) = (work.drain_wanted, work.drain_there);
    let what = match work.drain_wants() {
        _ if work.drain_stuck_pieces == 0 => return None,
        DrainWant::Unspecified => return None,
        DrainWant::Drives => "drives of this node",
        DrainWant::Nodes => "nodes",
        DrainWant::DrivesOfOne => "drives of one other node",
    };
    Some(format!("a blob needs {needs} {what} that take fragments, {there} are there"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_common::wire::DriveWork;

    #[test]
    fn estimates_follow_the_rate_so_far() {
        let work = DriveWork {
            drain_left_bytes: 1001,
            drain_left_pieces: 10,
            bytes_per_second: 100,
            ..Default::default()
        };
        assert_eq!(DrainInfo::of(&work).estimated_seconds, Some(11));
        let stuck = DriveWork { drain_stuck_pieces: 10, ..work };
        assert_eq!(DrainInfo::of(&stuck).estimated_seconds, None);
        let nothing = DriveWork::default();
        assert_eq!(DrainInfo::of(&nothing).estimated_seconds, Some(0));
        assert_eq!(DrainInfo::of(&DriveWork { bytes_per_second: 0, ..work }).estimated_seconds, None);
        let not_looked_at = DrainInfo::of(&DriveWork { pieces: 7, live_bytes: 70, ..nothing });
        assert_eq!((not_looked_at.left_pieces, not_looked_at.estimated_seconds), (7, None));
    }

    #[test]
    fn a_nodes_drain_is_that_of_its_drives_together_and_says_why_something_stays() {
        let moving = DriveWork {
            drain_left_bytes: 300,
            drain_left_pieces: 3,
            bytes_per_second: 50,
            ..Default::default()
        };
        let stuck = DriveWork {
            drain_stuck_pieces: 2,
            drain_wants: DrainWant::Nodes.into(),
            drain_wanted: 4,
            drain_there: 3,
            ..moving
        };
        let both = DrainInfo::sum([moving, stuck].iter().map(DrainInfo::of));
        assert_eq!((both.left_pieces, both.left_bytes, both.stuck_pieces), (6, 600, 2));
        assert_eq!(both.estimated_seconds, Some(6));
        let why = both.stuck_why.expect("why");
        assert_eq!(why, "a blob needs 4 nodes that take fragments, 3 are there");
        assert_eq!(DrainInfo::sum([].into_iter()).estimated_seconds, Some(0));
    }
}
