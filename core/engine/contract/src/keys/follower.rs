//! A watcher that keeps what it is told, and checks each event against the contract.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use switchboard_engine::Key;
use switchboard_engine::keys::{Entry, Revision, Watch, WatchEvent, WatchFrom};

use super::Store;
use crate::tools::{QUIET, key, next};

/// Where a watch stands.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// What there is is being told, in the order of keys.
    Everything { last: Option<Key> },
    /// Changes are being told, in the order of revisions.
    Changes,
}

/// What a watcher knew when it stopped.
pub(super) struct Memory {
    prefix: Vec<u8>,
    revision: Revision,
    known: BTreeMap<Key, Entry>,
}

impl Memory {
    /// Takes up where it stopped.
    pub async fn resume(self, store: &Store) -> Follower {
        let from = WatchFrom::After(self.revision);
        Follower {
            known: self.known,
            ..Follower::start(store, self.prefix, from).await
        }
    }
}

pub(super) struct Follower {
    watch: Watch,
    prefix: Vec<u8>,
    stage: Stage,
    /// The highest revision that was told, of a change or as current.
    pub revision: Revision,
    /// What it knows to be there.
    pub known: BTreeMap<Key, Entry>,
    /// How often it was told to forget.
    pub resets: usize,
}

impl Follower {
    pub async fn start(store: &Store, prefix: impl AsRef<[u8]>, from: WatchFrom) -> Self {
        let prefix = prefix.as_ref();
        let revision = match from {
            WatchFrom::After(revision) => revision,
            _ => Revision(0),
        };
        Self {
            watch: store.watch(prefix, from).await,
            prefix: prefix.to_vec(),
            stage: match from {
                WatchFrom::Everything => Stage::Everything { last: None },
                _ => Stage::Changes,
            },
            revision,
            known: BTreeMap::new(),
            resets: 0,
        }
    }

    /// Ends the watch, and keeps what was learnt.
    pub fn stop(self) -> Memory {
        Memory {
            prefix: self.prefix,
            revision: self.revision,
            known: self.known,
        }
    }

    pub fn knows(&self, name: &str) -> bool {
        self.known.contains_key(&key(name))
    }

    /// Takes one event.
    pub async fn step(&mut self) -> WatchEvent {
        let event = next("a change", &mut self.watch).await.expect("watching");
        self.take(event.clone());
        event
    }

    /// Reads until all that there is has been told.
    pub async fn until_current(&mut self) {
        while !matches!(self.step().await, WatchEvent::Current { .. }) {}
    }

    /// Reads until it has been told of the last write there was, which has to be that of a key under the prefix that
    /// is still there.
    pub async fn until_told(&mut self, store: &Store) {
        let there = store.scan(&self.prefix, 0).await;
        let last = there.iter().map(|(_, entry)| entry.revision).max();
        let last = last.expect("there is something");
        while self.stage != Stage::Changes || self.revision < last {
            self.step().await;
        }
    }

    /// Reads until what it knows is what there is, which nobody changes.
    pub async fn until_agrees(&mut self, store: &Store) {
        let there: BTreeMap<Key, Entry> = store.scan(&self.prefix, 0).await.into_iter().collect();
        while self.stage != Stage::Changes || self.known != there {
            self.step().await;
        }
    }

    /// Reads what comes without waiting long.
    pub async fn drain(&mut self) {
        while let Ok(Some(event)) = tokio::time::timeout(QUIET, self.watch.next()).await {
            self.take(event.expect("watching"));
        }
    }

    /// What it knows is what there is.
    pub async fn agrees(&self, store: &Store) {
        let there: BTreeMap<Key, Entry> = store.scan(&self.prefix, 0).await.into_iter().collect();
        assert_eq!(self.known, there, "what a watcher was told is what there is");
    }

    fn take(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Put { key, entry } => {
                self.check(&key, entry.revision);
                self.known.insert(key, entry);
            }
            WatchEvent::Delete { key, revision, .. } => {
                assert_eq!(self.stage, Stage::Changes, "{key:?} is not among what there is");
                self.check(&key, revision);
                self.known.remove(&key);
            }
            WatchEvent::Reset => {
                self.known.clear();
                self.resets += 1;
                self.stage = Stage::Everything { last: None };
            }
            WatchEvent::Current { revision } => {
                assert!(
                    revision >= self.revision,
                    "current {revision} is behind what was said"
                );
                self.revision = revision;
                self.stage = Stage::Changes;
            }
        }
    }

    fn check(&mut self, key: &Key, revision: Revision) {
        assert!(
            key.as_bytes().starts_with(&self.prefix),
            "{key:?} was not asked for"
        );
        assert_ne!(revision, Revision(0), "no write has revision 0");
        match &mut self.stage {
            Stage::Everything { last } => {
                assert!(last.as_ref() < Some(key), "{key:?} comes after {last:?}");
                *last = Some(key.clone());
            }
            Stage::Changes => {
                assert!(
                    revision > self.revision,
                    "{key:?}: revision {revision} was told after {}",
                    self.revision
                );
                self.revision = revision;
            }
        }
    }
}

/// Passes over the event that says that a watch from now on has begun.
pub(super) async fn skip_current(watch: &mut Watch) {
    let event = next("the beginning of a watch", watch).await;
    assert!(matches!(event, Ok(WatchEvent::Current { .. })), "{event:?}");
}
