//! The chain of signatures over an aws-chunked body: each chunk's string to sign names the signature before it.
//!
//! Bytes are hashed as they pass, so a chunk of any size needs no buffer. They may be handed on before the chunk's
//! signature is checked (its end), as long as nothing becomes visible before the body's end.

use super::key::SigningKey;
use super::text::{EMPTY_SHA256, StringToSign, constant_time_equal, hex, hex_signature};
use crate::digest;
use crate::error::{Code, S3Error};
use crate::limits::CREDENTIAL_BYTES_MAX;
use ring::digest::{Context, SHA256};

/// The running state: seeded by the head's signature, fed by the decoder of aws-chunked.
#[derive(Clone)]
pub struct ChunkSigner {
    key: SigningKey,
    time: [u8; 16],
    scope: [u8; CREDENTIAL_BYTES_MAX],
    scope_length: usize,
    previous: [u8; 32],
    open: Option<OpenChunk>,
}

#[derive(Clone)]
struct OpenChunk {
    claimed: Option<[u8; 32]>,
    hash: Context,
}

impl ChunkSigner {
    pub(super) fn new(key: SigningKey, time: &[u8; 16], scope: &str, seed: [u8; 32]) -> Self {
        let mut room = [0; CREDENTIAL_BYTES_MAX];
        room[..scope.len()].copy_from_slice(scope.as_bytes());
        Self { key, time: *time, scope: room, scope_length: scope.len(), previous: seed, open: None }
    }

    /// A chunk's header was read. `signature` is what it claims; none will not match at the end. The last chunk, of size 0, is a chunk like the others.
    ///
    /// # Panics
    /// When a chunk is open: our bug.
    pub fn begin(&mut self, signature: Option<[u8; 32]>) {
        assert!(self.open.is_none(), "the chunk before was not ended");
        self.open = Some(OpenChunk { claimed: signature, hash: Context::new(&SHA256) });
    }

    /// Bytes of the open chunk.
    ///
    /// # Panics
    /// When no chunk is open: our bug.
    pub fn update(&mut self, data: &[u8]) {
        self.open.as_mut().expect("data belongs to an open chunk").hash.update(data);
    }

    /// The open chunk is complete.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`: the body is not what was signed, and nothing of it may become visible.
    ///
    /// # Panics
    /// When no chunk is open: our bug.
    pub fn end(&mut self) -> Result<(), S3Error> {
        let OpenChunk { claimed, hash } = self.open.take().expect("an open chunk ends");
        let hash: [u8; 32] = hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes");
        self.check_chunk(claimed, &hash)
    }

    /// A whole chunk whose SHA-256 was computed elsewhere (in lanes).
    ///
    /// # Errors
    /// As [`Self::end`].
    ///
    /// # Panics
    /// When a chunk is open: our bug.
    pub fn whole(&mut self, signature: &[u8], sha256: &[u8; 32]) -> Result<(), S3Error> {
        assert!(self.open.is_none(), "the chunk before was not ended");
        self.check_chunk(hex_signature(signature), sha256)
    }

    /// The trailers, without `x-amz-trailer-signature`, whose value is `signature`. Call it after the last chunk.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub fn trailers<'a>(
        &mut self,
        trailers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        signature: &[u8],
    ) -> Result<(), S3Error> {
        let mut lines: Vec<(String, &[u8])> = trailers
            .into_iter()
            .map(|(name, value)| (name.trim_ascii().to_ascii_lowercase(), value.trim_ascii()))
            .collect();
        lines.sort();
        let mut canonical = Vec::new();
        for (name, value) in lines {
            canonical.extend_from_slice(name.as_bytes());
            canonical.push(b':');
            canonical.extend_from_slice(value);
            canonical.push(b'\n');
        }
        let hash = hex(&digest::sha256(&canonical));
        self.check(hex_signature(signature), b"AWS4-HMAC-SHA256-TRAILER", &[&hash])
    }

    fn check_chunk(&mut self, claimed: Option<[u8; 32]>, sha256: &[u8; 32]) -> Result<(), S3Error> {
        self.check(claimed, b"AWS4-HMAC-SHA256-PAYLOAD", &[EMPTY_SHA256, &hex(sha256)])
    }

    fn check(
        &mut self,
        claimed: Option<[u8; 32]>,
        algorithm: &[u8],
        hashes: &[&[u8; 64]],
    ) -> Result<(), S3Error> {
        let previous = hex(&self.previous);
        let scope = &self.scope[..self.scope_length];
        let text = match hashes {
            [one] => StringToSign::lines(&[algorithm, &self.time, scope, &previous, *one]),
            [one, two] => StringToSign::lines(&[algorithm, &self.time, scope, &previous, *one, *two]),
            _ => unreachable!("a chunk has two hashes, trailers one"),
        };
        self.previous = self.key.sign_chunk(text.as_bytes());
        match claimed {
            Some(claimed) if constant_time_equal(&claimed, &self.previous) => Ok(()),
            _ => Err(S3Error::new(Code::SignatureDoesNotMatch)
                .with("StringToSign", String::from_utf8_lossy(text.as_bytes()))),
        }
    }
}

impl std::fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkSigner(..)")
    }
}
