//! All queues, and what they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt};
use parking_lot::{Mutex, RwLock};
use switchboard_engine::{Clock, EngineError, QueueName, Result};

use super::dedupe::DedupeHash;
use super::ids::Ids;
use super::moment::Moment;
use super::queue::{Queue, Retired};
use super::record::{DedupeRecord, Kind, StateRecord, key, parse_key, write_key};
use super::timer::Timer;
use crate::commit::{Admission, Committer, Source};
use crate::store::{Batch, Space, Store, StoreError, StoreResult, with_prefix};

/// How long to wait for an engine that was closed: until it is opened again.
const CLOSED_RETRY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) committer: Arc<Committer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timer: Timer,
    pub(crate) ids: Ids,
    /// Bytes of bodies and reasons in memory.
    pub(crate) body_bytes: AtomicUsize,
    /// Over so many, memory lets go of bodies that are in the store.
    pub(crate) body_bytes_max: usize,
    queues: RwLock<HashMap<QueueName, Arc<Queue>>>,
    /// How many queues there ever were.
    numbers: AtomicU64,
    /// What the next round has to look at.
    listed: Mutex<Vec<Arc<Queue>>>,
    /// What the round under way has looked at.
    collected: Mutex<Vec<Arc<Queue>>>,
    is_closed: AtomicBool,
}

impl Shared {
    /// With all jobs that the store has.
    ///
    /// # Errors
    /// When the store cannot be read, or what it says makes no sense.
    pub(crate) fn load(
        committer: Arc<Committer>,
        clock: Arc<dyn Clock>,
        body_bytes_max: usize,
    ) -> StoreResult<Self> {
        let store = Arc::clone(committer.store());
        let bound = store.get(Space::Queues, &key(Kind::Ids, "", 0))?;
        let bound = match bound.as_deref().map(<[u8; 8]>::try_from) {
            None => 0,
            Some(Ok(bound)) => u64::from_be_bytes(bound),
            Some(Err(_)) => return Err(senseless("ids", b"")),
        };
        let shared = Self {
            committer,
            timer: Timer::new(Arc::clone(&clock)),
            clock,
            ids: Ids::new(bound),
            body_bytes: AtomicUsize::new(0),
            body_bytes_max,
            queues: RwLock::new(HashMap::new()),
            numbers: AtomicU64::new(0),
            listed: Mutex::new(Vec::new()),
            collected: Mutex::new(Vec::new()),
            is_closed: AtomicBool::new(false),
        };
        shared.load_jobs(&*store)?;
        shared.load_dedupes(&*store)?;
        Ok(shared)
    }

    fn load_jobs(&self, store: &dyn Store) -> StoreResult<()> {
        let view = store.view();
        let now = Moment::of(&*self.clock);
        // Records of one queue follow each other.
        let mut last: Option<Arc<Queue>> = None;
        for record in with_prefix(&*view, Space::Queues, &[Kind::State as u8]) {
            let (key, value) = record?;
            let (name, id) = parse_key(Kind::State, &key).ok_or_else(|| senseless("job", &key))?;
            let id = u64::try_from(id).map_err(|_| senseless("job", &key))?;
            let state = StateRecord::decode(&value).ok_or_else(|| senseless("job", &key))?;
            let queue = match last {
                Some(queue) if *queue.name() == name => queue,
                _ => self.find_or_create(&name),
            };
            queue.restore(|core| core.restore(now, id, state));
            last = Some(queue);
        }
        Ok(())
    }

    fn load_dedupes(&self, store: &dyn Store) -> StoreResult<()> {
        let view = store.view();
        let now = Moment::of(&*self.clock);
        let mut dedupes = Vec::new();
        for record in with_prefix(&*view, Space::Queues, &[Kind::Dedupe as u8]) {
            let (key, value) = record?;
            let (name, id) = parse_key(Kind::Dedupe, &key).ok_or_else(|| senseless("dedupe id", &key))?;
            let record = DedupeRecord::decode(&value).ok_or_else(|| senseless("dedupe id", &key))?;
            dedupes.push((record.until, self.find_or_create(&name), DedupeHash(id), record));
        }
        dedupes.sort_by_key(|(until, ..)| *until);
        for (_, queue, hash, record) in dedupes {
            queue.restore(|core| core.restore_dedupe(now, hash, record));
        }
        Ok(())
    }

    /// Lets happen what became due while the engine was closed, and puts all queues on the timer.
    pub(crate) fn begin(&self) {
        let queues: Vec<_> = self.queues.read().values().cloned().collect();
        for queue in queues {
            // Nobody has thrown one away yet.
            let _ = queue.operate(self, |_, _| ());
        }
    }

    /// Does something with a queue that may be empty, and nothing with one that is not there.
    pub(crate) fn with_existing<T>(
        &self,
        name: &QueueName,
        act: impl FnOnce(&mut super::core::Core, Moment) -> T,
    ) -> Option<T> {
        let queue = self.find(name)?;
        queue.operate(self, act).ok()
    }

    /// A queue, if it is there.
    pub(crate) fn find(&self, name: &QueueName) -> Option<Arc<Queue>> {
        self.queues.read().get(name).cloned()
    }

    /// Does something with a queue, which is created if it is missing.
    pub(crate) fn with<T>(
        &self,
        name: &QueueName,
        mut act: impl FnMut(&Arc<Queue>) -> Result<T, Retired>,
    ) -> T {
        let mut queue = self.find_or_create(name);
        loop {
            match act(&queue) {
                Ok(outcome) => return outcome,
                Err(Retired) => queue = self.replace(name, &queue),
            }
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.queues.read().values().cloned().collect()
    }

    fn find_or_create(&self, name: &QueueName) -> Arc<Queue> {
        match self.find(name) {
            Some(queue) => queue,
            None => Arc::clone(
                self.queues
                    .write()
                    .entry(name.clone())
                    .or_insert_with(|| self.create(name)),
            ),
        }
    }

    /// The queue of that name that is not this one.
    fn replace(&self, name: &QueueName, retired: &Arc<Queue>) -> Arc<Queue> {
        let mut queues = self.queues.write();
        let queue = queues.entry(name.clone()).or_insert_with(|| self.create(name));
        if Arc::ptr_eq(queue, retired) {
            *queue = self.create(name);
        }
        Arc::clone(queue)
    }

    fn create(&self, name: &QueueName) -> Arc<Queue> {
        // A name of its own: the caller's may be a slice of something large.
        let name = QueueName::new(name.as_str().to_owned()).unwrap_or_else(|_| name.clone());
        Queue::new(name, self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// Has the commit thread look at a queue.
    pub(crate) fn list(&self, queue: Arc<Queue>) {
        self.listed.lock().push(queue);
    }

    /// Whether a change may be made now; if not, await [`ready`](Self::ready).
    ///
    /// # Errors
    /// Unavailable while the disk fails, and after the engine was closed.
    pub(crate) fn admit(&self) -> Result<bool> {
        self.check_open()?;
        Ok(self.committer.admit()? == Admission::Yes)
    }

    /// Whether what makes the queues smaller may be done: it need not wait for room.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.admit().map(|_| ())
    }

    /// Waits until a change may be made, and until the disk knows of more ids.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(crate) async fn ready(&self) -> Result<()> {
        self.committer.room().await?;
        if self.ids.take().is_none() {
            self.committer.when_stored().await?;
        }
        Ok(())
    }

    /// # Errors
    /// Unavailable, after the engine was closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        match self.is_closed.load(Ordering::Acquire) {
            true => Err(closed()),
            false => Ok(()),
        }
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.timer.stop();
        for queue in self.all() {
            queue.close();
        }
    }

    /// What is in the store of a job. It waits for the disk.
    ///
    /// # Errors
    /// Damaged; unavailable.
    pub(crate) fn read(&self, kind: Kind, queue: &QueueName, id: u64) -> Result<Option<Bytes>> {
        let read = self
            .committer
            .store()
            .get(Space::Queues, &key(kind, queue.as_str(), id.into()));
        read.map_err(|error| match error {
            StoreError::Damaged(place) => EngineError::Damaged(place),
            StoreError::Disk(reason) => EngineError::unavailable(CLOSED_RETRY, reason),
        })
    }
}

impl Source for Shared {
    fn collect(&self, batch: &mut Batch) -> usize {
        let listed = std::mem::take(&mut *self.listed.lock());
        if let Some(bound) = self.ids.collect() {
            batch.put(Space::Queues, &key(Kind::Ids, "", 0), &bound.to_be_bytes());
        }
        let mut covered = 0;
        for queue in &listed {
            let name = queue.name().as_str();
            covered += queue.collect(self, &mut |kind, id, value| match value {
                Some(value) => batch.put_with(
                    Space::Queues,
                    |bytes| write_key(bytes, kind, name, id),
                    |bytes| bytes.extend_from_slice(value),
                ),
                None => batch.delete_with(Space::Queues, |bytes| write_key(bytes, kind, name, id)),
            });
        }
        *self.collected.lock() = listed;
        covered
    }

    fn stored(&self) {
        self.ids.stored();
        for queue in std::mem::take(&mut *self.collected.lock()) {
            if queue.stored(self) {
                let mut queues = self.queues.write();
                if queues
                    .get(queue.name())
                    .is_some_and(|known| Arc::ptr_eq(known, &queue))
                {
                    queues.remove(queue.name());
                }
            }
        }
    }

    fn tick(&self) -> bool {
        while let Some(queue) = self.timer.due() {
            // One that was thrown away has nothing due.
            let _ = queue.operate(self, |_, _| ());
        }
        // The timer sees to what is not due yet.
        false
    }
}

/// What everybody is told after the engine was closed.
pub(crate) fn closed() -> EngineError {
    EngineError::unavailable(CLOSED_RETRY, "the engine is closed")
}

fn senseless(what: &str, key: &[u8]) -> StoreError {
    StoreError::Damaged(format!(
        "the record of a {what} in the queues makes no sense: its key is {}",
        key.escape_ascii()
    ))
}
