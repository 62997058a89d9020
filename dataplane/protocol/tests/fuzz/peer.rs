//! Frames between nodes, their requests and answers.

use holdfast_protocol::limits::{PEER_META_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX};
use holdfast_protocol::peer::{Answer, FRAME_HEADER_BYTES, FrameError, Header, Request, encode};

use super::dice::Dice;
use super::text::edit;

const WORDS: &[&str] = &["HP", "\u{1}", "\0\0", "\0", "\u{7f}", "HP\u{1}\u{2}", "HFT1"];

/// A frame of the corpus, edited; three in four are sealed again with checksums that hold, so that fields are reached.
pub(crate) fn grow(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec();
    edit(dice, &mut bytes, WORDS);
    match bytes.split_first_chunk::<FRAME_HEADER_BYTES>() {
        Some((head, rest)) if !dice.once_in(4) => {
            let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let (meta, payload) = rest.split_at(length.min(rest.len()));
            let meta = &meta[..meta.len().min(PEER_META_BYTES_MAX)];
            [&encode(head[3], 7, meta, payload), payload].concat()
        }
        _ => bytes,
    }
}

pub(crate) fn check(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else { return };
    let header = match Header::parse(head) {
        Ok(header) => header,
        Err(error) => return assert!(error != FrameError::Checksum && error != FrameError::Payload),
    };
    let (meta_len, payload_len) = (header.meta_len as usize, header.payload_len as usize);
    assert!(meta_len <= PEER_META_BYTES_MAX && payload_len <= RECORD_PAYLOAD_BYTES_MAX);
    let Some((meta, rest)) = rest.split_at_checked(meta_len) else { return };
    let Some(payload) = rest.get(..payload_len) else { return };
    if header.check_meta(meta).is_err() || header.check_payload(payload).is_err() {
        return;
    }
    let request = Request::decode(header.kind, meta, payload_len);
    let answer = Answer::decode(header.kind, meta, payload_len);
    assert!(request.is_err() || answer.is_err(), "a frame is one or the other");
    // What was understood is all there is.
    for (kind, fields) in
        [request.ok().map(|it| it.encode()), answer.ok().map(|it| it.encode())].into_iter().flatten()
    {
        assert_eq!((kind, &*fields), (header.kind, meta));
        assert_eq!(encode(kind, header.id, &fields, payload), bytes[..FRAME_HEADER_BYTES + meta_len]);
    }
}
