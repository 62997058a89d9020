//! Bytes as choices: what a fuzzer changes in its input changes what is grown from it, a little at a time.

/// The choices that are left; every one after the last is the first of its kind, so that growing ends.
#[derive(Debug)]
pub(crate) struct Dice<'a> {
    rest: &'a [u8],
}

impl<'a> Dice<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => 0,
        }
    }

    /// 0 to `count - 1`; 0 of none.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let number = match count {
            0 | 1 => return 0,
            2..=256 => usize::from(self.byte()),
            _ => usize::from(self.byte()) << 8 | usize::from(self.byte()),
        };
        number % count
    }

    /// Once in so many times; never, when the choices are used up.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) + 1 == times
    }

    pub(crate) fn pick<'t, T: ?Sized>(&mut self, items: &[&'t T]) -> &'t T {
        items[self.below(items.len())]
    }

    /// Up to `count` bytes as they are.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        bytes
    }
}

/// A small generator of random numbers (splitmix64): the inputs of bounded runs, and where bodies are cut.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The same numbers for the same bytes (FNV-1a).
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    /// 0 to `count - 1`; 0 of none.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.number() % (count.max(1) as u64)) as usize
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.number() as u8).take(count).collect()
    }

    /// Where a body of so many bytes is cut into pieces: ascending, the last one its end.
    pub(crate) fn cuts(&mut self, length: usize) -> Vec<usize> {
        let pieces = self.below(8);
        let mut cuts: Vec<usize> = (0..pieces).map(|_| self.below(length + 1)).collect();
        cuts.push(length);
        cuts.sort_unstable();
        cuts
    }
}
