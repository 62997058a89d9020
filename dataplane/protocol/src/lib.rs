//! The pure core of the data plane: HTTP heads and bodies, what proxies say, S3 routing, POST forms, SigV4, digests, erasure
//! layout, placement, on-disk records, fragments between nodes, quorum tallies. Bytes and `now` in, decisions out.
//!
//! What is absent here is the invariant: no clock, no sockets, no files, no threads, no randomness, no unsafe.

#![forbid(unsafe_code)]

pub mod access;
pub mod aws_chunked;
pub mod date;
pub mod digest;
pub mod document;
pub mod erasure;
pub mod error;
pub mod form;
pub mod http;
pub mod limits;
pub mod name;
pub mod network;
pub mod operation;
pub mod peer;
pub mod placement;
pub mod policy;
pub mod precondition;
pub mod proxy;
pub mod quorum;
pub mod range;
pub mod record;
pub mod sigv4;
pub mod uri;
pub mod xml;
