//! What a node may read and write of what others wrote.

use holdfast_common::id::OpId;
use holdfast_common::ticket::Ticket;
use holdfast_protocol::peer::Denial;

use super::super::permit::permit;
use super::rig::{NOW_MS, Rig, backend, blob_of, fragment, node_id, piece, ticket_key};
use crate::drives::{DriveError, Drives as _};
use crate::rt::{Rt, boottime_ms};

fn ticket(blob: OpId) -> Ticket {
    Ticket {
        peer: node_id(2),
        asker: node_id(1),
        write: false,
        expires_ms: NOW_MS + 3_600_000,
        blobs: vec![blob],
    }
}

pub(super) async fn each_wrong_ticket_is_refused_with_its_reason<R: Rt>() {
    use holdfast_protocol::peer::{Request, Spot};
    let rig = Rig::<R>::new(2);
    let (blob, mine) = (blob_of(2, 1), blob_of(1, 2));
    let view = rig.node(2).state.view();
    let spot = |blob| Spot { backend: backend(2, 0).0, id: fragment(blob, 0), row: 0 };
    let ask = |request: &Request| permit(&view, node_id(2), node_id(1), request, boottime_ms());
    let read = |ticket: Vec<u8>| ask(&Request::Read { spot: spot(blob), start: 0, end: 1, ticket });
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
    assert_eq!(delete(blob, seal(&good)), Err(Denial::TicketReadOnly));
    assert_eq!(delete(blob, seal(&Ticket { write: true, ..good })), Ok(()));
    // What it wrote itself it may write, and not read, without one.
    assert_eq!(delete(mine, Vec::new()), Ok(()));
    let spot = spot(mine);
    assert_eq!(ask(&Request::ReadHere { spot, ticket: Vec::new() }), Err(Denial::NoTicket));
    assert_eq!(delete(blob_of(0, 3), Vec::new()), Err(Denial::NoTicket), "0 is no node's");
    let mut deaf = (*view).clone();
    deaf.ticket_key = None;
    let request = Request::Find { blob, ticket: seal(&ticket(blob)) };
    assert_eq!(permit(&deaf, node_id(2), node_id(1), &request, 0), Err(Denial::NotReady));
    rig.stop();
}

pub(super) async fn blobs_that_a_node_wrote_it_writes_without_a_ticket<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (one, there) = (rig.node(1), backend(2, 0));
    let mine = fragment(blob_of(1, 1), 0);
    let receipt = one.fleet.append(there, piece(mine, 0, &[1; 10])).await.unwrap();
    one.fleet.flush(there, receipt).await.unwrap();
    one.fleet.delete(there, mine, 1).await.unwrap();
    assert!(one.authority.asked.borrow().is_empty());
    // Of another's it needs one, and asks for it.
    let theirs = fragment(blob_of(2, 1), 0);
    one.fleet.append(there, piece(theirs, 0, &[1; 10])).await.unwrap();
    let asked = one.authority.asked.borrow()[0].clone();
    assert!(
        asked.write && asked.node_id == node_id(2).to_string() && asked.op_ids == [theirs.blob.to_wire()]
    );
    *one.authority.refuses.borrow_mut() = true;
    let refused = one.fleet.append(there, piece(fragment(blob_of(2, 3), 0), 0, &[1; 10])).await.unwrap_err();
    assert!(refused.to_string().contains("not yours"), "{refused}");
    assert_eq!(rig.node(2).drives.stored(None), 1);
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
