//! Messages as Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! Each message is one event of the default type, so that `onmessage` gets it, with a JSON object as its data:
//!
//! ```text
//! id: 1731500000123456789
//! data: {"id":"1731500000123456789","topic":"home/lamp","payload":"on","retained":false}
//! ```
//!
//! `payload` is the message as text; one that is no UTF-8 is in `payload_base64` instead. `content_type` is there if
//! the publisher said it, and `dropped` if messages were dropped before this one because the reader was too slow.
//!
//! The id is when the message was published. A browser that comes back says the last one it got; then last values
//! that it has are not sent again. What was published in between and not retained is lost.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Serialize;
use switchboard_hub::{CONTENT_TYPE, Closed, Delivery, Message, Policy};
use switchboard_peer::BoxFuture;
use tokio::time::{Instant, Sleep, sleep};

use crate::stats::Counters;
use crate::subscribe::Watcher;

/// Messages that are taken out of the queue at once: enough to make its lock cheap.
const BATCH_MAX: usize = 64;

/// Said at the begin, so that the browser knows the stream is open: a comment.
const OPENED: Bytes = Bytes::from_static(b":\n\n");

/// Said when there is nothing else to say.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// Two publishers at once may come to the hub in another order than their clocks say. What is so little older than
/// the last event may still be new.
const RESUME_OVERLAP: Duration = Duration::from_millis(100);

/// From where a watcher goes on that was here before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Resume {
    /// Last values from before this are known.
    known: Option<SystemTime>,
}

impl Resume {
    /// After the event of that id. An id that is none of ours, or of a time to come, resumes nothing.
    pub(crate) fn after(id: &str) -> Self {
        let time = id
            .parse()
            .ok()
            .and_then(|nanos| UNIX_EPOCH.checked_add(Duration::from_nanos(nanos)));
        Self {
            known: time
                .filter(|time| *time <= SystemTime::now())
                .and_then(|time| time.checked_sub(RESUME_OVERLAP)),
        }
    }

    /// Whether the client does not have this yet.
    pub(crate) fn wants(self, delivery: &Delivery) -> bool {
        !delivery.retained || self.known.is_none_or(|known| delivery.message.published > known)
    }
}

/// The body of an event stream. It is only read as the client takes it: one that is behind leaves messages in the
/// queue of its subscription, whose policy says what happens then.
pub(crate) struct EventStream {
    watcher: Watcher,
    resume: Resume,
    /// Taken out of the queue, and empty between polls.
    batch: Vec<Delivery>,
    comment_interval: Duration,
    comment: Pin<Box<Sleep>>,
    draining: BoxFuture<()>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Open,
    Ended,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream")
            .field("watcher", &self.watcher)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl EventStream {
    pub(crate) fn new(watcher: Watcher, resume: Resume) -> Self {
        let shutdown = watcher.shared.shutdown.clone();
        let comment_interval = watcher.shared.options.events.comment_interval;
        Self {
            watcher,
            resume,
            batch: Vec::new(),
            comment_interval,
            comment: Box::pin(sleep(comment_interval)),
            draining: Box::pin(async move { shutdown.draining().await }),
            phase: Phase::New,
        }
    }

    /// The next bytes; `None` when the daemon drains, or the reader was too slow for its policy.
    pub(crate) fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.phase {
            Phase::New => {
                self.phase = Phase::Open;
                return Poll::Ready(Some(OPENED));
            }
            Phase::Open => {}
            Phase::Ended => return Poll::Ready(None),
        }
        if self.draining.as_mut().poll(cx).is_ready() {
            self.phase = Phase::Ended;
            return Poll::Ready(None);
        }
        match self.poll_messages(cx) {
            Poll::Ready(Ok(events)) => {
                self.put_comment_off();
                Poll::Ready(Some(events))
            }
            Poll::Ready(Err(closed)) => {
                self.phase = Phase::Ended;
                if closed == Closed::TooSlow {
                    Counters::add_one(&self.watcher.shared.counters.too_slow);
                }
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.comment.as_mut().poll(cx));
                self.put_comment_off();
                Poll::Ready(Some(COMMENT))
            }
        }
    }

    /// The next comment is due once there was silence for the whole interval.
    fn put_comment_off(&mut self) {
        if let Some(due) = Instant::now().checked_add(self.comment_interval) {
            self.comment.as_mut().reset(due);
        }
    }

    /// Events of the messages that are there.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Closed>> {
        // What is taken out of the queue can no longer be replaced by something newer.
        let most = if self.watcher.policy == Policy::Latest {
            1
        } else {
            BATCH_MAX
        };
        let mut events = BytesMut::new();
        loop {
            ready!(self.watcher.deliveries.poll_recv_many(cx, &mut self.batch, most))?;
            for delivery in self.batch.drain(..) {
                if self.resume.wants(&delivery) {
                    write_event(&mut events, &delivery);
                }
            }
            if !events.is_empty() {
                return Poll::Ready(Ok(events.freeze()));
            }
        }
    }
}

#[derive(Serialize)]
struct Event<'a> {
    id: &'a str,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    retained: bool,
    #[serde(skip_serializing_if = "is_zero")]
    dropped: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One event, with its end.
fn write_event(events: &mut BytesMut, delivery: &Delivery) {
    // JSON has no line ends within, so its data is one line.
    events.put_slice(b"id: ");
    events.put_slice(id(&delivery.message).as_bytes());
    events.put_slice(b"\ndata: ");
    write_json(&mut events.writer(), delivery);
    events.put_slice(b"\n\n");
}

/// The message as a JSON object.
pub(crate) fn write_json(json: &mut impl std::io::Write, delivery: &Delivery) {
    let message = &delivery.message;
    let payload = std::str::from_utf8(&message.payload);
    let content_type = message.headers.iter().find(|(name, _)| *name == CONTENT_TYPE);
    let event = Event {
        id: &id(message),
        topic: &message.topic,
        payload: payload.ok(),
        payload_base64: payload.is_err().then(|| STANDARD.encode(&message.payload)),
        content_type: content_type.map(|(_, value)| &**value),
        retained: delivery.retained,
        dropped: delivery.dropped,
    };
    // Text and numbers always are JSON, and memory takes them.
    let _ = serde_json::to_writer(json, &event);
}

/// When it was published, in nanoseconds since 1970. As text: a number of that size would lose its end in JavaScript.
fn id(message: &Message) -> String {
    let since = message.published.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}

#[cfg(test)]
mod tests;
