//! Changing one key.

use std::sync::Arc;

use bytes::Bytes;
use switchboard_engine::keys::{Change, Condition, Decision, Entry, Revision, Scan, Write, Written};
use switchboard_engine::structures::Structure;
use switchboard_engine::{Answer, Bucket, EngineError, Key, Kind, Result, Timestamp};

use super::buckets::BucketState;
use super::home::Home;
use super::lane::LaneState;
use super::memory::{self, Cold, Loaded};
use super::name::Name;
use super::read::{TRIES, too_little_memory};
use super::ring::Ring;
use super::slot::{Content, Slot, Value};
use super::{Shared, batch, closed, scan};
use crate::commit::Admission;

/// What came of an attempt to write with what is in memory.
pub(super) enum Attempt<T, W> {
    /// It is done, or cannot be.
    Done(Result<T>),
    /// Something has to be read from the store first, or the bucket to be looked for anew.
    Again(W),
}

/// Changes a key.
#[inline]
pub(super) fn write(shared: &Arc<Shared>, bucket: &Bucket, key: Key, write: Write) -> Answer<Written> {
    match shared.committer.admit() {
        Ok(Admission::Yes) => {}
        Ok(Admission::Wait) => return write_later(shared, bucket, key, write),
        Err(error) => return Answer::err(error),
    }
    match attempt(shared, &shared.buckets.find_or_create(bucket), &key, write, None) {
        Attempt::Done(outcome) => acknowledge(shared, outcome),
        Attempt::Again(write) => write_later(shared, bucket, key, write),
    }
}

/// The answer to what was done in memory.
#[inline]
fn acknowledge(shared: &Arc<Shared>, outcome: Result<Written>) -> Answer<Written> {
    match outcome {
        Ok(written @ Written::Done { .. }) => shared.committer.acknowledge(written),
        // Nothing was changed.
        outcome => Answer::now(outcome),
    }
}

#[cold]
fn write_later(shared: &Arc<Shared>, bucket: &Bucket, key: Key, mut write: Write) -> Answer<Written> {
    let (shared, name) = (Arc::clone(shared), bucket.clone());
    Answer::later(async move {
        let mut loaded = Loaded::default();
        for _ in 0..TRIES {
            shared.committer.room().await?;
            let bucket = shared.buckets.find_or_create(&name);
            match attempt(&shared, &bucket, &key, write, loaded.get(&key)) {
                Attempt::Done(outcome) => return acknowledge(&shared, outcome).await,
                Attempt::Again(again) => write = again,
            }
            loaded = match memory::load(&shared, &name, vec![key.clone()]).await {
                Err(EngineError::Damaged(damage)) if is_unconditional(&write) => {
                    memory::give_up(&shared, &name, key.clone(), &damage)
                }
                loaded => loaded?,
            };
        }
        Err(too_little_memory())
    })
}

/// Whether what is there before does not matter: then it may be damaged.
fn is_unconditional(write: &Write) -> bool {
    write.condition == Condition::Always && matches!(write.change, Change::Put(_) | Change::Delete)
}

/// Changes a key, if it is in memory or was loaded.
fn attempt(
    shared: &Shared,
    bucket: &Arc<BucketState>,
    key: &Key,
    write: Write,
    loaded: Option<&Cold>,
) -> Attempt<Written, Write> {
    let name = Name::new(bucket.id, key.as_bytes());
    let lane = shared.lane(&name);
    let look = lane.look();
    let mut state = lane.lock();
    if state.is_closed {
        return Attempt::Done(Err(closed()));
    }
    let hot = look.get(&name);
    let before = hot.as_deref().or_else(|| loaded?.slot(&state));
    if bucket.is_retired() || before.is_none() && !shared.is_complete() {
        return Attempt::Again(write);
    }
    let current = before.and_then(|slot| slot.told(|| shared.now()));
    let decision = match write.decide(current.as_ref(), || shared.now()) {
        Ok(decision) => decision,
        Err(error) => return Attempt::Done(Err(error)),
    };
    let publication = Publication {
        bucket,
        name: &name,
        before,
        hot: hot.as_deref(),
        is_expiry: false,
    };
    let after = match decision {
        Decision::Unmet => return Attempt::Done(Ok(Written::Unmet { current })),
        Decision::Nothing if !before.is_some_and(Slot::is_given_up) => {
            return Attempt::Done(Ok(Written::Done {
                before: None,
                after: None,
            }));
        }
        Decision::Nothing | Decision::Delete => {
            publication.publish_next(&mut state, None);
            None
        }
        Decision::Set {
            value,
            kind,
            created,
            expires,
        } => {
            let decided = match Decided::new(before, kind, value) {
                Ok(decided) => decided,
                Err(error) => return Attempt::Done(Err(error)),
            };
            let content = decided.content(created, expires);
            let revision = publication.publish_next(&mut state, Some(content));
            Some(Entry {
                value: decided.told(),
                kind,
                revision,
                created,
                expires,
            })
        }
    };
    let counts = state.take_counts();
    drop(state);
    shared.tell(bucket, counts);
    Attempt::Done(Ok(Written::Done {
        before: current,
        after,
    }))
}

/// The value that a key was decided to have.
pub(super) enum Decided {
    Plain(Bytes),
    /// A structure, how many bytes of memory it takes, and how many of them are to be written.
    Structure(triomphe::Arc<Home>, Kind, usize, usize),
}

impl Decided {
    /// Without a value it is the structure that there is.
    ///
    /// # Errors
    /// Damaged, if the value is no such structure.
    pub(super) fn new(before: Option<&Slot>, kind: Kind, value: Bytes) -> Result<Self> {
        if kind == Kind::Plain {
            return Ok(Self::Plain(value));
        }
        if let Some(home) = before.and_then(Slot::home).filter(|_| value.is_empty()) {
            let structure = home.lock();
            let (bytes, unwritten) = (structure.bytes(), structure.log().len());
            return Ok(Self::Structure(home.clone_arc(), kind, bytes, unwritten));
        }
        let structure = Structure::decode(kind, &value)?;
        let bytes = structure.bytes();
        let home = Home::new(structure, None);
        Ok(Self::Structure(home, kind, bytes, bytes))
    }

    pub(super) fn content(&self, created: Timestamp, expires: Option<Timestamp>) -> Content<'_> {
        let value = match self {
            Self::Plain(value) => Value::Plain(value),
            Self::Structure(home, kind, bytes, unwritten) => Value::Structure {
                home: home.borrow_arc(),
                kind: *kind,
                bytes: *bytes,
                unwritten: *unwritten,
            },
        };
        Content {
            value,
            created,
            expires,
        }
    }

    /// What is told of it.
    fn told(self) -> Bytes {
        match self {
            Self::Plain(value) => value,
            Self::Structure(..) => Bytes::new(),
        }
    }
}

/// One change of one key, about to be seen.
pub(super) struct Publication<'a> {
    pub(super) bucket: &'a BucketState,
    pub(super) name: &'a Name<'a>,
    /// What the key has before.
    pub(super) before: Option<&'a Slot>,
    /// The same, if that is in memory.
    pub(super) hot: Option<&'a Slot>,
    pub(super) is_expiry: bool,
}

impl Publication<'_> {
    /// Publishes with the next revision of the bucket.
    #[inline]
    pub(super) fn publish_next(&self, state: &mut LaneState, content: Option<Content<'_>>) -> Revision {
        let changes = &self.bucket.changes;
        // The order of the ring is that of the revisions.
        let mut ring = changes.is_watched().then(|| changes.lock());
        let revision = self.bucket.next_revisions(1);
        self.publish(state, revision, content, ring.as_deref_mut());
        revision
    }

    /// Publishes with a revision that was taken before.
    pub(super) fn publish(
        &self,
        state: &mut LaneState,
        revision: Revision,
        content: Option<Content<'_>>,
        ring: Option<&mut Ring>,
    ) {
        let place = state.place(self.before);
        self.bucket
            .count(self.before.is_some_and(Slot::has_value), content.is_some());
        let value_bytes = content.map_or(0, |content| content.unwritten());
        let hot = self.hot.map(|hot| (hot, hot.cost()));
        let slot = Slot::new(self.name, revision, place, content);
        state.publish(self.name, slot.clone(), hot);
        if let Some(ring) = ring {
            ring.push(&slot, self.is_expiry);
        }
        state.note(slot, self.before, value_bytes);
    }
}

/// Deletes every key of a bucket.
pub(super) async fn clear(shared: &Arc<Shared>, bucket: &Bucket) -> Result<()> {
    shared.check_open()?;
    let mut rest = Scan::default();
    loop {
        let page = scan::scan(shared, bucket.clone(), rest.clone()).await?;
        let deletions = page.entries.into_iter().map(|(key, _)| (key, Write::delete()));
        batch::batch(shared, bucket, deletions.collect()).await?;
        match page.cursor {
            Some(cursor) => rest.after = Some(cursor),
            None => return Ok(()),
        }
    }
}
