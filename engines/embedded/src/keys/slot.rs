//! One key in memory, with what it has.
//!
//! A slot never changes but for its mark of use; a write replaces it. It is one allocation, with the key and the value
//! if that is small: a key of 16 bytes with a value of 16 bytes takes 80 bytes. The value of a large one is shared with
//! whoever reads it; a structure is shared by all slots of its key (see [`home`](super::home)).

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use switchboard_engine::keys::{Entry, Revision};
use switchboard_engine::structures::Structure;
use switchboard_engine::{Key, Kind, Timestamp};
use triomphe::{Arc, ArcBorrow, ArcUnion, ThinArc};

use super::home::{Home, Parts};
use super::name::Name;

#[cfg(test)]
mod tests;

/// Values up to so many bytes stand with their key, and are copied for a reader, which takes less time than to share
/// them; so many bytes are copied in about the time that two atomic counters take.
const SMALL_VALUE_BYTES: usize = 1024;

/// What a key costs in memory beside its bytes and those of its value: its place in the table, the counts, the head.
pub(crate) const SLOT_COST_BYTES: usize = 72;

switchboard_table::item! {
    /// One key, and what it has: a value, or nothing any more.
    ///
    /// Its bytes: the moment of expiry (8, if it expires), the key, the value if it is small.
    pub(crate) struct Slot(Head);
}

/// What stands before the bytes of a slot.
pub(crate) struct Head {
    /// The write that made it so.
    revision: u64,
    /// What does not stand with the key.
    apart: Option<ArcUnion<Home, Bytes>>,
    /// When the key came to be: 48 bits are good for 8,900 years. Above it how many bytes the key has.
    created_and_key: u64,
    bucket: u32,
    /// Where the change that it is stands in the list of what is to be written, little-endian.
    place: [u8; PLACE_BYTES],
    tag: Tag,
}

/// Changes of one round and lane are fewer than three bytes tell, by far: their bytes are bounded.
const PLACE_BYTES: usize = 3;

const CREATED_BITS: u32 = 48;
const CREATED_MAX: u64 = (1 << CREATED_BITS) - 1;

/// What a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value that stays.
    Lasting = 0,
    /// A value until a moment.
    Expiring = 1,
    /// Nothing.
    Gone = 2,
}

/// A state, a kind, and whether it was used, in one byte.
struct Tag(AtomicU8);

impl Tag {
    const USED: u8 = 1 << 7;

    fn new(state: State, kind: Kind) -> Self {
        Self(AtomicU8::new(state as u8 | kind.number() << 2 | Self::USED))
    }

    fn load(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn state(&self) -> State {
        match self.load() & 3 {
            0 => State::Lasting,
            1 => State::Expiring,
            _ => State::Gone,
        }
    }

    fn kind(&self) -> Kind {
        Kind::of_number((self.load() & !Self::USED) >> 2).unwrap_or_default()
    }
}

/// What a new slot has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
}

/// What a new slot has for a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Plain(&'a [u8]),
    Structure {
        home: ArcBorrow<'a, Home>,
        kind: Kind,
        /// What it takes of memory now.
        bytes: usize,
        /// How many bytes of it are to be written.
        unwritten: usize,
    },
}

impl Slot {
    /// A key with what it has; `None` for nothing any more. The bytes are copied. `place` is where it will stand in the
    /// list of what is to be written.
    pub(crate) fn new(
        name: &Name<'_>,
        revision: Revision,
        place: usize,
        content: Option<Content<'_>>,
    ) -> Self {
        let (state, kind, apart, value) = match content.map(|content| (content.state(), content.value)) {
            None => (State::Gone, Kind::Plain, None, &[][..]),
            Some((state, Value::Plain(value))) if value.len() <= SMALL_VALUE_BYTES => {
                (state, Kind::Plain, None, value)
            }
            Some((state, Value::Plain(value))) => {
                let value = Arc::new(Bytes::copy_from_slice(value));
                (state, Kind::Plain, Some(ArcUnion::from_second(value)), &[][..])
            }
            Some((
                state,
                Value::Structure {
                    home, kind, bytes, ..
                },
            )) => {
                home.count(bytes);
                (state, kind, Some(ArcUnion::from_first(home.clone_arc())), &[][..])
            }
        };
        let created = content.map_or_else(Timestamp::default, |content| content.created);
        let expires = content.and_then(|content| content.expires);
        Self::of_parts(
            name,
            revision,
            place,
            (state, kind),
            (created, expires),
            apart,
            value,
        )
    }

    fn of_parts(
        name: &Name<'_>,
        revision: Revision,
        place: usize,
        (state, kind): (State, Kind),
        (created, expires): (Timestamp, Option<Timestamp>),
        apart: Option<ArcUnion<Home, Bytes>>,
        value: &[u8],
    ) -> Self {
        let [first, second, third, ..] = place.to_le_bytes();
        debug_assert!(
            place >> (8 * PLACE_BYTES) == 0,
            "the bytes of a round are bounded"
        );
        let head = Head {
            revision: revision.0,
            apart,
            // A key is never longer: `Key` and the lookups see to that.
            created_and_key: created.as_millis().min(CREATED_MAX) | (name.key.len() as u64) << CREATED_BITS,
            bucket: name.bucket,
            place: [first, second, third],
            tag: Tag::new(state, kind),
        };
        let moment = expires.map(|moment| moment.as_millis().to_le_bytes());
        let moment = moment.as_ref().map_or(&[][..], |moment| moment);
        let length = moment.len() + name.key.len() + value.len();
        // On the stack, for most.
        const USUAL_BYTES: usize = 256;
        let mut usual = [0; USUAL_BYTES];
        Self(match usual.get_mut(..length) {
            Some(bytes) => {
                let (first, rest) = bytes.split_at_mut(moment.len());
                let (second, third) = rest.split_at_mut(name.key.len());
                first.copy_from_slice(moment);
                second.copy_from_slice(name.key);
                third.copy_from_slice(value);
                ThinArc::from_header_and_slice(head, bytes)
            }
            None => ThinArc::from_header_and_slice(head, &[moment, name.key, value].concat()),
        })
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// Its parts: the moment of expiry, the key, the value.
    fn parts(&self) -> (&[u8], &[u8], &[u8]) {
        self.head().parts_of(&self.0.slice)
    }

    /// The write that made it so.
    pub(crate) fn revision(&self) -> Revision {
        Revision(self.head().revision)
    }

    pub(crate) fn bucket(&self) -> u32 {
        self.head().bucket
    }

    /// Where the change that it is stands in the list of what is to be written, if it stands there.
    pub(crate) fn place(&self) -> usize {
        let [first, second, third] = self.head().place;
        u32::from_le_bytes([first, second, third, 0]) as usize
    }

    /// Whether it is the same slot, not only an equal one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.head().tag.kind()
    }

    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_millis(self.head().created_and_key & CREATED_MAX)
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.parts().1
    }

    /// Whether it is that key.
    #[inline]
    pub(crate) fn is_of(&self, name: &Name<'_>) -> bool {
        self.bucket() == name.bucket && self.key() == name.key
    }

    /// Its structure, if it has one.
    pub(crate) fn home(&self) -> Option<ArcBorrow<'_, Home>> {
        self.head().apart.as_ref()?.as_first()
    }

    /// Its bytes; none if it has no value any more, or a structure.
    pub(crate) fn value(&self) -> &[u8] {
        self.head().value_of(&self.0.slice)
    }

    /// Whether it has a value, be it an expired one.
    pub(crate) fn has_value(&self) -> bool {
        self.head().tag.state() != State::Gone
    }

    pub(crate) fn expires(&self) -> Option<Timestamp> {
        let moment = self.parts().0.first_chunk::<8>()?;
        Some(Timestamp::from_millis(u64::from_le_bytes(*moment)))
    }

    /// Stands for a value that the store has but cannot be read any more: it has expired at the beginning of time.
    /// `parts` are those of a structure.
    pub(crate) fn given_up(name: &Name<'_>, parts: Option<Parts>) -> Self {
        let home = parts.and_then(|parts| {
            let structure = Structure::new(Kind::Hash)?;
            Some(Home::new(structure, Some(parts)))
        });
        let value = match &home {
            None => Value::Plain(&[]),
            Some(home) => Value::Structure {
                home: home.borrow_arc(),
                kind: Kind::Hash,
                bytes: 0,
                unwritten: 0,
            },
        };
        let content = Content {
            value,
            created: Timestamp::default(),
            expires: Some(Timestamp::default()),
        };
        Self::new(name, Revision(0), 0, Some(content))
    }

    /// Whether it is [`Self::given_up`].
    pub(crate) fn is_given_up(&self) -> bool {
        self.expires() == Some(Timestamp::default())
    }

    /// Whether it has a value that has not expired. The time is asked for only if it matters.
    pub(crate) fn is_live(&self, now: impl Fn() -> Timestamp) -> bool {
        match self.head().tag.state() {
            State::Lasting => true,
            State::Gone => false,
            State::Expiring => self.expires().is_none_or(|moment| moment > now()),
        }
    }

    /// What a reader gets, if it has a value that has not expired. A structure is encoded, under the lock of its lane.
    pub(crate) fn entry(&self, now: impl Fn() -> Timestamp) -> Option<Entry> {
        self.is_live(now).then(|| Entry {
            value: self.shared_value(),
            ..self.entry_without_value()
        })
    }

    /// As [`Self::entry`], with no value for a structure: what is told of a change.
    pub(crate) fn told(&self, now: impl Fn() -> Timestamp) -> Option<Entry> {
        self.is_live(now).then(|| Entry {
            value: self.plain_value(),
            ..self.entry_without_value()
        })
    }

    /// The value, for a reader. A structure is encoded, under the lock of its lane.
    pub(crate) fn shared_value(&self) -> Bytes {
        self.home()
            .map_or_else(|| self.plain_value(), |home| home.encode())
    }

    fn plain_value(&self) -> Bytes {
        match self.head().large_value() {
            None => Bytes::copy_from_slice(self.parts().2),
            Some(value) => value.clone(),
        }
    }

    /// The same without its structure, which is kept from being freed by nothing then.
    pub(crate) fn without_structure(&self) -> Self {
        if self.home().is_none() {
            return self.clone();
        }
        let name = Name::new(self.bucket(), self.key());
        let tag = &self.head().tag;
        let moments = (self.created(), self.expires());
        Self::of_parts(
            &name,
            self.revision(),
            self.place(),
            (tag.state(), tag.kind()),
            moments,
            None,
            &[],
        )
    }

    /// What a reader gets who wants no value.
    pub(crate) fn entry_without_value(&self) -> Entry {
        Entry {
            value: Bytes::new(),
            kind: self.kind(),
            revision: self.revision(),
            created: self.created(),
            expires: self.expires(),
        }
    }

    /// The key, for a reader.
    pub(crate) fn to_key(&self) -> Option<Key> {
        Key::new(Bytes::copy_from_slice(self.key())).ok()
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn cost(&self) -> usize {
        let value = self
            .home()
            .map_or_else(|| self.value().len(), |home| home.counted());
        SLOT_COST_BYTES + self.key().len() + value
    }

    /// Notes that it was read.
    pub(crate) fn use_it(&self) {
        let tag = &self.head().tag;
        // A shared line is not written to without need. Nothing else in it changes.
        if tag.load() & Tag::USED == 0 {
            tag.0.store(tag.load() | Tag::USED, Ordering::Relaxed);
        }
    }

    /// Whether it was read since the last time that this was asked.
    pub(crate) fn was_used(&self) -> bool {
        let tag = &self.head().tag;
        tag.load() & Tag::USED != 0 && tag.0.fetch_and(!Tag::USED, Ordering::Relaxed) & Tag::USED != 0
    }
}

impl Head {
    /// The parts of the bytes that follow: the moment of expiry, the key, the value.
    #[inline]
    fn parts_of<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], &'a [u8], &'a [u8]) {
        let moment_bytes = if self.tag.state() == State::Expiring { 8 } else { 0 };
        let key_bytes = (self.created_and_key >> CREATED_BITS) as usize;
        let (moment, rest) = bytes.split_at_checked(moment_bytes).unwrap_or_default();
        let (key, value) = rest.split_at_checked(key_bytes).unwrap_or_default();
        (moment, key, value)
    }

    /// The bytes of a large value.
    fn large_value(&self) -> Option<&Bytes> {
        let value = self.apart.as_ref()?.as_second()?;
        Some(value.get())
    }

    /// The bytes of the value; none of a structure. `bytes` are those that follow.
    #[inline]
    pub(crate) fn value_of<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        match self.large_value() {
            None => self.parts_of(bytes).2,
            Some(value) => value,
        }
    }
}

impl Content<'_> {
    /// How many bytes of the value are to be written.
    pub(crate) fn unwritten(&self) -> usize {
        match self.value {
            Value::Plain(value) => value.len(),
            Value::Structure { unwritten, .. } => unwritten,
        }
    }

    fn state(&self) -> State {
        self.expires.map_or(State::Lasting, |_| State::Expiring)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("bucket", &self.bucket())
            .field("key", &self.key().escape_ascii().to_string())
            .field("revision", &self.revision())
            .field("state", &self.head().tag.state())
            .finish_non_exhaustive()
    }
}
