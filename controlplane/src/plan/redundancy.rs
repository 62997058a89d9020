//! Which fragments a blob should have, which it lacks, and how many it can still lose.

use holdfast_common::wire::Blob;

/// Fragments of the blob's code; 0 for one that does not say.
#[must_use]
pub fn fragments(blob: &Blob) -> u32 {
    blob.coding.as_ref().map_or(0, |coding| coding.data.saturating_add(coding.parity).min(u64::BITS))
}

/// Bit i: the blob has a fragment i.
#[must_use]
pub fn all(blob: &Blob) -> u64 {
    u64::MAX.checked_shr(u64::BITS - fragments(blob)).unwrap_or(0)
}

/// Bit i: fragment i was not proven when the blob was committed.
#[must_use]
pub fn unproven(blob: &Blob) -> u64 {
    all(blob) & !blob.proven
}

/// How many fragments more the blob can lose when these are missing; below 0: it is lost.
#[must_use]
pub fn slack(blob: &Blob, missing: u64) -> i16 {
    let parity = blob.coding.as_ref().map_or(0, |coding| coding.parity.min(u64::BITS));
    let small = |count: u32| i16::try_from(count).expect("at most 64");
    small(parity) - small((missing & all(blob)).count_ones())
}

#[cfg(test)]
mod tests {
    use super::{all, slack, unproven};
    use holdfast_common::wire::{Blob, Coding};

    fn blob(data: u32, parity: u32, proven: u64) -> Blob {
        let coding = Coding { scheme: 2, data, parity, piece_bytes: 1 };
        Blob { coding: Some(coding), proven, ..Default::default() }
    }

    #[test]
    fn bits_and_bounds() {
        assert_eq!(
            (all(&blob(4, 2, 0)), all(&blob(60, 4, 0)), all(&Blob::default())),
            (0b11_1111, u64::MAX, 0)
        );
        assert_eq!(unproven(&blob(4, 2, 0b10_1111)), 0b01_0000);
        assert_eq!((slack(&blob(4, 2, 0), 0b01_0000), slack(&blob(4, 2, 0), 0b111)), (1, -1));
        assert_eq!(slack(&blob(u32::MAX, u32::MAX, 0), u64::MAX), 0);
    }
}
