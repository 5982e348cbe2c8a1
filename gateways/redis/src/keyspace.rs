//! Notifications of what happens to keys: `__keyspace@0__:key` and `__keyevent@0__:event`, published as topics.

use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use switchboard_hub::keys::Key;
use switchboard_hub::{Publish, Session};

use crate::call::{Class, Event};

mod expiry;

/// Which events are published.
#[derive(Debug, Default)]
pub(crate) struct Keyspace {
    wanted: AtomicU16,
}

/// `K`: by key.
const BY_KEY: u16 = 1;
/// `E`: by event.
const BY_EVENT: u16 = 1 << 1;

/// The letters of `A`, in the order in which Redis writes them; those that never happen here are taken all the same.
const LETTERS: [(char, u16); 10] = [
    ('g', 1 << 2),
    ('$', 1 << 3),
    ('l', 1 << 4),
    ('s', 1 << 5),
    ('h', 1 << 6),
    ('z', 1 << 7),
    ('x', 1 << 8),
    ('e', 1 << 9),
    ('t', 1 << 10),
    ('d', 1 << 11),
];

/// All of them.
const ALL: u16 = 0b1111_1111_1100;

/// The letters beside.
const OTHERS: [(char, u16); 4] = [('K', BY_KEY), ('E', BY_EVENT), ('m', 1 << 12), ('n', 1 << 13)];

/// What `notify-keyspace-events` says in letters.
fn parse(letters: &str) -> Option<u16> {
    letters.chars().try_fold(0, |wanted, letter| {
        if letter == 'A' {
            return Some(wanted | ALL);
        }
        let known = LETTERS.iter().chain(&OTHERS).find(|(known, _)| *known == letter);
        known.map(|(_, bit)| wanted | bit)
    })
}

fn bit(class: Class) -> u16 {
    let letter = match class {
        Class::Generic => 'g',
        Class::String => '$',
        Class::List => 'l',
        Class::Set => 's',
        Class::Hash => 'h',
        Class::SortedSet => 'z',
        Class::Expired => 'x',
    };
    parse(letter.encode_utf8(&mut [0; 4])).unwrap_or_default()
}

/// Checks what [`RedisOptions::notify_keyspace_events`](crate::RedisOptions::notify_keyspace_events) says.
///
/// # Errors
/// When a letter means nothing.
pub fn check_events(letters: &str) -> Result<(), String> {
    Keyspace::new(letters).map(drop)
}

impl Keyspace {
    /// # Errors
    /// When a letter means nothing.
    pub(crate) fn new(letters: &str) -> Result<Self, String> {
        let keyspace = Self {
            wanted: AtomicU16::new(0),
        };
        keyspace.set(letters)?;
        Ok(keyspace)
    }

    /// # Errors
    /// When a letter means nothing; then nothing changes.
    pub(crate) fn set(&self, letters: &str) -> Result<(), String> {
        let wanted = parse(letters).ok_or_else(|| {
            format!("`{letters}` are not letters of notify-keyspace-events: these are KEg$lshzxetdmnA")
        })?;
        self.wanted.store(wanted, Ordering::Relaxed);
        Ok(())
    }

    /// The letters, as Redis writes them.
    pub(crate) fn letters(&self) -> String {
        let wanted = self.wanted.load(Ordering::Relaxed);
        let of = |letters: &[(char, u16)]| -> String {
            let wanted = letters.iter().filter(|(_, bit)| wanted & bit != 0);
            wanted.map(|(letter, _)| letter).collect()
        };
        let classes = if wanted & ALL == ALL {
            "A".to_owned()
        } else {
            of(&LETTERS)
        };
        classes + &of(&OTHERS)
    }

    /// Whether somebody wants to hear of anything.
    pub(crate) fn is_on(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) & (BY_KEY | BY_EVENT) != 0
    }

    /// Whether keys that expire are to be told of.
    pub(crate) fn wants_expired(&self) -> bool {
        self.is_on() && self.wanted.load(Ordering::Relaxed) & bit(Class::Expired) != 0
    }

    /// Tells what happened.
    pub(crate) fn tell(&self, session: &Session, database: u32, events: &[Event]) {
        let wanted = self.wanted.load(Ordering::Relaxed);
        if wanted & (BY_KEY | BY_EVENT) == 0 {
            return;
        }
        for event in events.iter().filter(|event| wanted & bit(event.class) != 0) {
            if wanted & BY_KEY != 0 {
                let key = String::from_utf8_lossy(event.key.as_ref());
                publish(
                    session,
                    format!("__keyspace@{database}__:{key}"),
                    event.name.into(),
                );
            }
            if wanted & BY_EVENT != 0 {
                publish(
                    session,
                    format!("__keyevent@{database}__:{}", event.name),
                    own(&event.key),
                );
            }
        }
    }
}

/// The key in memory of its own.
fn own(key: &Key) -> Bytes {
    Bytes::copy_from_slice(key.as_ref())
}

/// Publishes without waiting for it to be settled.
pub(crate) fn publish(session: &Session, topic: String, payload: Bytes) {
    match session.publish_now(Publish::new(topic, payload)) {
        Ok(published) if published.is_settled() => {}
        // Whoever changes a key does not wait for those who watch.
        Ok(published) => drop(tokio::spawn(published.settled())),
        // Such as a key that cannot be a part of a topic.
        Err(fault) => tracing::debug!(%fault, "an event of a key is told to nobody"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_written_as_redis_does() {
        for (written, read) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Elg", "glE"),
            ("g$lshzxetdK", "AK"),
            ("Kxn", "xKn"),
        ] {
            assert_eq!(Keyspace::new(written).unwrap().letters(), read);
        }
        assert!(Keyspace::new("Kq").is_err());
        assert!(Keyspace::new("Ex").unwrap().wants_expired());
        assert!(!Keyspace::new("x").unwrap().wants_expired());
    }
}
