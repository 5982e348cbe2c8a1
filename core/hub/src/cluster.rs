//! Several hubs on one engine are one switchboard: what is served at one is called through another, what is published
//! at one reaches the subscribers of all.
//!
//! Each hub says on the bus that it is here, once a second and whenever it changes what it serves; the others ask for
//! the list and enter every operation into their own table, with the other hub as one responder: a call finds it like
//! any other, and goes there by letters. A hub that was silent for [`SILENCE_MAX`] is lost, as a responder that lost its
//! connection is: its calls in flight get Retry. So do those whose letters may have been lost on the way: each hub counts
//! how often that was, and says so with its presence. One that goes down takes no more calls, and reads its letters until
//! the others have said that they know. Last values, keys and queues are shared by the engine itself.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use foldhash::HashMap;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use switchboard_engine::bus::{BusEvent, BusSubscription};
use switchboard_engine::{Engine, Result};
use switchboard_peer::Fault;
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use crate::hub::HubInner;
use crate::keys::fault;
use crate::message::Message;
use crate::retained::record;

mod incoming;
mod letter;
mod line;
mod others;
mod outgoing;

pub(crate) use letter::HubId;
use letter::{CallId, Content, Letter, News, Presence, Said};
use line::{Heard, Line, Side};
use others::Others;

/// How often a hub says that it is here.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(1);

/// A hub that says nothing for so long is lost.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long to wait before trying again what another hub did not do: about what it takes to learn of its end.
const LOST_RETRY_WAIT: Duration = Duration::from_millis(500);

/// How long a hub that goes down waits for the others: they answer at once, unless they are gone or cannot be reached.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(2);

/// The version of what is served at a hub that goes down.
const DRAINING: u64 = u64::MAX;

const PRESENCES: ByteString = ByteString::from_static("hubs");
const MESSAGES: ByteString = ByteString::from_static("messages");

/// This hub, as one of several.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) id: HubId,
    engine: Arc<dyn Engine>,
    /// Most bytes in a letter.
    letter_bytes_max: usize,
    /// Calls between hubs that are under way here, and where what is heard of them goes.
    calls: Mutex<HashMap<(CallId, Side), mpsc::UnboundedSender<Heard>>>,
    next_call: AtomicU64,
    /// How often letters may have been lost.
    losses: AtomicU64,
    others: Mutex<Others>,
    /// Told when a call has ended, or another hub is gone, or makes no more calls to this one.
    released: Notify,
}

impl Cluster {
    /// Joins the other hubs of the engine.
    pub(crate) async fn join(hub: &Arc<HubInner>, engine: &Arc<dyn Engine>) -> Result<Arc<Self>> {
        let id = HubId(hub.epoch);
        let cluster = Arc::new(Self {
            id,
            engine: Arc::clone(engine),
            letter_bytes_max: engine.bus().payload_bytes_max(),
            calls: Mutex::default(),
            next_call: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            others: Mutex::default(),
            released: Notify::new(),
        });
        let heard = Heart {
            presences: engine.bus().subscribe(PRESENCES, None).await?,
            messages: engine.bus().subscribe(MESSAGES, None).await?,
            letters: engine.bus().subscribe(id.topic(), None).await?,
        };
        tokio::spawn(Arc::clone(&cluster).run(Arc::downgrade(hub), heard));
        Ok(cluster)
    }

    /// Tells the others what was published here.
    ///
    /// # Errors
    /// Retry while the bus is away: nobody was told.
    pub(crate) fn tell(&self, message: &Message) -> std::result::Result<(), Fault> {
        let now = tokio::time::Instant::now();
        let news = News {
            from: self.id,
            topic: message.topic.clone(),
            retain: message.retain,
            expires_ms: message.expires.map(|expires| {
                let left = expires.saturating_duration_since(now);
                u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
            }),
            record: record::encode(message),
        };
        self.engine.bus().publish(MESSAGES, news.encode()).map_err(fault)
    }

    /// Waits until the calls between other hubs and this one have ended, and no more can come, which takes that this hub
    /// drains; then tells the others that nothing of it is to be waited for.
    ///
    /// # Cancel safety
    /// Dropped, the others are not told.
    pub(crate) async fn leave(&self) {
        let released = async {
            loop {
                let changed = self.released.notified();
                if self.others.lock().have_released() && self.calls.lock().is_empty() {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(LEAVE_TIME_MAX, released).await.is_err() {
            tracing::warn!(
                "another hub does not say that it knows of the end of this one: it is not waited for"
            );
        }
        let left = Letter {
            from: self.id,
            content: Content::Left,
        };
        let mut others = self.others.lock();
        for hub in others.leave() {
            if let Err(fault) = self.send(hub, &left) {
                tracing::debug!(%fault, "another hub does not hear that this one is gone");
            }
        }
    }

    /// The other hubs will hear that letters were lost, and end the calls that may wait for them.
    fn lost_letters(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    fn send(&self, to: HubId, letter: &Letter) -> std::result::Result<(), Fault> {
        self.engine
            .bus()
            .publish(to.topic(), letter.encode())
            .map_err(fault)
    }

    fn next_call(&self) -> u64 {
        self.next_call.fetch_add(1, Ordering::Relaxed)
    }

    fn say_presence(&self, version: u64) {
        // Held while it is said, so that it does not follow the good-bye.
        let others = self.others.lock();
        if others.are_left() {
            return;
        }
        let presence = Presence {
            hub: self.id,
            version,
            losses: self.losses.load(Ordering::Relaxed),
        };
        let json = serde_json::to_vec(&presence).unwrap_or_default();
        if let Err(error) = self.engine.bus().publish(PRESENCES, json.into()) {
            tracing::debug!(%error, "other hubs do not hear of this one for now");
        }
    }

    async fn run(self: Arc<Self>, hub: Weak<HubInner>, mut heart: Heart) {
        let watched = hub
            .upgrade()
            .map(|hub| (hub.responders.changes(), hub.draining.clone()));
        let Some((mut served, draining)) = watched else {
            return;
        };
        let version = |served: u64| if draining.is_cancelled() { DRAINING } else { served };
        let mut drains = pin!(draining.cancelled().fuse());
        let mut beat = tokio::time::interval(PRESENCE_INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let heard = tokio::select! {
                heard = heart.next() => Some(heard),
                changed = served.changed() => {
                    if changed.is_err() { return }
                    None
                }
                _ = beat.tick() => None,
                // What was served here is withdrawn before it goes away.
                () = &mut drains => None,
            };
            let Some(hub) = hub.upgrade() else { return };
            match heard {
                Some(None) => return,
                Some(Some(heard)) => self.hear(&hub, heard, version(*served.borrow())),
                None => {
                    let served = *served.borrow_and_update();
                    self.say_presence(version(served));
                    self.forget_silent(&hub);
                }
            }
        }
    }

    fn hear(self: &Arc<Self>, hub: &Arc<HubInner>, heard: Heartbeat, version: u64) {
        let understood = match heard {
            Heartbeat::Presence(presence) => serde_json::from_slice(&presence)
                .map(|presence| self.present(hub, &presence, version))
                .is_ok(),
            Heartbeat::Message(news) => News::decode(&news).map(|news| self.learn(hub, news)).is_ok(),
            Heartbeat::Letter(letter) => Letter::decode(&letter)
                .map(|letter| self.read(hub, letter, version))
                .is_ok(),
            Heartbeat::LettersMissed => {
                self.lost_letters();
                self.others.lock().end_calls();
                self.say_presence(version);
                true
            }
            // What hubs say of themselves they say again; messages are brought at most once.
            Heartbeat::Missed => true,
        };
        if !understood {
            tracing::warn!("a message of another hub is not understood: is it of another version?");
        }
    }

    /// Spreads here what was published at another hub.
    fn learn(&self, hub: &Arc<HubInner>, news: News) {
        if news.from == self.id {
            return;
        }
        let Some(message) = Message::from_news(news.topic, &news.record, news.retain, news.expires_ms) else {
            return;
        };
        match hub.spread(message, false) {
            Ok(published) if published.is_settled() => {}
            // Its publisher is elsewhere, and does not wait: queues that are full and block wait by themselves.
            Ok(published) => drop(tokio::spawn(published.settled())),
            Err(fault) => tracing::warn!(%fault, "a message of another hub is told to nobody"),
        }
    }

    fn read(self: &Arc<Self>, hub: &Arc<HubInner>, letter: Letter, version: u64) {
        let from = letter.from;
        match letter.content {
            Content::Ask { after } => {
                let page = others::page(hub, version, &after, self.letter_bytes_max);
                let letter = Letter {
                    from: self.id,
                    content: Content::Served(page),
                };
                if let Err(fault) = self.send(from, &letter) {
                    tracing::debug!(%fault, "another hub does not hear what is served here for now");
                }
            }
            Content::Served(page) => self.served(hub, from, page),
            Content::Released => self.release(from),
            Content::Left => self.lose(hub, from),
            Content::Call { call, serial, said } => self.call(hub, from, call, (serial, said)),
        }
    }

    fn call(self: &Arc<Self>, hub: &Arc<HubInner>, from: HubId, call: CallId, heard: Heard) {
        let side = if call.caller == self.id {
            Side::Caller
        } else {
            Side::Responder
        };
        match heard {
            (0, Said::Open(opening, payload)) if side == Side::Responder => {
                let lost = self.others.lock().meet_caller(hub, from);
                let mut line = Line::new(self, from, call, side, lost);
                line.begun();
                tokio::spawn(incoming::answer(Arc::downgrade(hub), line, opening, payload));
            }
            // Of a call that has ended here there may be more to hear.
            heard => {
                if let Some(hears) = self.calls.lock().get(&(call, side)) {
                    let _ = hears.send(heard);
                }
            }
        }
    }
}

/// What arrives over the bus.
struct Heart {
    presences: BusSubscription,
    messages: BusSubscription,
    letters: BusSubscription,
}

enum Heartbeat {
    Presence(Bytes),
    Message(Bytes),
    Letter(Bytes),
    LettersMissed,
    Missed,
}

impl Heart {
    /// `None` once the engine is closed.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn next(&mut self) -> Option<Heartbeat> {
        let (letters, messages) = (&mut self.letters, &mut self.messages);
        let others = async {
            tokio::select! {
                event = letters.next() => (event, Heartbeat::Letter as fn(_) -> _, Heartbeat::LettersMissed),
                event = messages.next() => (event, Heartbeat::Message as fn(_) -> _, Heartbeat::Missed),
            }
        };
        let (event, wrap, missed) = tokio::select! {
            // A hub is known before its letters are read, and is not lost behind a crowd of messages.
            biased;
            event = self.presences.next() => (event, Heartbeat::Presence as fn(_) -> _, Heartbeat::Missed),
            other = others => other,
        };
        Some(match event? {
            BusEvent::Message(message) => wrap(message.payload),
            BusEvent::Missed => missed,
        })
    }
}

/// That an operation was served until a moment ago.
const GONE: &str = "whoever served the operation is gone";

/// That this hub answers no more.
const DOWN: &str = "the hub is going down";

fn lost(what: &'static str) -> Fault {
    Fault::retry(LOST_RETRY_WAIT, what)
}

#[cfg(test)]
mod tests;
