//! Editing keys in one step, structures in place.
//!
//! An edit runs once, under the locks of the lanes of its keys, on what is there: plain values are borrowed from their
//! slots, structures are those that all slots of their keys share. What it made of each key is published as the writes of
//! a [`batch`](super::batch) are.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use switchboard_engine::keys::{Cell, Cells, Edit, Reach, edit};
use switchboard_engine::names::check_value;
use switchboard_engine::{Answer, Bucket, EngineError, Key, Kind, Result, Timestamp};

use super::buckets::BucketState;
use super::home::{Home, StructureGuard};
use super::lane::{Hot, HotSlot, LANES, Lane};
use super::memory::{self, Loaded};
use super::name::Name;
use super::read::{Locked, TRIES, USUAL_KEYS, lane_of, lock_lanes, too_little_memory};
use super::slot::{Content, Slot, Value};
use super::write::{Attempt, Publication};
use super::{Shared, closed};
use crate::commit::Admission;

/// Runs an edit.
#[inline]
pub(super) fn edit(shared: &Arc<Shared>, bucket: &Bucket, mut edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>> {
    if let Err(error) = shared.check_open() {
        return Answer::err(error);
    }
    if edit.changes() {
        match shared.committer.admit() {
            Ok(Admission::Yes) => {}
            Ok(Admission::Wait) => return edit_later(shared, bucket, edit),
            Err(error) => return Answer::err(error),
        }
    }
    let mut try_in = |state: &Arc<BucketState>| attempt(shared, state, &mut *edit, &Loaded::default());
    let attempt = match shared.buckets.with(bucket, &mut try_in) {
        Some(attempt) => attempt,
        None => try_in(&shared.buckets.find_or_create(bucket)),
    };
    match attempt {
        Attempt::Done(outcome) => acknowledge(shared, edit, outcome),
        Attempt::Again(()) => edit_later(shared, bucket, edit),
    }
}

/// The answer to what was done in memory.
#[inline]
fn acknowledge(shared: &Arc<Shared>, edit: Box<dyn Edit>, outcome: Result<bool>) -> Answer<Box<dyn Edit>> {
    match outcome {
        Ok(true) => shared.committer.acknowledge(edit),
        Ok(false) => Answer::ok(edit),
        Err(error) => Answer::err(error),
    }
}

#[cold]
fn edit_later(shared: &Arc<Shared>, bucket: &Bucket, mut edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>> {
    let (shared, name) = (Arc::clone(shared), bucket.clone());
    Answer::later(async move {
        let mut loaded = Loaded::default();
        let mut turn = None;
        for _ in 0..TRIES {
            if edit.changes() {
                shared.committer.room().await?;
            }
            shared.check_open()?;
            let bucket = shared.buckets.find_or_create(&name);
            match attempt(&shared, &bucket, &mut *edit, &loaded) {
                Attempt::Done(Ok(is_change)) => {
                    // What was read and only looked at will be looked at again.
                    memory::keep(&shared, &loaded);
                    return acknowledge(&shared, edit, Ok(is_change)).await;
                }
                Attempt::Done(Err(error)) => return Err(error),
                Attempt::Again(()) => {}
            }
            if turn.is_none() {
                // Whoever had it before may have left in memory what is needed.
                turn = shared.memory.turn_to_load().await;
                continue;
            }
            if let Reach::Keys(keys) = edit.reach() {
                let keys = keys.to_vec();
                loaded = memory::load(&shared, &name, keys).await?;
            }
        }
        Err(too_little_memory())
    })
}

/// Runs an edit, if its keys are in memory or were loaded. Tells whether it changed something.
fn attempt(
    shared: &Shared,
    bucket: &Arc<BucketState>,
    edit: &mut dyn Edit,
    loaded: &Loaded,
) -> Attempt<bool, ()> {
    match edit.reach() {
        Reach::Keys([key]) => {
            let key = key.clone();
            edit_one(shared, bucket, edit, key, loaded)
        }
        Reach::Keys(keys) => {
            let keys: SmallVec<[Key; USUAL_KEYS]> = keys.iter().cloned().collect();
            edit_several(shared, bucket, edit, &keys, loaded)
        }
        Reach::Any => edit_any(shared, bucket, edit),
    }
}

fn edit_one(
    shared: &Shared,
    bucket: &Arc<BucketState>,
    edit: &mut dyn Edit,
    key: Key,
    loaded: &Loaded,
) -> Attempt<bool, ()> {
    let name = Name::new(bucket.id, key.as_bytes());
    let lane = shared.lane(&name);
    let look = lane.look();
    let mut state = lane.lock();
    if state.is_closed {
        return Attempt::Done(Err(closed()));
    }
    let hot = look.get(&name);
    let cold = || loaded.get(&key)?.slot(&state);
    let before = hot.as_deref().or_else(cold);
    if bucket.is_retired() || before.is_none() && !shared.is_complete() {
        return Attempt::Again(());
    }
    let now = shared.now();
    let mut cells = Cells::new(now, None);
    cells.add(key.clone(), cell_of(before.map(|slot| (slot, slot.value())), now));
    edit.run(&mut cells);
    let Some((_, cell)) = cells.into_cells().pop() else {
        return Attempt::Done(Ok(false));
    };
    let change = match Change::new(before, cell, now) {
        Ok(Some(change)) => change,
        Ok(None) => return Attempt::Done(Ok(false)),
        Err(error) => return Attempt::Done(Err(error)),
    };
    let publication = Publication {
        bucket,
        name: &name,
        before,
        hot: hot.as_deref(),
        is_expiry: false,
    };
    let content = change.content(before, now);
    publication.publish_next(&mut state, content);
    drop(change);
    let counts = state.take_counts();
    drop(state);
    shared.tell(bucket, counts);
    Attempt::Done(Ok(true))
}

fn edit_several(
    shared: &Shared,
    bucket: &Arc<BucketState>,
    edit: &mut dyn Edit,
    keys: &[Key],
    loaded: &Loaded,
) -> Attempt<bool, ()> {
    let names = keys.iter().map(|key| Name::new(bucket.id, key.as_bytes()));
    let names: SmallVec<[Name<'_>; USUAL_KEYS]> = names.collect();
    let looks = names.iter().map(|name| shared.lane(name).look());
    let looks: SmallVec<[Hot<'_>; USUAL_KEYS]> = looks.collect();
    (names.iter().zip(&looks)).for_each(|(name, look)| look.touch(name));
    let mut locked = lock_lanes(shared, &names);
    if locked.iter().any(|(_, state)| state.is_closed) {
        return Attempt::Done(Err(closed()));
    }
    if bucket.is_retired() {
        return Attempt::Again(());
    }
    // All are looked for before anything is done with one: so the processor waits for their memory at the same time.
    let hot = names.iter().zip(&looks).map(|(name, look)| look.get(name));
    let hot: SmallVec<[Option<HotSlot<'_>>; USUAL_KEYS]> = hot.collect();
    let now = shared.now();
    let mut targets: SmallVec<[Target<'_>; USUAL_KEYS]> = SmallVec::with_capacity(keys.len());
    let mut cells = Cells::new(now, None);
    cells.reserve(keys.len());
    for ((key, name), hot) in keys.iter().zip(&names).zip(hot) {
        let cold = || loaded.get(key)?.slot(lane_of(&locked, shared.lane_index(name))?);
        let cold = if hot.is_none() { cold() } else { None };
        let target = Target { name, hot, cold };
        if target.before().is_none() && !shared.is_complete() {
            return Attempt::Again(());
        }
        // A structure that is there twice is locked once.
        if cells.add_with(key.clone(), || target.cell(now)) {
            targets.push(target);
        }
    }
    edit.run(&mut cells);
    let cells = cells.into_cells().into_iter().map(|(_, cell)| cell);
    let outcome = publish(shared, bucket, &targets, cells, &mut locked, now);
    tell(shared, bucket, locked);
    Attempt::Done(outcome)
}

/// Runs an edit with all lanes locked. What is not in memory is read there and then.
fn edit_any(shared: &Shared, bucket: &Arc<BucketState>, edit: &mut dyn Edit) -> Attempt<bool, ()> {
    let looks: Vec<Hot<'_>> = shared.lanes.iter().map(Lane::look).collect();
    let locked = RefCell::new(shared.lock_all().into_iter().enumerate().collect::<Locked<'_>>());
    if locked.borrow().iter().any(|(_, state)| state.is_closed) {
        return Attempt::Done(Err(closed()));
    }
    if bucket.is_retired() {
        return Attempt::Again(());
    }
    let now = shared.now();
    let find = |key: &Key| {
        let name = Name::new(bucket.id, key.as_bytes());
        let index = shared.lane_index(&name);
        let lost = || EngineError::Failed("a lane of keys is missing".to_owned());
        let look = looks.get(index).ok_or_else(lost)?;
        if look.get(&name).is_none() && !shared.is_complete() {
            let slot = memory::read(shared, bucket.name.as_str(), &name)
                .map_err(|error| memory::named(error, bucket.name.as_str(), key.as_bytes()))?;
            let mut locked = locked.borrow_mut();
            let (_, state) = locked.get_mut(index).ok_or_else(lost)?;
            state.publish(&name, slot, None);
        }
        let hot = look.get(&name);
        Ok(cell_of(hot.as_ref().map(|hot| (&**hot, hot.value())), now))
    };
    let mut cells = Cells::new(now, Some(Box::new(find)));
    edit.run(&mut cells);
    let (keys, cells): (Vec<Key>, Vec<Cell<'_>>) = cells.into_cells().into_iter().unzip();
    let names = keys.iter().map(|key| Name::new(bucket.id, key.as_bytes()));
    let names: Vec<Name<'_>> = names.collect();
    let target = |name| Target {
        name,
        hot: looks.get(shared.lane_index(name)).and_then(|look| look.get(name)),
        cold: None,
    };
    let targets: Vec<Target<'_>> = names.iter().map(target).collect();
    let mut locked = locked.borrow_mut();
    let outcome = publish(shared, bucket, &targets, cells.into_iter(), &mut locked, now);
    tell(shared, bucket, std::mem::take(&mut *locked));
    Attempt::Done(outcome)
}

/// A key of an edit, and what it was found to have.
struct Target<'a> {
    name: &'a Name<'a>,
    hot: Option<HotSlot<'a>>,
    /// What was loaded, if nothing is hot.
    cold: Option<&'a Slot>,
}

impl<'a> Target<'a> {
    fn before(&self) -> Option<&Slot> {
        self.hot.as_deref().or(self.cold)
    }

    fn cell(&self, now: Timestamp) -> Cell<'a> {
        let hot = self.hot.as_ref().map(|hot| (&**hot, hot.value()));
        cell_of(hot.or_else(|| self.cold.map(|cold| (cold, cold.value()))), now)
    }
}

/// Unlocks the lanes, and tells what they counted.
fn tell(shared: &Shared, bucket: &BucketState, mut locked: Locked<'_>) {
    let counts = locked.iter_mut().map(|(_, state)| state.take_counts()).sum();
    drop(locked);
    shared.tell(bucket, counts);
}

/// What a cell has of a slot and its value.
fn cell_of<'a>(slot: Option<(&Slot, &'a [u8])>, now: Timestamp) -> Cell<'a> {
    let Some((slot, value)) = slot.filter(|(slot, _)| slot.is_live(|| now)) else {
        return Cell::absent();
    };
    slot.use_it();
    let content = match slot.home() {
        None => edit::Content::Plain(value),
        Some(home) => edit::Content::Shared(home.lock()),
    };
    Cell::present(content, slot.revision(), slot.created(), slot.expires())
}

/// Publishes what became of the cells, all of it at one moment. Tells whether that is something.
///
/// # Errors
/// Too large. If structures were changed in place nevertheless, that is published.
fn publish<'a>(
    shared: &Shared,
    bucket: &Arc<BucketState>,
    targets: &[Target<'_>],
    cells: impl Iterator<Item = Cell<'a>>,
    locked: &mut Locked<'_>,
    now: Timestamp,
) -> Result<bool> {
    let mut changes: SmallVec<[(&Target<'_>, Change); USUAL_KEYS]> = SmallVec::new();
    let mut failure = None;
    for (target, cell) in targets.iter().zip(cells) {
        match Change::new(target.before(), cell, now) {
            Ok(Some(change)) => changes.push((target, change)),
            Ok(None) => {}
            Err(error) => failure = Some(error),
        }
    }
    if failure.is_some() {
        changes.retain(|(_, change)| change.is_in_place());
    }
    let mut are_turned = [false; LANES];
    if changes.len() > 1 {
        for (target, _) in &changes {
            are_turned[shared.lane_index(target.name)] = true;
        }
    }
    let turn = || {
        let lanes = shared.lanes.iter().zip(are_turned);
        lanes
            .filter(|(_, is_turned)| *is_turned)
            .for_each(|(lane, _)| lane.turn_publishing());
    };
    let ring_of = &bucket.changes;
    let mut ring = ring_of.is_watched().then(|| ring_of.lock());
    let mut revision = bucket.next_revisions(changes.len() as u64);
    turn();
    for (target, change) in &changes {
        let index = shared.lane_index(target.name);
        let Some((_, state)) = locked.iter_mut().find(|(locked, _)| *locked == index) else {
            continue;
        };
        let publication = Publication {
            bucket,
            name: target.name,
            before: target.before(),
            hot: target.hot.as_deref(),
            is_expiry: false,
        };
        let content = change.content(publication.before, now);
        publication.publish(state, revision, content, ring.as_deref_mut());
        revision.0 += 1;
    }
    turn();
    failure.map_or(Ok(!changes.is_empty()), Err)
}

/// What an edit made of a key.
enum Change {
    Removed,
    Plain(Bytes, Option<Timestamp>),
    /// The bytes that it had, with another expiry.
    Touched(Option<Timestamp>),
    /// The structure that it had, changed or with another expiry. Its lock keeps others out until it is published.
    InPlace(StructureGuard, Option<Timestamp>),
    /// Another structure.
    Structure(triomphe::Arc<Home>, Kind, Option<Timestamp>),
}

impl Change {
    /// What became of a cell; `None` if it is as it was.
    ///
    /// # Errors
    /// Too large.
    fn new(before: Option<&Slot>, cell: Cell<'_>, now: Timestamp) -> Result<Option<Self>> {
        Ok(Some(match cell.into_outcome(now) {
            edit::Outcome::Same => return Ok(None),
            edit::Outcome::Removed => Self::Removed,
            edit::Outcome::Plain {
                value: Some(value),
                expires,
            } => {
                check_value(value.len())?;
                Self::Plain(value, expires)
            }
            edit::Outcome::Plain { value: None, expires } => Self::Touched(expires),
            edit::Outcome::Structure { content, expires, .. } => match content {
                edit::Content::Shared(structure) if before.is_some_and(|slot| slot.home().is_some()) => {
                    Self::InPlace(structure, expires)
                }
                edit::Content::Owned(mut structure) => {
                    // It is written whole.
                    structure.take_log();
                    let kind = structure.kind();
                    Self::Structure(Home::new(*structure, None), kind, expires)
                }
                _ => {
                    return Err(EngineError::Failed(
                        "a structure was lost while it was edited".to_owned(),
                    ));
                }
            },
        }))
    }

    fn is_in_place(&self) -> bool {
        matches!(self, Self::InPlace(..))
    }

    /// What is published; `None` for nothing any more.
    fn content<'a>(&'a self, before: Option<&'a Slot>, now: Timestamp) -> Option<Content<'a>> {
        let (value, expires) = match self {
            Self::Removed => return None,
            Self::Plain(value, expires) => (Value::Plain(value), *expires),
            Self::Touched(expires) => (Value::Plain(before.map_or(&[], |slot| slot.value())), *expires),
            Self::InPlace(structure, expires) => {
                let value = Value::Structure {
                    home: before?.home()?,
                    kind: structure.kind(),
                    bytes: structure.bytes(),
                    unwritten: structure.log().len(),
                };
                (value, *expires)
            }
            Self::Structure(home, kind, expires) => {
                let bytes = home.lock().bytes();
                let value = Value::Structure {
                    home: home.borrow_arc(),
                    kind: *kind,
                    bytes,
                    unwritten: bytes,
                };
                (value, *expires)
            }
        };
        let created = before.filter(|slot| slot.is_live(|| now)).map(Slot::created);
        Some(Content {
            value,
            created: created.unwrap_or(now),
            expires,
        })
    }
}
