//! Bodies as clients send them, bodies that nobody should send, and any split of either.

use proptest::prelude::*;

use super::AwsChunkedMode::{Signed, SignedTrailer, UnsignedTrailer};
use super::*;

/// The events with data put together per chunk, so that splits do not show.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    chunks: Vec<SeenChunk>,
    end: Option<Trailers>,
}

#[derive(Debug, Clone, PartialEq)]
struct SeenChunk {
    size: u64,
    signature: Option<[u8; 32]>,
    data: Vec<u8>,
    ended: bool,
}

/// Feeds `input` in pieces that end at `cuts`.
fn decode(
    mode: AwsChunkedMode,
    announced: Option<u64>,
    input: &[u8],
    cuts: &[usize],
) -> Result<Seen, AwsChunkedError> {
    let mut decoder = AwsChunkedDecoder::new(mode, announced);
    let mut seen = Seen { chunks: vec![], end: None };
    let mut cuts = cuts.iter().map(|cut| cut % (input.len() + 1)).collect::<Vec<_>>();
    cuts.push(input.len());
    cuts.sort_unstable();
    let mut at = 0;
    for cut in cuts {
        while at < cut {
            let (consumed, event) = decoder.feed(&input[at..cut])?;
            match event {
                AwsChunkedEvent::Framing => assert!(consumed > 0, "no progress"),
                AwsChunkedEvent::ChunkHeader { size, signature } => {
                    seen.chunks.push(SeenChunk { size, signature, data: vec![], ended: false });
                }
                AwsChunkedEvent::Data(data) => {
                    assert_eq!(data, &input[at..at + consumed], "data is the front of the input");
                    seen.chunks.last_mut().unwrap().data.extend_from_slice(data);
                }
                AwsChunkedEvent::ChunkEnd => seen.chunks.last_mut().unwrap().ended = true,
                AwsChunkedEvent::End(trailers) => seen.end = Some(trailers),
            }
            at += consumed;
        }
    }
    decoder.finish()?;
    Ok(seen)
}

fn sig(digit: &str) -> String {
    digit.repeat(64)
}

/// The data decoded, or the error.
#[track_caller]
fn check(mode: AwsChunkedMode, input: &str, expected: Result<&str, AwsChunkedError>) -> Option<Trailers> {
    let announced = expected.map_or(Some(3), |data| Some(data.len() as u64));
    let seen = decode(mode, announced, input.as_bytes(), &[]);
    let data =
        seen.as_ref().map(|seen| seen.chunks.iter().flat_map(|chunk| chunk.data.clone()).collect::<Vec<_>>());
    assert_eq!(data.as_deref().map_err(|error| **error), expected.map(str::as_bytes), "{input:?}");
    seen.ok().and_then(|seen| seen.end)
}

#[test]
fn bodies_of_clients() {
    let (a, b) = (sig("a"), sig("0"));
    check(Signed, &format!("3;chunk-signature={a}\r\nabc\r\n0;chunk-signature={b}\r\n\r\n"), Ok("abc"));
    check(Signed, &format!("0;chunk-signature={b}\r\n\r\n"), Ok(""));
    let botocore =
        check(UnsignedTrailer, "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n", Ok("abc")).unwrap();
    assert_eq!(botocore.value("X-Amz-Checksum-Crc32"), Some("NSRBwg=="));
    assert_eq!(botocore.canonical(), b"x-amz-checksum-crc32:NSRBwg==\n");
    assert_eq!(botocore.signature(), None);
    let rust_sdk = format!(
        "3;chunk-signature={a}\r\nabc\r\n0;chunk-signature={b}\r\nX-Amz-Checksum-Crc32: NSRBwg== \r\n\
         x-amz-trailer-signature:{a}\r\n\r\n"
    );
    let trailers = check(SignedTrailer, &rust_sdk, Ok("abc")).unwrap();
    assert_eq!(trailers.canonical(), b"x-amz-checksum-crc32:NSRBwg==\n");
    assert_eq!(trailers.signature(), Some(&[0xaa; 32]));
    let minio = format!(
        "3;chunk-signature={a}\r\nabc\r\n0;chunk-signature={b}\r\nx-amz-checksum-crc32c:NSRBwg==\n\r\n\
         x-amz-trailer-signature:{a}\r\n\r\n"
    );
    assert_eq!(
        check(SignedTrailer, &minio, Ok("abc")).unwrap().value("x-amz-checksum-crc32c"),
        Some("NSRBwg==")
    );
    check(UnsignedTrailer, "0000000000000003\r\nabc\r\n0\r\n\r\n", Ok("abc"));
    check(UnsignedTrailer, "1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n", Ok("a0123456789"));
}

#[test]
fn chunks_that_nobody_should_send() {
    use AwsChunkedError::*;
    let a = sig("a");
    let wrong = |mode, input: &str, error| drop(check(mode, input, Err(error)));
    wrong(Signed, "3\r\nabc\r\n", SignatureMissing);
    wrong(UnsignedTrailer, &format!("3;chunk-signature={a}\r\nabc\r\n"), SignatureUnexpected);
    wrong(Signed, "3;chunk-signature=abc\r\n", Signature);
    wrong(Signed, &format!("3;chunk-signature={}\r\n", sig("A")), Signature);
    wrong(Signed, &format!("3;chunk-signature={a}a\r\n"), Signature);
    wrong(Signed, &format!("3;signature={a}\r\n"), ChunkHeader);
    wrong(Signed, &format!("3;chunk-signature={a};x=y\r\n"), Signature);
    wrong(UnsignedTrailer, "3\nabc\r\n", ChunkHeader);
    wrong(UnsignedTrailer, "\r\n", Size);
    wrong(UnsignedTrailer, "0x3\r\n", Size);
    wrong(UnsignedTrailer, "-3\r\n", Size);
    wrong(UnsignedTrailer, " 3\r\n", Size);
    wrong(UnsignedTrailer, "00000000000000003\r\n", Size);
    wrong(UnsignedTrailer, &"0".repeat(200), LineTooLong);
    wrong(UnsignedTrailer, "3\r\nabcd\r\n", DataEnd);
    wrong(UnsignedTrailer, "3\r\nabc\n0\r\n", DataEnd);
    wrong(UnsignedTrailer, "4\r\nabcd\r\n", TooLong { announced: 3 });
    wrong(UnsignedTrailer, "2\r\nab\r\nffffffffffffffff\r\n", TooLong { announced: 3 });
    wrong(UnsignedTrailer, "2\r\nab\r\n0\r\n\r\n", TooShort { decoded: 2, announced: 3 });
    wrong(UnsignedTrailer, "3\r\nabc\r\n0\r\n\r\nx", TrailingBytes);
    for end in
        ["", "3", "3\r\n", "3\r\nab", "3\r\nabc", "3\r\nabc\r\n", "3\r\nabc\r\n0\r\n", "3\r\nabc\r\n0\r\n\r"]
    {
        wrong(UnsignedTrailer, end, Truncated);
    }
}

#[test]
fn trailers_that_nobody_should_send() {
    use AwsChunkedError::*;
    let a = sig("a");
    let unsigned = |trailers: &str, error| {
        check(UnsignedTrailer, &format!("3\r\nabc\r\n0\r\n{trailers}"), Err(error));
    };
    unsigned("a\r\n\r\n", Trailer);
    unsigned(":a\r\n\r\n", Trailer);
    unsigned(" a:b\r\n\r\n", Trailer);
    unsigned("a:b\rc\r\n\r\n", Trailer);
    unsigned("a:\u{1}\r\n\r\n", Trailer);
    unsigned("a:b\r\n\n", Trailer);
    unsigned("a:b\r\nA:c\r\n\r\n", TrailerRepeated);
    unsigned(&format!("x-amz-trailer-signature:{a}\r\n\r\n"), TrailerUnexpected);
    unsigned(&format!("a:{}\r\n\r\n", "b".repeat(2000)), LineTooLong);
    unsigned(&(0..17).map(|i| format!("a{i}:b\r\n")).collect::<String>(), TooManyTrailers);

    let last = format!("3;chunk-signature={a}\r\nabc\r\n0;chunk-signature={a}\r\n");
    let signed = |mode, trailers: &str, error| drop(check(mode, &format!("{last}{trailers}"), Err(error)));
    signed(Signed, "a:b\r\n\r\n", TrailerUnexpected);
    signed(SignedTrailer, "\r\n", TrailerSignatureMissing);
    signed(SignedTrailer, "a:b\r\n\r\n", Truncated);
    signed(SignedTrailer, "a:b\r\n\r\n\r\n", TrailerSignatureMissing);
    signed(SignedTrailer, "a:b\r\n\r\nc:d\r\n", TrailerUnexpected);
    signed(SignedTrailer, "a:b\r\nx-amz-trailer-signature:1\r\n\r\n", Signature);
    signed(SignedTrailer, &format!("a:b\r\nx-amz-trailer-signature:{a}\r\nc:d\r\n"), Trailer);
}

#[test]
fn without_an_announced_length_any_is_right() {
    assert!(decode(UnsignedTrailer, None, b"3\r\nabc\r\n0\r\n\r\n", &[]).is_ok());
    let overflow = b"1\r\na\r\nffffffffffffffff\r\n";
    assert_eq!(
        decode(UnsignedTrailer, None, overflow, &[]),
        Err(AwsChunkedError::TooLong { announced: u64::MAX })
    );
}

fn encode(chunks: &[Vec<u8>], signed: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, chunk) in chunks.iter().chain([&vec![]]).enumerate() {
        let signature = if signed { format!(";chunk-signature={:064x}", i * 7919) } else { String::new() };
        out.extend(format!("{:x}{signature}\r\n", chunk.len()).bytes());
        out.extend(chunk);
        out.extend(if chunk.is_empty() { &b""[..] } else { b"\r\n" });
    }
    out.extend(b"x-amz-checksum-crc32:AAAAAA==\r\n");
    if signed {
        out.extend(format!("x-amz-trailer-signature:{}\r\n", sig("b")).bytes());
    }
    out.extend(b"\r\n");
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_decodes_to_what_was_encoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..6),
        signed: bool,
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let mode = if signed { SignedTrailer } else { UnsignedTrailer };
        let announced = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let seen = decode(mode, Some(announced), &encode(&chunks, signed), &cuts).unwrap();
        let data: Vec<_> = seen.chunks.iter().map(|chunk| chunk.data.clone()).filter(|data| !data.is_empty()).collect();
        prop_assert_eq!(data, chunks);
        prop_assert!(seen.chunks.iter().all(|chunk| chunk.size == chunk.data.len() as u64 && chunk.ended));
        let trailers = seen.end.unwrap();
        prop_assert_eq!(trailers.value("x-amz-checksum-crc32"), Some("AAAAAA=="));
    }

    /// One byte wrong, anywhere: the same answer for every split, be it data or an error.
    #[test]
    fn any_split_of_damage_gives_the_same_answer(
        signed: bool, at: usize, byte: u8, cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let mode = if signed { SignedTrailer } else { UnsignedTrailer };
        let mut input = encode(&[b"some data".to_vec(), b"and\r\nmore\r\n".to_vec()], signed);
        let at = at % input.len();
        input[at] = byte;
        prop_assert_eq!(decode(mode, Some(20), &input, &cuts), decode(mode, Some(20), &input, &[]));
    }
}
