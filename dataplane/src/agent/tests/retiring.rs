//! Deleting and reaping: what goes, what must stay.

use holdfast_common::wire::job::Kind;
use holdfast_common::wire::job_report::Outcome;

use super::*;

const FIVE_HOURS: u64 = 5 * 3600 * 1000;

#[test]
fn what_was_never_committed_goes_and_what_was_stays() {
    run(async {
        let rig = Rig::new(4, 2);
        let (kept, body) = rig.put(now() - 50_000, 3 * ROW).await;
        let (orphan, _) = rig.write(now() - 40_000, 2 * ROW + 77).await;
        rig.agent.reap().await.unwrap();
        assert!(rig.drives.find(op_of(&orphan)).await.unwrap().is_empty());
        assert_eq!(rig.read(&kept).await, Some(body));
        assert!(!rig.authority.commit(op_of(&orphan)), "a late commit finds it abandoned");
        assert!(rig.authority.settled_to().unwrap() > op_of(&orphan));
        let next = OpenOp::begin(&rig.state.ops, 0, [0; 10], 1);
        assert!(
            next.id() > rig.authority.settled_to().unwrap(),
            "a clock that went back makes no settled id"
        );
    });
}

#[test]
fn what_this_process_saw_committed_is_not_asked_about_and_then_forgotten() {
    run(async {
        let rig = Rig::new(4, 2);
        // This authority would abandon it if it were asked.
        let (kept, _) = rig.write(now() - 50_000, 3 * ROW).await;
        let (orphan, _) = rig.write(now() - 40_000, 2 * ROW + 77).await;
        rig.state.ops.committed(op_of(&kept));
        rig.agent.reap().await.unwrap();
        assert!(!rig.drives.find(op_of(&kept)).await.unwrap().is_empty());
        assert!(rig.drives.find(op_of(&orphan)).await.unwrap().is_empty());
        assert!(rig.authority.settled_to().unwrap() > op_of(&kept));
        assert!(!rig.state.ops.is_committed(op_of(&kept)), "no pass comes back to it");
        rig.agent.reap().await.unwrap();
        assert!(!rig.drives.find(op_of(&kept)).await.unwrap().is_empty());
    });
}

#[test]
fn an_upload_of_five_hours_is_left_alone() {
    run(async {
        let rig = Rig::new(4, 2);
        let began = now() - FIVE_HOURS;
        let open = OpenOp::begin(&rig.state.ops, began, [7; 10], 1);
        // Its rows so far are on the drives under its own id.
        let op = open.id();
        let (mut upload, body) = rig.write_as(op, 7).await;
        assert_eq!((op.unix_ms(), op_of(&upload)), (began, op));
        let (orphan, _) = rig.write(began - 1, 900).await;
        let (younger, _) = rig.write(began + 1, 901).await;
        rig.agent.reap().await.unwrap();
        assert!(rig.drives.find(op_of(&orphan)).await.unwrap().is_empty());
        assert!(!rig.drives.find(op_of(&younger)).await.unwrap().is_empty(), "settled once the older is");
        assert!(rig.authority.commit(op));
        upload.proven = u64::MAX;
        assert_eq!(rig.read(&upload).await, Some(body));
        drop(open);
        rig.agent.reap().await.unwrap();
        assert!(rig.drives.find(op_of(&younger)).await.unwrap().is_empty());
        assert!(!rig.drives.find(op).await.unwrap().is_empty());
    });
}

#[test]
fn nothing_is_reaped_without_the_authority_or_with_history_lost() {
    run(async {
        let rig = Rig::new(4, 2);
        rig.write(now() - 1000, 999).await;
        let stored = rig.drives.stored(None);
        rig.authority.set_down(true);
        assert!(rig.agent.reap().await.is_err());
        rig.authority.set_down(false);
        rig.state.change(|view| view.history_lost = true);
        rig.agent.reap().await.unwrap();
        assert_eq!((rig.drives.stored(None), rig.authority.settled_to()), (stored, None));
    });
}

#[test]
fn nothing_is_settled_while_a_drive_could_not_delete_or_is_away() {
    run(async {
        let rig = Rig::new(4, 2);
        let (orphan, _) = rig.write(now() - 1000, 3 * ROW).await;
        rig.drives.break_drive(2, Faults { delete_fails: true, ..Faults::default() });
        rig.agent.reap().await.unwrap();
        assert!(rig.drives.stored(Some(2)) > 0 && rig.authority.settled_to().is_none());
        rig.drives.heal();
        rig.drives.set_state(3, Some(DriveState::Failed("gone".into())));
        rig.agent.reap().await.unwrap();
        assert!(rig.drives.stored(Some(2)) == 0 && rig.authority.settled_to().is_none());
        rig.drives.set_state(3, Some(DriveState::Active));
        rig.agent.reap().await.unwrap();
        assert!(rig.authority.settled_to().unwrap() > op_of(&orphan));
    });
}

#[test]
fn more_orphans_than_a_request_holds_are_reaped() {
    run(async {
        let rig = Rig::new(1, 0);
        let first = now() - 10_000;
        for at in 0..1100 {
            rig.write(first + at, 70).await;
        }
        rig.agent.reap().await.unwrap();
        assert_eq!(rig.drives.stored(None), 0);
    });
}

#[test]
fn a_blob_is_deleted_once_its_reader_has_gone() {
    run(async {
        let rig = Rig::new(4, 2);
        let (blob, body) = rig.put(now() - 1000, 4 * ROW).await;
        rig.authority.add_job(Kind::Delete, &blob, 0);
        let mut reader = PinSet::new(&rig.state.pins);
        reader.add(&blob.op_id);
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.authority.reports()[0].outcome(), Outcome::Later);
        assert_eq!(rig.read(&blob).await, Some(body));
        drop(reader);
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.authority.reports()[0].outcome(), Outcome::Done);
        assert_eq!(rig.drives.stored(None), 0);
    });
}

#[test]
fn a_deletion_is_not_done_before_every_drive_that_may_come_back_has_answered() {
    run(async {
        let rig = Rig::new(4, 2);
        let (blob, _) = rig.put(now() - 1000, 4 * ROW).await;
        rig.authority.add_job(Kind::Delete, &blob, 0);
        rig.drives.set_state(2, None);
        rig.agent.delete_jobs().await.unwrap();
        let report = &rig.authority.reports()[0];
        assert!(report.outcome() == Outcome::Later && report.detail.contains("backend 2"), "{report:?}");
        assert_eq!(rig.drives.stored(Some(1)), 0, "the others have given their space back");
        rig.administer(2, "replaced");
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.authority.reports()[0].outcome(), Outcome::Done);
    });
}

#[test]
fn a_repair_that_comes_after_the_deletion_is_no_loss() {
    run(async {
        let rig = Rig::new(4, 2);
        let (blob, _) = rig.put(now() - 1000, 900).await;
        rig.authority.add_job(Kind::Delete, &blob, 0);
        rig.agent.delete_jobs().await.unwrap();
        assert_eq!(rig.repair(&blob, 0b1).await.outcome(), Outcome::Done);
        assert_eq!(rig.drives.stored(None), 0);
    });
}
