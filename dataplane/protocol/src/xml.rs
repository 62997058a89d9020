//! The XML of S3: bodies read from clients (bounded, refusing everything clever) and answers written to them.

pub mod reader;
pub mod writer;
