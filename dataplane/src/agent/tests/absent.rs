//! Drives that are away from another node, which answers all the same and says nothing of them.

use holdfast_common::wire::job::Kind;
use holdfast_common::wire::job_report::Outcome;

use super::*;

const BIG: usize = 3 * ROW + 5;

impl Rig {
    /// A drive of another node goes away with what it holds, or is there again.
    fn take_away(&self, backend: u32, away: bool) {
        self.drives.set_state(backend, Some(DriveState::Active).filter(|_| !away));
        self.administer(backend, if away { "missing" } else { "active" });
    }

    /// A drive of another node that holds a fragment of the blob.
    fn abroad(&self, blob: &wire::Blob) -> u32 {
        (0..3).map(|index| self.home(blob, index)).find(|home| node_of(*home) != NODE).unwrap()
    }

    async fn delete(&self, blob: &wire::Blob) -> Outcome {
        self.authority.add_job(Kind::Delete, blob, 0);
        self.agent.delete_jobs().await.unwrap();
        let report = |report: &wire::JobReport| report.op_id == blob.op_id;
        self.authority.reports().iter().find(|said| report(said)).unwrap().outcome()
    }
}

#[test]
fn a_deletion_waits_for_another_nodes_drive_that_the_blob_was_put_on() {
    run(async {
        let rig = Rig::over_nodes(3, 2, 1);
        let (blob, _) = rig.put(now() - 5000, BIG).await;
        let home = rig.abroad(&blob);
        rig.take_away(home, true);
        assert_eq!(rig.delete(&blob).await, Outcome::Later);
        assert!(rig.drives.stored(Some(home)) > 0, "it would come back");
        let nowhere = wire::Blob { placement_id: 999_999_999, ..blob.clone() };
        assert_eq!(rig.delete(&nowhere).await, Outcome::Later, "nobody knows where it was put");
        // A drive that is dead for good does not keep the others' space.
        let mut elsewhere = Vec::new();
        for at in 0..64 {
            let (other, _) = rig.write_as(OpId::new(now() - 4000 + u64::from(at), [at; 10]), BIG).await;
            if (0..3).all(|index| rig.home(&other, index) != home) {
                elsewhere.push(other);
            }
        }
        assert_eq!(rig.delete(elsewhere.first().expect("half of them")).await, Outcome::Done);
        rig.take_away(home, false);
        assert_eq!(rig.delete(&blob).await, Outcome::Done);
        let left = rig.drives.find_everywhere(op_of(&blob)).await.unwrap();
        assert!(left.held.is_empty());
        // Nobody waits for one that was replaced.
        let (blob, _) = rig.put(now() - 3000, BIG).await;
        let home = rig.abroad(&blob);
        rig.take_away(home, true);
        rig.administer(home, "replaced");
        assert_eq!(rig.delete(&blob).await, Outcome::Done);
    });
}

#[test]
fn too_few_pieces_are_no_loss_while_another_nodes_drive_may_come_back() {
    run(async {
        let rig = Rig::over_nodes(3, 1, 1).with_grace(Duration::ZERO);
        let (blob, _) = rig.put(now() - 5000, BIG).await;
        let home = rig.abroad(&blob);
        rig.drives.lose(|_, id, _| rig.home(&blob, id.index.into()) == 1);
        rig.take_away(home, true);
        assert_eq!(rig.repair(&blob, 0b111).await.outcome(), Outcome::Later);
        rig.administer(home, "replaced");
        assert_eq!(rig.repair(&blob, 0b111).await.outcome(), Outcome::Lost);
    });
}

#[test]
fn what_another_nodes_drive_held_is_missed_after_its_grace() {
    run(async {
        for (grace, found) in [(Duration::from_secs(3600), 0), (Duration::ZERO, 1)] {
            let rig = Rig::over_nodes(4, 1, 1).with_grace(grace);
            let (blob, body) = rig.put(now() - 5000, BIG).await;
            rig.agent.reap().await.unwrap();
            rig.agent.audit().await.unwrap();
            assert!(rig.authority.deficits().is_empty(), "nothing is missing");
            rig.take_away(rig.abroad(&blob), true);
            rig.agent.audit().await.unwrap();
            let deficits = rig.authority.deficits();
            assert_eq!(deficits.len(), found, "with a grace of {grace:?}");
            for deficit in deficits {
                let report = rig.repair(&deficit.blob.unwrap(), deficit.missing).await;
                assert_eq!(report.outcome(), Outcome::Done, "{report:?}");
            }
            assert_eq!(rig.read(&blob).await, Some(body));
        }
    });
}
