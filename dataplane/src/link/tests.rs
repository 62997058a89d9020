//! Leases of a node: what each vouches for, and until when.

use super::freshness::Freshness;

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
