//! The task that reads messages and puts them into their queues.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use switchboard_wire::tagged::{self, TAG_BYTES, Tagged};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Shared;
use super::mailboxes::Offer;
use super::options::TagsEnded;

/// How much is read at once, in bytes. A message up to this length is copied out of the read buffer, so that a short
/// one which waits long does not keep all those alive that came with it.
const READ_BYTES: usize = 16 * 1024;

/// Reads until the end.
pub(super) async fn read<R: AsyncRead + Unpin>(reader: R, shared: Arc<Shared>) {
    // However this task ends, nobody waits for ever.
    let end = EndOnDrop(Arc::clone(&shared));
    let ended = tokio::select! {
        biased;
        () = shared.stop.cancelled() => TagsEnded::Local,
        ended = pump(reader, &shared) => ended,
    };
    end.0.mailboxes.lock().end(ended);
}

struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.mailboxes.lock().end(TagsEnded::Local);
        self.0.ended.cancel();
    }
}

async fn pump<R: AsyncRead + Unpin>(mut reader: R, shared: &Shared) -> TagsEnded {
    let bytes_max = shared.options.message_bytes_max.saturating_add(TAG_BYTES);
    let mut input = BytesMut::new();
    loop {
        match tagged::decode(&mut input, bytes_max) {
            Err(error) => return error.into(),
            Ok(Some(message)) if message.payload.len() <= READ_BYTES => {
                let payload = Bytes::copy_from_slice(&message.payload);
                deliver(message.tag, payload, shared).await;
            }
            Ok(Some(Tagged { tag, payload })) => {
                if input.is_empty() {
                    // What is left of a long message's memory is not for the next ones to keep alive.
                    input = BytesMut::new();
                }
                deliver(tag, payload, shared).await;
            }
            Ok(None) => {
                let wanted = wanted(&input);
                // The other side's word on the size reserves nothing: room doubles as bytes come.
                input.reserve(wanted.min(input.len().max(READ_BYTES)));
                match reader.read_buf(&mut (&mut input).limit(wanted)).await {
                    Ok(0) if input.is_empty() => return TagsEnded::Remote,
                    Ok(0) => return TagsEnded::Truncated,
                    Ok(_) => {}
                    Err(error) => return error.into(),
                }
            }
        }
    }
}

/// How much to read at most: a long message to its end and no further, so that it has its memory for itself.
fn wanted(input: &[u8]) -> usize {
    let size = input
        .first_chunk()
        .map_or(0, |size| u32::from_le_bytes(*size) as usize);
    let whole = size.saturating_add(tagged::HEADER_BYTES - TAG_BYTES);
    if whole <= READ_BYTES + tagged::HEADER_BYTES {
        READ_BYTES
    } else {
        whole.saturating_sub(input.len()).max(1)
    }
}

/// Puts one message into its queue, and waits for room if that is what is wanted.
async fn deliver(tag: u64, mut payload: Bytes, shared: &Shared) {
    loop {
        let offered = shared.mailboxes.lock().offer(tag, payload);
        match offered {
            Offer::Done => return,
            Offer::Full(held) => payload = held,
        }
        shared.room.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_read_to_its_end_and_no_further() {
        assert_eq!(wanted(b""), READ_BYTES);
        assert_eq!(wanted(&8_u32.to_le_bytes()), READ_BYTES);
        let mut long = Vec::from(1_000_000_u32.to_le_bytes());
        assert_eq!(wanted(&long), 1_000_000);
        long.resize(1000, 0);
        assert_eq!(wanted(&long), 999_004);
    }
}
