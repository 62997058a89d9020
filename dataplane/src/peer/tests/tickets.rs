//! What a node may read and write of what others wrote.

use holdfast_common::id::OpId;
use holdfast_common::ticket::{Leave, Ticket};
use holdfast_protocol::peer::{Denial, Request, Spot};
use holdfast_protocol::record::{PieceCoding, PieceScheme};

use super::super::permit::permit;
use super::rig::{NOW_MS, Rig, backend, blob_of, fragment, node_id, piece, ticket_key};
use crate::drives::{DriveError, Drives as _};
use crate::limits::{PEER_OWN_BLOB_MS, PEER_UNLED_MS};
use crate::rt::{Rt, boottime_ms};

fn ticket(blob: OpId) -> Ticket {
    Ticket {
        peer: node_id(2),
        asker: node_id(1),
        leave: Leave::Read,
        expires_ms: NOW_MS + 3_600_000,
        blobs: vec![blob],
    }
}

fn appending(spot: Spot, ticket: Vec<u8>) -> Request {
    let coding = PieceCoding { scheme: PieceScheme::Copies, data: 1, parity: 1, piece_bytes: 4096 };
    Request::Append { spot, coding, class_id: 0, blob_size: 5, fields: Vec::new(), ticket }
}

pub(super) async fn each_wrong_ticket_is_refused_with_its_reason<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (blob, mine) = (blob_of(2, 1), blob_of(1, 2));
    let view = rig.node(2).state.view();
    let spot = |blob| Spot { backend: backend(2, 0).0, id: fragment(blob, 0), row: 0 };
    let ask = |request: &Request| permit((&view, true), node_id(2), node_id(1), request, boottime_ms());
    let read = |ticket: Vec<u8>| ask(&Request::Read { spot: spot(blob), start: 0, end: 1, ticket });
    let append = |blob, ticket: Vec<u8>| ask(&appending(spot(blob), ticket));
    let delete = |blob, ticket: Vec<u8>| ask(&Request::Delete { spot: spot(blob), ticket });
    let seal = |ticket: &Ticket| ticket.seal(&ticket_key(2));
    let good = ticket(blob);

    assert_eq!(read(seal(&good)), Ok(()));
    assert_eq!(read(Vec::new()), Err(Denial::NoTicket));
    assert_eq!(read(vec![1; 99]), Err(Denial::TicketMalformed));
    assert_eq!(read(good.seal(&ticket_key(3))), Err(Denial::TicketForged));
    assert_eq!(read(seal(&Ticket { peer: node_id(3), ..good.clone() })), Err(Denial::TicketOtherPeer));
    assert_eq!(read(seal(&Ticket { asker: node_id(3), ..good.clone() })), Err(Denial::TicketOtherAsker));
    assert_eq!(read(seal(&Ticket { expires_ms: NOW_MS, ..good.clone() })), Err(Denial::TicketExpired));
    assert_eq!(read(seal(&ticket(blob_of(2, 9)))), Err(Denial::TicketOtherBlob));
    let appends = Ticket { leave: Leave::Append, ..good.clone() };
    assert_eq!(append(blob, seal(&good)), Err(Denial::TicketTooLittle));
    assert_eq!(append(blob, seal(&appends)), Ok(()));
    assert_eq!(delete(blob, seal(&appends)), Err(Denial::TicketTooLittle));
    assert_eq!(delete(blob, seal(&Ticket { leave: Leave::Delete, ..good })), Ok(()));
    // To what it makes itself it may append, and nothing else, without one.
    assert_eq!(append(mine, Vec::new()), Ok(()));
    assert_eq!(delete(mine, Vec::new()), Err(Denial::NoTicket));
    let forget = Request::DeleteBlob { blob: mine, ticket: Vec::new() };
    assert_eq!(ask(&forget), Err(Denial::NoTicket));
    assert_eq!(ask(&Request::ReadHere { spot: spot(mine), ticket: Vec::new() }), Err(Denial::NoTicket));
    assert_eq!(append(blob_of(0, 3), Vec::new()), Err(Denial::NoTicket), "0 is no node's");
    for at_ms in [NOW_MS - PEER_OWN_BLOB_MS - 1, NOW_MS + PEER_OWN_BLOB_MS + 60_000] {
        let late = OpId::of_node(at_ms, [4; 10], 1);
        assert_eq!(append(late, Vec::new()), Err(Denial::NoTicket), "it was made long ago");
        assert_eq!(append(late, seal(&Ticket { blobs: vec![late], ..appends.clone() })), Ok(()));
    }
    // Who has not heard from the authority for long does not know who is revoked; a ticket says it.
    let unled = |ticket: Vec<u8>| {
        let request = appending(spot(mine), ticket);
        permit((&view, false), node_id(2), node_id(1), &request, boottime_ms())
    };
    assert_eq!(unled(Vec::new()), Err(Denial::NotReady));
    assert_eq!(unled(seal(&Ticket { blobs: vec![mine], ..appends })), Ok(()));
    let mut deaf = (*view).clone();
    deaf.ticket_key = None;
    let request = Request::Find { blob, ticket: seal(&ticket(blob)) };
    assert_eq!(permit((&deaf, true), node_id(2), node_id(1), &request, 0), Err(Denial::NotReady));
    rig.stop();
}

pub(super) async fn blobs_that_a_node_wrote_it_writes_without_a_ticket<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (one, there) = (rig.node(1), backend(2, 0));
    let mine = fragment(blob_of(1, 1), 0);
    let receipt = one.fleet.append(there, piece(mine, 0, &[1; 10])).await.unwrap();
    one.fleet.flush(there, receipt).await.unwrap();
    assert!(one.authority.asked.borrow().is_empty());
    let asked = |at: usize| {
        let asked = one.authority.asked.borrow()[at].clone();
        assert_eq!(asked.node_id, node_id(2).to_string());
        (asked.leave(), asked.op_ids)
    };
    // To delete it needs one.
    one.fleet.delete(there, mine, 1).await.unwrap();
    assert_eq!(asked(0), (Leave::Delete, vec![mine.blob.to_wire()]));
    // To append to another's, too, and asks for it.
    let theirs = fragment(blob_of(2, 1), 0);
    one.fleet.append(there, piece(theirs, 0, &[1; 10])).await.unwrap();
    assert_eq!(asked(1), (Leave::Append, vec![theirs.blob.to_wire()]));
    *one.authority.refuses.borrow_mut() = true;
    let refused = one.fleet.append(there, piece(fragment(blob_of(2, 3), 0), 0, &[1; 10])).await.unwrap_err();
    assert!(refused.to_string().contains("not yours"), "{refused}");
    assert_eq!(rig.node(2).drives.stored(None), 1);
    rig.stop();
}

pub(super) async fn a_node_that_hears_nothing_wants_a_ticket_for_every_blob<R: Rt>() {
    let rig = Rig::<R>::with_lease(2, false);
    let (one, there) = (rig.node(1), backend(2, 0));
    let mine = fragment(blob_of(1, 1), 0);
    for row in 0..3 {
        one.fleet.append(there, piece(mine, row, &[1; 10])).await.unwrap();
    }
    assert_eq!(one.authority.asked.borrow().len(), 1, "it is refused once, and shows a ticket from then on");
    let old = fragment(OpId::of_node(NOW_MS - 2 * PEER_OWN_BLOB_MS, [9; 10], 1), 0);
    one.fleet.append(there, piece(old, 0, &[1; 10])).await.unwrap();
    assert_eq!(one.authority.asked.borrow().len(), 2);
    let state = &rig.node(2).state;
    assert!(!state.was_led(boottime_ms(), PEER_UNLED_MS));
    state.lease_extend(boottime_ms() + 1);
    assert!(state.was_led(boottime_ms(), PEER_UNLED_MS), "it was a moment ago");
    one.fleet.append(there, piece(fragment(blob_of(1, 2), 0), 0, &[1; 10])).await.unwrap();
    assert_eq!(one.authority.asked.borrow().len(), 2);
    rig.stop();
}

pub(super) async fn what_is_there_is_not_replaced_by_who_shows_a_ticket<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (one, two, there) = (rig.node(1), rig.node(2), backend(2, 0));
    let theirs = fragment(blob_of(2, 1), 0);
    two.fleet.append(there, piece(theirs, 0, &[1; 10])).await.unwrap();
    let refused = one.fleet.append(there, piece(theirs, 0, &[2; 10])).await.unwrap_err();
    assert!(refused.to_string().contains(&Denial::Taken.to_string()), "{refused}");
    let read = two.fleet.read_here(there, theirs, 0).await.unwrap();
    assert_eq!(read.bytes[..], [1; 10]);
    one.fleet.append(there, piece(theirs, 1, &[2; 10])).await.unwrap();
    rig.stop();
}

pub(super) async fn what_was_made_again_elsewhere_is_not_deleted_at_anothers_word<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (one, two, there) = (rig.node(1), rig.node(2), backend(2, 0));
    let theirs = fragment(blob_of(2, 1), 0);
    two.fleet.append(there, piece(theirs, 0, &[1; 10])).await.unwrap();
    one.fleet.supersede(there, theirs, 1).await.unwrap();
    assert_eq!(one.authority.asked.borrow()[0].leave(), Leave::Append, "all that a repair gets");
    assert_eq!(two.drives.stored(None), 1);
    assert_eq!(two.state.superseded.take().into_iter().collect::<Vec<_>>(), [theirs.blob]);
    // Its own drives need nobody's leave.
    two.fleet.supersede(there, theirs, 1).await.unwrap();
    assert_eq!(two.drives.stored(None), 0);
    rig.stop();
}

pub(super) async fn a_ticket_is_asked_for_once_and_again_when_it_is_refused<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (one, there) = (rig.node(1), backend(2, 0));
    let id = fragment(blob_of(1, 1), 0);
    one.fleet.append(there, piece(id, 0, &[1; 10])).await.unwrap();
    for _ in 0..3 {
        one.fleet.read(there, id, 0, 0..10).await.unwrap();
        one.fleet.facts(there, id, 0).await.unwrap();
    }
    assert_eq!(one.authority.asked.borrow().len(), 1);
    // The key was changed under it: the ticket is refused, another is asked for, and the read goes on.
    let other = fragment(blob_of(1, 2), 0);
    one.fleet.append(there, piece(other, 0, &[2; 10])).await.unwrap();
    *one.authority.spoil.borrow_mut() = Some(|ticket: &mut Ticket| ticket.expires_ms = NOW_MS);
    one.fleet.read(there, other, 0, 0..10).await.unwrap();
    assert_eq!(one.authority.asked.borrow().len(), 3);
    // One that stays wrong is an error, and nothing is read.
    rig.node(2).drives.reads();
    let third = fragment(blob_of(1, 3), 0);
    *one.authority.spoil.borrow_mut() = Some(|ticket: &mut Ticket| ticket.asker = node_id(7));
    let refused = one.fleet.read_here(there, third, 0).await.unwrap_err();
    assert!(matches!(refused, DriveError::Io { .. }) && rig.node(2).drives.reads().is_empty(), "{refused}");
    rig.stop();
}
