use proptest::prelude::*;

use super::*;
use crate::erasure::Scheme;

fn drive(id: u32, node: &str, region: &str, state: BackendState) -> Backend {
    Backend {
        id: BackendId(id),
        state,
        drive: DriveId([id as u8; 16]),
        node: node.into(),
        provider: "".into(),
        country: "".into(),
        region: region.into(),
    }
}

fn local(count: u32, failed: &[u32]) -> Vec<Backend> {
    let state = |id| if failed.contains(&id) { BackendState::Failed } else { BackendState::Active };
    (0..count).map(|id| drive(id, "a", "", state(id))).collect()
}

fn local_class(parity: usize) -> Class {
    Class { id: 1, rule: Rule::Local { parity }, spread: Spread { distinct: Level::Drive, at_least: 1 } }
}

fn op(n: u64) -> OpId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    OpId::new(1, random)
}

const LARGE: Option<u64> = Some(1 << 20);

#[test]
fn a_large_blob_takes_all_drives_and_a_small_one_some() {
    let placed = place(&local_class(2), "a", &local(6, &[]), op(1), LARGE).unwrap();
    assert_eq!((placed.coding.data(), placed.coding.parity(), placed.quorum), (4, 2, 5));
    assert_eq!((placed.backends.len(), placed.writable), (6, 0b11_1111));
    let placed = place(&local_class(2), "a", &local(6, &[]), op(1), Some(100)).unwrap();
    assert_eq!((placed.coding.scheme(), placed.backends.len(), placed.quorum), (Scheme::Copies, 3, 2));
}

#[test]
fn one_drive_without_parity_works() {
    for size in [LARGE, Some(1), None] {
        let placed = place(&local_class(0), "a", &local(1, &[]), op(9), size).unwrap();
        assert_eq!((placed.backends, placed.quorum, placed.writable), (vec![BackendId(0)], 1, 1));
    }
}

#[test]
fn a_node_that_is_to_be_emptied_has_all_of_a_blob_on_one_of_those_that_take_it() {
    let node = |from: u32, name: &str, count: u32, state| {
        (from..from + count).map(|id| drive(id, name, "", state)).collect::<Vec<_>>()
    };
    let mut all = node(0, "a", 4, BackendState::Draining);
    all.extend(node(10, "b", 4, BackendState::Active));
    all.extend(node(20, "c", 4, BackendState::Active));
    all.extend(node(30, "d", 2, BackendState::Active));
    let placed = |n| place_elsewhere(&local_class(2), "a", &all, op(n), LARGE);
    let nodes: BTreeSet<u32> = (0..50)
        .map(|n| {
            let backends = placed(n).unwrap().backends;
            assert!(
                backends.len() == 4 && backends.iter().all(|b| b.0 / 10 == backends[0].0 / 10),
                "{backends:?}"
            );
            backends[0].0 / 10
        })
        .collect();
    assert_eq!(nodes, BTreeSet::from([1, 2]), "the node with too few drives gets none, the others share");
    let alone = node(0, "a", 4, BackendState::Active);
    let refused = place_elsewhere(&local_class(2), "a", &alone, op(1), LARGE);
    assert!(matches!(refused, Err(Refusal::TooFewBackends { need: 3, have: 0, .. })), "{refused:?}");
}

#[test]
fn a_failed_drive_keeps_its_place() {
    let whole = place(&local_class(2), "a", &local(4, &[]), op(3), LARGE).unwrap();
    let degraded = place(&local_class(2), "a", &local(4, &[2]), op(3), LARGE).unwrap();
    assert_eq!(whole.backends, degraded.backends);
    let at = whole.backends.iter().position(|b| *b == BackendId(2)).unwrap();
    assert_eq!(degraded.writable, 0b1111 & !(1 << at));
}

#[test]
fn copies_avoid_failed_drives_while_others_remain() {
    for n in 0..20 {
        let placed = place(&local_class(2), "a", &local(4, &[1]), op(n), Some(5)).unwrap();
        assert_eq!(placed.writable, 0b111);
        assert!(!placed.backends.contains(&BackendId(1)));
    }
}

#[test]
fn refusals_say_why() {
    let refused = place(&local_class(2), "a", &local(4, &[0, 3]), op(3), LARGE).unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, Refusal::NoQuorum { need: 3, fragments: 4, writable: 2, .. }), "{text}");
    assert!(text.contains("0 Failed") && text.contains("3 Failed"), "{text}");
    let refused = place(&local_class(2), "a", &local(2, &[]), op(3), LARGE).unwrap_err();
    assert_eq!(refused, Refusal::TooFewBackends { class: 1, need: 3, have: 2 });
    let refused = place(&local_class(0), "elsewhere", &local(2, &[]), op(3), LARGE).unwrap_err();
    assert_eq!(refused, Refusal::TooFewBackends { class: 1, need: 1, have: 0 });
}

#[test]
fn one_parity_writes_on_with_one_drive_out() {
    assert!(place(&local_class(1), "a", &local(4, &[0]), op(3), LARGE).is_ok());
    assert!(place(&local_class(1), "a", &local(4, &[0, 1]), op(3), LARGE).is_err());
    assert!(place(&local_class(0), "a", &local(4, &[0]), op(3), LARGE).is_err());
}

#[test]
fn a_drive_that_is_registered_twice_counts_once() {
    let mut backends = local(3, &[]);
    backends[2].drive = backends[1].drive;
    let placed = place(&local_class(1), "a", &backends, op(5), LARGE).unwrap();
    assert_eq!(placed.backends.len(), 2);
}

#[test]
fn draining_drives_and_other_nodes_get_nothing() {
    let mut backends = local(4, &[]);
    backends[0].state = BackendState::Draining;
    backends[1].node = "b".into();
    let placed = place(&local_class(1), "a", &backends, op(5), LARGE).unwrap();
    assert_eq!(placed.backends.iter().collect::<BTreeSet<_>>(), [&BackendId(2), &BackendId(3)].into());
}

#[test]
fn copies_spread_over_regions_or_are_refused() {
    let class = Class {
        id: 2,
        rule: Rule::Copies { copies: 3 },
        spread: Spread { distinct: Level::Region, at_least: 2 },
    };
    let mut backends: Vec<_> = (0..6).map(|i| drive(i, "a", "eu", BackendState::Active)).collect();
    backends[5].region = "us".into();
    for n in 0..30 {
        let placed = place(&class, "a", &backends, op(n), LARGE).unwrap();
        assert!(placed.backends.contains(&BackendId(5)));
        assert_eq!(placed.backends.len(), 3);
    }
    backends[5].region = "".into();
    let refused = place(&class, "a", &backends, op(1), LARGE).unwrap_err();
    assert_eq!(refused, Refusal::TooNarrow { class: 2, level: Level::Region, need: 2, have: 1 });
}

#[test]
fn load_is_even() {
    let backends = local(4, &[]);
    let mut first = [0u32; 4];
    for n in 0..4000 {
        first[place(&local_class(2), "a", &backends, op(n), LARGE).unwrap().backends[0].0 as usize] += 1;
    }
    assert!(first.iter().all(|n| (900..1100).contains(n)), "{first:?}");
}

fn nodes(count: u32, drives: u32) -> Vec<Backend> {
    let of = |n: u32| (0..drives).map(move |d| drive(n * 10 + d, &format!("n{n}"), "", BackendState::Active));
    (0..count).flat_map(of).collect()
}

/// All drives of a node are as `state` says.
fn set_node(backends: &mut [Backend], node: &str, state: BackendState) {
    backends.iter_mut().filter(|b| *b.node == *node).for_each(|b| b.state = state);
}

fn nodes_of(placed: &Placement) -> BTreeSet<u32> {
    placed.backends.iter().map(|b| b.0 / 10).collect()
}

#[test]
fn a_blob_over_nodes_has_one_fragment_on_each_of_three_to_six() {
    for (count, parity, data) in [(3, 1, 2), (4, 2, 2), (5, 2, 3), (6, 3, 3), (6, 1, 5)] {
        let placed = place(&Class::nodes(parity), "n0", &nodes(count, 4), op(7), LARGE).unwrap();
        assert_eq!((placed.coding.data(), placed.coding.parity()), (data, parity));
        assert_eq!(placed.quorum, write_quorum(data, parity));
        assert_eq!((nodes_of(&placed).len(), placed.writable), (count as usize, (1 << count) - 1));
    }
    let placed = place(&Class::nodes(2), "n0", &nodes(9, 2), op(7), LARGE).unwrap();
    assert_eq!((placed.coding.data(), nodes_of(&placed).len()), (4, 6));
    let small = place(&Class::nodes(2), "n0", &nodes(6, 4), op(7), Some(10)).unwrap();
    assert_eq!((small.coding.scheme(), nodes_of(&small).len()), (Scheme::Copies, 3));
    // Whole copies, too, where the parity leaves one data fragment.
    let placed = place(&Class::nodes(2), "n0", &nodes(3, 1), op(7), LARGE).unwrap();
    assert_eq!((placed.coding.scheme(), placed.backends.len(), placed.quorum), (Scheme::Copies, 3, 2));
}

#[test]
fn a_node_that_cannot_be_reached_keeps_its_place() {
    for n in 0..50 {
        let mut backends = nodes(4, 3);
        let whole = place(&Class::nodes(1), "n0", &backends, op(n), LARGE).unwrap();
        set_node(&mut backends, "n2", BackendState::Failed);
        let without = place(&Class::nodes(1), "n0", &backends, op(n), LARGE).unwrap();
        assert_eq!(whole.backends, without.backends);
        let at = whole.backends.iter().position(|b| b.0 / 10 == 2).unwrap();
        assert_eq!(without.writable, 0b1111 & !(1 << at));
    }
}

#[test]
fn a_node_with_one_bad_drive_takes_its_fragment_on_another() {
    let mut backends = nodes(3, 2);
    backends[0].state = BackendState::Full;
    for n in 0..20 {
        let placed = place(&Class::nodes(1), "n1", &backends, op(n), LARGE).unwrap();
        assert!(placed.writable == 0b111 && !placed.backends.contains(&BackendId(0)));
    }
}

#[test]
fn what_drains_gets_nothing_and_too_few_nodes_are_refused() {
    let mut backends = nodes(4, 2);
    set_node(&mut backends, "n1", BackendState::Draining);
    let placed = place(&Class::nodes(1), "n0", &backends, op(1), LARGE).unwrap();
    assert_eq!(nodes_of(&placed), [0, 2, 3].into());
    set_node(&mut backends, "n2", BackendState::Draining);
    let refused = place(&Class::nodes(1), "n0", &backends, op(1), LARGE).unwrap_err();
    assert_eq!(refused, Refusal::TooFewNodes { class: CLASS_NODES, need: 3, have: 2 });
    assert!(refused.to_string().contains("let more nodes join"), "{refused}");
    let refused = place(&Class::nodes(3), "n0", &nodes(3, 1), op(1), LARGE).unwrap_err();
    assert_eq!(refused, Refusal::TooFewNodes { class: CLASS_NODES, need: 4, have: 3 });
    let mut backends = nodes(4, 1);
    set_node(&mut backends, "n0", BackendState::Failed);
    set_node(&mut backends, "n1", BackendState::Failed);
    let refused = place(&Class::nodes(2), "n2", &backends, op(1), LARGE).unwrap_err();
    assert!(matches!(refused, Refusal::NoQuorum { need: 3, writable: 2, .. }), "{refused}");
}

#[test]
fn load_over_nodes_is_even_and_lists_are_few() {
    let backends = nodes(5, 4);
    let (mut lists, mut drives) = (BTreeSet::new(), std::collections::BTreeMap::<_, u32>::new());
    for n in 0..4000 {
        let placed = place(&Class::nodes(2), "n0", &backends, op(n), LARGE).unwrap();
        placed.backends.iter().for_each(|b| *drives.entry(*b).or_default() += 1);
        lists.insert(placed.backends);
    }
    assert_eq!(lists.len(), 20);
    assert!(drives.len() == 20 && drives.values().all(|n| (900..1100).contains(n)), "{drives:?}");
}

proptest! {
    #[test]
    fn what_is_placed_is_safe(
        states in prop::collection::vec(0u8..4, 0..24), parity in 0usize..5, n: u64, size in prop::option::of(0u64..100_000),
    ) {
        let state = |s| [BackendState::Active, BackendState::Full, BackendState::Failed, BackendState::Draining][s as usize];
        let backends: Vec<_> = states.iter().enumerate().map(|(i, s)| drive(i as u32, "a", "", state(*s))).collect();
        if let Ok(placed) = place(&local_class(parity), "a", &backends, op(n), size) {
            let distinct: BTreeSet<_> = placed.backends.iter().collect();
            prop_assert_eq!(distinct.len(), placed.coding.fragments());
            prop_assert_eq!(placed.coding.parity(), parity);
            prop_assert!(placed.writable.count_ones() as usize >= placed.quorum && placed.quorum >= placed.coding.data());
            for (i, id) in placed.backends.iter().enumerate() {
                let state = backends[id.0 as usize].state;
                prop_assert_eq!(placed.writable >> i & 1 == 1, state == BackendState::Active);
                prop_assert!(state != BackendState::Draining);
            }
        }
    }

    #[test]
    fn what_is_placed_over_nodes_is_safe(
        states in prop::collection::vec((0u32..9, 0u8..4), 0..30), parity in 1usize..4, n: u64, size in prop::option::of(0u64..100_000),
    ) {
        let state = |s| [BackendState::Active, BackendState::Full, BackendState::Failed, BackendState::Draining][s as usize];
        let backends: Vec<_> =
            states.iter().enumerate().map(|(i, (n, s))| drive(i as u32, &format!("n{n}"), "", state(*s))).collect();
        if let Ok(placed) = place(&Class::nodes(parity), "n0", &backends, op(n), size) {
            let on: BTreeSet<_> = placed.backends.iter().map(|id| &*backends[id.0 as usize].node).collect();
            prop_assert_eq!(on.len(), placed.coding.fragments());
            prop_assert_eq!(placed.coding.parity(), parity);
            prop_assert!(placed.writable.count_ones() as usize >= placed.quorum && placed.quorum >= placed.coding.data());
            for (i, id) in placed.backends.iter().enumerate() {
                let state = backends[id.0 as usize].state;
                prop_assert_eq!(placed.writable >> i & 1 == 1, state == BackendState::Active);
                prop_assert!(state != BackendState::Draining);
            }
        }
    }
}
