//! aws-chunked bodies: what stands between the chunks' data. The data itself is sent from where it lies.

use super::content::Content;
use super::options::Payload;
use super::sign::{EMPTY_SHA256, Signer, UNSIGNED, text};
use crate::limits::AWS_CHUNK_BYTES;

/// Value of `x-amz-content-sha256` for a content.
pub(super) fn content_sha256<'a>(payload: Payload, content: &Content<'a>) -> &'a str {
    match payload {
        Payload::Signed => content.sha256,
        Payload::Unsigned => UNSIGNED,
        Payload::Streaming => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        Payload::Trailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        Payload::SignedTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    }
}

pub(super) fn is_chunked(payload: Payload) -> bool {
    !matches!(payload, Payload::Signed | Payload::Unsigned)
}

pub(super) fn has_trailer(payload: Payload) -> bool {
    matches!(payload, Payload::Trailer | Payload::SignedTrailer)
}

fn is_signed(payload: Payload) -> bool {
    matches!(payload, Payload::Streaming | Payload::SignedTrailer)
}

/// Bytes on the wire of a body, which the head names before any signature of a chunk is known.
pub(super) fn wire_bytes(payload: Payload, content: &Content<'_>) -> u64 {
    let length = content.bytes.len() as u64;
    if !is_chunked(payload) {
        return length;
    }
    let signature = if is_signed(payload) { ";chunk-signature=".len() as u64 + 64 } else { 0 };
    let sizes = content.bytes.chunks(AWS_CHUNK_BYTES).map(|chunk| format!("{:x}", chunk.len()).len() as u64);
    // each chunk: size, signature, CR LF, data, CR LF; the last one, of size 0, ends with the trailers
    let chunks: u64 = sizes.map(|digits| digits + signature + 4).sum::<u64>() + length;
    let mut tail = 1 + signature + 2 + 2;
    if has_trailer(payload) {
        tail += trailer_line(content).len() as u64 + 2;
        tail += if is_signed(payload) { "x-amz-trailer-signature:".len() as u64 + 64 + 2 } else { 0 };
    }
    chunks + tail
}

fn trailer_line(content: &Content<'_>) -> String {
    format!("x-amz-checksum-crc32:{}", content.crc32)
}

/// Appends all framing of a body to `out`; gives where each chunk's header starts in it, and at last where the end does.
pub(super) fn frame(
    payload: Payload,
    content: &Content<'_>,
    seed: [u8; 64],
    signer: &mut Signer,
    out: &mut Vec<u8>,
) -> Vec<usize> {
    let mut starts = Vec::with_capacity(content.chunks.len() + 2);
    let mut previous = seed;
    let lengths = content.bytes.chunks(AWS_CHUNK_BYTES).map(<[u8]>::len).chain([0]);
    for (at, length) in lengths.enumerate() {
        starts.push(out.len());
        if at > 0 {
            out.extend_from_slice(b"\r\n"); // ends the data before
        }
        out.extend_from_slice(format!("{length:x}").as_bytes());
        if is_signed(payload) {
            let sha256 = if length == 0 { EMPTY_SHA256 } else { content.chunks[at].as_str() };
            previous = signer.chunk(&previous, sha256);
            out.extend_from_slice(b";chunk-signature=");
            out.extend_from_slice(&previous);
        }
        out.extend_from_slice(b"\r\n");
    }
    if has_trailer(payload) {
        let line = trailer_line(content);
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
        if is_signed(payload) {
            let signature = signer.trailer(&previous, &format!("{line}\n"));
            out.extend_from_slice(format!("x-amz-trailer-signature:{}\r\n", text(&signature)).as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    starts.push(out.len());
    starts
}

/// The head, then framing and data in turns: what one request sends.
pub(super) fn parts<'a>(
    head: &'a [u8],
    framing: &'a [u8],
    starts: &[usize],
    data: &'a [u8],
) -> Vec<&'a [u8]> {
    let mut parts = vec![head];
    let mut chunks = data.chunks(AWS_CHUNK_BYTES);
    for pair in starts.windows(2) {
        parts.push(&framing[pair[0]..pair[1]]);
        parts.extend(chunks.next());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::content::Contents;
    use super::super::sizes::Sizes;
    use super::super::target::{Credentials, Target};
    use super::super::transport::Door;
    use super::*;

    fn signer() -> Signer {
        Signer::new(&Target {
            endpoint: "http://127.0.0.1:9000".to_owned(),
            door: Door { address: ([127, 0, 0, 1], 9000).into(), tls: None },
            host: "127.0.0.1:9000".to_owned(),
            bucket: "b".to_owned(),
            region: "us-east-1".to_owned(),
            credentials: Credentials {
                access_key_id: "id".to_owned(),
                secret_access_key: "secret".to_owned(),
            },
            processes: Vec::new(),
            metrics: Vec::new(),
        })
    }

    #[test]
    fn a_framed_body_has_the_announced_length_and_decodes() {
        use holdfast_protocol::aws_chunked::{AwsChunkedDecoder, AwsChunkedEvent, AwsChunkedMode};
        for size in [0, 1, 4096, AWS_CHUNK_BYTES as u64, AWS_CHUNK_BYTES as u64 * 2 + 5] {
            for (payload, mode) in [
                (Payload::Streaming, AwsChunkedMode::Signed),
                (Payload::Trailer, AwsChunkedMode::UnsignedTrailer),
                (Payload::SignedTrailer, AwsChunkedMode::SignedTrailer),
            ] {
                let contents = Contents::new(&Sizes::Fixed(size), true);
                let content = contents.of(3);
                let mut framing = Vec::new();
                let starts = frame(payload, &content, [b'0'; 64], &mut signer(), &mut framing);
                let wire = parts(&[], &framing, &starts, content.bytes).concat();
                assert_eq!(wire.len() as u64, wire_bytes(payload, &content), "{payload:?} of {size}");
                let mut decoder = AwsChunkedDecoder::new(mode, Some(size));
                let (mut at, mut data) = (0, Vec::new());
                while !decoder.is_complete() {
                    let (used, event) = decoder.feed(&wire[at..]).expect("well formed");
                    if let AwsChunkedEvent::Data(bytes) = event {
                        data.extend_from_slice(bytes);
                    }
                    at += used;
                }
                assert_eq!((at, &data[..]), (wire.len(), content.bytes));
            }
        }
    }
}
