//! Messages between hubs: core NATS, without JetStream.

mod pump;
mod subjects;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{HeaderMap, Subscriber};
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use switchboard_engine::bus::BusSubscription;
use switchboard_engine::{Answer, Bus, EngineError, Result};
use tokio::sync::oneshot;

use crate::link::{Link, Patience, Trouble};
use pump::{Pumps, Source};
pub(crate) use subjects::{escape, unescaped};
use subjects::{of_filter, of_topic, topic_of};

/// Says the topic, where the subject does not.
const TOPIC: &str = "Switchboard-Topic";

/// Room for a long topic beside the payload: three characters for each of its bytes, and some more headers.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// The first level of topics at which answers are awaited.
const REPLIES: &str = "$reply";

/// How long those who get Unavailable are told to wait.
const WAIT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone)]
pub(crate) struct NatsBus {
    link: Arc<Link>,
    stem: Arc<str>,
    /// Tells this engine from others.
    name: String,
    requests: Arc<Requests>,
    pumps: Arc<Pumps>,
}

/// The requests that wait for an answer.
#[derive(Default)]
struct Requests {
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Option<Bytes>>>>,
}

impl Requests {
    /// An answer, or none where nobody is there to answer.
    fn answer(&self, topic: &str, answer: Option<Bytes>) {
        let number = topic.rsplit_once('/').and_then(|(_, number)| number.parse().ok());
        let waiting = number.and_then(|number: u64| self.waiting.lock().remove(&number));
        if let Some(waiting) = waiting {
            // It may have stopped waiting.
            let _ = waiting.send(answer);
        }
    }
}

/// Forgets a request when nobody waits for it any more.
struct Waiting {
    number: u64,
    requests: Arc<Requests>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.requests.waiting.lock().remove(&self.number);
    }
}

impl NatsBus {
    pub(crate) async fn open(link: Arc<Link>) -> Result<Self> {
        let bus = Self {
            stem: link.names.bus().into(),
            name: format!("{:016x}", fastrand::u64(..)),
            requests: Arc::default(),
            pumps: Arc::default(),
            link,
        };
        let replies = of_filter(&bus.stem, &format!("{REPLIES}/{}/+", bus.name))?;
        let mut answers = subscribe(&bus.link, replies.subject, None).await?;
        let (requests, stem) = (Arc::clone(&bus.requests), Arc::clone(&bus.stem));
        let closed = bus.link.closed.clone();
        tokio::spawn(closed.run_until_cancelled_owned(async move {
            while let Some(message) = answers.next().await {
                let Some(topic) = topic_of(&stem, &message.subject) else {
                    continue;
                };
                let answer = message.status.is_none().then_some(message.payload);
                requests.answer(&topic, answer);
            }
        }));
        Ok(bus)
    }

    /// Publishes without waiting.
    fn send(&self, topic: &str, reply_to: Option<&str>, payload: Bytes) -> Result<()> {
        self.check_payload(&payload)?;
        let subject = of_topic(&self.stem, topic)?;
        let reply_to = reply_to
            .map(|reply_to| of_topic(&self.stem, reply_to))
            .transpose()?;
        self.link.check_connected().map_err(|trouble| match trouble {
            Trouble::Error(error) => error,
            Trouble::Away(why) | Trouble::NotDone(why) | Trouble::Unsure(why) => {
                EngineError::unavailable(WAIT, format!("{why}; it was not published"))
            }
        })?;
        let mut headers = HeaderMap::new();
        if subject.is_hashed {
            headers.insert(TOPIC, escape(topic));
        }
        let client = &self.link.client;
        let sent = async {
            match reply_to {
                None => {
                    client
                        .publish_with_headers(subject.subject, headers, payload)
                        .await
                }
                Some(reply_to) => {
                    let reply_to = reply_to.subject;
                    client
                        .publish_with_reply_and_headers(subject.subject, reply_to, headers, payload)
                        .await
                }
            }
        };
        // There is room in the queue to the connection, or there is not: nothing else is waited for.
        match tokio::task::coop::unconstrained(sent).now_or_never() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(EngineError::Failed(error.to_string())),
            None => Err(EngineError::unavailable(
                WAIT,
                "the connection to the NATS cluster is behind; it was not published",
            )),
        }
    }

    fn check_payload(&self, payload: &Bytes) -> Result<()> {
        let max = self.payload_bytes_max();
        if payload.len() <= max {
            return Ok(());
        }
        Err(EngineError::TooLarge(format!(
            "the message has {} bytes: at most {max} go over the bus of a NATS cluster",
            payload.len()
        )))
    }
}

/// Subscribes; when it answers, the server knows.
async fn subscribe(link: &Link, subject: String, group: Option<String>) -> Result<Subscriber> {
    let failed = |error: &dyn fmt::Display| EngineError::Failed(error.to_string());
    let subscriber = match group {
        None => link
            .client
            .subscribe(subject)
            .await
            .map_err(|error| failed(&error))?,
        Some(group) => {
            let subscriber = link.client.queue_subscribe(subject, group).await;
            subscriber.map_err(|error| failed(&error))?
        }
    };
    let mut patience = Patience::new(link);
    loop {
        match link.round_trip().await {
            Ok(()) => return Ok(subscriber),
            Err(trouble) => patience.rest(trouble).await?,
        }
    }
}

impl Bus for NatsBus {
    fn payload_bytes_max(&self) -> usize {
        self.link.message_bytes_max().saturating_sub(HEADER_BYTES_MAX)
    }

    fn publish(&self, topic: ByteString, payload: Bytes) -> Result<()> {
        self.send(&topic, None, payload)
    }

    fn subscribe(&self, filter: ByteString, group: Option<ByteString>) -> Answer<BusSubscription> {
        let (link, pumps) = (Arc::clone(&self.link), Arc::clone(&self.pumps));
        let source = Source {
            stem: Arc::clone(&self.stem),
            filter: filter.to_string(),
            group: group.as_ref().map(ToString::to_string),
            link: Arc::clone(&link),
        };
        Answer::later(async move {
            link.check_open()?;
            if let Some(joined) = pumps.join(&source) {
                return Ok(joined);
            }
            let subject = of_filter(&source.stem, &filter)?.subject;
            // A group is of one filter.
            let queue = group.map(|group| {
                let hash =
                    ring::digest::digest(&ring::digest::SHA256, format!("{filter}\0{group}").as_bytes());
                const_hex::encode(hash)
            });
            let messages = subscribe(&link, subject, queue).await?;
            Ok(pumps.start(source, messages))
        })
    }

    fn request(&self, topic: ByteString, payload: Bytes, timeout: Duration) -> Answer<Bytes> {
        let number = self.requests.last.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.requests.waiting.lock().insert(number, sender);
        let waiting = Waiting {
            number,
            requests: Arc::clone(&self.requests),
        };
        let reply_to = format!("{REPLIES}/{}/{number}", self.name);
        let bus = self.clone();
        Answer::later(async move {
            let _waiting = waiting;
            bus.pumps.settle().await;
            bus.send(&topic, Some(&reply_to), payload)?;
            let closed = &bus.link.closed;
            let answer = tokio::select! {
                answer = tokio::time::timeout(timeout, answer) => answer,
                () = closed.cancelled() => return Err(EngineError::unavailable(WAIT, "the engine was closed")),
            };
            match answer {
                Ok(Ok(Some(answer))) => Ok(answer),
                Ok(_) => Err(EngineError::unavailable(
                    WAIT,
                    format!("nobody is subscribed to {topic:?}"),
                )),
                Err(_) => Err(EngineError::unavailable(
                    WAIT,
                    format!(
                        "nobody has answered at {topic:?} within {} ms",
                        timeout.as_millis()
                    ),
                )),
            }
        })
    }
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
