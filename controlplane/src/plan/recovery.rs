//! A lost row from what nodes found of it: pure.

use std::collections::BTreeSet;

use holdfast_common::id::OpId;
use holdfast_common::wire::{self, Blob, Mutation, PutObject, RecoveryManifest, mutation::Op};

use crate::store::recovery::Fragment;

/// The blob that a manifest is about. `None`: it is no manifest that a PUT of this version's nodes makes.
#[must_use]
pub fn blob_of(manifest: &RecoveryManifest) -> Option<&Blob> {
    let parts = manifest.manifest.as_ref()?.parts.as_slice();
    let [part] = parts else { return None };
    part.blob.as_ref()
}

/// Backends in the order of their fragments: where each was found, else where it was meant to be, else any that is left.
/// `None`: there are too few backends. All are different, as a placement wants it.
#[must_use]
pub fn placement(
    fragments: usize,
    meant: &[u32],
    found: &[Fragment],
    existing: &BTreeSet<u32>,
) -> Option<Vec<u32>> {
    let mut list = vec![None; fragments];
    let mut used = BTreeSet::new();
    let seen = found.iter().map(|fragment| (usize::from(fragment.index), fragment.backend_id));
    for (index, backend) in seen.chain(meant.iter().copied().enumerate()) {
        let free = list.get(index).is_some_and(Option::is_none) && existing.contains(&backend);
        if free && used.insert(backend) {
            list[index] = Some(backend);
        }
    }
    let mut others = existing.iter().filter(|backend| !used.contains(backend));
    list.into_iter().map(|backend| backend.or_else(|| others.next().copied())).collect()
}

/// Bit i: fragment i is whole on some drive.
#[must_use]
pub fn proven(found: &[Fragment]) -> u64 {
    let whole = found.iter().filter(|fragment| fragment.whole && fragment.index < 64);
    whole.fold(0, |bits, fragment| bits | 1 << fragment.index)
}

/// The mutation that brings the row back. `None` as for [`blob_of`].
#[must_use]
pub fn mutation(
    op_id: OpId,
    manifest: &RecoveryManifest,
    placement_id: u32,
    proven: u64,
) -> Option<Mutation> {
    let blob = Blob { placement_id, proven, ..blob_of(manifest)?.clone() };
    let part = wire::Part { blob: Some(blob), ..manifest.manifest.as_ref()?.parts.first()?.clone() };
    let put = PutObject {
        when: None,
        size: manifest.size,
        etag: manifest.etag.clone(),
        meta: manifest.meta.clone(),
        manifest: Some(wire::Manifest { parts: vec![part], ..Default::default() }),
        recovered: true,
    };
    Some(Mutation {
        op_id: op_id.to_wire(),
        bucket_id: manifest.bucket_id,
        key: manifest.key.clone(),
        tenant_id: manifest.tenant_id,
        // A try before this one, or its node, may have been there first.
        retry: true,
        op: Some(Op::Put(put)),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(index: u8, backend_id: u32) -> Fragment {
        Fragment { index, backend_id, whole: index.is_multiple_of(2) }
    }

    #[test]
    fn a_placement_is_where_fragments_were_found_and_names_no_backend_twice() {
        let existing: BTreeSet<u32> = (1..=5).collect();
        let check = |meant: &[u32], there: &[Fragment], expected: Option<&[u32]>| {
            assert_eq!(placement(4, meant, there, &existing).as_deref(), expected, "{meant:?} {there:?}");
        };
        check(&[1, 2, 3, 4], &[], Some(&[1, 2, 3, 4]));
        check(&[1, 2, 3, 4], &[found(0, 5)], Some(&[5, 2, 3, 4]));
        // It lies where another was meant to be: that one gets what is left.
        check(&[1, 2, 3, 4], &[found(0, 2)], Some(&[2, 1, 3, 4]));
        // Numbers that this database has not given, and an index that no fragment has.
        check(&[7, 8, 9, 4], &[found(9, 1)], Some(&[1, 2, 3, 4]));
        check(&[], &[found(0, 2), found(1, 2)], Some(&[2, 1, 3, 4]));
        assert_eq!(placement(6, &[], &[], &existing), None, "more fragments than backends");
    }

    #[test]
    fn only_whole_fragments_are_proven() {
        assert_eq!(proven(&[found(0, 1), found(1, 2), found(2, 3), found(200, 4)]), 0b101);
    }
}
