//! One multipart upload: create, the parts one after the other, complete.

use super::answer::element;
use super::connection::{Connection, Sink};
use super::failure::Failure;
use super::operations::{Client, plain};
use super::sign::{Request, hex64, text};
use holdfast_protocol::digest::sha256;
use holdfast_protocol::uri::encode_canonical;
use std::fmt::Write;
use std::sync::Arc;

impl Client {
    /// Uploads `--size` bytes in parts of `--part-size`.
    pub(super) async fn multipart(
        &mut self,
        connection: &mut Connection,
        name: &str,
    ) -> Result<u64, Failure> {
        let shared = Arc::clone(&self.shared);
        let path = self.path(name);
        let upload = self.create_upload(connection, &path).await?;
        let parts = shared.options.size.max().div_ceil(shared.options.part_size).max(1);
        let mut list = String::from("<CompleteMultipartUpload>");
        for part in 1..=parts {
            let query = format!("partNumber={part}&uploadId={upload}");
            let content = shared.part_contents.of(part);
            let answer = self.put_content(connection, &path, &query, &content).await?;
            let etag = answer.etag.ok_or(Failure::Answer("a part without ETag"))?;
            let etag = etag.trim_matches('"');
            write!(list, "<Part><PartNumber>{part}</PartNumber><ETag>\"{etag}\"</ETag></Part>")
                .expect("a String takes all");
        }
        list.push_str("</CompleteMultipartUpload>");
        self.complete(connection, &path, &format!("uploadId={upload}"), list.as_bytes()).await?;
        Ok(parts * shared.options.part_size)
    }

    async fn create_upload(&mut self, connection: &mut Connection, path: &str) -> Result<String, Failure> {
        let request = Request { content_length: Some(0), ..plain("POST", path, "uploads=", &[]) };
        let mut answer = Vec::new();
        self.exchange(connection, &request, &[], Sink::Keep(&mut answer, usize::MAX)).await?;
        let id = element(&answer, "UploadId").ok_or(Failure::Answer("no UploadId"))?;
        let mut encoded = Vec::new();
        encode_canonical(&mut encoded, id.as_bytes(), false);
        Ok(String::from_utf8(encoded).expect("percent-encoded text is ASCII"))
    }

    async fn complete(
        &mut self,
        connection: &mut Connection,
        path: &str,
        query: &str,
        list: &[u8],
    ) -> Result<(), Failure> {
        let hash = hex64(&sha256(list));
        let request = Request {
            method: "POST",
            path,
            query,
            content_sha256: text(&hash),
            headers: &[],
            content_length: Some(list.len() as u64),
        };
        let mut answer = Vec::new();
        self.exchange(connection, &request, list, Sink::Keep(&mut answer, usize::MAX)).await?;
        // A completion may fail after its 200 was sent: then the body is an error.
        match element(&answer, "Code") {
            Some(code) => Err(Failure::Status { status: 200, code: code.to_owned() }),
            None => Ok(()),
        }
    }
}
