//! AWS's two examples of chunked uploads (66,560 bytes of `a` in chunks of 64 KiB), and what must break the chain.

use super::{accepted, head};
use crate::digest;
use crate::error::Code;
use crate::sigv4::text::hex_signature;
use crate::sigv4::{ChunkSigner, PayloadKind, PayloadMode};
use proptest::prelude::*;

const CHUNKS: [(usize, &str); 3] = [
    (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
];

const CHUNKS_BEFORE_TRAILER: [(usize, &str); 3] = [
    (65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
    (1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
    (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
];
const TRAILER: (&str, &[u8]) = ("x-amz-checksum-crc32c", b"sOO8/Q==");
const TRAILER_SIGNATURE: &[u8] = b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";

fn signer(payload: &str, trailer: bool) -> ChunkSigner {
    let (names, seed) = match trailer {
        false => (
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
             x-amz-storage-class",
            "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        ),
        true => (
            "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
             x-amz-storage-class;x-amz-trailer",
            "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        ),
    };
    let authorization = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={names},Signature={seed}"
    );
    let payload = format!("x-amz-content-sha256: {payload}");
    let mut lines = vec![
        "PUT /examplebucket/chunkObject.txt HTTP/1.1",
        "Host: s3.amazonaws.com",
        "x-amz-date: 20130524T000000Z",
        "x-amz-storage-class: REDUCED_REDUNDANCY",
        &authorization,
        &payload,
        "Content-Encoding: aws-chunked",
        "x-amz-decoded-content-length: 66560",
        "Content-Length: 66824",
    ];
    if trailer {
        lines.push("x-amz-trailer: x-amz-checksum-crc32c");
    }
    match accepted(&head(&lines)).payload {
        PayloadMode::StreamingSigned(signer) | PayloadMode::StreamingSignedTrailer(signer) => *signer,
        other => panic!("{other:?}"),
    }
}

fn plain() -> ChunkSigner {
    signer("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", false)
}

fn feed(signer: &mut ChunkSigner, body: &[u8], signature: &str, split: usize) -> Result<(), Code> {
    signer.begin(hex_signature(signature.as_bytes()));
    for piece in body.chunks(split.max(1)) {
        signer.update(piece);
    }
    signer.end().map_err(|error| error.code)
}

#[test]
fn the_chain_holds_for_the_bytes_that_were_signed() {
    let mut signer = plain();
    let mut lanes = plain();
    for (size, signature) in CHUNKS {
        let body = vec![b'a'; size];
        assert_eq!(feed(&mut signer, &body, signature, 999), Ok(()));
        assert!(lanes.whole(signature.as_bytes(), &digest::sha256(&body)).is_ok());
    }
}

#[test]
fn trailers_are_the_last_link() {
    let mut signer = signer("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", true);
    for (size, signature) in CHUNKS_BEFORE_TRAILER {
        assert_eq!(feed(&mut signer, &vec![b'a'; size], signature, usize::MAX), Ok(()));
    }
    let mut other = signer.clone();
    assert!(signer.trailers([TRAILER], TRAILER_SIGNATURE).is_ok());
    assert!(other.trailers([(TRAILER.0, &b"sOO8/A=="[..])], TRAILER_SIGNATURE).is_err());
    assert!(PayloadKind::ALL.iter().all(|kind| !kind.name().is_empty()));
}

#[test]
fn a_changed_moved_or_missing_chunk_breaks_it() {
    let body = vec![b'a'; 65_536];
    let mut changed = body.clone();
    changed[40_000] = b'b';
    assert_eq!(feed(&mut plain(), &changed, CHUNKS[0].1, 4096), Err(Code::SignatureDoesNotMatch));
    assert_eq!(feed(&mut plain(), &body[1..], CHUNKS[0].1, 4096), Err(Code::SignatureDoesNotMatch));
    assert_eq!(feed(&mut plain(), &body[..1024], CHUNKS[1].1, 4096), Err(Code::SignatureDoesNotMatch));
    assert_eq!(feed(&mut plain(), b"", CHUNKS[2].1, 1), Err(Code::SignatureDoesNotMatch), "cut short");
    for bad in ["", "00", &CHUNKS[0].1.to_uppercase(), &CHUNKS[0].1[1..], &"g".repeat(64)] {
        assert_eq!(feed(&mut plain(), &body, bad, 4096), Err(Code::SignatureDoesNotMatch), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_split_of_a_chunk_is_the_same_chunk(cuts in prop::collection::vec(0usize..65_536, 0..8)) {
        let (body, mut cuts) = (vec![b'a'; 65_536], cuts);
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let mut signer = plain();
        signer.begin(hex_signature(CHUNKS[0].1.as_bytes()));
        for cut in cuts.windows(2) {
            signer.update(&body[cut[0]..cut[1]]);
        }
        prop_assert!(signer.end().is_ok());
    }
}
