//! What the server's processes spent: CPU seconds and resident memory of their whole trees, from /proc.
//!
//! A tree's CPU time is that of its living processes (all threads, io_uring's workers included) plus what they have
//! collected of children that ended: so a PostgreSQL backend counts before and after its end, and the sum never falls.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::read_to_string;

/// A role and its processes' costs.
#[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    pub user_s: f64,
    pub system_s: f64,
}

impl Spent {
    #[must_use]
    pub fn total_s(&self) -> f64 {
        self.user_s + self.system_s
    }

    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            user_s: (self.user_s - before.user_s).max(0.0),
            system_s: (self.system_s - before.system_s).max(0.0),
        }
    }
}

#[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The highest sum of VmRSS that was sampled. Pages that PostgreSQL's processes share count once per process.
    pub(crate) rss_peak_bytes: u64,
    /// Sum of VmHWM: the highest ever of each process.
    pub(crate) hwm_bytes: u64,
    /// Sum of proportional set sizes at the end: shared pages count once. Absent without the right to ask.
    pub(crate) pss_bytes: u64,
}

/// Bytes that a tree had block devices move. What it left in the page cache counts once it is dirty, not when it is flushed.
#[derive(Clone, Copy, Default, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeviceBytes {
    pub(crate) written: u64,
    pub(crate) read: u64,
}

impl DeviceBytes {
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            written: self.written.saturating_sub(before.written),
            read: self.read.saturating_sub(before.read),
        }
    }
}

/// Units of the times in /proc/PID/stat: USER_HZ, 100 on every Linux platform.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds by role, at this moment. A process belongs to the nearest given process above it.
#[must_use]
pub fn cpu(roots: &[(String, u32)]) -> BTreeMap<String, Spent> {
    let mut spent = BTreeMap::new();
    for (role, members) in trees(roots) {
        let sum: &mut Spent = spent.entry(role).or_default();
        for stat in members.iter().filter_map(|pid| stat(*pid)) {
            sum.user_s += stat.user_ticks as f64 / TICKS_PER_SECOND;
            sum.system_s += stat.system_ticks as f64 / TICKS_PER_SECOND;
        }
    }
    spent
}

/// Bytes from and to devices by role, at this moment; zeros without the right to ask. Ended children count with their parent.
pub(super) fn device_bytes(roots: &[(String, u32)]) -> BTreeMap<String, DeviceBytes> {
    let sum = |members: BTreeSet<u32>| {
        members.iter().fold(DeviceBytes::default(), |sum, pid| {
            let text = read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
            let of = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|rest| rest.trim().parse::<u64>().ok()).unwrap_or(0)
            };
            DeviceBytes { written: sum.written + of("write_bytes:"), read: sum.read + of("read_bytes:") }
        })
    };
    trees(roots).into_iter().map(|(role, members)| (role, sum(members))).collect()
}

/// Resident bytes by role, at this moment.
pub(super) fn resident(roots: &[(String, u32)]) -> BTreeMap<String, u64> {
    let rss = |members: BTreeSet<u32>| members.iter().map(|pid| status_bytes(*pid, "VmRSS:")).sum();
    trees(roots).into_iter().map(|(role, members)| (role, rss(members))).collect()
}

/// The final look: high-water marks and proportional sizes.
pub(super) fn memory(roots: &[(String, u32)], peaks: &BTreeMap<String, u64>) -> BTreeMap<String, Memory> {
    let look = |role: &str, members: &BTreeSet<u32>| Memory {
        rss_peak_bytes: peaks.get(role).copied().unwrap_or(0),
        hwm_bytes: members.iter().map(|pid| status_bytes(*pid, "VmHWM:")).sum(),
        pss_bytes: members.iter().map(|pid| kib_line(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum(),
    };
    trees(roots).iter().map(|(role, members)| (role.clone(), look(role, members))).collect()
}

/// Resident and proportional bytes of all processes together, at this moment.
pub(super) fn footprint(roots: &[(String, u32)]) -> (u64, u64) {
    let pids: BTreeSet<u32> = trees(roots).into_values().flatten().collect();
    let pss = |pid: &u32| kib_line(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
    (pids.iter().map(|pid| status_bytes(*pid, "VmRSS:")).sum(), pids.iter().map(pss).sum())
}

/// CPU seconds of this process.
pub(super) fn own_cpu() -> f64 {
    stat(std::process::id())
        .map_or(0.0, |stat| (stat.user_ticks + stat.system_ticks) as f64 / TICKS_PER_SECOND)
}

/// Each role's processes: the given one and its descendants down to the next given one.
fn trees(roots: &[(String, u32)]) -> BTreeMap<String, BTreeSet<u32>> {
    let mut trees: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for (role, root) in roots {
        let members = trees.entry(role.clone()).or_default();
        let mut open = vec![*root];
        while let Some(pid) = open.pop() {
            let is_other_root = pid != *root && roots.iter().any(|(_, other)| *other == pid);
            if !is_other_root && members.insert(pid) {
                open.extend(children(pid));
            }
        }
    }
    trees
}

/// Children of every thread of a process.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

struct Stat {
    user_ticks: u64,
    system_ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 14 to 17 of proc(5): utime, stime, cutime, cstime. The name before them may hold anything, `)` too.
fn parse_stat(text: &str) -> Option<Stat> {
    let after_name = &text[text.rfind(')')? + 1..];
    let times: Vec<u64> =
        after_name.split_whitespace().skip(11).take(4).map_while(|n| n.parse().ok()).collect();
    let [user, system, children_user, children_system] = times[..] else { return None };
    Some(Stat { user_ticks: user + children_user, system_ticks: system + children_system })
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    kib_line(&format!("/proc/{pid}/status"), name)
}

/// `Name:   1234 kB`, in bytes; 0 when the process is gone.
fn kib_line(path: &str, name: &str) -> u64 {
    let text = read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat =
            parse_stat("7 (a) b) c) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0").expect("times");
        assert_eq!((stat.user_ticks, stat.system_ticks), (40, 60));
        assert!(parse_stat("7 (a").is_none());
    }

    #[test]
    fn a_tree_counts_children_that_live_and_that_ended() {
        let me = vec![("me".to_owned(), std::process::id())];
        let before = cpu(&me);
        let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let mut living =
            std::process::Command::new("sh").args(["-c", &format!("{burn}; sleep 5")]).spawn().expect("sh");
        assert!(std::process::Command::new("sh").args(["-c", burn]).status().expect("sh").success());
        let spent = cpu(&me)["me"].since(&before["me"]);
        assert!(spent.total_s() >= 0.04, "{spent:?}");
        assert!(trees(&me)["me"].contains(&living.id()));
        living.kill().expect("killed");
        living.wait().expect("reaped");
        assert!(resident(&me)["me"] > 0 && memory(&me, &BTreeMap::new())["me"].hwm_bytes > 0);
    }

    #[test]
    fn a_process_belongs_to_the_nearest_root() {
        let mut child = std::process::Command::new("sleep").arg("5").spawn().expect("sleep");
        let roots = vec![("me".to_owned(), std::process::id()), ("child".to_owned(), child.id())];
        let trees = trees(&roots);
        assert!(!trees["me"].contains(&child.id()) && trees["child"].contains(&child.id()));
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
}
