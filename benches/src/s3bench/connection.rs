//! One keep-alive HTTP/1.1 connection: a request out in one `writev`, an answer in through one reused buffer.

use super::answer::{AnswerHead, Body};
use super::failure::Failure;
use super::transport::{Door, Transport};
use crate::limits::{ANSWER_HEAD_BYTES_MAX, ERROR_BODY_BYTES_MAX, READ_BUFFER_BYTES, WRITE_SLICES_MAX};
use holdfast_protocol::http::chunked::ChunkedDecoder;
use holdfast_protocol::http::framing::BodyEvent;
use std::io::{ErrorKind, IoSlice};

pub(super) struct Connection {
    transport: Transport,
    door: Door,
    buffer: Box<[u8]>,
    /// What was received and not used: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// The server keeps it open for another request.
    pub(super) reusable: bool,
}

/// Where an answer's body goes.
pub(super) enum Sink<'a> {
    Discard,
    /// Must equal these bytes.
    Compare(&'a [u8]),
    /// Up to so many bytes are kept.
    Keep(&'a mut Vec<u8>, usize),
}

/// An answer whose body has passed.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body_bytes: u64,
    pub(super) etag: Option<String>,
    /// False when a comparison failed.
    pub(super) same: bool,
}

impl Connection {
    pub(super) async fn open(door: &Door) -> Result<Self, Failure> {
        Ok(Self {
            transport: Transport::open(door).await?,
            door: door.clone(),
            buffer: vec![0; READ_BUFFER_BYTES].into(),
            start: 0,
            end: 0,
            reusable: true,
        })
    }

    /// Sends all of `parts`, in order; over a new connection when the server closed the last one after its answer.
    pub(super) async fn send(&mut self, parts: &[&[u8]]) -> Result<(), Failure> {
        if !self.reusable {
            *self = Self::open(&self.door).await?;
        }
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let some = left.len().min(WRITE_SLICES_MAX);
            let written = self.transport.write(&left[..some]).await?;
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(self.transport.flush().await?)
    }

    /// Gives up the buffer, keeps what is open.
    pub(super) fn into_transport(self) -> Transport {
        self.transport
    }

    /// Receives one answer. `bodiless`: to a HEAD. Bodies of errors are never compared, they are kept in `errors`.
    pub(super) async fn receive(
        &mut self,
        bodiless: bool,
        sink: Sink<'_>,
        errors: &mut Vec<u8>,
    ) -> Result<Answer, Failure> {
        let (head, etag) = loop {
            let (head, length) = self.head(bodiless).await?;
            let etag = head.etag.map(|(from, to)| {
                String::from_utf8_lossy(&self.buffer[self.start + from..self.start + to]).into_owned()
            });
            self.start += length;
            if head.status >= 200 {
                break (head, etag);
            }
        };
        if self.start == self.end && head.body != Body::Length(0) {
            self.transport.acknowledge();
        }
        let sink = if head.status < 300 { sink } else { Sink::Keep(errors, ERROR_BODY_BYTES_MAX) };
        let mut body = BodyReader { sink, bytes: 0, same: true };
        match head.body {
            Body::Length(length) => self.body_of(length, &mut body).await?,
            Body::Chunked => self.body_chunked(&mut body).await?,
            Body::UntilClose => self.body_until_close(&mut body).await?,
        }
        let (body_bytes, same) = (body.bytes, body.finish());
        self.reusable = head.keep_alive && head.body != Body::UntilClose;
        Ok(Answer { status: head.status, body_bytes, etag, same })
    }

    /// A whole head at the front of the buffer, and its length.
    async fn head(&mut self, bodiless: bool) -> Result<(AnswerHead, usize), Failure> {
        loop {
            let received = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memmem::find(received, b"\r\n\r\n") {
                return Ok((AnswerHead::parse(&received[..at + 4], bodiless)?, at + 4));
            }
            if received.len() > ANSWER_HEAD_BYTES_MAX {
                return Err(Failure::Answer("the head is too long"));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.fill().await?;
        }
    }

    /// Reads more behind `end`; the buffer must have room.
    async fn fill(&mut self) -> Result<(), Failure> {
        match self.transport.read(&mut self.buffer[self.end..]).await? {
            0 => Err(Failure::Io(ErrorKind::UnexpectedEof.into())),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }

    /// Reads more into an empty buffer.
    async fn refill(&mut self) -> Result<(), Failure> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.fill().await?;
        }
        Ok(())
    }

    async fn body_of(&mut self, length: u64, body: &mut BodyReader<'_>) -> Result<(), Failure> {
        while body.bytes < length {
            self.refill().await?;
            let have = self.end - self.start;
            let take = usize::try_from(length - body.bytes).unwrap_or(usize::MAX).min(have);
            body.take(&self.buffer[self.start..self.start + take]);
            self.start += take;
        }
        Ok(())
    }

    async fn body_chunked(&mut self, body: &mut BodyReader<'_>) -> Result<(), Failure> {
        let mut decoder = ChunkedDecoder::new();
        while !decoder.is_complete() {
            self.refill().await?;
            let input = &self.buffer[self.start..self.end];
            let (used, event) = decoder.feed(input).map_err(|_| Failure::Answer("malformed chunked body"))?;
            if let BodyEvent::Data(bytes) = event {
                body.take(bytes);
            }
            self.start += used;
        }
        Ok(())
    }

    async fn body_until_close(&mut self, body: &mut BodyReader<'_>) -> Result<(), Failure> {
        loop {
            body.take(&self.buffer[self.start..self.end]);
            self.start = self.end;
            match self.refill().await {
                Err(Failure::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            }
        }
    }
}

/// Counts, and compares or keeps, a body that passes by.
struct BodyReader<'a> {
    sink: Sink<'a>,
    bytes: u64,
    same: bool,
}

impl BodyReader<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let at = self.bytes as usize;
        match &mut self.sink {
            Sink::Discard => {}
            Sink::Compare(expected) => self.same &= expected.get(at..at + bytes.len()) == Some(bytes),
            Sink::Keep(kept, most) => {
                let room = most.saturating_sub(kept.len()).min(bytes.len());
                kept.extend_from_slice(&bytes[..room]);
            }
        }
        self.bytes += bytes.len() as u64;
    }

    fn finish(&self) -> bool {
        let whole = match &self.sink {
            Sink::Compare(expected) => self.bytes == expected.len() as u64,
            _ => true,
        };
        self.same && whole
    }
}
