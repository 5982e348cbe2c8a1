//! The buckets that hold something, or did a moment ago.
//!
//! Revisions are counted by bucket: writers in different buckets meet nowhere, and after a restart a watcher who knows
//! the last revision of a bucket needs to hear nothing. A bucket that was emptied is forgotten; [`Buckets::floor`] keeps
//! the greatest revision of those, so that a new one of the same name goes on above it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foldhash::HashMap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard, RwLock};
use switchboard_engine::Bucket;
use switchboard_engine::keys::Revision;
use switchboard_engine::names::DEFAULT_BUCKET;

use super::lane::LaneState;
use super::record::StoredBucket;
use super::ring::Changes;

/// What revisions skip after the process ended without closing the engine: more than can have been given to writes that
/// the disk never had, so that no revision is ever given twice.
const REVISION_SKIP: u64 = 1 << 32;

/// Buckets without keys are forgotten when there are more than so many; each costs some hundred bytes.
const IDLE_BUCKETS_MAX: usize = 1_000;

/// One bucket.
#[derive(Debug)]
pub(crate) struct BucketState {
    /// What slots name it by, in this process.
    pub(crate) id: u32,
    pub(crate) name: Bucket,
    /// How many keys it has, those that have expired and were not cleared up included.
    keys: AtomicU64,
    /// The last revision that was given.
    revision: AtomicU64,
    /// The revision that counting began above, and the last one that was in the store then.
    opened: (u64, u64),
    /// It is forgotten: whoever still has it looks for it anew. Set while all lanes are locked.
    retired: AtomicBool,
    /// What changed, for watchers.
    pub(crate) changes: Changes,
}

impl BucketState {
    /// The next revision, of the next `count`. Under the lock of a lane.
    pub(crate) fn next_revisions(&self, count: u64) -> Revision {
        Revision(self.revision.fetch_add(count, Ordering::Relaxed) + 1)
    }

    /// The last revision that was given.
    pub(crate) fn last_revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Whether nothing has changed after that revision, as far as this process knows.
    pub(crate) fn is_unchanged_since(&self, revision: Revision) -> bool {
        let last = self.last_revision().0;
        last == revision.0 || last == self.opened.0 && revision.0 == self.opened.1
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> u64 {
        self.keys.load(Ordering::Acquire)
    }

    /// Counts a key that comes or goes. Under the lock of its lane.
    pub(crate) fn count(&self, was_there: bool, is_there: bool) {
        match (was_there, is_there) {
            (false, true) => self.keys.fetch_add(1, Ordering::AcqRel),
            // Never below 0, should damage have made the count wrong.
            (true, false) => {
                let less = |keys: u64| keys.checked_sub(1);
                self.keys
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
                    .unwrap_or(0)
            }
            _ => return,
        };
    }

    /// Whether it was forgotten. Under the lock of a lane.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Buckets {
    by_name: papaya::HashMap<Bucket, Arc<BucketState>, RandomState>,
    by_id: RwLock<HashMap<u32, Arc<BucketState>>>,
    /// The one that most keys are in. It is never forgotten.
    default: Arc<BucketState>,
    creating: Mutex<Creating>,
}

#[derive(Debug)]
struct Creating {
    next_id: u32,
    /// No revision of a bucket that was forgotten is greater.
    floor: u64,
}

impl Buckets {
    /// The buckets of a store, and its floor. If the last process did not close it, some revisions are skipped.
    pub(crate) fn new(stored: BTreeMap<Bucket, StoredBucket>, floor: u64, was_closed: bool) -> Self {
        let skip = if was_closed { 0 } else { REVISION_SKIP };
        let floor = floor.saturating_add(skip);
        let mut creating = Creating { next_id: 0, floor };
        let default = Arc::new(creating.bucket(Bucket::default(), floor));
        let buckets = Self {
            by_name: papaya::HashMap::with_hasher(RandomState::default()),
            by_id: RwLock::default(),
            default,
            creating: Mutex::new(creating),
        };
        let mut creating = buckets.creating.lock();
        for (name, stored) in stored {
            let mut state = creating.bucket(name, stored.revision.saturating_add(skip));
            state.keys = AtomicU64::new(stored.keys);
            state.opened.1 = stored.revision;
            buckets.add(Arc::new(state));
        }
        drop(creating);
        match buckets.find_listed(DEFAULT_BUCKET) {
            Some(default) => Self { default, ..buckets },
            None => {
                buckets.add(Arc::clone(&buckets.default));
                buckets
            }
        }
    }

    fn add(&self, state: Arc<BucketState>) {
        self.by_id.write().insert(state.id, Arc::clone(&state));
        self.by_name.pin().insert(state.name.clone(), state);
    }

    /// A bucket by its name in the store.
    pub(crate) fn find_named(&self, name: &str) -> Option<Arc<BucketState>> {
        if name == DEFAULT_BUCKET {
            return Some(Arc::clone(&self.default));
        }
        self.find_listed(name)
    }

    fn find_listed(&self, name: &str) -> Option<Arc<BucketState>> {
        self.by_name.pin().get(name).cloned()
    }

    /// A bucket that holds something, or did.
    #[inline]
    pub(crate) fn find(&self, name: &Bucket) -> Option<Arc<BucketState>> {
        self.find_named(name.as_str())
    }

    /// Looks at a bucket that holds something, or did, without sharing it.
    #[inline]
    pub(crate) fn with<T>(&self, name: &Bucket, look: impl FnOnce(&Arc<BucketState>) -> T) -> Option<T> {
        if name.as_str() == DEFAULT_BUCKET {
            return Some(look(&self.default));
        }
        self.by_name.pin().get(name.as_str()).map(look)
    }

    /// A bucket, a new one if need be.
    #[inline]
    pub(crate) fn find_or_create(&self, name: &Bucket) -> Arc<BucketState> {
        self.find(name).unwrap_or_else(|| self.create(name))
    }

    #[cold]
    fn create(&self, name: &Bucket) -> Arc<BucketState> {
        let mut creating = self.creating.lock();
        if let Some(state) = self.find(name) {
            return state;
        }
        // The name may be a slice of something large.
        let text = bytestring::ByteString::from(name.as_str());
        let name = Bucket::new(text).unwrap_or_else(|_| name.clone());
        let floor = creating.floor;
        let state = Arc::new(creating.bucket(name, floor));
        self.add(Arc::clone(&state));
        state
    }

    /// The bucket that slots name by that number, unless it was forgotten.
    pub(crate) fn by_id(&self, id: u32) -> Option<Arc<BucketState>> {
        self.by_id.read().get(&id).cloned()
    }

    /// Those that hold a key, in order.
    pub(crate) fn occupied(&self) -> Vec<Bucket> {
        let states = self.by_id.read();
        let mut names: Vec<Bucket> = (states.values())
            .filter(|state| state.keys() > 0)
            .map(|state| state.name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    /// Notes that the store forgets a bucket with that revision. Tells the new floor.
    pub(crate) fn raise_floor(&self, revision: u64) -> u64 {
        let mut creating = self.creating.lock();
        creating.floor = creating.floor.max(revision);
        creating.floor
    }

    /// Frees the rings that nobody has watched for long. Tells whether some are kept.
    pub(crate) fn clear_up_rings(&self) -> bool {
        let states = self.by_id.read();
        states
            .values()
            .fold(false, |some, state| state.changes.clear_up() | some)
    }

    /// Forgets buckets without keys that nobody watches, if there are many. It is between two rounds, so what is to be
    /// written of them is in the lanes, which are locked for a moment.
    pub(crate) fn retire_idle<'a>(&self, lock_all: impl FnOnce() -> Vec<MutexGuard<'a, LaneState>>) {
        let is_idle = |state: &BucketState| {
            state.keys() == 0 && !state.changes.is_watched() && state.id != self.default.id
        };
        let states = self.by_id.read();
        if states.len() <= IDLE_BUCKETS_MAX {
            return;
        }
        let idle = states.values().filter(|state| is_idle(state));
        let mut idle: HashMap<u32, Arc<BucketState>> =
            idle.map(|state| (state.id, Arc::clone(state))).collect();
        drop(states);
        let lanes = lock_all();
        for change in lanes.iter().flat_map(|state| &state.changes) {
            idle.remove(&change.slot.bucket());
        }
        for state in idle.values().filter(|state| is_idle(state)) {
            self.raise_floor(state.last_revision().0);
            state.retired.store(true, Ordering::Release);
            self.by_name.pin().remove(state.name.as_str());
            self.by_id.write().remove(&state.id);
        }
    }

    /// Ends all watches.
    pub(crate) fn end_watches(&self) {
        for state in self.by_id.read().values() {
            state.changes.end();
        }
    }
}

impl Creating {
    fn bucket(&mut self, name: Bucket, revision: u64) -> BucketState {
        let id = self.next_id;
        self.next_id += 1;
        BucketState {
            id,
            name,
            keys: AtomicU64::new(0),
            revision: AtomicU64::new(revision),
            opened: (revision, revision),
            retired: AtomicBool::new(false),
            changes: Changes::default(),
        }
    }
}
