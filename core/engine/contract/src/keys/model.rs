//! Everything at once, against a map that does the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use switchboard_engine::keys::{
    BatchOutcome, Change, Condition, Entry, Expiry, Revision, WatchFrom, Write, Written,
};
use switchboard_engine::{EngineError, Key, Kind, Timestamp};

use super::Store;
use super::follower::Follower;
use crate::TestBed;
use crate::tools::{explore, key, millis};

/// Time until which keys expire, in milliseconds; steps of time are up to as long.
const LIFE_MAX: u64 = 50;

/// A revision that no engine reaches in a test.
const REVISION_OF_NONE: Revision = Revision(u64::MAX - 10_000);

/// A condition whose revision is known only when it is tried.
#[derive(Debug, Clone, Copy)]
enum When {
    Always,
    Absent,
    Present,
    AtCurrent,
    AtOther,
}

#[derive(Debug, Clone, Copy)]
enum Until {
    Keep,
    Never,
    In(u64),
    Past,
}

#[derive(Debug, Clone)]
struct Wish {
    name: u8,
    when: When,
    change: Change,
    until: Until,
}

#[derive(Debug, Clone)]
enum Step {
    Write(Wish),
    Batch(Vec<Wish>),
    Pass(u64),
    /// The clock moves, but the engine gets no time to clear up.
    Advance(u64),
    Clear,
    Reopen,
}

fn wish() -> impl Strategy<Value = Wish> {
    let when = prop_oneof![
        6 => Just(When::Always),
        1 => Just(When::Absent),
        1 => Just(When::Present),
        2 => Just(When::AtCurrent),
        1 => Just(When::AtOther),
    ];
    let change = prop_oneof![
        4 => prop::sample::select(vec!["", "1", "-7", "text", "0.5"]).prop_map(|text| Change::Put(text.into())),
        3 => Just(Change::Delete),
        2 => prop::sample::select(vec![1, -1, i64::MAX]).prop_map(Change::Increment),
        1 => prop::sample::select(vec![0.5, -2.0]).prop_map(Change::IncrementFloat),
        2 => prop::sample::select(vec!["", "x"]).prop_map(|text| Change::Append(text.into())),
        2 => Just(Change::Touch),
    ];
    let until = prop_oneof![
        5 => Just(Until::Keep),
        2 => Just(Until::Never),
        4 => (0..=LIFE_MAX).prop_map(Until::In),
        1 => Just(Until::Past),
    ];
    (0_u8..5, when, change, until).prop_map(|(name, when, change, until)| Wish {
        name,
        when,
        change,
        until,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => wish().prop_map(Step::Write),
        3 => prop::collection::vec(wish(), 0..5).prop_map(Step::Batch),
        2 => (0..=LIFE_MAX).prop_map(Step::Pass),
        2 => (0..=LIFE_MAX).prop_map(Step::Advance),
        1 => Just(Step::Clear),
        1 => Just(Step::Reopen),
    ]
}

/// What a bucket has to hold. The revisions are the engine's.
#[derive(Debug, Clone)]
struct Model {
    keys: BTreeMap<Key, Entry>,
    /// The greatest revision that was told.
    last: Revision,
    /// Whether the model knows the time, and so when keys came to be.
    timely: bool,
}

impl Model {
    fn expire(&mut self, now: Timestamp) {
        self.keys
            .retain(|_, entry| entry.expires.is_none_or(|moment| moment > now));
    }

    fn met(&self, name: &Key, condition: Condition) -> bool {
        match (condition, self.keys.get(name)) {
            (Condition::Always, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => true,
            (Condition::At(revision), Some(entry)) => entry.revision == revision,
            _ => false,
        }
    }

    /// What the key will have, but for the revision.
    fn change(&self, name: &Key, write: &Write, now: Timestamp) -> Result<Option<Entry>, EngineError> {
        let before = self.keys.get(name);
        let old = before.map(|entry| entry.value.clone());
        let text = || {
            let value = old.as_deref().unwrap_or(b"0");
            std::str::from_utf8(value)
                .expect("the values of this model are text")
                .to_owned()
        };
        let value = match &write.change {
            Change::Put(value) => value.clone(),
            Change::PutStructure { .. } => {
                unreachable!("the model knows plain values only: structures have properties of their own")
            }
            Change::Delete => return Ok(None),
            Change::Touch => match old {
                Some(value) => value,
                None => return Ok(None),
            },
            Change::Append(more) => [old.unwrap_or_default(), more.clone()].concat().into(),
            Change::Increment(by) => {
                let number: i64 = text().parse().map_err(|_| EngineError::NotAnInteger)?;
                number
                    .checked_add(*by)
                    .ok_or(EngineError::Overflow)?
                    .to_string()
                    .into()
            }
            Change::IncrementFloat(by) => {
                let number: f64 = text().parse().map_err(|_| EngineError::NotANumber)?;
                Bytes::from((number + by).to_string())
            }
        };
        let expires = match write.expiry {
            Expiry::Keep => before.and_then(|entry| entry.expires),
            Expiry::Never => None,
            Expiry::At(moment) if moment <= now => return Ok(None),
            Expiry::At(moment) => Some(moment),
        };
        Ok(Some(Entry {
            value,
            kind: Kind::Plain,
            revision: Revision(0),
            created: before.map_or(now, |entry| entry.created),
            expires,
        }))
    }

    /// Takes over what the engine says a write came to, if it is what it has to be.
    fn take(&mut self, name: &Key, expected: Option<Entry>, before: Option<Entry>, after: Option<Entry>) {
        assert_eq!(before.as_ref(), self.keys.get(name), "what {name:?} had before");
        let revision = after.as_ref().map_or(Revision(0), |entry| entry.revision);
        let expected = expected.map(|entry| Entry {
            revision,
            created: match &after {
                Some(after) if !self.timely => after.created,
                _ => entry.created,
            },
            ..entry
        });
        assert_eq!(after, expected, "what {name:?} has now");
        match after {
            Some(entry) => {
                assert!(revision > self.last, "revision {revision} after {}", self.last);
                self.last = revision;
                self.keys.insert(name.clone(), entry);
            }
            None => {
                self.keys.remove(name);
            }
        }
    }

    /// A write of a batch that will not be: later ones see it, but it has no revision that anybody was told.
    fn foresee(&mut self, name: &Key, expected: Option<Entry>) {
        match expected {
            Some(entry) => self.keys.insert(name.clone(), entry),
            None => self.keys.remove(name),
        };
    }
}

/// One run: the engine, the model, and a watcher, side by side.
struct Run {
    store: Store,
    model: Model,
    follower: Follower,
}

impl Run {
    fn write_of(&self, wish: &Wish, now: Timestamp) -> (Key, Write) {
        let name = key([b'a' + wish.name]);
        let revision = self
            .model
            .keys
            .get(&name)
            .map_or(REVISION_OF_NONE, |entry| entry.revision);
        let condition = match wish.when {
            When::Always => Condition::Always,
            When::Absent => Condition::Absent,
            When::Present => Condition::Present,
            When::AtCurrent => Condition::At(revision),
            When::AtOther => Condition::At(Revision(revision.0 + 1_000)),
        };
        let expiry = match wish.until {
            Until::Keep => Expiry::Keep,
            Until::Never => Expiry::Never,
            Until::In(time) => Expiry::At(now.after(millis(time))),
            Until::Past => Expiry::At(Timestamp::from_millis(now.as_millis() - 1)),
        };
        let change = wish.change.clone();
        (
            name,
            Write {
                condition,
                change,
                expiry,
            },
        )
    }

    async fn write(&mut self, wish: &Wish, now: Timestamp) {
        let (name, write) = self.write_of(wish, now);
        let outcome = self.store.try_write(name.as_bytes(), write.clone()).await;
        if !self.model.met(&name, write.condition) {
            let current = self.model.keys.get(&name).cloned();
            assert_eq!(outcome, Ok(Written::Unmet { current }), "{write:?}");
            return;
        }
        match (self.model.change(&name, &write, now), outcome) {
            (Err(expected), outcome) => assert_eq!(outcome, Err(expected), "{write:?}"),
            (Ok(expected), Ok(Written::Done { before, after })) => {
                self.model.take(&name, expected, before, after);
            }
            (expected, outcome) => panic!("{write:?} should come to {expected:?}, not {outcome:?}"),
        }
    }

    async fn batch(&mut self, wishes: &[Wish], now: Timestamp) {
        let writes: Vec<_> = wishes.iter().map(|wish| self.write_of(wish, now)).collect();
        let outcome = self.store.try_batch(writes.clone()).await;
        if let Ok(BatchOutcome::Done(outcomes)) = &outcome {
            assert_eq!(outcomes.len(), writes.len());
        }
        let mut after_all = self.model.clone();
        for (index, (name, write)) in writes.into_iter().enumerate() {
            if !after_all.met(&name, write.condition) {
                assert!(
                    matches!(outcome, Ok(BatchOutcome::Unmet { index: told, .. }) if told == index),
                    "write {index} is not met: {outcome:?}"
                );
                return;
            }
            match (after_all.change(&name, &write, now), &outcome) {
                (Err(expected), outcome) => {
                    assert_eq!(outcome.as_ref(), Err(&expected), "write {index}");
                    return;
                }
                (Ok(expected), Ok(BatchOutcome::Done(outcomes))) => {
                    let (before, after) = outcomes[index].clone();
                    after_all.take(&name, expected, before, after);
                }
                // A later write is in the way.
                (Ok(expected), _) => after_all.foresee(&name, expected),
            }
        }
        assert!(matches!(outcome, Ok(BatchOutcome::Done(_))), "{outcome:?}");
        self.model = after_all;
    }

    /// Reading in any way shows what the model has.
    async fn compare(&self) {
        let there: Vec<(Key, Entry)> = self.model.keys.clone().into_iter().collect();
        assert_eq!(self.store.scan("", 3).await, there);
        let names: Vec<Key> = (0..5).map(|name| key([b'a' + name])).collect();
        let expected: Vec<_> = names
            .iter()
            .map(|name| self.model.keys.get(name).cloned())
            .collect();
        assert_eq!(self.store.get_many(&names).await, expected);
        for (name, entry) in names.iter().zip(expected) {
            assert_eq!(self.store.get(name.as_bytes()).await, entry);
        }
        assert!(self.store.count().await >= there.len() as u64);
    }

    async fn reopen(self, bed: &mut dyn TestBed) -> Self {
        let memory = self.follower.stop();
        let store = self.store.reopen(bed).await;
        let follower = memory.resume(&store).await;
        Self {
            store,
            model: self.model,
            follower,
        }
    }
}

/// Whatever is done in whatever order, with time passing and reopenings in between: each write comes to what a plain
/// map would come to, each read shows it, and a watcher, resumed after each reopening, ends up with the same.
pub async fn everything_together_does_what_a_map_does(bed: &mut dyn TestBed) {
    explore(bed, &prop::collection::vec(step(), 1..60), async |bed, steps| {
        let store = Store::new(bed);
        let follower = Follower::start(&store, "", WatchFrom::Everything).await;
        let mut run = Run {
            store,
            model: Model {
                keys: BTreeMap::new(),
                last: Revision(0),
                timely: bed.clock().is_some(),
            },
            follower,
        };
        for step in steps {
            // Without a clock of ours nothing can be said about milliseconds.
            let Some(clock) = bed.clock() else {
                run = timeless(bed, run, step).await;
                continue;
            };
            let now = bed.now();
            run.model.expire(now);
            match step {
                Step::Write(wish) => run.write(&wish, now).await,
                Step::Batch(wishes) if bed.abilities().batches => run.batch(&wishes, now).await,
                Step::Batch(_) => {}
                Step::Pass(time) => bed.pass(millis(time)).await,
                Step::Advance(time) => clock.advance(millis(time)),
                other => run = rare(bed, run, other).await,
            }
            run.model.expire(bed.now());
            run.compare().await;
        }
        bed.pass(millis(LIFE_MAX)).await;
        run.follower.until_agrees(&run.store).await;
        run.store.put("last", "1").await;
        run.follower.until_agrees(&run.store).await;
    });
}

async fn rare(bed: &mut dyn TestBed, mut run: Run, step: Step) -> Run {
    match step {
        Step::Clear => {
            run.store.clear().await;
            run.model.keys.clear();
        }
        Step::Reopen if bed.abilities().outlasts_its_process => run = run.reopen(bed).await,
        _ => {}
    }
    run
}

/// A step of which the time is left out.
async fn timeless(bed: &mut dyn TestBed, mut run: Run, step: Step) -> Run {
    let lasting = |wish: Wish| Wish {
        until: Until::Never,
        ..wish
    };
    // `created` is the engine's word where its clock is.
    let now = Timestamp::from_millis(0);
    match step {
        Step::Write(wish) => run.write(&lasting(wish), now).await,
        Step::Batch(wishes) if bed.abilities().batches => {
            let wishes: Vec<Wish> = wishes.into_iter().map(lasting).collect();
            run.batch(&wishes, now).await;
        }
        other => run = rare(bed, run, other).await,
    }
    run
}
