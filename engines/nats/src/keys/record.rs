//! What a message in the stream of keys says.
//!
//! Its header `Switchboard` has four fields: what it is (`p` for a plain value, `p1` to `p4` for structures), when its key came to be, when it expires (both in ms since
//! 1970, `-` for never), and how many bytes of its body are the key, if the subject has not room for it. The value is
//! the rest of the body.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use switchboard_engine::keys::{Entry, Revision};
use switchboard_engine::{Bucket, Key, Kind, Timestamp};

use crate::link::{DELETED_KEPT, Outgoing, Stored};
use crate::names::{Family, Names, is_hashed};

/// How much longer than a key lives its message is kept, for hubs whose clocks are behind those of the servers, and so
/// that who watches hears of the end from a hub, to the millisecond.
const EXPIRED_KEPT: Duration = Duration::from_secs(10);

/// How long the messages are kept that only carry a condition.
const LOOKED_AT_KEPT: Duration = Duration::from_secs(1);

/// Messages of keys that live longer are not cleared away by the servers: a number of seconds that cannot overflow.
const TTL_MAX: Duration = Duration::from_secs(20 * 366 * 24 * 3600);

/// In what watchers are told of a delete: the message that comes next makes it so.
const NEXT: &str = "+";

/// What is stored under a key.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) key: Key,
    /// Of its message.
    pub(crate) sequence: u64,
    pub(crate) state: State,
}

/// See [`Record`].
#[derive(Debug, Clone)]
pub(crate) enum State {
    Value(Entry),
    Deleted {
        /// Whether its time had come.
        expired: bool,
        /// The sequence of the message by which its key is absent: this one, or that which it tells watchers of.
        first: u64,
    },
}

impl Record {
    /// What a message says; none if it is not of a key.
    pub(crate) fn of(names: &Names, stored: Stored) -> Option<Self> {
        let mut fields = stored.record.split(' ');
        let what = fields.next()?;
        let created = fields.next();
        let expires = fields.next();
        let key_bytes: usize = fields.next().map_or(Some(0), |field| field.parse().ok())?;
        let mut body = stored.body;
        let key = if key_bytes > 0 && key_bytes <= body.len() {
            body.split_to(key_bytes)
        } else {
            names.key_of(&stored.subject)?
        };
        let state = match what {
            what if what.starts_with('p') => State::Value(Entry {
                value: body,
                kind: kind_of(what)?,
                revision: Revision(stored.sequence),
                created: Timestamp::from_millis(created?.parse().ok()?),
                expires: moment(expires?)?,
            }),
            // Without a word it is of the server, which found it expired.
            "d" | "x" | "" => State::Deleted {
                expired: what != "d",
                first: match created {
                    Some(NEXT) => stored.sequence.saturating_add(1),
                    first => first
                        .and_then(|first| first.parse().ok())
                        .unwrap_or(stored.sequence),
                },
            },
            _ => return None,
        };
        Some(Self {
            key: Key::new(key).ok()?,
            sequence: stored.sequence,
            state,
        })
    }

    /// What the key has at that time.
    pub(crate) fn entry_at(self, now: Timestamp) -> Option<Entry> {
        match self.state {
            State::Value(entry) if entry.expires.is_none_or(|expires| expires > now) => Some(entry),
            _ => None,
        }
    }
}

/// How a value of that kind is called.
fn what(kind: Kind) -> String {
    match kind {
        Kind::Plain => "p".to_owned(),
        kind => format!("p{}", kind.number()),
    }
}

fn kind_of(what: &str) -> Option<Kind> {
    match what.strip_prefix('p')? {
        "" => Some(Kind::Plain),
        number => Kind::of_number(number.parse().ok()?),
    }
}

fn moment(field: &str) -> Option<Option<Timestamp>> {
    match field {
        "-" => Some(None),
        millis => millis
            .parse()
            .ok()
            .map(|millis| Some(Timestamp::from_millis(millis))),
    }
}

/// Makes messages of keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) names: &'a Names,
    pub(crate) family: Family,
    pub(crate) bucket: &'a Bucket,
}

impl Writer<'_> {
    /// That a key has this value, on the condition that its last message is still that one.
    pub(crate) fn put(&self, key: &Key, expected: Option<u64>, entry: &Entry, now: Timestamp) -> Outgoing {
        let life = entry.expires.map(|expires| expires.since(now));
        let expires = entry
            .expires
            .map_or("-".to_owned(), |expires| expires.as_millis().to_string());
        Outgoing {
            subject: self.names.key(self.family, self.bucket, key.as_bytes()),
            expected,
            about: None,
            again: false,
            record: format!(
                "{} {} {expires} {}",
                what(entry.kind),
                entry.created.as_millis(),
                key_bytes(key)
            ),
            ttl: life
                .filter(|life| *life < TTL_MAX)
                .map(|life| life + EXPIRED_KEPT),
            body: with_key(key, &entry.value),
        }
    }

    /// That a key has no value (any more); it is cleared away soon.
    pub(crate) fn absent(&self, key: &Key, expected: Option<u64>, expired: bool) -> Outgoing {
        let what = if expired { "x" } else { "d" };
        Outgoing {
            subject: self.names.key(self.family, self.bucket, key.as_bytes()),
            expected,
            about: None,
            again: false,
            record: format!("{what} - - {}", key_bytes(key)),
            ttl: Some(DELETED_KEPT),
            body: with_key(key, b""),
        }
    }

    /// On the condition that the last message of a key is still that one; says nothing itself, and is soon cleared away.
    pub(crate) fn looked_at(&self, key: &Key, expected: u64) -> Outgoing {
        Outgoing {
            subject: self.names.key(Family::LookedAt, self.bucket, key.as_bytes()),
            expected: Some(expected),
            about: Some(self.names.key(self.family, self.bucket, key.as_bytes())),
            again: false,
            record: "l".to_owned(),
            ttl: Some(LOOKED_AT_KEPT),
            body: Bytes::new(),
        }
    }

    /// The same for watchers, of the message that comes next in the same step. That one is cleared away before those
    /// who lag behind have read it.
    pub(crate) fn deleted(&self, key: &Key, expired: bool) -> Outgoing {
        let what = if expired { "x" } else { "d" };
        Outgoing {
            expected: None,
            about: None,
            record: format!("{what} {NEXT} - {}", key_bytes(key)),
            ..self.deleted_later(key, 0, expired)
        }
    }

    /// The same, of a message that stands by itself; if that still is the last word.
    pub(crate) fn deleted_later(&self, key: &Key, first: u64, expired: bool) -> Outgoing {
        let what = if expired { "x" } else { "d" };
        Outgoing {
            subject: self.names.key(Family::Deleted, self.bucket, key.as_bytes()),
            expected: Some(first),
            about: Some(self.names.key(self.family, self.bucket, key.as_bytes())),
            again: false,
            record: format!("{what} {first} - {}", key_bytes(key)),
            ttl: Some(DELETED_KEPT),
            body: with_key(key, b""),
        }
    }
}

/// How many bytes of a key stand in the body.
fn key_bytes(key: &Key) -> usize {
    if is_hashed(key.as_bytes()) {
        key.as_bytes().len()
    } else {
        0
    }
}

fn with_key(key: &Key, value: &[u8]) -> Bytes {
    if !is_hashed(key.as_bytes()) {
        return Bytes::copy_from_slice(value);
    }
    let mut body = BytesMut::with_capacity(key.as_bytes().len() + value.len());
    body.extend_from_slice(key.as_bytes());
    body.extend_from_slice(value);
    body.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_back(
            key in prop_oneof![prop::collection::vec(any::<u8>(), 1..20), prop::collection::vec(any::<u8>(), 250..300)],
            value in prop::collection::vec(any::<u8>(), 0..50),
            created in any::<u64>(),
            expires in prop::option::of(any::<u64>()),
        ) {
            let names = Names::new("test").expect("a plain prefix");
            let bucket = Bucket::default();
            let writer = Writer { names: &names, family: Family::Values, bucket: &bucket };
            let key = Key::new(key).expect("a legal key");
            let entry = Entry {
                value: value.into(),
                kind: Kind::Plain,
                revision: Revision(7),
                created: Timestamp::from_millis(created),
                expires: expires.map(Timestamp::from_millis),
            };
            let message = writer.put(&key, None, &entry, Timestamp::from_millis(5));
            let stored = Stored {
                subject: message.subject,
                sequence: 7,
                record: message.record,
                write: String::new(),
                rest: 0,
                body: message.body,
            };
            let record = Record::of(&names, stored).expect("it is of a key");
            prop_assert_eq!(&record.key, &key);
            let before = Timestamp::from_millis(0);
            let there = expires != Some(0);
            prop_assert_eq!(record.entry_at(before), there.then_some(entry));
        }

        #[test]
        fn what_is_not_ours_does_no_harm(record in ".{0,30}", subject in ".{0,30}", body in prop::collection::vec(any::<u8>(), 0..9)) {
            let names = Names::new("test").expect("a plain prefix");
            for subject in [subject.clone(), format!("test.k.v.default.{subject}")] {
                let stored = Stored {
                    subject,
                    sequence: 1,
                    record: record.clone(),
                    write: String::new(),
                    rest: 0,
                    body: body.clone().into(),
                };
                let _ = Record::of(&names, stored);
            }
        }
    }

    #[test]
    fn a_message_outlives_its_key() {
        let names = Names::new("test").expect("a plain prefix");
        let bucket = Bucket::default();
        let writer = Writer {
            names: &names,
            family: Family::Values,
            bucket: &bucket,
        };
        let key = Key::new("k").expect("a legal key");
        let now = Timestamp::from_millis(1_000);
        let mut entry = Entry {
            value: Bytes::new(),
            kind: Kind::Hash,
            revision: Revision(1),
            created: now,
            expires: Some(now.after(Duration::from_millis(1))),
        };
        assert!(writer.put(&key, None, &entry, now).ttl > Some(EXPIRED_KEPT));
        entry.expires = Some(Timestamp::from_millis(u64::MAX));
        assert_eq!(writer.put(&key, None, &entry, now).ttl, None);
    }
}
