//! The two codings of bodies, HTTP's chunked and S3's aws-chunked: any pieces of the same bytes mean the same.

use holdfast_protocol::aws_chunked::{
    AwsChunkedDecoder, AwsChunkedError, AwsChunkedEvent, AwsChunkedMode, Trailers,
};
use holdfast_protocol::http::chunked::{ChunkedDecoder, ChunkedError};
use holdfast_protocol::http::framing::BodyEvent;
use holdfast_protocol::limits::{AWS_TRAILER_LINE_BYTES_MAX, AWS_TRAILERS_MAX};

use super::dice::{Dice, Random};
use super::text::edit;

const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "0\r\n\r\n",
    "0",
    "ffffffffffffffff",
    "10000000000000000",
    ";",
    ";chunk-signature=",
    ";a=\"b\"",
    "x-amz-trailer-signature:",
    "x-amz-checksum-crc32:AAAAAA==\r\n",
    ":",
    " ",
    "\t",
    "-1",
    "+1",
    "A",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];
const SIGNATURE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub(crate) fn grow_chunked(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    if dice.once_in(4) {
        body = dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec();
    } else {
        for _ in 0..dice.below(4) {
            let extension = dice.pick(&["", "", ";a", ";a=b;c=\"d\""]);
            put_chunk(dice, &mut body, extension);
        }
        body.extend(b"0\r\n");
        (0..dice.below(3)).for_each(|_| body.extend(b"Trailer: x\r\n"));
        body.extend(dice.pick(&["\r\n", "\r\nGET / HTTP/1.1\r\n"]).bytes());
    }
    edit(dice, &mut body, WORDS);
    body
}

pub(crate) fn grow_aws_chunked(dice: &mut Dice<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    if dice.once_in(4) {
        body = dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec();
    } else {
        let signed = dice.once_in(2);
        let extension = if signed { format!(";chunk-signature={SIGNATURE}") } else { String::new() };
        for _ in 0..dice.below(4) {
            put_chunk(dice, &mut body, &extension);
        }
        body.extend(format!("0{extension}\r\n").bytes());
        for at in 0..dice.below(4) {
            body.extend(format!("x-amz-checksum-{at}: AAAA\r\n").bytes());
        }
        if signed && !dice.once_in(3) {
            body.extend(format!("x-amz-trailer-signature:{SIGNATURE}\r\n").bytes());
        }
        body.extend(b"\r\n");
    }
    edit(dice, &mut body, WORDS);
    body
}

/// Size line, data, end; a chunk of no bytes would be the last.
fn put_chunk(dice: &mut Dice<'_>, body: &mut Vec<u8>, extension: &str) {
    let length = 1 + dice.below(40);
    let data = dice.bytes(length);
    if !data.is_empty() {
        body.extend(format!("{:x}{extension}\r\n", data.len()).bytes());
        body.extend([data, b"\r\n"].concat());
    }
}

/// What came of a chunked body: its data, and how it ended with how many bytes used up.
type Chunked = (Vec<u8>, Result<Option<usize>, ChunkedError>);

pub(crate) fn check_chunked(body: &[u8]) {
    let (data, end) = read_chunked(body, &[body.len()]);
    assert_eq!(read_chunked(body, &Random::of(body).cuts(body.len())), (data.clone(), end), "in pieces");
    assert!(data.len() <= body.len());
    if let Ok(Some(consumed)) = end {
        assert!(data.len() + 5 <= consumed && consumed <= body.len(), "{consumed}");
        let next = [&body[..consumed], b"GET /"].concat();
        assert_eq!(
            read_chunked(&next, &[next.len()]),
            (data.clone(), end),
            "what follows is the next request's"
        );
        let mut rendered = Vec::new();
        data.chunks(7).for_each(|chunk| {
            rendered.extend(format!("{:X}\r\n", chunk.len()).bytes());
            rendered.extend([chunk, b"\r\n"].concat());
        });
        rendered.extend(b"0\r\n\r\n");
        assert_eq!(read_chunked(&rendered, &[rendered.len()]), (data, Ok(Some(rendered.len()))));
    }
}

fn read_chunked(body: &[u8], cuts: &[usize]) -> Chunked {
    let (mut decoder, mut data, mut at) = (ChunkedDecoder::new(), Vec::new(), 0);
    for &cut in cuts {
        while at < cut {
            match decoder.feed(&body[at..cut]) {
                Err(error) => return (data, Err(error)),
                Ok((consumed, event)) => {
                    match event {
                        BodyEvent::End => return (data, Ok(Some(at + consumed))),
                        BodyEvent::Data(piece) => {
                            assert_eq!(piece, &body[at..at + consumed]);
                            data.extend(piece);
                        }
                        BodyEvent::Framing => {}
                    }
                    assert!(consumed > 0, "no progress at {at}");
                    at += consumed;
                }
            }
        }
        assert_eq!(decoder.feed(b""), Ok((0, BodyEvent::Framing)), "an empty input says nothing");
    }
    assert!(!decoder.is_complete());
    (data, Ok(None))
}

/// What came of an aws-chunked body, less the pieces it came in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Decoded {
    data: Vec<u8>,
    chunks: Vec<(u64, Option<[u8; 32]>)>,
    ended: usize,
    trailers: Option<Trailers>,
    error: Option<AwsChunkedError>,
}

pub(crate) fn check_aws_chunked(body: &[u8]) {
    use AwsChunkedMode::{Signed, SignedTrailer, UnsignedTrailer};
    for mode in [Signed, SignedTrailer, UnsignedTrailer] {
        let decoded = decode(body, &[body.len()], mode, None);
        assert_eq!(decode(body, &Random::of(body).cuts(body.len()), mode, None), decoded, "in pieces");
        let length = decoded.data.len() as u64;
        assert!(decoded.data.len() <= body.len() && decoded.ended <= decoded.chunks.len());
        assert!(decoded.chunks.iter().all(|(_, signature)| signature.is_some() != (mode == UnsignedTrailer)));
        if decoded.error.is_some() {
            continue;
        }
        let trailers = decoded.trailers.clone().expect("a body that passed has ended");
        assert_eq!(
            (decoded.ended, decoded.chunks.last().map(|last| last.0)),
            (decoded.chunks.len(), Some(0))
        );
        assert_eq!(decoded.chunks.iter().map(|(size, _)| size).sum::<u64>(), length);
        check_trailers(&trailers, mode);
        assert_eq!(decode(body, &[body.len()], mode, Some(length)), decoded, "as announced");
        let longer = decode(body, &[body.len()], mode, Some(length + 1)).error;
        assert_eq!(longer, Some(AwsChunkedError::TooShort { decoded: length, announced: length + 1 }));
        if let Some(announced) = length.checked_sub(1) {
            let shorter = decode(body, &[body.len()], mode, Some(announced)).error;
            assert_eq!(shorter, Some(AwsChunkedError::TooLong { announced }));
        }
        let more = decode(&[body, b"x"].concat(), &[body.len(), body.len() + 1], mode, None).error;
        assert_eq!(more, Some(AwsChunkedError::TrailingBytes));
        let less = decode(&body[..body.len() - 1], &[body.len() - 1], mode, None).error;
        assert!(less.is_some(), "complete without its last byte");
    }
}

fn check_trailers(trailers: &Trailers, mode: AwsChunkedMode) {
    assert!(trailers.pairs().count() <= AWS_TRAILERS_MAX);
    assert!(trailers.canonical().len() <= AWS_TRAILERS_MAX * AWS_TRAILER_LINE_BYTES_MAX);
    assert_eq!(trailers.signature().is_some(), mode == AwsChunkedMode::SignedTrailer);
    assert!(trailers.is_empty() || mode != AwsChunkedMode::Signed);
    for (name, value) in trailers.pairs() {
        assert_eq!((name.to_ascii_lowercase().as_str(), value.trim_ascii()), (name, value));
        assert_eq!(trailers.value(name), Some(value), "said once");
    }
}

fn decode(body: &[u8], cuts: &[usize], mode: AwsChunkedMode, announced: Option<u64>) -> Decoded {
    let mut decoder = AwsChunkedDecoder::new(mode, announced);
    let (mut decoded, mut at, mut idle) = (Decoded::default(), 0, 0);
    for &cut in cuts {
        loop {
            let (consumed, event) = match decoder.feed(&body[at..cut]) {
                Ok(found) => found,
                Err(error) => return Decoded { error: Some(error), ..decoded },
            };
            idle = if consumed == 0 { idle + 1 } else { 0 };
            assert!(idle <= 2, "no progress at {at}");
            let silent = consumed == 0 && event == AwsChunkedEvent::Framing;
            match event {
                AwsChunkedEvent::Framing => {}
                AwsChunkedEvent::ChunkHeader { size, signature } => decoded.chunks.push((size, signature)),
                AwsChunkedEvent::Data(piece) => {
                    assert_eq!(piece, &body[at..at + consumed]);
                    decoded.data.extend(piece);
                }
                AwsChunkedEvent::ChunkEnd => decoded.ended += 1,
                AwsChunkedEvent::End(trailers) => decoded.trailers = Some(trailers),
            }
            at += consumed;
            if silent {
                assert_eq!(at, cut, "silent with bytes left");
                idle = 0;
                break;
            }
        }
    }
    decoded.error = decoder.finish().err();
    decoded
}
