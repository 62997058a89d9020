//! The body of a POST Object: fields first, then the file, whose bytes pass by like those of any other body.
//!
//! Nobody knows who sends a form before its fields are read, so they are read under a bound of their own
//! (`FORM_BYTES_MAX`, and the budget's share for forms), and everything else waits until then.

use holdfast_protocol::error::S3Error;
use holdfast_protocol::form::{Boundary, FormDecoder, FormError, FormEvent, FormFields};

use super::coding::Coding;
use super::{Intake, body_error};
use crate::rt::{Chunk, Conn};

impl<C: Conn> Intake<'_, '_, C> {
    /// Reads a form up to its file, which is the payload from then on.
    ///
    /// # Errors
    /// What is no form, or has no file or too much before it; as [`Intake::next`].
    pub(in crate::ops) async fn fields(&mut self, boundary: &Boundary) -> Result<FormFields, S3Error> {
        let mut decoder = FormDecoder::new(boundary, self.body.framing().length());
        while let Some(mut chunk) = self.body.next().await.map_err(body_error)? {
            if let Some(fields) = fields_of(&mut decoder, &mut chunk)? {
                self.undecoded = Some(chunk);
                self.coding = Coding::Form(Box::new(decoder));
                return Ok(fields);
            }
        }
        decoder.finish()?;
        Err(FormError::NoFile.into())
    }
}

/// The fields, once `chunk` reaches up to the file; then it keeps what is behind them.
fn fields_of(decoder: &mut FormDecoder, chunk: &mut Chunk) -> Result<Option<FormFields>, FormError> {
    while !chunk.is_empty() {
        let (consumed, event) = decoder.feed(chunk)?;
        let fields = match event {
            FormEvent::File(fields) => Some(fields),
            _ => None,
        };
        chunk.advance(consumed);
        if fields.is_some() {
            return Ok(fields);
        }
    }
    Ok(None)
}

/// Bytes of the file at the front of `chunk`, whose rest goes to `rest`; `None` when there are none in it.
pub(super) fn file(
    decoder: &mut FormDecoder,
    mut chunk: Chunk,
    rest: &mut Option<Chunk>,
) -> Result<Option<Chunk>, S3Error> {
    while !chunk.is_empty() {
        let (consumed, found) = match decoder.feed(&chunk)? {
            (consumed, FormEvent::Data(_)) => (consumed, Some(chunk.slice(0..consumed))),
            (consumed, FormEvent::Held(held)) => (consumed, Some(Chunk::from(held))),
            // After its file a form has nothing that counts, other files included.
            (consumed, FormEvent::Framing | FormEvent::FileEnd | FormEvent::File(_)) => (consumed, None),
        };
        chunk.advance(consumed);
        if found.is_some() {
            *rest = Some(chunk);
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "--b\r\nContent-Disposition: form-data; name=key\r\n\r\nk\r\n\
                        --b\r\nContent-Disposition: form-data; name=file\r\n\r\n";

    /// The key and the file of a form that comes in `pieces`; `None` when it ends before its file.
    fn read(pieces: &[&[u8]]) -> Result<Option<(String, Vec<u8>)>, FormError> {
        let boundary = Boundary::parse(b"multipart/form-data; boundary=b")?;
        let mut decoder = FormDecoder::new(&boundary, None);
        let (mut fields, mut bytes) = (None, Vec::new());
        for piece in pieces {
            let mut chunk = Chunk::from(Bytes::copy_from_slice(piece));
            if fields.is_none() {
                fields = fields_of(&mut decoder, &mut chunk)?;
            }
            if fields.is_none() {
                continue;
            }
            let mut rest = Some(chunk);
            while let Some(chunk) = rest.take() {
                bytes.extend(
                    file(&mut decoder, chunk, &mut rest).unwrap().iter().flat_map(|data| data.to_vec()),
                );
            }
        }
        decoder.finish()?;
        Ok(fields.map(|fields| (fields.get("key").unwrap_or_default().to_owned(), bytes)))
    }

    #[test]
    fn a_form_that_ends_before_its_file() {
        assert_eq!(read(&[b"--b\r\n"]), Err(FormError::Truncated));
        assert_eq!(read(&[b"--b--"]), Err(FormError::NoFile));
    }

    proptest! {
        /// The file comes out as it was, whatever looks like a boundary in it and wherever the pieces end.
        #[test]
        fn any_split(content in "(\r\n--b?|-|b|x){0,8}", cuts in prop::collection::vec(any::<usize>(), 0..20)) {
            prop_assume!(!format!("{content}\r\n").contains("\r\n--b\r\n") && !content.contains("\r\n--b--"));
            let body = format!("{HEAD}{content}\r\n--b--\r\n--b\r\nlate").into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % body.len()).chain([0, body.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces), Ok(Some(("k".to_owned(), content.into_bytes()))));
        }
    }
}
