//! Messages as Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! Each message is one event of the default type, so that `onmessage` gets it, with a JSON object as its data:
//!
//! ```text
//! id: 9f3c0d5e88a1b204-17
//! data: {"id":"9f3c0d5e88a1b204-17","topic":"home/lamp","payload":"on","retained":false}
//! ```
//!
//! `payload` is the message as text; one that is no UTF-8 is in `payload_base64` instead. `content_type` is there if
//! the publisher said it, and `dropped` if messages were dropped before this one because the reader was too slow.
//!
//! The `id` in the data names the message: the hub's epoch, and its number there. That of the event says how far the
//! reader has come among the messages that were published to be retained. A browser that comes back says the last one
//! it got; then it gets those last values that it has not had, and no other. What was published in between and not
//! retained is lost. After a restart of the daemon the epoch is another: all last values are sent.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use switchboard_hub::{CONTENT_TYPE, Closed, Delivery, Hub, Message, Policy};
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

/// A place in the order of messages: the hub's [epoch](Hub::epoch) and a serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    epoch: u64,
    serial: u64,
}

impl EventId {
    /// Where the reader is with this delivery.
    pub(crate) fn reached(hub: &Hub, delivery: &Delivery) -> Self {
        Self {
            epoch: hub.epoch(),
            serial: delivery.reached,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (epoch, serial) = text.split_once('-')?;
        Some(Self {
            epoch: u64::from_str_radix(epoch, 16).ok()?,
            serial: serial.parse().ok()?,
        })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.serial)
    }
}

/// From where a watcher goes on that was here before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Resume {
    /// Last values up to this one are known.
    known: Option<u64>,
}

impl Resume {
    /// After the event of that id. An id that is none of this hub's resumes nothing.
    pub(crate) fn after(id: &str, hub: &Hub) -> Self {
        let id = EventId::parse(id).filter(|id| id.epoch == hub.epoch() && id.serial <= hub.serial());
        Self {
            known: id.map(|id| id.serial),
        }
    }

    /// Whether the client does not have this yet.
    pub(crate) fn wants(self, delivery: &Delivery) -> bool {
        !delivery.retained || self.known.is_none_or(|known| delivery.message.serial > known)
    }
}

/// The body of an event stream. It is only read as the client takes it: one that is behind leaves messages in the
/// queue of its subscription, whose policy says what happens then.
pub(crate) struct EventStream {
    watcher: Watcher,
    resume: Resume,
    writer: Writer,
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

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            writer: Writer::default(),
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
        loop {
            ready!(self.watcher.deliveries.poll_recv_many(cx, &mut self.batch, most))?;
            let mut events = BytesMut::with_capacity(self.batch.iter().map(event_bytes).sum());
            for delivery in self.batch.drain(..) {
                if self.resume.wants(&delivery) {
                    self.writer
                        .put_event(&mut events, &self.watcher.shared.hub, &delivery);
                }
            }
            if !events.is_empty() {
                return Poll::Ready(Ok(events.freeze()));
            }
        }
    }
}

/// About how much an event takes; not less, as a rule.
fn event_bytes(delivery: &Delivery) -> usize {
    EVENT_OVERHEAD_BYTES + delivery.topic().len() + delivery.message.payload.len()
}

/// What an event takes beside its topic and payload: two ids, and the names of the fields.
const EVENT_OVERHEAD_BYTES: usize = 192;

/// Names what [`said`] makes.
const FORMAT: &str = "http.json";

/// What a message says to all readers alike.
#[derive(Serialize)]
struct Said<'a> {
    id: &'a str,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
}

/// The message as a JSON object, save its end: what else is to be said is not the same to all readers.
fn said(hub: &Hub, message: &Message) -> Bytes {
    message.rendered(FORMAT, || {
        let payload = std::str::from_utf8(&message.payload);
        let content_type = message.headers.iter().find(|(name, _)| *name == CONTENT_TYPE);
        let id = EventId {
            epoch: hub.epoch(),
            serial: message.serial,
        };
        let said = Said {
            // As text: a number of that size would lose its end in JavaScript.
            id: &id.to_string(),
            topic: &message.topic,
            payload: payload.ok(),
            payload_base64: payload.is_err().then(|| STANDARD.encode(&message.payload)),
            content_type: content_type.map(|(_, value)| &**value),
        };
        // Text always is JSON.
        let mut json = serde_json::to_vec(&said).unwrap_or_default();
        json.pop();
        json.shrink_to_fit();
        json.into()
    })
}

/// The message as a JSON object.
pub(crate) fn put_json(json: &mut impl BufMut, hub: &Hub, delivery: &Delivery) {
    json.put(said(hub, &delivery.message));
    json.put_slice(if delivery.retained {
        b",\"retained\":true"
    } else {
        b",\"retained\":false"
    });
    if delivery.dropped > 0 {
        json.put_slice(format!(",\"dropped\":{}", delivery.dropped).as_bytes());
    }
    json.put_u8(b'}');
}

/// Puts events into the words of the format.
#[derive(Debug, Default)]
struct Writer {
    /// The line that says the id, and of what: most messages take the reader no further.
    id_line: String,
    reached: Option<u64>,
}

impl Writer {
    /// One event, with its end.
    fn put_event(&mut self, events: &mut BytesMut, hub: &Hub, delivery: &Delivery) {
        if self.reached != Some(delivery.reached) {
            self.reached = Some(delivery.reached);
            self.id_line = format!("id: {}\ndata: ", EventId::reached(hub, delivery));
        }
        events.put_slice(self.id_line.as_bytes());
        // JSON has no line ends within, so the data is one line.
        put_json(events, hub, delivery);
        events.put_slice(b"\n\n");
    }
}

#[cfg(test)]
mod tests;
