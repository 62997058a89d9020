//! Bytes of one file: as they are now, as they are durable, and what stands between.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::executor::World;
use super::super::rng::Rng;

const PAGE: usize = 4096;

/// A sparse run of bytes; what no page holds is zero.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) len: u64,
    pages: BTreeMap<u64, Rc<[u8; PAGE]>>,
}

impl Content {
    pub(super) fn read(&self, out: &mut [u8], at: u64) -> usize {
        let count =
            usize::try_from(self.len.saturating_sub(at)).map_or(out.len(), |left| left.min(out.len()));
        for (page, within, span) in spans(at, count) {
            let to = &mut out[span];
            match self.pages.get(&page) {
                Some(bytes) => to.copy_from_slice(&bytes[within..within + to.len()]),
                None => to.fill(0),
            }
        }
        count
    }

    pub(super) fn write(&mut self, at: u64, data: &Data) {
        let count = data.len();
        self.len = self.len.max(at + count as u64);
        for (page, within, span) in spans(at, count) {
            if matches!(data, Data::Zeros(_)) && span.len() == PAGE {
                self.pages.remove(&page);
                continue;
            }
            let bytes = Rc::make_mut(self.pages.entry(page).or_insert_with(|| Rc::new([0; PAGE])));
            let to = &mut bytes[within..within + span.len()];
            match data {
                Data::Zeros(_) => to.fill(0),
                Data::Bytes(from) => to.copy_from_slice(&from[span]),
            }
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let keep = len.div_ceil(PAGE as u64);
            self.pages.split_off(&keep);
            let tail = (len % PAGE as u64) as usize;
            if tail > 0
                && let Some(bytes) = self.pages.get_mut(&(len / PAGE as u64))
            {
                Rc::make_mut(bytes)[tail..].fill(0);
            }
        }
        self.len = len;
    }

    /// Flips bits of the byte at `at`.
    pub(super) fn rot(&mut self, at: u64) {
        let bytes = self.pages.entry(at / PAGE as u64).or_insert_with(|| Rc::new([0; PAGE]));
        Rc::make_mut(bytes)[(at % PAGE as u64) as usize] ^= 0x5a;
    }
}

/// Page, offset in it, and span of the data, of `count` bytes at `at`.
fn spans(at: u64, count: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == count {
            return None;
        }
        let here = at + done as u64;
        let within = (here % PAGE as u64) as usize;
        let len = (PAGE - within).min(count - done);
        let span = done..done + len;
        done += len;
        Some((here / PAGE as u64, within, span))
    })
}

fn mark(written: &mut Vec<bool>, at: u64, len: usize) {
    for (page, ..) in spans(at, len) {
        let page = page as usize;
        written.resize(written.len().max(page + 1), false);
        written[page] = true;
    }
}

/// What a write carries.
#[derive(Clone)]
pub(super) enum Data {
    Zeros(usize),
    Bytes(Rc<[u8]>),
}

impl Data {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes.chunks(PAGE).all(|chunk| *chunk == [0; PAGE][..chunk.len()]) {
            true => Self::Zeros(bytes.len()),
            false => Self::Bytes(bytes.into()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Zeros(len) => *len,
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    fn part(&self, span: std::ops::Range<usize>) -> Self {
        match self {
            Self::Zeros(_) => Self::Zeros(span.len()),
            Self::Bytes(bytes) => Self::Bytes(bytes[span].into()),
        }
    }
}

/// A change that no flush has made durable.
#[derive(Clone)]
pub(super) enum Pending {
    /// `covered`: any flush of the device takes it along.
    Write {
        at: u64,
        data: Data,
        covered: bool,
    },
    Size(u64),
}

impl Pending {
    pub(super) fn end(&self) -> u64 {
        match self {
            Self::Write { at, data, .. } => at + data.len() as u64,
            Self::Size(len) => *len,
        }
    }

    fn apply(&self, to: &mut Content) {
        match self {
            Self::Write { at, data, .. } => to.write(*at, data),
            Self::Size(len) => to.set_len(*len),
        }
    }

    /// What a crash leaves of a write: all, nothing, or some of its sectors. Says whether it was all.
    fn crash(at: u64, data: &Data, to: &mut Content, rng: &mut Rng) -> bool {
        match rng.below(3) {
            0 => false,
            1 => {
                to.write(at, data);
                true
            }
            _ => {
                let sector = *rng.pick(&[512, PAGE]);
                // Mostly a prefix, as a device writes it; else any of them.
                let prefix = rng.chance(1, 2).then(|| rng.index(data.len() / sector + 1));
                for (number, start) in (0..data.len()).step_by(sector).enumerate() {
                    if prefix.map_or_else(|| rng.chance(1, 2), |until| number < until) {
                        let span = start..(start + sector).min(data.len());
                        to.write(at + start as u64, &data.part(span));
                    }
                }
                false
            }
        }
    }
}

/// One file.
#[derive(Default)]
pub(super) struct File {
    pub(super) now: Content,
    durable: Content,
    pending: Vec<Pending>,
    /// Pages whose blocks are durably the file's: writing them again changes no metadata.
    written: Vec<bool>,
}

impl File {
    pub(super) fn push(&mut self, change: Pending) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }

    /// Whether a write there is a pure overwrite.
    pub(super) fn is_overwrite(&self, at: u64, len: usize) -> bool {
        let resized = self.pending.iter().any(|change| matches!(change, Pending::Size(_)));
        !resized
            && at + len as u64 <= self.durable.len
            && spans(at, len).all(|(page, ..)| self.written.get(page as usize) == Some(&true))
    }

    /// All of it is durable now.
    pub(super) fn settle(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
            match change {
                Pending::Write { at, data, .. } => {
                    mark(&mut self.written, at, data.len());
                }
                Pending::Size(len) => self.written.truncate(len.div_ceil(PAGE as u64) as usize),
            }
        }
    }

    /// What a flush of another file takes along is durable now.
    pub(super) fn settle_covered(&mut self) {
        for change in
            self.pending.extract_if(.., |change| matches!(change, Pending::Write { covered: true, .. }))
        {
            change.apply(&mut self.durable);
        }
    }

    /// A flush failed: some of what it should have written never will be, though it can still be read.
    pub(super) fn forget_unsynced(&mut self) {
        let world = World::current();
        self.pending.retain(|_| world.chance(|rng| rng.chance(1, 2)));
    }

    /// The power went off: `flying` was under way.
    pub(super) fn crash(&mut self, flying: &[Pending], rng: &mut Rng) {
        // Sizes are journaled in order: from the first that is lost, all are.
        let mut journal = true;
        for change in self.pending.drain(..).chain(flying.iter().cloned()) {
            match &change {
                Pending::Size(_) => {
                    journal &= rng.chance(1, 2);
                    if journal {
                        change.apply(&mut self.durable);
                    }
                }
                Pending::Write { at, data, .. } => {
                    if Pending::crash(*at, data, &mut self.durable, rng) {
                        mark(&mut self.written, *at, data.len());
                    }
                }
            }
        }
        self.written.truncate(self.durable.len.div_ceil(PAGE as u64) as usize);
        self.now = self.durable.clone();
    }

    /// Bytes rot, whether or not they were flushed.
    pub(super) fn rot(&mut self, at: u64) {
        self.now.rot(at);
        self.durable.rot(at);
    }
}
