//! Edits of all kinds, against structures of one's own.

use std::collections::BTreeMap;

use proptest::prelude::*;
use switchboard_engine::keys::Cell;
use switchboard_engine::structures::Structure;
use switchboard_engine::{Kind, Result};

use super::Store;
use super::follower::Follower;
use crate::TestBed;
use crate::tools::{explore, key};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// What is done to a structure.
#[derive(Debug, Clone)]
enum Doing {
    Add(u8),
    Put(u8, u8),
    Remove(u8),
    RemoveAll,
}

#[derive(Debug, Clone)]
enum Step {
    Edit(usize, Kind, Vec<Doing>),
    /// What one key has, for another one.
    Move(usize, usize),
    Put(usize),
    Reopen,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let doing = prop_oneof![
        6 => (0_u8..12).prop_map(Doing::Add),
        3 => (0_u8..12, any::<u8>()).prop_map(|(name, value)| Doing::Put(name, value)),
        4 => (0_u8..12).prop_map(Doing::Remove),
        1 => Just(Doing::RemoveAll),
    ];
    let kind = prop::sample::select(vec![Kind::Hash, Kind::List, Kind::Set, Kind::SortedSet]);
    let name = 0..NAMES.len();
    prop_oneof![
        12 => (name.clone(), kind, prop::collection::vec(doing, 0..6)).prop_map(|(name, kind, doings)| Step::Edit(name, kind, doings)),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Move(from, to)),
        1 => name.prop_map(Step::Put),
        2 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

fn act(structure: &mut Structure, doing: &Doing) {
    let name = |name: &u8| vec![b'x'; usize::from(*name)];
    match (structure, doing) {
        (Structure::Hash(hash), Doing::Add(field)) => drop(hash.insert(&name(field), b"")),
        (Structure::Hash(hash), Doing::Put(field, value)) => drop(hash.insert(&name(field), &[*value])),
        (Structure::Hash(hash), Doing::Remove(field)) => drop(hash.remove(&name(field))),
        (Structure::Hash(hash), Doing::RemoveAll) => {
            while let Some((field, _)) = hash.at(0) {
                let field = field.to_vec();
                hash.remove(&field);
            }
        }
        (Structure::List(list), Doing::Add(element)) => match element % 2 {
            0 => list.push_back(&name(element)),
            _ => list.push_front(&name(element)),
        },
        (Structure::List(list), Doing::Put(place, value)) => match value % 2 {
            0 => drop(list.set(usize::from(*place), &[*value])),
            _ => list.insert(usize::from(*place), &[*value]),
        },
        (Structure::List(list), Doing::Remove(place)) => match place {
            0..3 => drop(list.pop_front()),
            3..6 => drop(list.pop_back()),
            6..9 => drop(list.remove(usize::from(*place) - 5)),
            _ => drop(list.remove_equal_first(&name(place), 1)),
        },
        (Structure::List(list), Doing::RemoveAll) => list.drop_back(usize::MAX),
        (Structure::Set(set), Doing::Add(member)) => drop(set.insert(&name(member))),
        (Structure::Set(set), Doing::Put(_, member)) => drop(set.insert(&[*member])),
        (Structure::Set(set), Doing::Remove(member)) => drop(set.remove(&name(member))),
        (Structure::Set(set), Doing::RemoveAll) => {
            while let Some(member) = set.at(0).map(<[u8]>::to_vec) {
                set.remove(&member);
            }
        }
        (Structure::SortedSet(set), Doing::Add(member)) => drop(set.insert(&name(member), 1.0)),
        (Structure::SortedSet(set), Doing::Put(member, score)) => {
            set.insert(&name(member), f64::from(*score) / 3.0);
        }
        (Structure::SortedSet(set), Doing::Remove(member)) => drop(set.remove(&name(member))),
        (Structure::SortedSet(set), Doing::RemoveAll) => {
            while let Some(member) = set.at(0).map(|(member, _)| member.to_vec()) {
                set.remove(&member);
            }
        }
    }
}

/// Puts the structure of a cell and another one of its kind in each other's place.
fn swap(cell: &mut Cell<'_>, other: &mut Structure) -> Result<()> {
    match other {
        Structure::Hash(hash) => std::mem::swap(hash, cell.hash_mut()?),
        Structure::List(list) => std::mem::swap(list, cell.list_mut()?),
        Structure::Set(set) => std::mem::swap(set, cell.set_mut()?),
        Structure::SortedSet(set) => std::mem::swap(set, cell.sorted_set_mut()?),
    }
    Ok(())
}

/// What keys have to have: a structure, or else a plain value.
type Model = BTreeMap<&'static str, Option<Structure>>;

/// One run: the engine, the model, and a watcher.
struct Run {
    store: Store,
    model: Model,
    follower: Follower,
}

impl Run {
    async fn edit(&mut self, name: &'static str, kind: Kind, doings: Vec<Doing>) {
        let expected = match self.model.get(name) {
            None => Structure::new(kind),
            Some(Some(structure)) if structure.kind() == kind => Some(structure.clone()),
            Some(_) => None,
        };
        let done = doings.clone();
        let outcome: Result<bool> = self
            .store
            .try_edit(&[name], move |cells| {
                let cell = cells.cell(&key(name))?;
                if cell.kind().is_some_and(|known| known != kind) {
                    return Ok(false);
                }
                let mut edited = cell
                    .structure()
                    .cloned()
                    .or_else(|| Structure::new(kind))
                    .expect("a structure");
                // In place, so that it is logged.
                swap(cell, &mut edited)?;
                done.iter().for_each(|doing| act(&mut edited, doing));
                swap(cell, &mut edited)?;
                Ok(true)
            })
            .await;
        assert_eq!(outcome, Ok(expected.is_some()));
        if let Some(mut structure) = expected {
            doings.iter().for_each(|doing| act(&mut structure, doing));
            self.set(name, Some(structure));
        }
    }

    fn set(&mut self, name: &'static str, content: Option<Structure>) {
        match content {
            Some(structure) if structure.is_empty() => self.model.remove(name),
            content => self.model.insert(name, content),
        };
    }

    async fn take(&mut self, from: &'static str, to: &'static str) {
        let taken = self.store.try_edit(&[from, to], move |cells| {
            match cells.cell(&key(from))?.take() {
                Some(taken) => cells.cell(&key(to))?.place(taken),
                None => drop(cells.cell(&key(to))?.remove()),
            }
            Ok(())
        });
        taken.await.expect("moving");
        match self.model.remove(from) {
            Some(content) => drop(self.model.insert(to, content)),
            None => drop(self.model.remove(to)),
        }
    }

    async fn compare(&self) {
        let entries = self.store.scan("", 0).await;
        let there: Model = entries
            .iter()
            .map(|(name, entry)| {
                let name = NAMES
                    .into_iter()
                    .find(|known| key(known) == *name)
                    .expect("a name");
                let content = (entry.kind != Kind::Plain)
                    .then(|| Structure::decode(entry.kind, &entry.value).expect("an encoding"));
                (name, content)
            })
            .collect();
        assert_eq!(there, self.model);
        for (name, entry) in entries {
            assert_eq!(
                self.store
                    .get(&name)
                    .await
                    .map(|entry| (entry.kind, entry.revision)),
                Some((entry.kind, entry.revision))
            );
        }
    }
}

/// Whatever is edited in whatever order, with reopenings and crashes after a flush in between: each structure is as one
/// that had the same done to it in memory, and a watcher ends up with the same keys.
pub async fn edits_together_do_what_structures_do(bed: &mut dyn TestBed) {
    explore(bed, &prop::collection::vec(step(), 1..40), async |bed, steps| {
        let store = Store::new(bed);
        let follower = Follower::start(&store, "", switchboard_engine::keys::WatchFrom::Everything).await;
        let mut run = Run {
            store,
            model: Model::new(),
            follower,
        };
        let abilities = bed.abilities();
        for step in steps {
            match step {
                Step::Edit(name, kind, doings) => run.edit(NAMES[name], kind, doings).await,
                Step::Move(from, to) if abilities.batches || from == to => {
                    run.take(NAMES[from], NAMES[to]).await
                }
                Step::Put(name) => {
                    run.store.put(NAMES[name], "plain").await;
                    run.set(NAMES[name], None);
                }
                Step::Reopen | Step::Crash if abilities.outlasts_its_process => {
                    run = again(bed, run, matches!(step, Step::Crash)).await;
                }
                Step::Move(..) | Step::Reopen | Step::Crash => {}
            }
            run.compare().await;
        }
        run.store.put("last", "1").await;
        run.follower.until_told(&run.store).await;
        let there = run.store.names().await;
        let known: Vec<_> = run.follower.known.keys().cloned().collect();
        assert_eq!(known, there);
    });
}

async fn again(bed: &mut dyn TestBed, run: Run, crash: bool) -> Run {
    let memory = run.follower.stop();
    let store = match crash {
        true => {
            run.store.flush().await;
            run.store.crash_and_reopen(bed).await
        }
        false => run.store.reopen(bed).await,
    };
    let follower = memory.resume(&store).await;
    Run {
        store,
        model: run.model,
        follower,
    }
}
