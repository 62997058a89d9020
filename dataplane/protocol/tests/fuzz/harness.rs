//! One parser under test: its corpus, how inputs for it grow, and the two ways to run it.

use std::path::PathBuf;

use super::dice::{Dice, Random};

/// Grows a text for a parser out of choices and the corpus.
pub(crate) type Grow = Box<dyn Fn(&mut Dice<'_>, &[Vec<u8>]) -> Vec<u8> + std::panic::RefUnwindSafe>;

pub(crate) struct Harness {
    name: &'static str,
    grow: Grow,
    check: fn(&[u8]),
    /// What clients send, and what once failed.
    seeds: Vec<Vec<u8>>,
}

impl Harness {
    pub(crate) fn new<G>(name: &'static str, grow: G, check: fn(&[u8])) -> Self
    where
        G: Fn(&mut Dice<'_>, &[Vec<u8>]) -> Vec<u8> + std::panic::RefUnwindSafe + 'static,
    {
        Self { name, grow: Box::new(grow), check, seeds: seeds(name) }
    }

    /// One input, taken as it is and as choices.
    pub(crate) fn run(&self, input: &[u8]) {
        self.check(input);
        self.check(&(self.grow)(&mut Dice::new(input), &self.seeds));
    }

    /// The corpus, and inputs that are the same in every run.
    #[cfg_attr(fuzzing, allow(dead_code))]
    pub(crate) fn smoke(&self) {
        const INPUTS: usize = 1000;
        assert!(!self.seeds.is_empty(), "{}: no corpus", self.name);
        self.seeds.iter().for_each(|seed| self.run(seed));
        let mut random = Random::of(self.name.as_bytes());
        for _ in 0..INPUTS {
            let length = random.below(600);
            self.run(&random.bytes(length));
        }
    }

    fn check(&self, text: &[u8]) {
        let told = Told { harness: self, text };
        (self.check)(text);
        drop(told);
    }
}

/// Says which text failed, and under `deploy/fuzz` keeps it.
struct Told<'a> {
    harness: &'a Harness,
    text: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        eprintln!("{}: \"{}\"", self.harness.name, self.text.escape_ascii());
        if let Some(directory) = std::env::var_os("HOLDFAST_FUZZ_FAILED") {
            let path = PathBuf::from(directory).join(format!("{:016x}", Random::of(self.text).number()));
            if let Err(error) = std::fs::write(&path, self.text) {
                eprintln!("cannot keep it as {}: {error}", path.display());
            }
        }
    }
}

/// The files of a harness, in the order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/__fuzz__").join(name);
    let directories =
        ["corpus", "crashes"].into_iter().filter_map(|part| std::fs::read_dir(home.join(part)).ok());
    let mut paths: Vec<_> = directories.flatten().map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).expect("a file of the corpus")).collect()
}
