//! Reading a form field by field, with every byte counted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::multipart::Field;
use axum::extract::{Multipart, Request};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::FieldError;
use super::upload::{chunk, next_field, open, refuse_second};

/// A form whose files have at most so many bytes together.
pub(super) struct FormReader {
    multipart: Multipart,
    taken: Arc<AtomicU64>,
    limit: u64,
    left: u64,
}

impl FormReader {
    pub(super) async fn new(request: Request, max_bytes: u64) -> Result<Self, FieldError> {
        Self::with_left(request, max_bytes, max_bytes).await
    }

    /// One of several forms; of `limit`, so many bytes are `left`.
    pub(super) async fn with_left(request: Request, limit: u64, left: u64) -> Result<Self, FieldError> {
        let (multipart, taken) = open(request).await?;
        Ok(Self { multipart, taken, limit, left })
    }

    /// The next field; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<FieldReader<'_>>, FieldError> {
        let Self { multipart, taken, limit, left } = self;
        let field = next_field(multipart, taken).await?;
        Ok(field.map(|field| {
            let name = field.name().unwrap_or_default().to_owned();
            FieldReader { field, name, taken, limit: *limit, left }
        }))
    }
}

/// One field of a form.
pub(super) struct FieldReader<'a> {
    field: Field<'a>,
    name: String,
    taken: &'a AtomicU64,
    limit: u64,
    left: &'a mut u64,
}

impl FieldReader<'_> {
    /// As it was sent.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As it was sent; empty when there is none.
    pub(super) fn file_name(&self) -> &str {
        self.field.file_name().unwrap_or_default()
    }

    /// For a name that is none of `fields`.
    pub(super) fn unknown(&self, fields: &'static str) -> FieldError {
        FieldError::Unknown { name: self.name.chars().take(40).collect(), fields }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, FieldError> {
        chunk(&mut self.field, self.taken).await
    }

    /// The field as text of at most `limit` bytes. An empty one is as good as none.
    pub(super) async fn text(
        &mut self,
        name: &'static str,
        limit: usize,
        place: &mut Option<String>,
    ) -> Result<(), FieldError> {
        refuse_second(name, place.is_some())?;
        let mut text = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if text.len() + chunk.len() > limit {
                return Err(FieldError::NotText { name, limit });
            }
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text).map_err(|_not_utf8| FieldError::NotText { name, limit })?;
        *place = (!text.is_empty()).then_some(text);
        Ok(())
    }

    /// So many bytes of the limit are free again, because the field replaces a file.
    pub(super) fn regain(&mut self, bytes: u64) {
        *self.left = self.left.saturating_add(bytes);
    }

    /// The field as a new file, which may not be empty.
    pub(super) async fn file(&mut self, name: &'static str, path: &Path) -> Result<(), FieldError> {
        if self.any_file(name, path).await? == 0 { Err(FieldError::Empty { name }) } else { Ok(()) }
    }

    /// The field as a new file, and how many bytes it has.
    pub(super) async fn any_file(&mut self, name: &'static str, path: &Path) -> Result<u64, FieldError> {
        let mut file = tokio::fs::File::create_new(path).await?;
        let mut size = 0;
        while let Some(chunk) = self.chunk().await? {
            *self.left = self
                .left
                .checked_sub(chunk.len() as u64)
                .ok_or(FieldError::TooLarge { name, limit: self.limit })?;
            size += chunk.len() as u64;
            file.write_all(&chunk).await?;
        }
        // Without this, an error of the last write would go unnoticed.
        file.flush().await?;
        Ok(size)
    }
}
