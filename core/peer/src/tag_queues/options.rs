//! How tagged messages are queued, and how their stream ends.

use std::time::Duration;

use switchboard_wire::tagged::{DecodeError, TAG_BYTES};

/// How a [`TagQueues`](super::TagQueues) behaves. All bytes are those of payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagOptions {
    /// Bytes of one message, either way. A longer one that comes ends the stream. Default 16 MiB.
    pub message_bytes_max: usize,
    /// Messages that wait for the receivers of one tag. Default 1,024.
    pub tag_messages_max: usize,
    /// Bytes of those; a message alone may be larger. Default 4 MiB.
    pub tag_bytes_max: usize,
    /// Messages that wait for the receivers of all claimed tags. Default 65,536.
    pub messages_max: usize,
    /// Bytes of those; a message alone may be larger. Default 64 MiB.
    pub bytes_max: usize,
    /// What happens to a message for which there is no room. Default [`WhenFull::Wait`].
    pub when_full: WhenFull,
    /// What happens to a message whose tag nobody has claimed. Default: keep 1,024 messages and 4 MiB.
    pub unclaimed: Unclaimed,
    /// Senders wait while so many bytes or more wait to be written. Default 1 MiB.
    pub send_buffer_bytes: usize,
    /// Within this time the other side must have taken some of the bytes that wait for it; otherwise nothing more is
    /// written. `None` waits for ever. Default 30 s.
    pub write_timeout: Option<Duration>,
}

impl Default for TagOptions {
    fn default() -> Self {
        Self {
            message_bytes_max: 16 << 20,
            tag_messages_max: 1024,
            tag_bytes_max: 4 << 20,
            messages_max: 65_536,
            bytes_max: 64 << 20,
            when_full: WhenFull::Wait,
            unclaimed: Unclaimed::Keep {
                messages_max: 1024,
                bytes_max: 4 << 20,
            },
            send_buffer_bytes: 1 << 20,
            write_timeout: Some(Duration::from_secs(30)),
        }
    }
}

/// What happens to a message for which there is no room in the queue of its claimed tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// The stream is not read until there is room: nothing is lost, and in the end the other side's senders wait. All
    /// tags wait with it, so a task must not wait for one tag while it leaves another unread. The default, as no
    /// message of a reliable stream should vanish unasked.
    #[default]
    Wait,
    /// The message is dropped, and counted: the other tags go on.
    Drop,
}

/// What happens to a message whose tag nobody has claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclaimed {
    /// It is dropped, and counted.
    Drop,
    /// It is kept for whoever claims the tag later, or takes what comes by
    /// [`receive_unclaimed`](super::TagQueues::receive_unclaimed). Over one of these bounds it is dropped, and counted:
    /// nobody may ever come for those that wait, so no other message waits with them.
    Keep {
        /// Messages of all unclaimed tags.
        messages_max: usize,
        /// Bytes of those; a message alone may be larger.
        bytes_max: usize,
    },
}

/// What has come over a stream, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TagCounts {
    /// Messages that have come.
    pub received: u64,
    /// Messages dropped because their tag's queue, or all queues together, were full.
    pub dropped_full: u64,
    /// Messages dropped because nobody had claimed their tag.
    pub dropped_unclaimed: u64,
    /// Messages in the queues of claimed tags now.
    pub waiting: usize,
    /// Bytes of those.
    pub waiting_bytes: usize,
    /// Messages that are unclaimed now.
    pub unclaimed: usize,
    /// Bytes of those.
    pub unclaimed_bytes: usize,
}

/// Why a stream of tagged messages ended, in one direction or both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagsEnded {
    /// This side closed it.
    #[error("the stream of tagged messages was closed by this side")]
    Local,
    /// The other side closed it, between two messages.
    #[error("the stream of tagged messages was closed by the other side")]
    Remote,
    /// The other side closed it in the middle of a message.
    #[error("the stream of tagged messages ended in the middle of a message")]
    Truncated,
    /// The other side announced a message over the bound.
    #[error("a message of {size} bytes came, of which {max} are the limit")]
    TooLarge {
        /// Its payload, in bytes.
        size: usize,
        /// The bound, in bytes.
        max: usize,
    },
    /// The other side announced a message without room for a tag.
    #[error("a message of {size} bytes came, shorter than its tag of {TAG_BYTES}")]
    TooShort {
        /// Its size, in bytes.
        size: usize,
    },
    /// The transport failed.
    #[error("the stream of tagged messages failed: {1}")]
    Io(std::io::ErrorKind, String),
}

impl From<std::io::Error> for TagsEnded {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind(), error.to_string())
    }
}

impl From<DecodeError> for TagsEnded {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge(error) => Self::TooLarge {
                size: error.size.saturating_sub(TAG_BYTES),
                max: error.max.saturating_sub(TAG_BYTES),
            },
            DecodeError::TooShort { size } => Self::TooShort { size },
        }
    }
}

/// Why a tagged message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagSendError {
    /// It is longer than a message can be.
    #[error("a message of {size} bytes cannot be sent: {max} are the limit")]
    TooLarge {
        /// Its payload, in bytes.
        size: usize,
        /// The bound, in bytes.
        max: usize,
    },
    /// Nothing more can be written.
    #[error("nothing more can be sent: {0}")]
    Ended(#[from] TagsEnded),
}
