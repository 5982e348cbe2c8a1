//! Messages between hubs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use switchboard_engine::bus::{BusEvent, BusMessage, BusSubscription, UNREAD_MAX};
use switchboard_engine::{Answer, Bus, EngineError, Result};

use super::flaw::Flaw;
use super::world::Reference;

/// Most bytes in a payload: 1 MiB.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// Who is subscribed.
#[derive(Default)]
pub struct Exchange {
    subscribers: Vec<Subscriber>,
    last: u64,
}

struct Subscriber {
    id: u64,
    filter: ByteString,
    group: Option<ByteString>,
    inbox: Arc<Mutex<Inbox>>,
}

/// What waits for a reader.
#[derive(Default)]
struct Inbox {
    missed: bool,
    messages: VecDeque<BusMessage>,
}

impl Inbox {
    fn take(&mut self) -> Option<BusEvent> {
        if std::mem::take(&mut self.missed) {
            return Some(BusEvent::Missed);
        }
        self.messages.pop_front().map(BusEvent::Message)
    }
}

impl Exchange {
    fn next_id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Hands a message to all for whom it is. Tells how many they are.
    fn deliver(&mut self, message: &BusMessage, flaw: Flaw) -> usize {
        let mut served: Vec<(&ByteString, &ByteString)> = Vec::new();
        let mut reached = 0;
        // Those who have waited longest for a message of their group stand first.
        let mut busy = Vec::new();
        for subscriber in &self.subscribers {
            if !matches(&subscriber.filter, &message.topic) {
                continue;
            }
            if let Some(group) = &subscriber.group {
                let team = (group, &subscriber.filter);
                if served.contains(&team) && flaw != Flaw::GroupGetsAll {
                    continue;
                }
                served.push(team);
                busy.push(subscriber.id);
            }
            let mut inbox = subscriber.inbox.lock();
            if inbox.messages.len() == UNREAD_MAX {
                inbox.messages.pop_front();
                inbox.missed = flaw != Flaw::LosesSilently;
            }
            inbox.messages.push_back(message.clone());
            reached += 1;
        }
        self.subscribers
            .sort_by_key(|subscriber| busy.contains(&subscriber.id));
        reached
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// A subscription; it ends when it is dropped.
struct Reading {
    engine: Reference,
    id: u64,
    inbox: Arc<Mutex<Inbox>>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut exchange = self.engine.world.exchange.lock();
        exchange.subscribers.retain(|subscriber| subscriber.id != self.id);
    }
}

impl Reading {
    async fn next(&mut self) -> Option<BusEvent> {
        let mut changed = self.engine.world.changed.subscribe();
        while !self.engine.is_closed() {
            let event = self.inbox.lock().take();
            if event.is_some() {
                return event;
            }
            changed.changed().await.ok()?;
        }
        None
    }
}

impl Reference {
    fn read(&self, filter: ByteString, group: Option<ByteString>) -> Reading {
        let inbox = Arc::<Mutex<Inbox>>::default();
        let mut exchange = self.world.exchange.lock();
        let id = exchange.next_id();
        exchange.subscribers.push(Subscriber {
            id,
            filter,
            group,
            inbox: inbox.clone(),
        });
        let engine = self.clone();
        Reading { engine, id, inbox }
    }

    fn send(&self, topic: ByteString, payload: Bytes, reply_to: Option<ByteString>) -> Result<usize> {
        self.check()?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(EngineError::TooLarge("a payload".to_owned()));
        }
        let message = BusMessage {
            topic,
            payload,
            reply_to,
        };
        let reached = self.world.exchange.lock().deliver(&message, self.world.flaw);
        self.world.changed.send_replace(());
        Ok(reached)
    }
}

impl Bus for Reference {
    fn payload_bytes_max(&self) -> usize {
        PAYLOAD_BYTES_MAX
    }

    fn publish(&self, topic: ByteString, payload: Bytes) -> Result<()> {
        self.send(topic, payload, None).map(drop)
    }

    fn subscribe(&self, filter: ByteString, group: Option<ByteString>) -> Answer<BusSubscription> {
        let reading = self.check().map(|()| self.read(filter, group));
        Answer::now(reading.map(|reading| {
            stream::unfold(reading, async |mut reading| {
                Some((reading.next().await?, reading))
            })
            .boxed()
        }))
    }

    fn request(&self, topic: ByteString, payload: Bytes, timeout: Duration) -> Answer<Bytes> {
        let engine = self.clone();
        Answer::later(async move {
            let nobody = |reason: &str| Err(EngineError::unavailable(Duration::from_secs(1), reason));
            let clock = engine.world.clock.clone();
            let end = clock.monotonic() + timeout;
            let reply_to = ByteString::from(format!("$reply/{}", engine.world.exchange.lock().next_id()));
            let reading = engine.read(reply_to.clone(), None);
            let mut changed = engine.world.changed.subscribe();
            if engine.send(topic, payload, Some(reply_to))? == 0 {
                return nobody("nobody is subscribed");
            }
            while clock.monotonic() < end && !engine.is_closed() {
                if let Some(BusEvent::Message(answer)) = reading.inbox.lock().take() {
                    return Ok(answer.payload);
                }
                let _ = changed.changed().await;
            }
            nobody("nobody answered")
        })
    }
}
