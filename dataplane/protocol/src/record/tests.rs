//! Records as bytes: golden ones, every flipped byte, other places, torn batches.

use holdfast_common::id::{DriveId, FragmentId, OpId};

use super::*;

const DRIVE: DriveId = DriveId([7; 16]);

fn place(offset: u32) -> Place {
    Place { drive: DRIVE, segment: 3, generation: 9, offset }
}

fn piece(row: u32) -> Record {
    let fragment = FragmentId { blob: OpId::new(1_700_000_000_000, [5; 10]), index: 2, attempt: 1 };
    let coding = PieceCoding { scheme: PieceScheme::ReedSolomon, data: 2, parity: 1, piece_bytes: 262_144 };
    Record {
        kind: Kind::Piece,
        flags: 0,
        fragment,
        row,
        coding: Some(coding),
        class_id: 4,
        blob_size: 100_000,
    }
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

fn encoded(at: u32, record: &Record, tlvs: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0xee; record_bytes(payload.len(), tlvs.len()).unwrap()];
    assert_eq!(encode(&mut out, place(at), record, tlvs, payload).1, out.len());
    out
}

const TLVS: [u8; 11] = [0x99, 0x77, 3, 0, b'a', b'b', b'c', 2, 0, 0, 0];

#[test]
fn golden_bytes_of_version_1() {
    let got = encoded(4096, &piece(5), &TLVS, b"hello, drive");
    assert_eq!(hex::encode(&got[..72]), GOLDEN_HEADER.concat());
    assert_eq!(hex::encode(&got[72..160]), GOLDEN_REST.concat());
    assert!(got[160..].iter().all(|byte| *byte == 0) && got.len() == 192);
    let segment = SegmentHeader {
        drive: DRIVE,
        segment: 3,
        generation: 9,
        state: SegmentState::Live,
        segment_bytes: 64 << 20,
        role: SegmentRole::Deletes,
        zeroed: true,
        created_ms: 1_700_000_000_000,
    };
    assert_eq!(hex::encode(&segment.encode()[..64]), GOLDEN_SEGMENT);
    assert_eq!(SegmentHeader::parse(&segment.encode()), Some(segment));
}

#[test]
fn a_payload_that_stands_in_its_place_gives_the_same_bytes() {
    for len in [1, 12, BLOCK_BYTES, 262_144, 300_001] {
        let mut out = vec![0xee; record_bytes(len, 0).unwrap()];
        out[payload_at(len)..][..len].copy_from_slice(&payload(len));
        let lengths = encode_around(&mut out, place(4096), &piece(5), len);
        assert_eq!(lengths, (payload_at(len), out.len()));
        assert!(out == encoded(4096, &piece(5), &[], &payload(len)), "{len} bytes");
    }
}

/// One line per line of the table in the module's documentation, then block checksum, TLVs, zeros and header checksum,
/// then payload and footer.
const GOLDEN_HEADER: [&str; 5] = [
    "48465231010080000000010e",
    "09000000018bcfe56800750585050505050505050201",
    "02020100000005000000",
    "00000400040000000c000000a086010000000000",
    "0b00010000000000",
];
const GOLDEN_REST: [&str; 4] = [
    "403eedc29977030061626302000000",
    "00000000000000000000000000000000000000000000000000000000000000000000000000ef4800e0",
    "68656c6c6f2c206472697665",
    "ef4800e048464531000000000000000000000000",
];
const GOLDEN_SEGMENT: &str = concat!(
    "4846533101000200070707070707070707070707070707070300000009000000",
    "000000040000000001000000010000000068e5cf8b010000e5769d9100000000"
);

#[test]
fn every_length_comes_back_with_its_fields() {
    for len in [0, 1, 63, 64, 4096, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 262_144] {
        let bytes = encoded(64, &piece(0), &TLVS, &payload(len));
        let parsed = parse(&bytes, place(64)).unwrap();
        assert_eq!((parsed.record, parsed.payload_len, parsed.total_len()), (piece(0), len, bytes.len()));
        assert!(parsed.whole(&bytes));
        let tlvs: Vec<_> = parsed.tlvs().collect();
        assert_eq!(tlvs, [(0x7799, &b"abc"[..]), (2, &b""[..])]);
    }
}

#[test]
fn no_flipped_byte_goes_unseen() {
    let bytes = encoded(64, &piece(0), &TLVS, &payload(300));
    let used = parse(&bytes, place(64)).unwrap().header_len + 300 + FOOTER_BYTES;
    for at in 0..used {
        let mut bad = bytes.clone();
        bad[at] ^= 0x40;
        assert!(!parse(&bad, place(64)).is_ok_and(|parsed| parsed.whole(&bad)), "byte {at}");
    }
}

#[test]
fn a_record_is_valid_in_its_place_and_life_only() {
    let bytes = encoded(64, &piece(0), &[], &payload(10));
    for other in [
        place(128),
        Place { generation: 8, ..place(64) },
        Place { segment: 4, ..place(64) },
        Place { drive: DriveId([8; 16]), ..place(64) },
    ] {
        assert_eq!(parse(&bytes, other).unwrap_err(), Invalid::Checksum);
    }
}

#[test]
fn blocks_are_checked_where_they_stand() {
    let data = payload(3 * BLOCK_BYTES + 5);
    let parsed = parse(&encoded(0, &piece(0), &[], &data), place(0)).unwrap();
    assert!(parsed.blocks_hold(1, &data[BLOCK_BYTES..3 * BLOCK_BYTES]));
    assert!(parsed.blocks_hold(3, &data[3 * BLOCK_BYTES..]));
    assert!(!parsed.blocks_hold(0, &data[BLOCK_BYTES..2 * BLOCK_BYTES]), "another block");
    assert!(!parsed.blocks_hold(0, &data[..BLOCK_BYTES - 1]), "half a block");
    assert!(!parsed.blocks_hold(4, &data[..BLOCK_BYTES]), "beyond the end");
}

#[test]
fn tlvs_beyond_the_header_are_refused() {
    assert!(record_bytes(10, crate::limits::RECORD_HEADER_BYTES_MAX).is_err());
}

/// Offsets of whole and torn records that a walk over `bytes` finds.
fn walk(bytes: &[u8]) -> (Vec<u32>, Vec<u32>) {
    let end = u32::try_from(bytes.len()).unwrap();
    let (mut at, mut whole, mut torn) = (0, Vec::new(), Vec::new());
    loop {
        match step(&bytes[at as usize..], place(at), end) {
            Step::Record(parsed) => {
                whole.push(at);
                at += parsed.total_len() as u32;
            }
            Step::Torn(parsed) => {
                torn.push(at);
                at = at.saturating_add(parsed.total_len() as u32).min(end);
            }
            Step::Skip(to) => at = to,
            Step::End => return (whole, torn),
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn a_walk_goes_on_behind_what_is_torn() {
    let mut bytes = vec![0; 5 * SECTOR_BYTES];
    for at in [0usize, 576, SECTOR_BYTES, 3 * SECTOR_BYTES] {
        let record = encoded(at as u32, &piece(at as u32), &[], &payload(400));
        bytes[at..at + record.len()].copy_from_slice(&record);
    }
    assert_eq!(walk(&bytes), (vec![0, 576, 4096, 12288], vec![]));
    bytes[200] ^= 1;
    bytes[SECTOR_BYTES] ^= 1;
    assert_eq!(walk(&bytes), (vec![576, 12288], vec![0]));
}

#[test]
fn a_table_comes_back_and_belongs_to_one_life() {
    let entry = |row| Entry {
        fragment: piece(0).fragment,
        kind: Kind::Piece,
        row,
        offset: row * 64,
        header_len: 128,
        payload_len: 9,
    };
    let table = Table { entries: (0..1000).map(entry).collect() };
    let bytes = table.encode(place(8192));
    assert_eq!(bytes.len(), table_bytes(1000));
    let trailer_at = 8192 + (bytes.len() - SECTOR_BYTES) as u32;
    let sector = &bytes[bytes.len() - SECTOR_BYTES..];
    let trailer = TrailerRef::parse(sector, place(trailer_at)).unwrap();
    assert_eq!((trailer.table_offset, trailer.entries), (8192, 1000));
    assert_eq!(Table::parse(trailer, &bytes), Some(table));
    assert_eq!(TrailerRef::parse(sector, Place { generation: 10, ..place(trailer_at) }), None);
    let mut rotten = bytes.clone();
    rotten[77] ^= 1;
    assert_eq!(Table::parse(trailer, &rotten), None);
}
