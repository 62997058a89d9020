//! Leases that are shorter than a repair: other nodes take writes only under one.

use holdfast_common::wire::job::Kind;
use holdfast_common::wire::job_report::Outcome;

use super::*;

/// Rows of the blob; each takes a moment to write.
const ROWS: usize = 40;
const APPEND: Duration = Duration::from_millis(25);

/// A drive of another node.
const TARGET: u32 = 11;

/// Three nodes whose drives write for each other only under a lease, and a blob whose fragment on the second was lost; says
/// how many pieces that had.
async fn a_fragment_lost() -> (Rig, wire::Blob, usize) {
    let rig = Rig::over_nodes(3, 1, 1);
    let (blob, _) = rig.put(now() - 5000, ROWS * ROW).await;
    let whole = rig.drives.stored(Some(TARGET));
    rig.drives.wipe(TARGET);
    rig.drives.break_drive(TARGET, Faults { append_delay: APPEND, ..Faults::default() });
    let authority = rig.authority.clone();
    rig.drives.only_with(move |op| authority.is_leased(op));
    let missing = rig.everywhere(&blob).await.missing();
    rig.authority.add_job(Kind::Repair, &blob, missing);
    (rig, blob, whole)
}

/// Tries until it is done: on a machine that stalls a lease may be missed, and that costs a try.
async fn repair_at_last(rig: &Rig) {
    for _ in 0..20 {
        rig.agent.repair_jobs().await.unwrap();
        if rig.authority.reports().iter().any(|report| report.outcome() == Outcome::Done) {
            return;
        }
    }
    panic!("the repair never ends");
}

#[test]
fn a_repair_that_outlasts_its_lease_renews_it_and_ends() {
    run(async {
        let (rig, blob, whole) = a_fragment_lost().await;
        // Of the time that the appends alone take, a third.
        rig.authority.set_lease(APPEND * ROWS as u32 / 3, true);
        repair_at_last(&rig).await;
        assert_eq!(rig.drives.stored(Some(TARGET)), whole, "one copy, and nothing of other tries");
        assert_eq!(rig.everywhere(&blob).await.missing(), 0);
    });
}

#[test]
fn a_repair_that_lost_its_lease_stops_and_what_it_left_does_not_pile_up() {
    run(async {
        let (rig, blob, whole) = a_fragment_lost().await;
        rig.authority.set_lease(APPEND * ROWS as u32 / 3, false);
        for _ in 0..5 {
            rig.agent.repair_jobs().await.unwrap();
            assert!(rig.authority.reports().iter().all(|report| report.outcome() == Outcome::Later));
        }
        // One with time enough, whose drive is full soon.
        rig.authority.set_lease(Duration::from_secs(3600), true);
        rig.drives.break_drive(TARGET, Faults { append_fails_from: Some(1), ..Faults::default() });
        rig.agent.repair_jobs().await.unwrap();
        let held = rig.everywhere(&blob).await.held;
        let long = |(at, held): &&(BackendId, crate::drives::Held)| at.0 == TARGET && held.pieces > 1;
        assert!(held.iter().filter(long).count() <= 1, "{held:?}");
        assert_eq!(rig.everywhere(&blob).await.missing().count_ones(), 1);
        rig.drives.heal();
        repair_at_last(&rig).await;
        assert_eq!(rig.drives.stored(Some(TARGET)), whole);
    });
}
