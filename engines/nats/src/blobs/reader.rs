//! Reads the parts of one blob, a few ahead.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ring::digest;
use switchboard_engine::{EngineError, Result};

use super::meta::Meta;
use crate::link::{Link, Read};
use crate::names::Stream;

/// Parts that are asked for before they are wanted: 512 KiB.
const AHEAD: usize = 4;

/// The bytes in the range, or all.
pub(super) fn parts(
    link: Arc<Link>,
    meta: &Meta,
    range: Option<Range<u64>>,
) -> BoxStream<'static, Result<Bytes>> {
    let is_whole = range.is_none();
    let range = range.unwrap_or(0..meta.size);
    let end = range.end.min(meta.size);
    let start = range.start.min(end);
    let numbers = if start == end {
        0..0
    } else {
        start / meta.part_bytes..end.div_ceil(meta.part_bytes)
    };
    let meta = Arc::new(meta.clone());
    let asked = {
        let meta = Arc::clone(&meta);
        futures_util::stream::iter(numbers)
            .map(move |number| part(Arc::clone(&link), Arc::clone(&meta), number, start..end))
    };
    let parts = asked.buffered(AHEAD);
    if is_whole {
        checked(parts.boxed(), meta)
    } else {
        until_error(parts.boxed())
    }
}

/// What of a part is in the range.
async fn part(link: Arc<Link>, meta: Arc<Meta>, number: u64, range: Range<u64>) -> Result<Bytes> {
    let subject = link.names.part(&meta.id, number);
    let Read::All(found) = link.latest(Stream::Parts, &[subject]).await? else {
        return Err(EngineError::Failed(
            "a part of a blob is more than one".to_owned(),
        ));
    };
    let Some(part) = found.into_iter().next() else {
        return Err(EngineError::Failed(
            "the blob was replaced or deleted while it was read".to_owned(),
        ));
    };
    let begins = number * meta.part_bytes;
    let length = meta.part_bytes.min(meta.size - begins);
    if part.body.len() as u64 != length {
        return Err(EngineError::Damaged(format!(
            "part {number} of the blob {} has {} bytes instead of {length}",
            meta.id,
            part.body.len()
        )));
    }
    let from = range.start.saturating_sub(begins).min(length);
    let to = range.end.saturating_sub(begins).min(length);
    let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    Ok(part.body.slice(within(from)..within(to)))
}

/// Ends with an error if the whole is not what was written.
fn checked(parts: BoxStream<'static, Result<Bytes>>, meta: Arc<Meta>) -> BoxStream<'static, Result<Bytes>> {
    let context = digest::Context::new(&digest::SHA256);
    let checked = futures_util::stream::unfold(Some((parts, context)), move |reading| {
        let meta = Arc::clone(&meta);
        async move {
            let (mut parts, mut context) = reading?;
            match parts.next().await {
                Some(Ok(part)) => {
                    context.update(&part);
                    Some((Ok(part), Some((parts, context))))
                }
                Some(Err(error)) => Some((Err(error), None)),
                None if context.finish().as_ref() == meta.sha256() => None,
                None => {
                    let error = EngineError::Damaged(format!("the blob {} is not what was written", meta.id));
                    Some((Err(error), None))
                }
            }
        }
    });
    checked.boxed()
}

/// Ends after the first error.
fn until_error(parts: BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Result<Bytes>> {
    let parts = futures_util::stream::unfold(Some(parts), |reading| async move {
        let mut parts = reading?;
        let part = parts.next().await?;
        let left = part.is_ok().then_some(parts);
        Some((part, left))
    });
    parts.boxed()
}
