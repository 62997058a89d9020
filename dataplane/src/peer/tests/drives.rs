//! Another node's drives as one's own.

use std::time::Duration;

use futures_util::future::join_all;
use holdfast_common::id::BackendId;
use holdfast_common::wire;
use holdfast_protocol::placement::CLASS_NODES;

use super::rig::{Rig, backend, blob_of, bytes, fragment, node_id, piece};
use crate::agent::PinSet;
use crate::blob::fake::Faults;
use crate::drives::{DriveError, DriveState, Drives as _};
use crate::rt::Rt;

pub(super) async fn what_a_node_does_with_its_drives_it_does_with_anothers<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (one, two) = (rig.node(1), rig.node(2));
    let (id, there) = (fragment(blob_of(1, 1), 0), backend(2, 1));
    let rows = [bytes(1, 262_144), bytes(2, 5_000)];
    let first = one.fleet.append(there, piece(id, 0, &rows[0])).await.unwrap();
    let second = one.fleet.append(there, piece(id, 1, &rows[1])).await.unwrap();
    assert!(first.connection() > 0 && first == second && two.drives.stored(Some(there.0)) == 2);
    assert!(!two.drives.is_durable(there.0));
    one.fleet.flush(there, first.min(second)).await.unwrap();
    assert!(two.drives.is_durable(there.0) && one.drives.stored(None) == 0);

    let part = one.fleet.read(there, id, 0, 1000..70_000).await.unwrap();
    assert!(*part.bytes == rows[0][1000..70_000] && part.payload_len == 262_144);
    let end = one.fleet.read(there, id, 1, 4_000..u32::MAX).await.unwrap();
    assert!(*end.bytes == rows[1][4_000..]);
    let whole = one.fleet.read_here(there, id, 1).await.unwrap();
    assert!(*whole.bytes == rows[1]);
    let facts = one.fleet.facts(there, id, 1).await.unwrap();
    assert_eq!((facts.class_id, facts.blob_size, facts.payload_len), (3, 77, 5_000));
    let found = one.fleet.find_everywhere(id.blob).await.unwrap();
    let held: Vec<_> = found.held.iter().map(|(at, held)| (*at, held.fragment, held.pieces)).collect();
    assert!(held == [(there, id, 2)] && found.silent.is_empty(), "{found:?}");
    assert!(one.fleet.find(id.blob).await.unwrap().is_empty(), "its own drives hold nothing");

    one.fleet.delete(there, id, u32::MAX).await.unwrap();
    assert_eq!(two.drives.stored(None), 0);
    assert_eq!(one.fleet.read_here(there, id, 1).await.unwrap_err(), DriveError::NotFound);
    rig.stop();
}

pub(super) async fn pieces_of_every_length_come_back_whole<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let fleet = &rig.node(1).fleet;
    for (n, len) in [1, 4_095, 131_071, 131_072, 262_144, 4 << 20].into_iter().enumerate() {
        let (id, there) = (fragment(blob_of(1, 100 + n as u8), 0), backend(2, 0));
        let sent = bytes(n as u8, len);
        let receipt = fleet.append(there, piece(id, 0, &sent)).await.unwrap();
        fleet.flush(there, receipt).await.unwrap();
        assert!(*fleet.read(there, id, 0, 0..u32::MAX).await.unwrap().bytes == sent, "{len} bytes");
    }
    let id = fragment(blob_of(1, 101), 0);
    let empty = fleet.read(backend(2, 0), id, 0, 5_000..6_000).await.unwrap();
    assert!(empty.bytes.is_empty() && empty.payload_len == 4_095, "a range behind the end is empty");
    rig.stop();
}

pub(super) async fn a_flush_covers_no_append_of_a_broken_connection<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (fleet, there) = (&rig.node(1).fleet, backend(2, 0));
    let lost = fleet.append(there, piece(fragment(blob_of(1, 1), 0), 0, &[1; 100])).await.unwrap();
    fleet.close();
    assert!(fleet.flush(there, lost).await.is_err());
    // The node rests for a moment after a connection broke.
    let id = fragment(blob_of(1, 2), 0);
    let kept = loop {
        match fleet.append(there, piece(id, 0, &[2; 100])).await {
            Ok(receipt) => break receipt,
            Err(_) => R::sleep(Duration::from_millis(20)).await,
        }
    };
    assert!(kept > lost, "the older receipt is the lesser one");
    assert!(fleet.flush(there, lost.min(kept)).await.is_err());
    fleet.flush(there, kept).await.unwrap();
    rig.stop();
}

pub(super) async fn a_fragment_that_moved_is_found_on_another_node<R: Rt>() {
    let rig = Rig::<R>::new(3);
    let sent = bytes(9, 70_000);
    for (home, index) in [(backend(2, 0), 2), (backend(1, 0), 4)] {
        let id = fragment(blob_of(1, 1), index);
        let mut moved = id;
        moved.attempt = 2;
        for row in 0..2 {
            rig.node(1).fleet.append(backend(3, 1), piece(moved, row, &sent)).await.unwrap();
        }
        let read = rig.node(1).fleet.read(home, id, 0, 10..60_000).await.unwrap();
        assert!(*read.bytes == sent[10..60_000], "home {home}");
        // The next row is read where the first was.
        let asked = |rig: &Rig<R>| rig.node(home.0 / 10).drives.reads().len();
        asked(&rig);
        assert!(rig.node(1).fleet.read(home, id, 1, 0..10).await.is_ok() && asked(&rig) == 0);
        // It goes back to where it was meant to be.
        rig.node(3).drives.lose(|_, lost, _| lost.index == index);
        rig.node(1).fleet.append(home, piece(id, 1, &sent)).await.unwrap();
        assert!(rig.node(1).fleet.read(home, id, 1, 0..10).await.is_ok() && asked(&rig) == 1);
    }
    let mut missing = fragment(blob_of(1, 1), 2);
    missing.index = 3;
    let nowhere = rig.node(1).fleet.read(backend(2, 0), missing, 0, 0..10).await;
    assert_eq!(nowhere.unwrap_err(), DriveError::NotFound, "what the home says");
    rig.node(1).fleet.append(backend(3, 0), piece(missing, 0, &sent)).await.unwrap();
    let again = rig.node(1).fleet.read(backend(2, 0), missing, 0, 0..10).await;
    assert_eq!(again.unwrap_err(), DriveError::NotFound, "the others are not asked again for a moment");
    rig.stop();
}

pub(super) async fn all_nodes_are_asked_and_who_is_silent_is_named<R: Rt>() {
    let mut rig = Rig::<R>::new(3);
    let blob = blob_of(1, 1);
    for (n, there) in [backend(1, 0), backend(2, 0), backend(3, 1)].into_iter().enumerate() {
        rig.node(1).fleet.append(there, piece(fragment(blob, n as u8), 0, &[n as u8; 50])).await.unwrap();
    }
    rig.node(1).fleet.refresh().await;
    let mut reachable = rig.node(1).fleet.reachable();
    reachable.sort_unstable();
    assert_eq!(reachable, [backend(2, 0), backend(2, 1), backend(3, 0), backend(3, 1)]);
    rig.node(2).drives.set_state(backend(2, 1).0, Some(DriveState::Full));
    // Nobody listens there: the node is down.
    rig.node(3).stop.set();
    rig.node(1).fleet.close();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    rig.move_node(3, nobody);
    // Until the pause after the broken connections is over.
    while rig.node(1).fleet.reachable() != [backend(2, 0)] {
        R::sleep(Duration::from_millis(20)).await;
        rig.node(1).fleet.refresh().await;
    }

    let found = rig.node(1).fleet.find_everywhere(blob).await.unwrap();
    let at: Vec<BackendId> = found.held.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [backend(1, 0), backend(2, 0)]);
    assert_eq!(found.silent, [node_id(3).to_string().into()]);
    let mut failed: Vec<BackendId> =
        rig.node(1).fleet.delete_everywhere(blob).await.into_iter().map(|(at, _)| at).collect();
    failed.sort_unstable();
    assert_eq!(failed, [backend(3, 0), backend(3, 1)], "each backend of the node that did not answer");
    assert_eq!((rig.node(1).drives.stored(None), rig.node(2).drives.stored(None)), (0, 0));
    rig.set_state(1, 3, "revoked");
    let found = rig.node(1).fleet.find_everywhere(blob).await.unwrap();
    assert!(found.held.is_empty() && found.silent.is_empty(), "a revoked node is not asked");
    assert!(rig.node(1).fleet.delete_everywhere(blob).await.is_empty());
    rig.stop();
}

pub(super) async fn a_blob_that_another_node_reads_is_not_deleted<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (one, two, there) = (rig.node(1), rig.node(2), backend(2, 0));
    let id = fragment(blob_of(1, 1), 0);
    one.fleet.append(there, piece(id, 0, &[1; 10])).await.unwrap();
    let mut reader = PinSet::new(&one.state.pins);
    reader.add(&id.blob.0);
    one.fleet.read(there, id, 0, 0..10).await.unwrap();
    assert!(two.state.pins.is_pinned(id.blob), "for its own agent as well");
    let failed = one.fleet.delete_everywhere(id.blob).await;
    assert!(failed.iter().all(|(_, error)| *error == DriveError::Busy) && failed.len() == 2, "{failed:?}");
    one.fleet.renew_pins().await;
    assert!(two.state.pins.is_pinned(id.blob));
    drop(reader);
    one.fleet.renew_pins().await;
    assert!(!two.state.pins.is_pinned(id.blob), "who asked for more time lets go");
    assert!(one.fleet.delete_everywhere(id.blob).await.is_empty());
    assert_eq!(two.drives.stored(None), 0);
    rig.stop();
}

/// An object of two parts on the first two nodes, streamed by the third, deleted by the fourth.
pub(super) async fn what_is_read_for_long_is_kept_where_it_was_put_before_the_reader_comes_to_it<R: Rt>() {
    let rig = Rig::<R>::new(4);
    let (reader, other) = (rig.node(3), &rig.node(4).fleet);
    let homes = [backend(1, 0), backend(2, 0)];
    let placement = wire::Placement { placement_id: 7, backends: homes.iter().map(|home| home.0).collect() };
    let known = wire::ConfigSnapshot { placements: vec![placement], ..Default::default() };
    reader.state.change(|view| view.upsert(known));
    let parts = [blob_of(3, 1), blob_of(3, 2)];
    for part in parts {
        for (index, home) in homes.into_iter().enumerate() {
            reader.fleet.append(home, piece(fragment(part, index as u8), 0, &[1; 10])).await.unwrap();
        }
    }
    let mut pins = PinSet::new(&reader.state.pins);
    for part in parts {
        let (op_id, class_id) = (part.to_wire(), CLASS_NODES);
        pins.add_blob(&wire::Blob { op_id, class_id, placement_id: 7, ..Default::default() });
    }
    reader.fleet.read(homes[0], fragment(parts[0], 0), 0, 0..10).await.unwrap();
    let kept = || [1, 2].map(|n| rig.node(n).state.pins.is_pinned(parts[1]));
    reader.fleet.renew_pins().await;
    assert_eq!(kept(), [false, false], "a short read is nobody's concern");
    reader.fleet.renew_pins().await;
    assert_eq!(kept(), [true, true]);
    let failed = other.delete_everywhere(parts[1]).await;
    let busy = |home: &BackendId| failed.contains(&(*home, DriveError::Busy));
    assert!(homes.iter().all(busy), "{failed:?}");
    reader.fleet.read(homes[1], fragment(parts[1], 1), 0, 0..10).await.unwrap();
    drop(pins);
    reader.fleet.renew_pins().await;
    assert_eq!(kept(), [false, false]);
    assert!(other.delete_everywhere(parts[1]).await.is_empty());
    let stored = |n: u32| rig.node(n).drives.stored(None);
    assert_eq!((stored(1), stored(2)), (1, 1), "the other part is there");
    rig.stop();
}

pub(super) async fn faults_of_a_drive_keep_their_type<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (fleet, there, id) = (&rig.node(1).fleet, backend(2, 0), fragment(blob_of(1, 1), 0));
    let receipt = fleet.append(there, piece(id, 0, &[1; 10])).await.unwrap();
    let faults = Faults {
        append_fails_from: Some(1),
        flush_fails: true,
        rotten: Some((1, 0)),
        delete_fails: true,
        ..Faults::default()
    };
    rig.node(2).drives.break_drive(there.0, faults);
    assert_eq!(fleet.append(there, piece(id, 1, &[1; 10])).await.unwrap_err(), DriveError::Full);
    assert_eq!(fleet.flush(there, receipt).await.unwrap_err(), DriveError::Failed);
    assert!(matches!(fleet.read_here(there, id, 0).await.unwrap_err(), DriveError::Rotten(_)));
    assert_eq!(fleet.delete(there, id, 1).await.unwrap_err(), DriveError::Failed);
    let nobodys = fleet.append(BackendId(777), piece(id, 0, &[1; 10])).await;
    assert!(nobodys.is_ok(), "a backend of nobody else is left to this node's drives");
    rig.stop();
}

pub(super) async fn more_requests_than_fit_wait_and_are_all_answered<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (fleet, there) = (&rig.node(1).fleet, backend(2, 0));
    let faults = Faults { append_delay: Duration::from_millis(3), ..Faults::default() };
    rig.node(2).drives.break_drive(there.0, faults);
    let id = |n: u32| fragment(blob_of(1, n as u8), 0);
    let sent = bytes(1, 262_144);
    let appends = join_all((0..200).map(|n| fleet.append(there, piece(id(n), 0, &sent)))).await;
    assert!(appends.iter().all(Result::is_ok));
    let out = rig.node(2).drives.bytes_out_max();
    assert!(out <= crate::limits::PEER_BYTES_MAX, "{out} bytes were under way");
    let reads = join_all((0..200).map(|n| fleet.read(there, id(n), 0, 0..262_144))).await;
    assert!(reads.iter().all(|read| read.as_ref().is_ok_and(|read| *read.bytes == sent)));
    rig.stop();
}

/// Node 3 could not be reached by node 1, which leaves it alone for a while; now it answers.
async fn back_after_a_failure<R: Rt>() -> Rig<R> {
    let mut rig = Rig::<R>::new(3);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    rig.move_node(3, nobody);
    rig.node(1).fleet.refresh().await;
    assert!(!rig.node(1).fleet.reachable().contains(&backend(3, 0)));
    rig.serve_at(3, nobody);
    rig
}

pub(super) async fn a_write_that_lacks_nodes_has_those_tried_that_are_left_alone<R: Rt>() {
    let rig = back_after_a_failure::<R>().await;
    let fleet = &rig.node(1).fleet;
    // Two who ask together wait for the same look.
    let (one, other) = futures_util::future::join(fleet.look_again(), fleet.look_again()).await;
    assert!(one && other && fleet.reachable().contains(&backend(3, 0)));
    while fleet.look_again().await {}
    assert!(!fleet.look_again().await, "all are reached");
    rig.stop();
}

pub(super) async fn a_node_that_the_authority_speaks_of_is_tried_at_once<R: Rt>() {
    let rig = back_after_a_failure::<R>().await;
    let fleet = &rig.node(1).fleet;
    rig.set_state(1, 3, "active");
    fleet.refresh().await;
    assert!(fleet.reachable().contains(&backend(3, 0)));
    rig.stop();
}

pub(super) async fn a_node_that_had_no_drives_when_it_was_asked_is_asked_again<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (fleet, there) = (&rig.node(1).fleet, [backend(2, 0), backend(2, 1)]);
    // It has just begun, and does not know yet which numbers its drives have.
    there.iter().for_each(|drive| rig.node(2).drives.set_state(drive.0, Some(DriveState::Full)));
    fleet.refresh().await;
    assert!(fleet.reachable().is_empty());
    there.iter().for_each(|drive| rig.node(2).drives.set_state(drive.0, Some(DriveState::Active)));
    assert!(fleet.look_again().await);
    assert_eq!(fleet.reachable().len(), 2);
    rig.stop();
}

pub(super) async fn two_nodes_that_read_from_each_other_keep_nothing_for_each_others_sake<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let blob = blob_of(1, 1);
    let nodes = [rig.node(1), rig.node(2)];
    // Fragment 0 on node 2, fragment 1 on node 1; a client of each reads the other's.
    let spots = [(backend(2, 0), fragment(blob, 0)), (backend(1, 0), fragment(blob, 1))];
    for (there, id) in spots {
        rig.node(1).fleet.append(there, piece(id, 0, &[7; 10])).await.unwrap();
    }
    let mut readers = Vec::new();
    for (node, (there, id)) in nodes.iter().zip(spots) {
        let mut reader = PinSet::new(&node.state.pins);
        reader.add(&blob.0);
        readers.push(reader);
        node.fleet.read(there, id, 0, 0..10).await.unwrap();
    }
    for node in nodes {
        node.fleet.renew_pins().await;
    }
    assert!(nodes.iter().all(|node| node.state.pins.is_pinned(blob)));
    drop(readers);
    for node in nodes {
        node.fleet.renew_pins().await;
    }
    assert!(nodes.iter().all(|node| !node.state.pins.is_pinned(blob)), "both have let go");
    rig.stop();
}
