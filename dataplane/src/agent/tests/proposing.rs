//! Lost history: what the drives hold is proposed with its manifest, and nothing is deleted.

use bytes::Bytes;
use holdfast_common::recovery::{ManifestKey, key_of_node};
use holdfast_protocol::record::{put_tlv, tlv};
use uuid::Uuid;

use super::*;

fn key() -> ManifestKey {
    ManifestKey::new(Uuid::nil(), &key_of_node(&[1; 32], Uuid::nil())).unwrap()
}

fn fields(op: OpId) -> (Bytes, Bytes) {
    let sealed = key().seal(op, [2; 12], wire::RecoveryManifest::default()).unwrap();
    let mut fields = Vec::new();
    put_tlv(&mut fields, tlv::RECOVERY_MANIFEST, &sealed);
    (sealed.into(), fields.into())
}

impl Rig {
    fn lose_history(&self) {
        self.state.change(|view| view.history_lost = true);
    }

    /// A blob with a manifest; gives what was sealed.
    async fn write_sealed(&self, unix_ms: u64, size: usize) -> (OpId, Bytes) {
        let op = OpId::new(unix_ms, [size as u8; 10]);
        let (sealed, fields) = fields(op);
        let mut writer = self.writer(op, size).awaiting_fields();
        writer.push(&bytes(size)).await.unwrap();
        writer.finish_with(fields).await.unwrap();
        (op, sealed)
    }
}

#[test]
fn what_has_no_row_is_proposed_with_its_manifest_and_nothing_is_deleted() {
    run(async {
        let rig = Rig::new(4, 1);
        let (small, one) = rig.write_sealed(now() - 5000, 900).await;
        let (large, two) = rig.write_sealed(now() - 4000, 5 * ROW + 17).await;
        let (known, _) = rig.put(now() - 3000, 700).await;
        let stored = rig.drives.stored(None);
        rig.agent.propose().await.unwrap();
        assert!(rig.authority.proposals().is_empty(), "no history is lost");
        rig.lose_history();
        rig.authority.lose_all_but(op_of(&known));
        rig.agent.reap().await.unwrap();
        rig.agent.propose().await.unwrap();
        let proposals = rig.authority.proposals();
        let said: Vec<_> =
            proposals.iter().map(|one| (OpId::from_wire(&one.op_id).unwrap(), one.sealed.clone())).collect();
        assert_eq!(said, [(small, one), (large, two)]);
        for proposal in &proposals {
            assert!(proposal.fragments.iter().all(|fragment| fragment.whole), "{proposal:?}");
        }
        assert!(rig.authority.walked() && rig.drives.stored(None) == stored);
    });
}

#[test]
fn a_repaired_fragment_carries_the_manifest_as_well() {
    run(async {
        let rig = Rig::new(4, 1);
        let (op, sealed) = rig.write_sealed(now() - 5000, 3 * ROW + 9).await;
        let held = rig.drives.find(op).await.unwrap();
        let (home, lost) = held[0];
        rig.drives.lose(|at, id, _| at == home.0 && id == lost.fragment);
        let blob = wire::Blob { op_id: op.to_wire(), ..Default::default() };
        rig.repair(&blob, 1 << lost.fragment.index).await;
        let held = rig.drives.find(op).await.unwrap();
        let last = held.iter().map(|(_, held)| held.last_row).max().unwrap();
        let mut carriers = 0;
        for (backend, held) in held.iter().filter(|(_, held)| held.last_row == last) {
            let manifest = rig.drives.manifest(*backend, held.fragment, last).await.unwrap();
            assert_eq!(manifest.as_ref(), Some(&sealed), "fragment {}", held.fragment.index);
            carriers += 1;
        }
        assert!(
            carriers > 1 && held.iter().any(|(_, held)| held.fragment.attempt > 0),
            "it was written anew"
        );
    });
}

#[test]
fn a_drive_that_is_away_leaves_the_walk_unfinished() {
    run(async {
        let rig = Rig::new(4, 1);
        rig.write_sealed(now() - 5000, 900).await;
        rig.lose_history();
        rig.authority.lose_all_but(OpId::new(0, [0; 10]));
        rig.drives.set_state(4, None);
        rig.agent.propose().await.unwrap();
        assert!(!rig.authority.walked() && !rig.authority.proposals().is_empty());
        rig.drives.set_state(4, Some(DriveState::Active));
        rig.agent.propose().await.unwrap();
        assert!(rig.authority.walked());
    });
}
