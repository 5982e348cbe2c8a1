//! One key in memory, with what it has.
//!
//! A slot never changes but for its mark of use; a write replaces it. Small ones are one allocation, so a key of 16
//! bytes with a value of 16 bytes costs about [`SLOT_COST_BYTES`] more than those. The value of a large one is shared
//! with whoever reads it; a structure is shared by all slots of its key (see [`home`](super::home)).

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use papaya::Equivalent;
use switchboard_engine::keys::{Entry, Revision};
use switchboard_engine::structures::Structure;
use switchboard_engine::{Key, Kind, Timestamp};
use triomphe::{Arc, ThinArc};

use super::home::{Home, Parts};

#[cfg(test)]
mod tests;

/// Values up to so many bytes stand with their key, and are copied for a reader, which takes less time than to share
/// them; so many bytes are copied in about the time that two atomic counters take.
const SMALL_VALUE_BYTES: usize = 1024;

/// What a key costs in memory beside its bytes and those of its value: its place in the map, the map's entry, the head.
pub(crate) const SLOT_COST_BYTES: usize = 100;

/// One key, and what it has: a value, or nothing any more.
#[derive(Clone)]
pub(crate) struct Slot {
    revision: u64,
    body: Body,
}

#[derive(Clone)]
enum Body {
    /// Its bytes: the moment of expiry (8, if it expires), the key, the value.
    Small(ThinArc<Head, u8>),
    Large(Arc<Large>),
    Structure(Arc<Held>),
}

struct Head {
    place: Place,
    created: Timestamp,
    bucket: u32,
    key_bytes: u16,
    tag: Tag,
    used: AtomicU8,
}

struct Large {
    head: Head,
    expires: Option<Timestamp>,
    key: Box<[u8]>,
    value: Bytes,
}

/// A structure, as it was at a revision as far as this can be told without it.
struct Held {
    head: Head,
    expires: Option<Timestamp>,
    home: std::sync::Arc<Home>,
    /// What it took of memory.
    bytes: usize,
}

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

/// A state and a kind, in one byte.
#[derive(Debug, Clone, Copy)]
struct Tag(u8);

impl Tag {
    fn new(state: State, kind: Kind) -> Self {
        Self(state as u8 | kind.number() << 2)
    }

    fn state(self) -> State {
        match self.0 & 3 {
            0 => State::Lasting,
            1 => State::Expiring,
            _ => State::Gone,
        }
    }

    fn kind(self) -> Kind {
        Kind::of_number(self.0 >> 2).unwrap_or_default()
    }
}

/// Where the change that a slot is stands in the list of what is to be written: the round it goes with, and its number
/// there. So that a key that changes often stands there once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl Place {
    /// Of a slot that was read from the store.
    pub(crate) const STORED: Self = Self(0);

    /// Changes of one round and lane are fewer, by far: their bytes are bounded.
    const INDEX_BITS: u32 = 24;

    pub(crate) fn new(round: u64, index: usize) -> Self {
        debug_assert!(index >> Self::INDEX_BITS == 0, "the bytes of a round are bounded");
        Self(round << Self::INDEX_BITS | index as u64)
    }

    pub(crate) fn round(self) -> u64 {
        self.0 >> Self::INDEX_BITS
    }

    pub(crate) fn index(self) -> usize {
        (self.0 & ((1 << Self::INDEX_BITS) - 1)) as usize
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
        home: &'a std::sync::Arc<Home>,
        kind: Kind,
        /// What it takes of memory now.
        bytes: usize,
        /// How many bytes of it are to be written.
        unwritten: usize,
    },
}

impl Slot {
    /// A key with what it has; `None` for nothing any more. The bytes are copied.
    pub(crate) fn new(
        name: &Name<'_>,
        revision: Revision,
        place: Place,
        content: Option<Content<'_>>,
    ) -> Self {
        let Some(content) = content else {
            return Self::without_value(name, revision, place, (State::Gone, Kind::Plain));
        };
        let value = match content.value {
            Value::Plain(value) if value.len() <= SMALL_VALUE_BYTES => value,
            Value::Plain(value) => return Self::large(name, revision, place, content, value),
            Value::Structure { .. } => return Self::structure(name, revision, place, content),
        };
        let moment = content.expires.map(|moment| moment.as_millis().to_le_bytes());
        let state = moment.map_or(State::Lasting, |_| State::Expiring);
        let moment = moment.as_ref().map_or(&[][..], |moment| moment);
        Self::small(
            name,
            revision,
            place,
            (state, Kind::Plain),
            content.created,
            &[moment, value],
        )
    }

    fn without_value(name: &Name<'_>, revision: Revision, place: Place, state: (State, Kind)) -> Self {
        Self::small(name, revision, place, state, Timestamp::default(), &[&[], &[]])
    }

    fn small(
        name: &Name<'_>,
        revision: Revision,
        place: Place,
        state: (State, Kind),
        created: Timestamp,
        around_key: &[&[u8]; 2],
    ) -> Self {
        let head = Head::new(name, place, state, created);
        let [before, after] = *around_key;
        let length = before.len() + name.key.len() + after.len();
        // On the stack, for most.
        const USUAL_BYTES: usize = 256;
        let mut usual = [0; USUAL_BYTES];
        let body = match usual.get_mut(..length) {
            Some(bytes) => {
                let (first, rest) = bytes.split_at_mut(before.len());
                let (second, third) = rest.split_at_mut(name.key.len());
                first.copy_from_slice(before);
                second.copy_from_slice(name.key);
                third.copy_from_slice(after);
                ThinArc::from_header_and_slice(head, bytes)
            }
            None => ThinArc::from_header_and_slice(head, &[before, name.key, after].concat()),
        };
        Self {
            revision: revision.0,
            body: Body::Small(body),
        }
    }

    fn large(name: &Name<'_>, revision: Revision, place: Place, content: Content<'_>, value: &[u8]) -> Self {
        Self {
            revision: revision.0,
            body: Body::Large(Arc::new(Large {
                head: Head::new(name, place, (content.state(), Kind::Plain), content.created),
                expires: content.expires,
                key: name.key.into(),
                value: Bytes::copy_from_slice(value),
            })),
        }
    }

    fn structure(name: &Name<'_>, revision: Revision, place: Place, content: Content<'_>) -> Self {
        let Value::Structure {
            home, kind, bytes, ..
        } = content.value
        else {
            return Self::without_value(name, revision, place, (State::Gone, Kind::Plain));
        };
        Self {
            revision: revision.0,
            body: Body::Structure(Arc::new(Held {
                head: Head::new(name, place, (content.state(), kind), content.created),
                expires: content.expires,
                home: std::sync::Arc::clone(home),
                bytes,
            })),
        }
    }

    fn head(&self) -> &Head {
        match &self.body {
            Body::Small(small) => &small.header.header,
            Body::Large(large) => &large.head,
            Body::Structure(held) => &held.head,
        }
    }

    /// The parts of a small one: the moment of expiry, the key, the value.
    fn parts(small: &ThinArc<Head, u8>) -> (&[u8], &[u8], &[u8]) {
        let head = &small.header.header;
        let moment_bytes = if head.tag.state() == State::Expiring { 8 } else { 0 };
        let (moment, rest) = small.slice.split_at_checked(moment_bytes).unwrap_or_default();
        let (key, value) = rest
            .split_at_checked(usize::from(head.key_bytes))
            .unwrap_or_default();
        (moment, key, value)
    }

    /// The write that made it so.
    pub(crate) fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    pub(crate) fn bucket(&self) -> u32 {
        self.head().bucket
    }

    pub(crate) fn place(&self) -> Place {
        self.head().place
    }

    pub(crate) fn kind(&self) -> Kind {
        self.head().tag.kind()
    }

    pub(crate) fn created(&self) -> Timestamp {
        self.head().created
    }

    pub(crate) fn key(&self) -> &[u8] {
        match &self.body {
            Body::Small(small) => Self::parts(small).1,
            Body::Large(large) => &large.key,
            Body::Structure(held) => held.home.key(),
        }
    }

    /// Its structure, if it has one.
    pub(crate) fn home(&self) -> Option<&std::sync::Arc<Home>> {
        match &self.body {
            Body::Structure(held) => Some(&held.home),
            _ => None,
        }
    }

    /// Its bytes; none if it has no value any more, or a structure.
    pub(crate) fn value(&self) -> &[u8] {
        match &self.body {
            Body::Small(small) => Self::parts(small).2,
            Body::Large(large) => &large.value,
            Body::Structure(_) => &[],
        }
    }

    /// Whether it has a value, be it an expired one.
    pub(crate) fn has_value(&self) -> bool {
        self.head().tag.state() != State::Gone
    }

    pub(crate) fn expires(&self) -> Option<Timestamp> {
        match &self.body {
            Body::Small(small) => {
                let moment = Self::parts(small).0.first_chunk::<8>()?;
                Some(Timestamp::from_millis(u64::from_le_bytes(*moment)))
            }
            Body::Large(large) => large.expires,
            Body::Structure(held) => held.expires,
        }
    }

    /// Stands for a value that the store has but cannot be read any more: it has expired at the beginning of time.
    /// `parts` are those of a structure.
    pub(crate) fn given_up(name: &Name<'_>, parts: Option<Parts>) -> Self {
        let home = parts.and_then(|parts| {
            let structure = Structure::new(Kind::Hash)?;
            Some(Home::new(name.key, structure, Some(parts)))
        });
        let value = match &home {
            None => Value::Plain(&[]),
            Some(home) => Value::Structure {
                home,
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
        Self::new(name, Revision(0), Place::STORED, Some(content))
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
        match &self.body {
            Body::Structure(held) => held.home.encode(),
            _ => self.plain_value(),
        }
    }

    fn plain_value(&self) -> Bytes {
        match &self.body {
            Body::Small(small) => Bytes::copy_from_slice(Self::parts(small).2),
            Body::Large(large) => large.value.clone(),
            Body::Structure(_) => Bytes::new(),
        }
    }

    /// The same without its structure, which is kept from being freed by nothing then.
    pub(crate) fn without_structure(&self) -> Self {
        let Body::Structure(held) = &self.body else {
            return self.clone();
        };
        let name = Name::new(self.bucket(), self.key());
        let moment = held.expires.map(|moment| moment.as_millis().to_le_bytes());
        let moment = moment.as_ref().map_or(&[][..], |moment| moment);
        let state = (held.head.tag.state(), held.head.tag.kind());
        Self::small(
            &name,
            self.revision(),
            self.place(),
            state,
            self.created(),
            &[moment, &[]],
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
        let value = match &self.body {
            Body::Structure(held) => held.bytes,
            _ => self.value().len(),
        };
        SLOT_COST_BYTES + self.key().len() + value
    }

    /// Notes that it was read.
    pub(crate) fn use_it(&self) {
        let used = &self.head().used;
        // A shared line is not written to without need.
        if used.load(Ordering::Relaxed) == 0 {
            used.store(1, Ordering::Relaxed);
        }
    }

    /// Whether it was read since the last time that this was asked.
    pub(crate) fn was_used(&self) -> bool {
        let used = &self.head().used;
        used.load(Ordering::Relaxed) != 0 && used.swap(0, Ordering::Relaxed) != 0
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

impl Head {
    fn new(name: &Name<'_>, place: Place, (state, kind): (State, Kind), created: Timestamp) -> Self {
        Self {
            place,
            created,
            bucket: name.bucket,
            // A key is never longer: `Key` and the lookups see to that.
            key_bytes: u16::try_from(name.key.len()).unwrap_or(u16::MAX),
            tag: Tag::new(state, kind),
            used: AtomicU8::new(1),
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("bucket", &self.bucket())
            .field("key", &self.key().escape_ascii().to_string())
            .field("revision", &self.revision)
            .field("state", &self.head().tag.state())
            .finish_non_exhaustive()
    }
}

/// What a slot is found by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) bucket: u32,
    pub(crate) key: &'a [u8],
    pub(crate) hash: u64,
}

impl<'a> Name<'a> {
    pub(crate) fn new(bucket: u32, key: &'a [u8]) -> Self {
        Self {
            bucket,
            key,
            hash: hash(bucket, key),
        }
    }
}

/// Seeded anew in each process, so that nobody can choose keys that collide.
static HASHER: LazyLock<foldhash::fast::RandomState> = LazyLock::new(foldhash::fast::RandomState::default);

fn hash(bucket: u32, key: &[u8]) -> u64 {
    let mut hasher = HASHER.build_hasher();
    hasher.write_u32(bucket);
    hasher.write(key);
    hasher.finish()
}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(hash(self.bucket(), self.key()));
    }
}

impl PartialEq for Slot {
    /// Whether it is the same key.
    fn eq(&self, other: &Self) -> bool {
        self.bucket() == other.bucket() && self.key() == other.key()
    }
}

impl Eq for Slot {}

impl Equivalent<Slot> for Name<'_> {
    fn equivalent(&self, slot: &Slot) -> bool {
        self.bucket == slot.bucket() && self.key == slot.key()
    }
}

/// The hash that a [`Name`] brings is the one that is used: it is computed once.
#[derive(Debug, Default)]
pub(crate) struct BroughtHash(u64);

impl Hasher for BroughtHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("names and slots write one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Builds [`BroughtHash`].
pub(crate) type BroughtHashes = BuildHasherDefault<BroughtHash>;
