//! Brings what a subscription of the cluster brings to its readers here, and tells them what they missed.
//!
//! The members of a group at this hub share one subscription: so what one of them leaves goes to the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use parking_lot::Mutex;
use switchboard_engine::bus::{BusEvent, BusMessage, BusSubscription, UNREAD_MAX};
use tokio::sync::{Notify, mpsc, watch};

use super::TOPIC;
use super::subjects::{topic_of, unescaped};
use crate::link::Link;

/// Longest time to wait until the server knows which subscriptions have ended.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(1);

/// A filter and a group of its subscribers.
type GroupName = (String, String);

/// The pumps of all groups, and what concerns all pumps.
#[derive(Debug, Default)]
pub(super) struct Pumps {
    groups: Mutex<HashMap<GroupName, Arc<Readers>>>,
    /// Subscriptions that were dropped, of which the server does not know yet.
    ending: Arc<watch::Sender<usize>>,
}

/// Those who read from one pump.
#[derive(Debug, Default)]
struct Readers {
    members: Mutex<Vec<Member>>,
    gone: Notify,
}

#[derive(Debug)]
struct Member {
    events: mpsc::Sender<BusEvent>,
    /// Whether it has missed something after what waits for it, and was not told.
    missed: Arc<AtomicBool>,
}

impl Member {
    fn miss(&self) {
        self.missed.store(true, Ordering::Release);
        self.tell_missed();
    }

    /// False where there is no room to say it: then the reader finds out when he has read all that waits.
    fn tell_missed(&self) -> bool {
        if self.events.capacity() == 0 {
            return !self.missed.load(Ordering::Acquire);
        }
        if self.missed.swap(false, Ordering::AcqRel) && self.events.try_send(BusEvent::Missed).is_err() {
            self.missed.store(true, Ordering::Release);
            return false;
        }
        true
    }

    /// Gives it back to be given to another, if nobody reads here any more.
    fn tell(&self, message: BusMessage) -> Result<(), BusMessage> {
        if self.events.is_closed() {
            return Err(message);
        }
        if !self.tell_missed() || self.events.try_send(BusEvent::Message(message)).is_err() {
            self.miss();
        }
        Ok(())
    }
}

/// The reader's side.
struct Reader {
    unread: mpsc::Receiver<BusEvent>,
    missed: Arc<AtomicBool>,
    _leaving: Leaving,
}

impl Reader {
    async fn next(&mut self) -> Option<BusEvent> {
        if let Ok(event) = self.unread.try_recv() {
            return Some(event);
        }
        if self.missed.swap(false, Ordering::AcqRel) {
            return Some(BusEvent::Missed);
        }
        self.unread.recv().await
    }
}

/// Says that a reader is gone.
struct Leaving {
    readers: Arc<Readers>,
    ending: Arc<watch::Sender<usize>>,
}

impl Drop for Leaving {
    /// The reader's end of the channel is dropped before this.
    fn drop(&mut self) {
        self.ending.send_modify(|ending| *ending += 1);
        self.readers.gone.notify_one();
    }
}

/// What a pump works with.
pub(super) struct Source {
    pub(super) stem: Arc<str>,
    pub(super) filter: String,
    pub(super) group: Option<String>,
    pub(super) link: Arc<Link>,
}

impl Source {
    fn group_name(&self) -> Option<GroupName> {
        self.group
            .as_ref()
            .map(|group| (self.filter.clone(), group.clone()))
    }

    fn message(&self, message: Message) -> Option<BusMessage> {
        let topic = match message.headers.as_ref().and_then(|headers| headers.get(TOPIC)) {
            Some(topic) => unescaped(topic.as_str())?,
            None => topic_of(&self.stem, &message.subject)?,
        };
        // Topics of the hub's own are matched by no wildcard at their first level.
        if self.filter.starts_with(['+', '#']) && topic.starts_with('$') {
            return None;
        }
        let reply_to = message.reply.and_then(|reply| topic_of(&self.stem, &reply));
        Some(BusMessage {
            topic,
            payload: message.payload,
            reply_to,
        })
    }
}

impl Pumps {
    /// Another reader of a group that has readers here.
    pub(super) fn join(&self, source: &Source) -> Option<BusSubscription> {
        let groups = self.groups.lock();
        let readers = groups.get(&source.group_name()?)?;
        Some(self.reader(readers))
    }

    /// The first reader.
    pub(super) fn start(self: &Arc<Self>, source: Source, messages: Subscriber) -> BusSubscription {
        let readers = Arc::new(Readers::default());
        let subscription = self.reader(&readers);
        if let Some(name) = source.group_name() {
            // Another one may have begun at the same time: each goes on by itself.
            self.groups
                .lock()
                .entry(name)
                .or_insert_with(|| Arc::clone(&readers));
        }
        let closed = source.link.closed.clone();
        let pumps = Arc::clone(self);
        tokio::spawn(async move {
            let pump = pumps.pump(source, Arc::clone(&readers), messages);
            closed.run_until_cancelled(pump).await;
            // That is the end for who still reads.
            readers.members.lock().clear();
        });
        subscription
    }

    fn reader(&self, readers: &Arc<Readers>) -> BusSubscription {
        let (events, unread) = mpsc::channel(UNREAD_MAX);
        let missed = Arc::new(AtomicBool::new(false));
        readers.members.lock().push(Member {
            events,
            missed: Arc::clone(&missed),
        });
        let reader = Reader {
            unread,
            missed,
            _leaving: Leaving {
                readers: Arc::clone(readers),
                ending: Arc::clone(&self.ending),
            },
        };
        let subscription = futures_util::stream::unfold(reader, |mut reader| async move {
            let event = reader.next().await?;
            Some((event, reader))
        });
        subscription.boxed()
    }

    async fn pump(self: Arc<Self>, source: Source, readers: Arc<Readers>, mut messages: Subscriber) {
        let mut losses = source.link.status.losses_from_now();
        let mut turn = 0;
        loop {
            tokio::select! {
                biased;
                () = readers.gone.notified() => {
                    let (left, is_last) = self.leave(&source, &readers);
                    if is_last {
                        // Sent before all that is published from now on.
                        let _ = messages.unsubscribe().await;
                    }
                    self.ending.send_modify(|ending| *ending = ending.saturating_sub(left));
                    if is_last {
                        return;
                    }
                }
                lost = losses.changed() => {
                    if lost.is_err() {
                        return;
                    }
                    readers.members.lock().iter().for_each(Member::miss);
                }
                message = messages.next() => match message {
                    None => return,
                    Some(message) => if let Some(message) = source.message(message) {
                        turn = give(&readers, message, turn);
                    },
                },
            }
        }
    }

    /// How many have left, and whether they were the last.
    fn leave(&self, source: &Source, readers: &Arc<Readers>) -> (usize, bool) {
        let mut groups = self.groups.lock();
        let mut members = readers.members.lock();
        let before = members.len();
        members.retain(|member| !member.events.is_closed());
        if members.is_empty()
            && let Some(name) = source.group_name()
            && groups.get(&name).is_some_and(|known| Arc::ptr_eq(known, readers))
        {
            groups.remove(&name);
        }
        (before - members.len(), members.is_empty())
    }

    /// Waits until the server knows what was dropped before.
    pub(super) async fn settle(&self) {
        let mut ending = self.ending.subscribe();
        let _ = tokio::time::timeout(SETTLE_TIME_MAX, ending.wait_for(|ending| *ending == 0)).await;
    }
}

/// Gives a message to one member, each in its turn.
fn give(readers: &Readers, mut message: BusMessage, turn: usize) -> usize {
    let members = readers.members.lock();
    let count = members.len();
    for at in turn..turn + count {
        let Some(member) = members.get(at % count) else {
            break;
        };
        match member.tell(message) {
            Ok(()) => return at + 1,
            Err(back) => message = back,
        }
    }
    0
}
