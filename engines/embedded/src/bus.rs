//! Messages between the hubs of one engine, of which there is one: this process.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use switchboard_engine::bus::{BusEvent, BusMessage, BusSubscription, UNREAD_MAX};
use switchboard_engine::{Answer, Bus, Clock, EngineError, Result};
use tokio::sync::Notify;

mod routes;

use routes::Routes;

/// Most bytes in a payload: 1 MiB, what a NATS server allows out of the box, so that nothing works here that does not
/// work there.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes that wait for the reader of a subscription: 64 MiB. Over it the oldest are lost, as over [`UNREAD_MAX`].
const UNREAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often a request looks at the clock, which may not be the machine's.
const CLOCK_INTERVAL: Duration = Duration::from_millis(20);

/// How long to wait before asking again when nobody was there.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// The bus of one process.
#[derive(Clone)]
pub(crate) struct LocalBus {
    routes: Arc<Mutex<Routes>>,
    requests: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

/// One subscription's messages.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    unread: Mutex<Unread>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Unread {
    messages: VecDeque<BusMessage>,
    bytes: usize,
    /// Something was lost before the first one.
    has_missed: bool,
    has_ended: bool,
}

impl Mailbox {
    /// Adds a message, at the cost of the oldest if the reader is far behind.
    fn add(&self, message: BusMessage) {
        let mut unread = self.unread.lock();
        unread.bytes += message.payload.len();
        unread.messages.push_back(message);
        while unread.messages.len() > UNREAD_MAX || unread.bytes > UNREAD_BYTES_MAX {
            let Some(lost) = unread.messages.pop_front() else {
                break;
            };
            unread.bytes -= lost.payload.len();
            unread.has_missed = true;
        }
        drop(unread);
        self.news.notify_one();
    }

    fn end(&self) {
        self.unread.lock().has_ended = true;
        self.news.notify_one();
    }

    /// The next event; `None` at the end.
    async fn next(&self) -> Option<BusEvent> {
        loop {
            {
                let mut unread = self.unread.lock();
                if std::mem::take(&mut unread.has_missed) {
                    return Some(BusEvent::Missed);
                }
                if let Some(message) = unread.messages.pop_front() {
                    unread.bytes -= message.payload.len();
                    return Some(BusEvent::Message(message));
                }
                if unread.has_ended {
                    return None;
                }
            }
            self.news.notified().await;
        }
    }
}

/// A place among the routes, given back when dropped.
struct Subscribed {
    routes: Arc<Mutex<Routes>>,
    filter: ByteString,
    group: Option<ByteString>,
    mailbox: Arc<Mailbox>,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        (self.routes.lock()).remove(&self.filter, self.group.as_ref(), &self.mailbox);
    }
}

impl LocalBus {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            routes: Arc::default(),
            requests: Arc::default(),
            clock,
        }
    }

    /// Ends all subscriptions.
    pub(crate) fn close(&self) {
        self.routes.lock().close();
    }

    /// Hands a message to all who are subscribed, and tells whether anybody is.
    fn send(&self, message: &BusMessage) -> Result<bool> {
        if message.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(EngineError::TooLarge(format!(
                "the message has {} bytes: at most {PAYLOAD_BYTES_MAX} are possible",
                message.payload.len()
            )));
        }
        // Delivered under the lock, so that messages of one publisher do not overtake each other.
        let mut routes = self.routes.lock();
        if routes.is_closed() {
            return Err(EngineError::unavailable(RETRY_WAIT, "the engine is closed"));
        }
        Ok(routes.deliver(message))
    }

    fn subscribed(&self, filter: ByteString, group: Option<ByteString>) -> Result<Subscribed> {
        let mailbox = Arc::new(Mailbox::default());
        // They may be slices of something large.
        let (filter, group) = (owned(&filter), group.as_ref().map(owned));
        let mut routes = self.routes.lock();
        if routes.is_closed() {
            return Err(EngineError::unavailable(RETRY_WAIT, "the engine is closed"));
        }
        routes.add(filter.clone(), group.clone(), Arc::clone(&mailbox));
        Ok(Subscribed {
            routes: Arc::clone(&self.routes),
            filter,
            group,
            mailbox,
        })
    }

    async fn ask(self, topic: ByteString, payload: Bytes, timeout: Duration) -> Result<Bytes> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let reply_to = ByteString::from(format!("$reply/{number}"));
        let answers = self.subscribed(reply_to.clone(), None)?;
        let request = BusMessage {
            topic: topic.clone(),
            payload,
            reply_to: Some(reply_to),
        };
        let started = self.clock.monotonic();
        if !self.send(&request)? {
            return Err(EngineError::unavailable(
                RETRY_WAIT,
                format!("nobody answers to {topic}"),
            ));
        }
        drop(request);
        loop {
            let elapsed = self.clock.monotonic().saturating_sub(started);
            let Some(left) = timeout.checked_sub(elapsed).filter(|left| !left.is_zero()) else {
                let reason = format!("nobody answered to {topic} within {} ms", timeout.as_millis());
                return Err(EngineError::unavailable(Duration::ZERO, reason));
            };
            match tokio::time::timeout(left.min(CLOCK_INTERVAL), answers.mailbox.next()).await {
                Ok(Some(BusEvent::Message(answer))) => return Ok(answer.payload),
                Ok(None) => return Err(EngineError::unavailable(RETRY_WAIT, "the engine is closed")),
                Ok(Some(BusEvent::Missed)) | Err(_) => {}
            }
        }
    }
}

fn owned(text: &ByteString) -> ByteString {
    ByteString::from(&**text)
}

impl Bus for LocalBus {
    fn payload_bytes_max(&self) -> usize {
        PAYLOAD_BYTES_MAX
    }

    fn publish(&self, topic: ByteString, payload: Bytes) -> Result<()> {
        let message = BusMessage {
            topic,
            payload,
            reply_to: None,
        };
        self.send(&message).map(|_| ())
    }

    fn subscribe(&self, filter: ByteString, group: Option<ByteString>) -> Answer<BusSubscription> {
        Answer::now(self.subscribed(filter, group).map(|subscribed| {
            stream::unfold(subscribed, |subscribed| async move {
                let event = subscribed.mailbox.next().await?;
                Some((event, subscribed))
            })
            .fuse()
            .boxed()
        }))
    }

    fn request(&self, topic: ByteString, payload: Bytes, timeout: Duration) -> Answer<Bytes> {
        Answer::later(self.clone().ask(topic, payload, timeout))
    }
}

impl fmt::Debug for LocalBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBus").finish_non_exhaustive()
    }
}
