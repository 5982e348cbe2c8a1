//! Messages: what is published, and what subscribers get.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use bytestring::ByteString;
use switchboard_engine::Timestamp;
use switchboard_peer::{ErrorKind, Fault};
use tokio::time::Instant;

use crate::names;
use crate::rendering::Rendering;
use crate::retained::record::{self, Record};
use crate::session::SessionId;

/// What a message weighs in a queue beside its text and payload: its own memory and its place in the queue.
pub const MESSAGE_OVERHEAD_BYTES: usize = 192;

/// Most headers of one message.
pub const HEADERS_MAX: usize = 32;

/// Most bytes in all headers of one message, names and values.
pub const HEADER_BYTES_MAX: usize = 8 * 1024;

/// A payload of up to so many bytes is copied once, however many get it. A larger one stays a slice of the buffer that
/// it was read into, which is then at most a few times its size; a queue of small ones could keep far more memory alive
/// than its bound on bytes counts.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// The header that says what the payload is, as a media type.
pub const CONTENT_TYPE: &str = "content-type";

/// What a subscriber gets: one of these for each publish, shared by all who get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub topic: ByteString,
    /// What was said.
    pub payload: Bytes,
    /// What was said about the payload; names in lower case. See [`CONTENT_TYPE`].
    pub headers: Vec<(ByteString, ByteString)>,
    /// Who said it.
    pub publisher: SessionId,
    /// When, by the wall clock: to be shown, not to be computed with.
    pub published: SystemTime,
    /// When it stops being of use. An expired message is delivered to nobody.
    pub expires: Option<Instant>,
    /// Whether it was published to stay as its topic's last value.
    pub retain: bool,
    /// Its number among all messages of the hub. Of messages to be [retained](Self::retain) a later one has a greater
    /// number, and comes later to every subscription; others may be numbered in another order than they come.
    pub serial: u64,
    pub(crate) rendering: Rendering,
}

impl Message {
    /// What it weighs in a queue, in bytes.
    pub fn size(&self) -> usize {
        MESSAGE_OVERHEAD_BYTES + self.topic.len() + self.payload.len() + header_bytes(&self.headers)
    }

    /// A last value as the engine kept it. `None` if it has expired.
    pub(crate) fn kept(topic: ByteString, record: Record, expires: Option<Timestamp>) -> Option<Self> {
        let now = Timestamp::from(SystemTime::now());
        let left = match expires {
            Some(expires) if expires <= now => return None,
            Some(expires) => Some(expires.since(now)),
            None => None,
        };
        let mut message = Self {
            topic,
            payload: record.payload,
            headers: record.headers,
            publisher: SessionId::HUB,
            published: record.published.into(),
            expires: left.and_then(|left| Instant::now().checked_add(left)),
            retain: true,
            serial: 0,
            rendering: Rendering::default(),
        };
        message.unshare();
        Some(message)
    }

    /// It in some format, rendered for the first who asks and kept for the others: a message that goes to a thousand
    /// readers of one kind is rendered once. Only the first format that a message is asked for is kept, and only if it
    /// is at most twice the [size](Self::size) of the message; else it is rendered anew.
    ///
    /// `format` names what `render` makes, which depends on the message alone.
    pub fn rendered(&self, format: &'static str, render: impl FnOnce() -> Bytes) -> Bytes {
        self.rendering.get(format, self.size(), render)
    }

    /// What was published at another hub, as it told it. `None` if that is no message.
    pub(crate) fn from_news(
        topic: ByteString,
        record: &Bytes,
        retain: bool,
        expires_ms: Option<u64>,
    ) -> Option<Self> {
        names::check_topic(&topic).ok()?;
        let record = record::decode(record)?;
        let expires_after = expires_ms.map(Duration::from_millis);
        let publish = Publish {
            topic,
            payload: record.payload,
            headers: record.headers,
            retain,
            expires_after,
        };
        let mut message = publish.into_message(SessionId::HUB);
        message.published = record.published.into();
        Some(message)
    }

    /// Whether it is of no more use.
    pub(crate) fn is_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= Instant::now())
    }
}

/// What a publisher hands in.
///
/// ```
/// use std::time::Duration;
/// use switchboard_hub::Publish;
///
/// let lamp = Publish::new("home/lamp", "on").retain().expires_after(Duration::from_secs(3600));
/// # assert!(lamp.retain);
/// ```
#[derive(Debug, Clone)]
pub struct Publish {
    /// Where to.
    pub topic: ByteString,
    /// What.
    pub payload: Bytes,
    /// Headers, at most [`HEADERS_MAX`] with [`HEADER_BYTES_MAX`] in all.
    pub headers: Vec<(ByteString, ByteString)>,
    /// Whether it stays as the topic's last value, for those who subscribe later. An empty payload deletes the last
    /// value.
    pub retain: bool,
    /// How long it is of use. `None`: for ever, as is a time too long for the clock.
    pub expires_after: Option<Duration>,
}

impl Publish {
    /// A message that is not retained and does not expire.
    pub fn new(topic: impl Into<ByteString>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            headers: Vec::new(),
            retain: false,
            expires_after: None,
        }
    }

    /// The same, retained as the topic's last value.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The same, of no use after that time.
    #[must_use]
    pub fn expires_after(mut self, time: Duration) -> Self {
        self.expires_after = Some(time);
        self
    }

    /// The same, with one header more.
    #[must_use]
    pub fn header(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Checks the bounds on headers.
    pub(crate) fn check_headers(&self) -> Result<(), Fault> {
        let (count, bytes) = (self.headers.len(), header_bytes(&self.headers));
        if count > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
            return Err(Fault::error(
                ErrorKind::TooLarge,
                format!(
                    "the message has {count} headers with {bytes} bytes: \
                     at most {HEADERS_MAX} with {HEADER_BYTES_MAX} bytes are possible"
                ),
            ));
        }
        Ok(())
    }

    /// The message that subscribers get, once it has its [`serial`](Message::serial).
    pub(crate) fn into_message(self, publisher: SessionId) -> Message {
        let mut message = Message {
            topic: self.topic,
            payload: self.payload,
            headers: self.headers,
            publisher,
            published: SystemTime::now(),
            expires: self
                .expires_after
                .and_then(|time| Instant::now().checked_add(time)),
            retain: self.retain,
            serial: 0,
            rendering: Rendering::default(),
        };
        if message.retain || message.payload.len() <= COPIED_BYTES_MAX {
            message.unshare();
        }
        message
    }
}

impl Message {
    /// Copies what may be a slice of a read buffer: a message that stays must not keep the whole buffer alive.
    fn unshare(&mut self) {
        let copy = |text: &ByteString| ByteString::from(&**text);
        self.topic = copy(&self.topic);
        self.payload = Bytes::copy_from_slice(&self.payload);
        for (name, value) in &mut self.headers {
            (*name, *value) = (copy(name), copy(value));
        }
    }
}

fn header_bytes(headers: &[(ByteString, ByteString)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_or_retained_is_no_slice_of_a_read_buffer() {
        let buffer = Bytes::from(vec![b'x'; 64 * 1024]);
        let small = Publish::new("t", buffer.slice(0..10)).into_message(SessionId::HUB);
        assert_ne!(small.payload.as_ptr(), buffer.as_ptr());
        assert_eq!(small.payload, buffer.slice(0..10));
        let publish = Publish::new("t", buffer.slice(0..=COPIED_BYTES_MAX));
        let shared = publish.clone().into_message(SessionId::HUB);
        assert_eq!(shared.payload.as_ptr(), buffer.as_ptr());
        let retained = publish.retain().into_message(SessionId::HUB);
        assert_ne!(retained.payload.as_ptr(), buffer.as_ptr());
        assert_eq!(retained.payload, shared.payload);
    }

    #[test]
    fn the_overhead_is_what_a_message_takes() {
        let counters = 2 * size_of::<usize>();
        let place = 2 * size_of::<usize>();
        assert!(size_of::<Message>() + counters + place <= MESSAGE_OVERHEAD_BYTES);
    }

    #[test]
    fn headers_are_bounded_in_number_and_bytes() {
        let mut publish =
            Publish::new("t", "").header(CONTENT_TYPE, "x".repeat(HEADER_BYTES_MAX - CONTENT_TYPE.len()));
        assert_eq!(publish.check_headers(), Ok(()));
        publish.headers.push(("a".into(), "".into()));
        assert!(matches!(
            publish.check_headers(),
            Err(Fault::Error {
                kind: ErrorKind::TooLarge,
                ..
            })
        ));
        publish.headers = vec![("".into(), "".into()); HEADERS_MAX + 1];
        assert!(publish.check_headers().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_expires_when_its_time_has_come() {
        let lasting = Publish::new("t", "")
            .expires_after(Duration::MAX)
            .into_message(SessionId::HUB);
        assert_eq!(lasting.expires, None);
        let message = Publish::new("t", "")
            .expires_after(Duration::from_secs(1))
            .into_message(SessionId::HUB);
        assert!(!message.is_expired());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(message.is_expired());
    }
}
