//! Where a blob's fragments go: a pure function of the class, the backends as known, and the op id.
//!
//! It counts distinct failure domains, not fragments, and refuses with a reason rather than write less safely than the class
//! says. A backend that cannot be written now keeps its place in the list: its bit in `proven` stays 0 and repair fills it
//! in later, so a list is the same before, during and after a drive's failure. The start of the ring comes from the op
//! id, which spreads load evenly and keeps the number of different lists (they are interned, DESIGN 3.1) at one per start.
//!
//! A class over nodes puts one fragment on each node. On which of its drives says the op id too, with the same turn for all
//! nodes, so that there are as many lists as starts times the drives of a node and not those drives to the sixth power.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_common::id::{BackendId, DriveId, OpId};

use crate::erasure::{Coding, CodingError};
use crate::limits::{LOCAL_FRAGMENTS_MAX, NODES_FRAGMENTS_MAX, NODES_MIN};
use crate::quorum::write_quorum;

/// Over one node's drives; also what a row or a record of before there were others says.
pub const CLASS_LOCAL: u32 = 0;
/// Over nodes, one fragment on each.
pub const CLASS_NODES: u32 = 1;

/// How objects of a class are kept (DESIGN 6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    pub id: u32,
    pub rule: Rule,
    pub spread: Spread,
}

impl Class {
    /// Over the writing node's drives, of which `parity` may be lost.
    #[must_use]
    pub fn local(parity: usize) -> Self {
        let spread = Spread { distinct: Level::Drive, at_least: 1 };
        Self { id: CLASS_LOCAL, rule: Rule::Local { parity }, spread }
    }

    /// Over all nodes, of which `parity` may be lost.
    #[must_use]
    pub fn nodes(parity: usize) -> Self {
        let spread = Spread { distinct: Level::Node, at_least: 1 };
        Self { id: CLASS_NODES, rule: Rule::Nodes { parity }, spread }
    }

    /// The fragments that a blob of this class may lose.
    #[must_use]
    pub fn parity(&self) -> usize {
        match self.rule {
            Rule::Local { parity } | Rule::Nodes { parity } | Rule::ReedSolomon { parity, .. } => parity,
            Rule::Copies { copies } => copies.saturating_sub(1),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// An erasure code over all drives of the writing node: `parity` of them may be lost.
    Local {
        parity: usize,
    },
    /// An erasure code over nodes, one fragment on each: `parity` of them may be lost.
    Nodes {
        parity: usize,
    },
    /// This many whole copies.
    Copies {
        copies: usize,
    },
    ReedSolomon {
        data: usize,
        parity: usize,
    },
}

/// What must not fail together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    pub distinct: Level,
    /// Different values of it among the fragments that are written now.
    pub at_least: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    Drive,
    Node,
    Provider,
    Country,
    Region,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackendState {
    Active,
    /// No room, but healthy: nothing new goes there.
    Full,
    Failed,
    /// Being emptied: never part of a new placement.
    Draining,
}

/// A backend as the node knows it. Empty domain names are unknown and count for nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    pub id: BackendId,
    pub state: BackendState,
    pub drive: DriveId,
    pub node: Arc<str>,
    pub provider: Arc<str>,
    pub country: Arc<str>,
    pub region: Arc<str>,
}

/// Where one blob goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    pub coding: Coding,
    /// Fragment i lives on `backends[i]`.
    pub backends: Vec<BackendId>,
    /// Bit i: `backends[i]` takes writes now.
    pub writable: u64,
    /// Fragments that must be durable before the commit.
    pub quorum: usize,
}

/// Why a blob cannot be placed: what the class asks for and what there is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error(
        "class {class} needs {need} drives or backends and {have} are known; register more or lower the parity"
    )]
    TooFewBackends { class: u32, need: usize, have: usize },
    #[error(
        "class {class} spreads a blob over {need} nodes or more and {have} may take fragments; let more nodes join, lower \
         `parity`, or set `spread = \"drives\"`"
    )]
    TooFewNodes { class: u32, need: usize, have: usize },
    #[error(
        "class {class} must reach {need} of {fragments} backends, only {writable} take writes now; out: {out}"
    )]
    NoQuorum { class: u32, need: usize, fragments: usize, writable: usize, out: String },
    #[error(
        "class {class} must spread over {need} different values of {level:?}, those that take writes have {have}"
    )]
    TooNarrow { class: u32, level: Level, need: usize, have: usize },
    #[error("class {class}: {error}")]
    Coding { class: u32, error: CodingError },
}

/// Places a blob of `size` bytes (`None`: not known yet) written by `node`.
pub fn place(
    class: &Class,
    node: &str,
    backends: &[Backend],
    op: OpId,
    size: Option<u64>,
) -> Result<Placement, Refusal> {
    let ring = match class.rule {
        Rule::Nodes { .. } => ring_of_nodes(backends, op),
        _ => ring(class, node, backends, op),
    };
    let (data, parity) = shape(class, ring.len())?;
    let coding = Coding::for_blob(data as u32, parity as u32, size)
        .map_err(|error| Refusal::Coding { class: class.id, error })?;
    if ring.len() < coding.fragments() {
        return Err(Refusal::TooFewBackends { class: class.id, need: coding.fragments(), have: ring.len() });
    }
    let chosen = pick(&ring, coding.fragments(), class.spread.distinct);
    let quorum = write_quorum(coding.data(), coding.parity());
    check(class, &chosen, quorum)?;
    Ok(Placement {
        coding,
        backends: chosen.iter().map(|b| b.id).collect(),
        writable: chosen.iter().enumerate().fold(0, |bits, (i, b)| bits | u64::from(is_writable(b)) << i),
        quorum,
    })
}

/// Places all of a blob on the drives of one node other than `node`, which the op id chooses among those that take it: `node`
/// is to be emptied.
pub fn place_elsewhere(
    class: &Class,
    node: &str,
    backends: &[Backend],
    op: OpId,
    size: Option<u64>,
) -> Result<Placement, Refusal> {
    let others = backends.iter().map(|b| &*b.node).filter(|other| *other != node && !other.is_empty());
    let mut nodes: Vec<&str> = others.collect::<BTreeSet<_>>().into_iter().collect();
    let turn = spread_hash(op) % nodes.len().max(1) as u64;
    nodes.rotate_left(turn as usize);
    let none = Refusal::TooFewBackends { class: class.id, need: class.parity() + 1, have: 0 };
    let mut placed = Err(none);
    for other in nodes {
        placed = place(class, other, backends, op, size);
        if placed.is_ok() {
            break;
        }
    }
    placed
}

/// Eligible backends, one per drive, in order of id from a start that the op id gives.
fn ring<'a>(class: &Class, node: &str, backends: &'a [Backend], op: OpId) -> Vec<&'a Backend> {
    let local = matches!(class.rule, Rule::Local { .. });
    let mut ring: Vec<&Backend> = backends
        .iter()
        .filter(|b| b.state != BackendState::Draining && (!local || *b.node == *node))
        .collect();
    ring.sort_by_key(|b| b.id);
    let mut drives = BTreeSet::new();
    ring.retain(|b| drives.insert(b.drive));
    if !ring.is_empty() {
        let start = spread_hash(op) % ring.len() as u64;
        ring.rotate_left(start as usize);
    }
    ring
}

/// One drive of each node that may take fragments, in order of the nodes' names from a start that the op id gives: one that
/// takes writes, unless the node has none, and then the one that would be if all of them did.
fn ring_of_nodes(backends: &[Backend], op: OpId) -> Vec<&Backend> {
    let mut nodes: BTreeMap<&str, Vec<&Backend>> = BTreeMap::new();
    let mut drives = BTreeSet::new();
    let mut eligible: Vec<&Backend> =
        backends.iter().filter(|b| b.state != BackendState::Draining && !b.node.is_empty()).collect();
    eligible.sort_by_key(|b| b.id);
    for backend in eligible.into_iter().filter(|b| drives.insert(b.drive)) {
        nodes.entry(&backend.node).or_default().push(backend);
    }
    if nodes.is_empty() {
        return Vec::new();
    }
    let count = nodes.len() as u64;
    let most = nodes.values().map(Vec::len).max().unwrap_or(1) as u64;
    let hash = spread_hash(op);
    let turn = (hash / count % most) as usize;
    let mut ring = Vec::with_capacity(nodes.len());
    for all in nodes.into_values() {
        let writable: Vec<&Backend> = all.iter().copied().filter(|b| is_writable(b)).collect();
        let from = if writable.is_empty() { all } else { writable };
        ring.push(from[turn % from.len()]);
    }
    ring.rotate_left((hash % count) as usize);
    ring
}

/// An even number from an op id, whose random part is its second half: the finaliser of splitmix64.
#[must_use]
pub fn spread_hash(op: OpId) -> u64 {
    let low: [u8; 8] = std::array::from_fn(|i| op.0[8 + i]);
    let mut x = u64::from_be_bytes(low);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Data and parity fragments of the class on `have` backends.
fn shape(class: &Class, have: usize) -> Result<(usize, usize), Refusal> {
    match class.rule {
        Rule::Local { parity } => match have.min(LOCAL_FRAGMENTS_MAX).checked_sub(parity) {
            Some(data) if data > 0 => Ok((data, parity)),
            _ => Err(Refusal::TooFewBackends { class: class.id, need: parity + 1, have }),
        },
        Rule::Nodes { parity } => {
            let need = NODES_MIN.max(parity + 1);
            let fragments = have.min(NODES_FRAGMENTS_MAX);
            if fragments < need {
                return Err(Refusal::TooFewNodes { class: class.id, need, have });
            }
            Ok((fragments - parity, parity))
        }
        Rule::Copies { copies } => Ok((1, copies.saturating_sub(1))),
        Rule::ReedSolomon { data, parity } => Ok((data, parity)),
    }
}

/// Picks `count` of the ring: first those that can be written, each time from the domain used least, then in ring order.
/// Counts are small (at most 32), so the obvious quadratic way is the fast one.
fn pick<'a>(ring: &[&'a Backend], count: usize, level: Level) -> Vec<&'a Backend> {
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    while chosen.len() < count {
        let uses = |b: &Backend| chosen.iter().filter(|c| same_domain(ring[**c], b, level)).count();
        let best = (0..ring.len())
            .filter(|i| !chosen.contains(i))
            .min_by_key(|&i| (!is_writable(ring[i]), uses(ring[i]), i))
            .expect("the ring has at least `count` backends");
        chosen.push(best);
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|i| ring[i]).collect()
}

fn check(class: &Class, chosen: &[&Backend], quorum: usize) -> Result<(), Refusal> {
    let writable: Vec<&&Backend> = chosen.iter().filter(|b| is_writable(b)).collect();
    if writable.len() < quorum {
        let out: Vec<String> =
            chosen.iter().filter(|b| !is_writable(b)).map(|b| format!("{} {:?}", b.id, b.state)).collect();
        return Err(Refusal::NoQuorum {
            class: class.id,
            need: quorum,
            fragments: chosen.len(),
            writable: writable.len(),
            out: out.join(", "),
        });
    }
    let Spread { distinct: level, at_least: need } = class.spread;
    let have = writable.iter().filter_map(|b| domain(b, level)).collect::<BTreeSet<_>>().len();
    if have < need {
        return Err(Refusal::TooNarrow { class: class.id, level, need, have });
    }
    Ok(())
}

fn is_writable(backend: &Backend) -> bool {
    backend.state == BackendState::Active
}

/// Two unknown domains are taken for the same one.
fn same_domain(a: &Backend, b: &Backend, level: Level) -> bool {
    domain(a, level) == domain(b, level)
}

/// The name of the domain; `None` when it is not known.
fn domain(backend: &Backend, level: Level) -> Option<&[u8]> {
    let name = match level {
        Level::Drive => return Some(&backend.drive.0),
        Level::Node => &backend.node,
        Level::Provider => &backend.provider,
        Level::Country => &backend.country,
        Level::Region => &backend.region,
    };
    (!name.is_empty()).then_some(name.as_bytes())
}

#[cfg(test)]
mod tests;
