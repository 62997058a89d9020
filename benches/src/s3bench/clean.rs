//! Before and after a run: the bucket is made, what was written is removed.

use super::connection::{Connection, Sink};
use super::failure::{Failure, Stop};
use super::operations::{Client, plain};
use super::sign::{Request, hex64, text};
use crate::limits::DELETE_KEYS_MAX;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdfast_protocol::digest::{md5, sha256};
use std::fmt::Write;

impl Client {
    /// Makes the bucket when it is missing.
    pub(super) async fn ensure_bucket(&mut self) -> Result<(), Stop> {
        let step = |what: &str, cause| Stop::Step { step: what.to_owned(), cause };
        let door = self.shared.target.door.clone();
        let endpoint = self.shared.target.endpoint.clone();
        let path = self.bucket_path();
        let opened = Connection::open(&door).await;
        let mut connection = opened.map_err(|cause| step(&format!("connect to {endpoint}"), cause))?;
        let found = self.exchange(&mut connection, &plain("HEAD", &path, "", &[]), &[], Sink::Discard).await;
        match found {
            Ok(_) => return Ok(()),
            Err(Failure::Status { status: 404, .. }) => {}
            Err(cause) => return Err(step(&format!("look for bucket {}", self.shared.target.bucket), cause)),
        }
        let request = Request { content_length: Some(0), ..plain("PUT", &path, "", &[]) };
        match self.exchange(&mut connection, &request, &[], Sink::Discard).await {
            Ok(_) | Err(Failure::Status { status: 409, .. }) => Ok(()),
            Err(cause) => Err(step(&format!("make bucket {}", self.shared.target.bucket), cause)),
        }
    }

    /// Removes keys, a thousand per request.
    pub(super) async fn remove(&mut self, names: impl Iterator<Item = String>) -> Result<(), Failure> {
        let names: Vec<String> = names.collect();
        let mut connection = Connection::open(&self.shared.target.door).await?;
        for batch in names.chunks(DELETE_KEYS_MAX) {
            self.remove_batch(&mut connection, batch).await?;
        }
        Ok(())
    }

    async fn remove_batch(&mut self, connection: &mut Connection, names: &[String]) -> Result<(), Failure> {
        let mut body = String::from("<Delete><Quiet>true</Quiet>");
        for name in names {
            write!(body, "<Object><Key>{name}</Key></Object>").expect("a String takes all");
        }
        body.push_str("</Delete>");
        let hash = hex64(&sha256(body.as_bytes()));
        let md5 = STANDARD.encode(md5(body.as_bytes()));
        let path = self.bucket_path();
        let request = Request {
            method: "POST",
            path: &path,
            query: "delete=",
            content_sha256: text(&hash),
            headers: &[("content-md5", &md5)],
            content_length: Some(body.len() as u64),
        };
        self.exchange(connection, &request, body.as_bytes(), Sink::Discard).await.map(drop)
    }
}
