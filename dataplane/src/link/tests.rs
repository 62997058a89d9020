//! Leases of a node: what each vouches for, and until when.

use super::freshness::Freshness;
use super::state::NodeState;
use crate::cache::CacheWriter;

#[test]
fn a_lease_that_ran_out_vouches_until_its_end_and_one_given_up_until_then() {
    let freshness = Freshness::new(4);
    assert_eq!(freshness.told_until_ms(1_000), 0, "it never had one");
    freshness.lease_extend(6_000);
    assert_eq!(freshness.told_until_ms(5_000), 5_000, "it runs");
    assert_eq!(freshness.told_until_ms(9_000), 6_000);
    let until_ms = freshness.lease_drop(5_500);
    assert!(!freshness.lease_live(5_500));
    assert_eq!((until_ms, freshness.told_until_ms(9_000)), (6_000, 5_500));
    freshness.lease_extend(until_ms);
    assert!(freshness.lease_live(5_999), "taken back");
    assert_eq!(freshness.told_until_ms(9_000), 6_000);
}

#[test]
fn what_was_overtaken_or_lies_below_the_floor_was_not_usable() {
    let freshness = Freshness::new(4);
    assert!(freshness.was_usable(1, 7, 0) && !freshness.usable(1, 7, 0, 0));
    freshness.raise(1, 8);
    assert!(!freshness.was_usable(1, 7, 0) && freshness.was_usable(1, 7, 8));
    freshness.floor_raise(9);
    assert!(!freshness.was_usable(2, 8, 0) && freshness.was_usable(2, 9, 0));
}

#[test]
fn leases_given_up_for_nothing_are_taken_back_with_what_is_left_of_them() {
    let state = NodeState::new(CacheWriter::nowhere(), [0; 16]);
    assert!(!state.lease_live(0) && !state.access_live(0) && state.told_until_ms(0).is_none());
    state.lease_extend(2_000);
    state.access_extend(9_000);
    assert!(state.lease_live(1_999) && !state.lease_live(2_000) && state.access_live(8_999));
    let leases = state.leases_drop(1_000);
    assert!(!state.lease_live(1_000) && !state.access_live(1_000));
    state.leases_take_back(leases);
    assert!(state.lease_live(1_999) && !state.lease_live(2_000));
    assert!(state.access_live(8_999) && !state.access_live(9_000));
    assert_eq!(state.told_until_ms(5_000), Some(2_000));
    // Those of a hello that nobody answered are gone, whatever a later one is answered.
    state.leases_drop(5_000);
    let nothing = state.leases_drop(5_100);
    state.leases_take_back(nothing);
    assert!(!state.access_live(5_100));
}

#[test]
fn a_record_was_usable_only_where_its_bucket_was_told_of() {
    let state = NodeState::new(CacheWriter::nowhere(), [0; 16]);
    assert!(!state.was_usable(&state.view(), (7, b"k"), 5, 0), "nobody said that changes are told");
    state.change(|view| view.interest = std::sync::Arc::new([(7, 5)].into()));
    assert!(state.was_usable(&state.view(), (7, b"k"), 5, 0));
    assert!(!state.was_usable(&state.view(), (7, b"k"), 4, 0), "of before the interest");
    state.raise(7, b"k", 6);
    assert!(
        !state.was_usable(&state.view(), (7, b"k"), 5, 0) && state.was_usable(&state.view(), (7, b"k"), 6, 0)
    );
}
