//! The read buffers that are still in use.
//!
//! What is read is not copied: a payload is a slice of the buffer it came in, and keeps all of that buffer. So a
//! request of four bytes that is held for long may hold a quarter of a megabyte, and a thousand of them what no limit
//! on payloads would allow. The buffers are therefore counted; over the limit, messages are copied out of them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use switchboard_wire::gotalk::{Message, Name};

/// How many old buffers are looked at when a new one is needed: enough that a list in which most are free shrinks.
const LOOKS: usize = 8;

/// Buffers that were full, or nearly, while something in them was still in use.
#[derive(Default)]
pub(super) struct Blocks {
    used: VecDeque<Block>,
    bytes: usize,
}

struct Block {
    buffer: BytesMut,
    /// What the whole buffer takes.
    bytes: usize,
}

impl Block {
    /// Only when nobody else uses any of it can all of it be had again.
    fn is_free(&mut self) -> bool {
        self.buffer.clear();
        self.buffer.try_reclaim(self.bytes)
    }
}

impl Blocks {
    /// Takes a buffer of `bytes` in all that is read into no more.
    pub(super) fn retire(&mut self, buffer: BytesMut, bytes: usize) {
        self.look(LOOKS);
        let mut block = Block { buffer, bytes };
        if !block.is_free() {
            self.bytes += bytes;
            self.used.push_back(block);
        }
    }

    /// Bytes of all buffers that are, or lately were, in use.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets go of those that are free.
    pub(super) fn release_memory(&mut self) {
        self.look(self.used.len());
        self.used.shrink_to_fit();
    }

    fn look(&mut self, count: usize) {
        for _ in 0..count.min(self.used.len()) {
            let Some(mut block) = self.used.pop_front() else {
                return;
            };
            if block.is_free() {
                self.bytes -= block.bytes;
            } else {
                self.used.push_back(block);
            }
        }
    }
}

/// The same message, sharing nothing with the buffer it was read from.
pub(super) fn detached(mut message: Message) -> Message {
    let (name, payload) = match &mut message {
        Message::SingleRequest {
            operation, payload, ..
        }
        | Message::StreamRequest {
            operation, payload, ..
        } => (Some(operation), payload),
        Message::Notification { name, payload } => (Some(name), payload),
        Message::StreamPart { payload, .. }
        | Message::SingleResult { payload, .. }
        | Message::StreamResult { payload, .. }
        | Message::ErrorResult { payload, .. }
        | Message::RetryResult { payload, .. } => (None, payload),
        Message::Heartbeat { .. } | Message::ProtocolError(_) => return message,
    };
    *payload = Bytes::copy_from_slice(payload);
    if let Some(name) = name {
        *name = Name::from(name.to_string());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: usize) -> (BytesMut, usize) {
        let buffer = BytesMut::from(&vec![b'x'; bytes][..]);
        let all = buffer.capacity();
        (buffer, all)
    }

    #[test]
    fn a_buffer_counts_for_as_long_as_a_piece_of_it_is_used() {
        let mut blocks = Blocks::default();
        let (mut buffer, all) = read(1000);
        let piece = buffer.split_to(4).freeze();
        blocks.retire(buffer, all);
        assert_eq!(blocks.bytes(), all);
        blocks.release_memory();
        assert_eq!(blocks.bytes(), all);
        drop(piece);
        blocks.release_memory();
        assert_eq!(blocks.bytes(), 0);
    }

    #[test]
    fn a_buffer_of_which_nothing_is_used_does_not_count() {
        let mut blocks = Blocks::default();
        let (mut buffer, all) = read(1000);
        drop(buffer.split_to(4).freeze());
        blocks.retire(buffer, all);
        assert_eq!(blocks.bytes(), 0);
    }
}
