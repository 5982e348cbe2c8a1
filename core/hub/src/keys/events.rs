//! What changes among the keys, told as messages: to `$keys/BUCKET/KEY`, for as long as somebody subscribes to that.
//!
//! The payload is the new value, empty if there is none any more. The header `change` says `put`, `delete` or `expire`,
//! the header `revision` which write it was. Of a structure the header `kind` tells, and the payload is empty. A key that is no topic by itself is escaped: `%` and two hexadecimal
//! digits stand for each byte that is no UTF-8, and for NUL, `%`, `+` and `#`. Keys that so become longer than a topic
//! may be are not told.
//!
//! The source is a watch of each bucket, so that changes by expiry and by other hubs of one engine are told as well; as
//! with every watch, changes in between may be left out where one key changes faster than it is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use foldhash::{HashMap, HashMapExt};
use futures_util::stream::SelectAll;
use futures_util::{FutureExt, Stream, StreamExt};
use switchboard_engine::keys::{Revision, WatchEvent, WatchFrom};
use switchboard_engine::{Bucket, Engine, EngineError, Key};
use tokio::time::MissedTickBehavior;

use super::is_own_bucket;
use super::json::kind_name;
use crate::hub::HubInner;
use crate::message::Publish;
use crate::names::NAME_BYTES_MAX;
use crate::session::SessionId;

/// The first level of the topics that tell of keys.
pub(crate) const KEYS_LEVEL: &str = "$keys";

/// The header that says what became of the key: `put`, `delete` or `expire`.
pub const CHANGE: &str = "change";

/// The header that says which write it was.
pub const REVISION: &str = "revision";

/// The header that says which kind of structure the key has.
pub const KIND: &str = "kind";

/// How often is looked for buckets that are new, and whether anybody still wants to know. What was written to a new
/// bucket before it was found is told then.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Whether a filter is one that can match topics of keys.
pub(crate) fn concerns_keys(filter: &str) -> bool {
    filter
        .strip_prefix(KEYS_LEVEL)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Tells of keys, while somebody wants to know.
#[derive(Debug, Default)]
pub(crate) struct KeyEvents {
    running: AtomicBool,
}

type Watches =
    SelectAll<std::pin::Pin<Box<dyn Stream<Item = (Bucket, Result<WatchEvent, EngineError>)> + Send>>>;

impl KeyEvents {
    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Sees to it that changes from now on are told, where the engine can begin a watch at once; else soon.
    pub(crate) fn begin(hub: &Arc<HubInner>, engine: &Arc<dyn Engine>) {
        if hub.key_events.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut telling = Telling {
            engine: Arc::clone(engine),
            watches: SelectAll::new(),
            known: HashMap::new(),
        };
        // Polled once on the spot: what an engine in this process is asked for is there at once.
        let mut first = Box::pin(async move {
            telling.look(WatchFrom::Now).await;
            telling
        });
        let begun = first.as_mut().now_or_never();
        let hub = Arc::downgrade(hub);
        tokio::spawn(async move {
            let telling = match begun {
                Some(telling) => telling,
                None => first.await,
            };
            telling.run(hub).await;
        });
    }
}

struct Telling {
    engine: Arc<dyn Engine>,
    watches: Watches,
    /// The buckets that are watched, and how far each was told.
    known: HashMap<Bucket, Told>,
}

/// How far the changes of a bucket were told. What a watch says at first, and again after a reset, is in the order of
/// keys, and some of it may have been told.
#[derive(Debug, Default)]
struct Told {
    /// All changes up to this one.
    through: Revision,
    /// The newest one.
    newest: Revision,
    /// Whether the watch is at what there was, rather than at what changes.
    at_what_was: bool,
    /// The watch ended with an error: there has to be another, that goes on where it was.
    is_lost: bool,
}

impl Telling {
    async fn run(mut self, hub: Weak<HubInner>) {
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.tick().await;
        loop {
            tokio::select! {
                Some((bucket, event)) = self.watches.next() => {
                    let Some(hub) = hub.upgrade() else { return };
                    self.tell(&hub, bucket, event).await;
                }
                _ = look.tick() => {
                    let Some(hub) = hub.upgrade() else { return };
                    if hub.subscribers.of_keys() == 0 {
                        hub.key_events.running.store(false, Ordering::Release);
                        // Somebody may have come between the two.
                        if hub.subscribers.of_keys() == 0 || hub.key_events.running.swap(true, Ordering::AcqRel) {
                            return;
                        }
                    }
                    drop(hub);
                    self.look(WatchFrom::Everything).await;
                }
            }
        }
    }

    /// Watches the buckets that are not watched yet; the default one also while it is empty.
    async fn look(&mut self, from: WatchFrom) {
        let mut buckets = match self.engine.keys().buckets().await {
            Ok(buckets) => buckets,
            Err(error) => return tracing::debug!(%error, "changes of keys are not told for now"),
        };
        if !buckets.contains(&Bucket::default()) {
            buckets.push(Bucket::default());
        }
        let lost = self.known.iter().filter(|(_, told)| told.is_lost);
        buckets.extend(lost.map(|(bucket, _)| bucket.clone()));
        for bucket in buckets {
            let from = match self.known.get(&bucket) {
                Some(told) if !told.is_lost => continue,
                Some(told) if told.at_what_was => WatchFrom::Everything,
                Some(told) if told.newest == Revision::default() => WatchFrom::Now,
                Some(told) => WatchFrom::After(told.newest),
                None if is_own_bucket(&bucket) => continue,
                None => from,
            };
            let Ok(watch) = self.engine.keys().watch(&bucket, Bytes::new(), from).await else {
                continue;
            };
            let name = bucket.clone();
            self.watches
                .push(Box::pin(watch.map(move |event| (name.clone(), event))));
            let told = self.known.entry(bucket).or_default();
            told.is_lost = false;
            told.at_what_was = from == WatchFrom::Everything;
        }
    }

    async fn tell(&mut self, hub: &HubInner, bucket: Bucket, event: Result<WatchEvent, EngineError>) {
        let publish = match event {
            Ok(WatchEvent::Put { key, entry }) => {
                let kind = kind_name(entry.kind);
                let news = self.news(&bucket, &key, entry.revision, "put", entry.told().value);
                match kind {
                    Some(kind) => news.map(|news| news.header(KIND, kind)),
                    None => news,
                }
            }
            Ok(WatchEvent::Delete {
                key,
                revision,
                expired,
            }) => {
                let change = if expired { "expire" } else { "delete" };
                self.news(&bucket, &key, revision, change, Bytes::new())
            }
            Ok(event) => {
                if let Some(told) = self.known.get_mut(&bucket) {
                    if let WatchEvent::Current { revision } = event {
                        told.newest = told.newest.max(revision);
                    }
                    told.through = told.newest;
                    told.at_what_was = event == WatchEvent::Reset;
                }
                None
            }
            Err(error) => {
                tracing::debug!(%bucket, %error, "changes of keys are not told for now");
                if let Some(told) = self.known.get_mut(&bucket) {
                    told.is_lost = true;
                }
                None
            }
        };
        let Some(publish) = publish else { return };
        if let Ok(published) = hub.publish(publish, SessionId::HUB) {
            let _ = published.settled().await;
        }
    }

    /// The message of a change, if it is news.
    fn news(
        &mut self,
        bucket: &Bucket,
        key: &Key,
        revision: Revision,
        change: &'static str,
        value: Bytes,
    ) -> Option<Publish> {
        let told = self.known.get_mut(bucket)?;
        if revision <= told.through {
            return None;
        }
        told.newest = told.newest.max(revision);
        if !told.at_what_was {
            told.through = told.newest;
        }
        let topic = topic_of_key(bucket, key.as_ref())?;
        Some(
            Publish::new(topic, value)
                .header(CHANGE, change)
                .header(REVISION, revision.to_string()),
        )
    }
}

/// The topic that tells of a key; `None` if it would be too long.
pub(crate) fn topic_of_key(bucket: &Bucket, key: &[u8]) -> Option<ByteString> {
    let mut topic = format!("{KEYS_LEVEL}/{bucket}/");
    for chunk in key.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\0' | '%' | '+' | '#' => escape(&mut topic, character as u8),
                _ => topic.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(&mut topic, *byte));
    }
    (topic.len() <= NAME_BYTES_MAX).then(|| topic.into())
}

fn escape(topic: &mut String, byte: u8) {
    use std::fmt::Write as _;
    let _ = write!(topic, "%{byte:02X}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_topic_of_its_own() {
        let bucket = Bucket::default();
        for (key, expected) in [
            (&b"home/lamp"[..], "$keys/default/home/lamp"),
            (b"a+b#c%", "$keys/default/a%2Bb%23c%25"),
            (b"\0\xff\xc3\xa4", "$keys/default/%00%FFä"),
        ] {
            assert_eq!(topic_of_key(&bucket, key).as_deref(), Some(expected));
        }
        assert_eq!(topic_of_key(&bucket, &[b'x'; NAME_BYTES_MAX]), None);
    }

    #[test]
    fn only_filters_that_name_the_first_level_concern_keys() {
        for (filter, concerns) in [
            ("$keys/#", true),
            ("$keys/default/x", true),
            ("#", false),
            ("$keys", false),
            ("$keysx/a", false),
        ] {
            assert_eq!(concerns_keys(filter), concerns, "{filter}");
        }
    }
}
