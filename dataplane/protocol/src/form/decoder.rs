//! A form's body, push style: fields are gathered, the file's bytes pass by.

use bytes::Bytes;

use super::fields::FormFields;
use super::multipart::{Multipart, MultipartEvent};
use super::part::PartHead;
use super::{Boundary, FormError};
use crate::limits::FORM_BYTES_MAX;

/// What one call of [`FormDecoder::feed`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum FormEvent<'a> {
    /// The bytes consumed were not the file's (possibly none, when the input is used up): go on with the rest.
    Framing,
    /// The file begins; these are all fields that count.
    File(FormFields),
    /// Bytes of the file: exactly the consumed ones, so `input[..consumed]`.
    Data(&'a [u8]),
    /// Bytes of the file that ended an earlier input and could have been the boundary. Nothing was consumed.
    Held(Bytes),
    /// The file is complete, the body is not yet.
    FileEnd,
}

/// The state between two bytes of a form.
#[derive(Debug)]
pub struct FormDecoder {
    multipart: Multipart,
    content_length: Option<u64>,
    fields: FormFields,
    stage: Stage,
    /// Bytes of this side of the file that were not the file's.
    around: usize,
    file_bytes_max: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Preamble,
    Field { name: String, value: Vec<u8> },
    File,
    AfterFile,
}

impl FormDecoder {
    /// `content_length` is the length of the whole body, where the head tells it.
    #[must_use]
    pub fn new(boundary: &Boundary, content_length: Option<u64>) -> Self {
        Self {
            multipart: Multipart::new(boundary),
            content_length,
            fields: FormFields::default(),
            stage: Stage::Preamble,
            around: 0,
            file_bytes_max: None,
        }
    }

    /// Looks at the front of `input`, and answers how many bytes it consumed and what they were. The caller loops until
    /// its input is used up. The file needs no copy: it is `input[..consumed]`, or [`FormEvent::Held`].
    ///
    /// # Errors
    /// What is no form, or one with too much around the file, or without one.
    pub fn feed<'a>(&mut self, input: &'a [u8]) -> Result<(usize, FormEvent<'a>), FormError> {
        let input = self.within_bounds(input)?;
        let (consumed, event) = self.multipart.feed(input)?;
        if self.stage != Stage::File {
            self.around += consumed;
        }
        let of_file = self.stage == Stage::File;
        let event = match event {
            MultipartEvent::Data(data) if of_file => FormEvent::Data(data),
            MultipartEvent::Held(held) if of_file => FormEvent::Held(held),
            MultipartEvent::Data(data) => self.keep(data),
            MultipartEvent::Held(held) => {
                self.keep(&held);
                return self.feed(input);
            }
            MultipartEvent::Framing => FormEvent::Framing,
            MultipartEvent::Head(head) => self.begin_part(head)?,
            MultipartEvent::Delimiter => self.end_part()?,
            MultipartEvent::Close => {
                let event = self.end_part()?;
                if self.stage != Stage::AfterFile {
                    return Err(FormError::NoFile);
                }
                event
            }
        };
        Ok((consumed, event))
    }

    /// To be called where the outer framing ends the body.
    ///
    /// # Errors
    /// [`FormError::Truncated`]: the file may lack bytes, and nothing of it may become visible.
    pub fn finish(&self) -> Result<(), FormError> {
        if self.multipart.is_closed() { Ok(()) } else { Err(FormError::Truncated) }
    }

    /// What the file can have at most, bytes: the body's length, less what came before the file and the closing
    /// boundary. Nobody says the exact size. Known once the file has begun, where the body's length is.
    #[must_use]
    pub fn file_bytes_max(&self) -> Option<u64> {
        self.file_bytes_max
    }

    /// The file may have any length; what is around it may not, on either side.
    fn within_bounds<'a>(&self, input: &'a [u8]) -> Result<&'a [u8], FormError> {
        if self.stage == Stage::File || input.is_empty() {
            return Ok(input);
        }
        match (FORM_BYTES_MAX - self.around, &self.stage) {
            (0, Stage::AfterFile) => Err(FormError::TooLongAfterFile),
            (0, _) => Err(FormError::TooLongBeforeFile),
            (room, _) => Ok(&input[..input.len().min(room)]),
        }
    }

    /// The value of a field; what is around the parts is dropped.
    fn keep(&mut self, data: &[u8]) -> FormEvent<'static> {
        if let Stage::Field { value, .. } = &mut self.stage {
            value.extend_from_slice(data);
        }
        FormEvent::Framing
    }

    fn begin_part(&mut self, head: PartHead) -> Result<FormEvent<'static>, FormError> {
        if !head.name.eq_ignore_ascii_case("file") {
            self.stage = Stage::Field { name: head.name, value: Vec::new() };
            return Ok(FormEvent::Framing);
        }
        self.stage = Stage::File;
        self.multipart.ignore_heads();
        let outside = (self.around + self.multipart.close_bytes()) as u64;
        self.file_bytes_max = self.content_length.map(|length| length.saturating_sub(outside));
        let mut fields = std::mem::take(&mut self.fields);
        fields.set_filename(head.filename)?;
        Ok(FormEvent::File(fields))
    }

    fn end_part(&mut self) -> Result<FormEvent<'static>, FormError> {
        match std::mem::replace(&mut self.stage, Stage::Preamble) {
            Stage::Preamble => {}
            Stage::Field { name, value } => self.fields.push(name, value)?,
            Stage::File => {
                (self.stage, self.around) = (Stage::AfterFile, 0);
                return Ok(FormEvent::FileEnd);
            }
            Stage::AfterFile => self.stage = Stage::AfterFile,
        }
        Ok(FormEvent::Framing)
    }
}
