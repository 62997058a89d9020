//! What a file would lose: the durable bytes under every sector that was written since the last sync.
//!
//! The backing file holds the newest bytes; this remembers what they replaced, so that a sync only has to forget.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use crate::draw::Draw;

pub(crate) const SECTOR: u64 = 512;
const PAGE: u64 = 4096;

/// A page that differs from what is durable.
struct Page {
    /// One bit for each sector that was written.
    written: u8,
    /// The durable bytes; `None`: zeros, or nothing at all.
    before: Option<Box<[u8]>>,
}

/// A file with bytes or a size that are not durable.
pub(crate) struct Unsynced {
    file: Arc<File>,
    durable_len: u64,
    len: u64,
    /// The smallest size since then: beyond it nothing durable is left.
    lowest: u64,
    pages: BTreeMap<u64, Page>,
}

impl Unsynced {
    /// Call it before the first change.
    pub(crate) fn new(file: Arc<File>) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, durable_len: len, len, lowest: len, pages: BTreeMap::new() })
    }

    /// Bytes `at..at + len` are about to be written over.
    pub(crate) fn will_write(&mut self, at: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        for number in at / PAGE..=(at + len - 1) / PAGE {
            let start = number * PAGE;
            let first = at.max(start) - start;
            let last = (at + len - 1).min(start + PAGE - 1) - start;
            let page = self.save(number)?;
            for sector in first / SECTOR..=last / SECTOR {
                page.written |= 1 << sector;
            }
        }
        self.len = self.len.max(at + len);
        Ok(())
    }

    /// The size is about to become `len`.
    pub(crate) fn will_resize(&mut self, len: u64) -> io::Result<()> {
        if len < self.len {
            for number in len / PAGE..self.len.min(self.durable_len).div_ceil(PAGE) {
                self.save(number)?;
            }
            self.lowest = self.lowest.min(len);
        }
        self.len = len;
        Ok(())
    }

    fn save(&mut self, number: u64) -> io::Result<&mut Page> {
        match self.pages.entry(number) {
            Entry::Occupied(page) => Ok(page.into_mut()),
            Entry::Vacant(place) => {
                let before = match number * PAGE < self.durable_len {
                    true => read_page(&self.file, number)?,
                    false => None,
                };
                Ok(place.insert(Page { written: 0, before }))
            }
        }
    }

    /// The power is cut: `percent` is the chance of a sector to have reached the disk. Returns the sectors lost.
    pub(crate) fn lose(self, draw: &mut Draw, percent: u64) -> io::Result<u64> {
        let mut lost = 0;
        if self.lowest < self.durable_len && !draw.chance(percent) {
            // The size did not shrink, so nothing that came after it is there either.
            for (number, page) in &self.pages {
                lost += self.restore(*number, page, 0xff, self.durable_len)?;
            }
            self.file.set_len(self.durable_len)?;
            return Ok(lost);
        }
        for (number, page) in &self.pages {
            let gone = (0..8).filter(|_| !draw.chance(percent)).fold(0, |mask, sector| mask | 1 << sector);
            lost += self.restore(*number, page, page.written & gone, self.lowest)?;
        }
        self.file.set_len(match self.len > self.lowest {
            true if !draw.chance(percent) => self.lowest,
            true if draw.chance(50) => self.lowest + draw.below(self.len - self.lowest),
            _ => self.len,
        })?;
        Ok(lost)
    }

    /// Puts durable bytes back; from `durable_until` on there are none, and what is lost reads as zeros.
    fn restore(&self, number: u64, page: &Page, sectors: u8, durable_until: u64) -> io::Result<u64> {
        let zeros = [0; PAGE as usize];
        for sector in (0..8).filter(|sector| sectors & (1 << sector) != 0) {
            let at = number * PAGE + sector * SECTOR;
            let before = page.before.as_deref().filter(|_| at < durable_until).unwrap_or(&zeros);
            let from = usize::try_from(sector * SECTOR).expect("in a page");
            self.file.write_all_at(&before[from..from + 512], at)?;
        }
        Ok(u64::from(sectors.count_ones()))
    }
}

fn read_page(file: &File, number: u64) -> io::Result<Option<Box<[u8]>>> {
    let mut bytes = vec![0; PAGE as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], number * PAGE + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(bytes.iter().any(|byte| *byte != 0).then(|| bytes.into()))
}
