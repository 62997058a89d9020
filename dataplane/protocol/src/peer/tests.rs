//! What is sent is what is read, and nothing else is anything.

use holdfast_common::id::{FragmentId, OpId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::limits::{PEER_HELD_MAX, PEER_META_BYTES_MAX, PEER_TEXT_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX};
use crate::record::{PieceCoding, PieceScheme};

fn op() -> impl Strategy<Value = OpId> {
    (0u64..1 << 48, any::<[u8; 10]>()).prop_map(|(ms, random)| OpId::new(ms, random))
}

fn fragment() -> impl Strategy<Value = FragmentId> {
    (op(), any::<u8>(), any::<u8>()).prop_map(|(blob, index, attempt)| FragmentId { blob, index, attempt })
}

fn spot() -> impl Strategy<Value = Spot> {
    (any::<u32>(), fragment(), any::<u32>()).prop_map(|(backend, id, row)| Spot { backend, id, row })
}

fn coding() -> impl Strategy<Value = PieceCoding> {
    (any::<bool>(), any::<u8>(), any::<u8>(), any::<u32>()).prop_map(|(copies, data, parity, piece_bytes)| {
        let scheme = if copies { PieceScheme::Copies } else { PieceScheme::ReedSolomon };
        PieceCoding { scheme, data, parity, piece_bytes }
    })
}

fn ticket() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|cluster| Request::Hello { cluster }),
        (spot(), coding(), any::<u32>(), any::<u64>(), vec(any::<u8>(), 0..300), ticket()).prop_map(
            |(spot, coding, class_id, blob_size, fields, ticket)| Request::Append {
                spot,
                coding,
                class_id,
                blob_size,
                fields,
                ticket
            }
        ),
        (spot(), ticket()).prop_map(|(spot, ticket)| Request::Manifest { spot, ticket }),
        (spot(), ticket()).prop_map(|(spot, ticket)| Request::Persist { spot, ticket }),
        (any::<u32>(), any::<u64>()).prop_map(|(backend, failures)| Request::Flush { backend, failures }),
        (spot(), any::<u32>(), any::<u32>(), ticket()).prop_map(|(spot, start, end, ticket)| Request::Read {
            spot,
            start,
            end,
            ticket
        }),
        (spot(), ticket()).prop_map(|(spot, ticket)| Request::ReadHere { spot, ticket }),
        (spot(), ticket()).prop_map(|(spot, ticket)| Request::Delete { spot, ticket }),
        (op(), ticket()).prop_map(|(blob, ticket)| Request::DeleteBlob { blob, ticket }),
        (op(), ticket()).prop_map(|(blob, ticket)| Request::Find { blob, ticket }),
        (spot(), ticket()).prop_map(|(spot, ticket)| Request::Facts { spot, ticket }),
        (op(), ticket()).prop_map(|(blob, ticket)| Request::Pin { blob, ticket }),
        op().prop_map(|blob| Request::Unpin { blob }),
        (op(), ticket()).prop_map(|(blob, ticket)| Request::Superseded { blob, ticket }),
        Just(Request::Writable),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::NotFound),
        ".{0,40}".prop_map(Fault::Rotten),
        (".{0,40}", ".{0,40}").prop_map(|(step, error)| Fault::Io { step, error }),
        Just(Fault::Full),
        Just(Fault::ReadOnly),
        Just(Fault::Failed),
        Just(Fault::Busy),
    ]
}

fn holding() -> impl Strategy<Value = Holding> {
    (any::<u32>(), fragment(), any::<u32>(), any::<u32>(), any::<u64>()).prop_map(
        |(backend, fragment, last_row, pieces, bytes)| Holding { backend, fragment, last_row, pieces, bytes },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(|(cluster, node)| Answer::Welcome { cluster, node }),
        Just(Answer::Done),
        any::<u64>().prop_map(|failures| Answer::Appended { failures }),
        (1000u32..).prop_map(|payload_len| Answer::Piece { payload_len }),
        vec(holding(), 0..20).prop_map(|held| Answer::Found { held }),
        (coding(), any::<u32>(), any::<u64>(), any::<u32>()).prop_map(
            |(coding, class_id, blob_size, payload_len)| Answer::Facts {
                coding,
                class_id,
                blob_size,
                payload_len
            }
        ),
        vec(any::<u8>(), 0..300).prop_map(|sealed| Answer::Manifest { sealed }),
        vec((any::<u32>(), fault()), 0..16).prop_map(|failed| Answer::Deleted { failed }),
        vec(any::<u32>(), 0..40).prop_map(|backends| Answer::Writable { backends }),
        fault().prop_map(Answer::Fault),
        (0..Denial::ALL.len()).prop_map(|at| Answer::Denied(Denial::ALL[at])),
    ]
}

/// A frame as its receiver takes it: header, fields, payload.
fn read(bytes: &[u8]) -> Result<(Header, &[u8], &[u8]), FrameError> {
    let (head, rest) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>().ok_or(FrameError::Magic)?;
    let header = Header::parse(head)?;
    let (meta, payload) = rest.split_at_checked(header.meta_len as usize).ok_or(FrameError::Checksum)?;
    header.check_meta(meta)?;
    header.check_payload(payload)?;
    Ok((header, meta, payload))
}

fn sent(kind: u8, id: u32, meta: &[u8], payload: &[u8]) -> Vec<u8> {
    [&encode(kind, id, meta, payload), payload].concat()
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_sent(request in request(), id: u32, piece in vec(any::<u8>(), 1..300)) {
        let payload = if matches!(request, Request::Append { .. }) { &piece[..] } else { &[] };
        let (kind, meta) = request.encode();
        let bytes = sent(kind, id, &meta, payload);
        let (header, meta, got) = read(&bytes).unwrap();
        prop_assert_eq!((header.id, got), (id, payload));
        prop_assert_eq!(Request::decode(header.kind, meta, got.len()), Ok(request.clone()));
        prop_assert!(Answer::decode(header.kind, meta, got.len()).is_err(), "no request is an answer");
        // A payload where none belongs, and none where one does.
        let other = if payload.is_empty() { 1 } else { 0 };
        prop_assert!(Request::decode(header.kind, meta, other).is_err());
    }

    #[test]
    fn an_answer_is_read_as_it_was_sent(answer in answer(), id: u32, piece in vec(any::<u8>(), 0..300)) {
        let payload = if matches!(answer, Answer::Piece { .. }) { &piece[..] } else { &[] };
        let (kind, meta) = answer.encode();
        let bytes = sent(kind, id, &meta, payload);
        let (header, meta, got) = read(&bytes).unwrap();
        prop_assert_eq!(header.id, id);
        prop_assert_eq!(Answer::decode(header.kind, meta, got.len()), Ok(answer));
        prop_assert!(Request::decode(header.kind, meta, got.len()).is_err(), "no answer is a request");
    }

    #[test]
    fn any_cut_or_changed_byte_is_an_error(request in request(), piece in vec(any::<u8>(), 1..50), bit in 0u8..8) {
        let payload = if matches!(request, Request::Append { .. }) { &piece[..] } else { &[] };
        let (kind, meta) = request.encode();
        let bytes = sent(kind, 7, &meta, payload);
        for end in 0..bytes.len() {
            prop_assert!(read(&bytes[..end]).is_err(), "cut at {}", end);
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            prop_assert!(read(&changed).is_err(), "byte {}", at);
        }
        // Fields that are cut or have something behind them, with checksums that hold.
        for end in 0..meta.len() {
            prop_assert!(Request::decode(kind, &meta[..end], payload.len()).is_err());
        }
        prop_assert!(Request::decode(kind, &[&meta[..], &[0]].concat(), payload.len()).is_err());
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(kind: u8, meta in vec(any::<u8>(), 0..200), length in 0usize..3) {
        if let Ok(request) = Request::decode(kind, &meta, length) {
            prop_assert_eq!(request.encode(), (kind, meta.clone()));
        }
        if let Ok(answer) = Answer::decode(kind, &meta, length) {
            prop_assert_eq!(answer.encode(), (kind, meta.clone()));
        }
        prop_assert!(read(&meta).is_err());
    }
}

#[test]
fn lengths_beyond_the_limits_are_refused_before_anything_is_read() {
    let header = |meta: u32, payload: u32| {
        let mut bytes: [u8; FRAME_HEADER_BYTES] = encode(12, 1, &[], &[]).try_into().unwrap();
        bytes[8..12].copy_from_slice(&meta.to_le_bytes());
        bytes[12..16].copy_from_slice(&payload.to_le_bytes());
        Header::parse(&bytes)
    };
    let (meta, payload) = (PEER_META_BYTES_MAX as u32, RECORD_PAYLOAD_BYTES_MAX as u32);
    assert!(header(meta, payload).is_ok());
    for (meta, payload) in [(meta + 1, 0), (0, payload + 1), (u32::MAX, u32::MAX)] {
        assert_eq!(header(meta, payload), Err(FrameError::TooLong { meta, payload }));
    }
}

#[test]
fn the_longest_messages_fit_their_frame() {
    let id = FragmentId { blob: OpId::new(1, [1; 10]), index: 1, attempt: 2 };
    let held = Holding { backend: 1, fragment: id, last_row: 9, pieces: 10, bytes: 11 };
    let text = "ä".repeat(PEER_TEXT_BYTES_MAX);
    let fault = || Fault::Io { step: text.clone(), error: text.clone() };
    for answer in [
        Answer::Found { held: vec![held; PEER_HELD_MAX] },
        Answer::Deleted { failed: (0..16).map(|backend| (backend, fault())).collect() },
    ] {
        let (kind, meta) = answer.encode();
        let bytes = encode(kind, 1, &meta, &[]);
        assert!(Answer::decode(kind, &bytes[FRAME_HEADER_BYTES..], 0).is_ok());
    }
}

/// Golden bytes: version 1 stays readable.
#[test]
fn version_one_is_what_it_was() {
    let id = FragmentId { blob: OpId::new(0x0102_0304_0506, [0xaa; 10]), index: 3, attempt: 4 };
    let request = Request::Read { spot: Spot { backend: 5, id, row: 6 }, start: 7, end: 8, ticket: vec![9] };
    let (kind, meta) = request.encode();
    assert_eq!(kind, 4);
    let fields = "050000000102030405067aaaaaaaaaaaaaaaaaaa0304060000000700000008000000010009";
    assert_eq!(hex::encode(&meta), fields);
    assert_eq!(meta.len(), 4 + 18 + 4 + 4 + 4 + 2 + 1);
    let frame = encode(kind, 0x0b0c_0d0e, &meta, &[]);
    assert_eq!(frame[..16], *b"HP\x01\x04\x0e\x0d\x0c\x0b\x25\0\0\0\0\0\0\0");
    let (header, meta, _) = read(&frame).unwrap();
    assert_eq!(Request::decode(header.kind, meta, 0), Ok(request));
}
