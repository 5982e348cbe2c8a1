//! What the tests of queues have in common.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use switchboard_engine::{Durability, ManualClock, Timestamp};

use super::{LEASE, LONG, queue};
use crate::commit::Rounds;
use crate::queues::*;
use crate::store::{Batch, MemoryStore, Space, Store, StoreError, View};

/// A store that can be made to fail, to lose and to damage.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) store: MemoryStore,
    pub(super) fails: AtomicBool,
    pub(super) damaged: Mutex<Vec<Vec<u8>>>,
}

impl Store for Disk {
    fn get(&self, space: Space, key: &[u8]) -> StoreResult<Option<Bytes>> {
        match self.damaged.lock().iter().any(|damaged| damaged == key) {
            true => Err(StoreError::Damaged("a flipped byte".to_owned())),
            false => self.store.get(space, key),
        }
    }

    fn view(&self) -> Box<dyn View + '_> {
        self.store.view()
    }

    fn write(&self, batch: &Batch, number: u64) -> StoreResult<()> {
        self.sync()?;
        self.store.write(batch, number)
    }

    fn sync(&self) -> StoreResult<()> {
        match self.fails.load(Ordering::Acquire) {
            true => Err(StoreError::Disk("no space left".to_owned())),
            false => Ok(()),
        }
    }

    fn mend(&self) -> StoreResult<u64> {
        self.sync()?;
        self.store.mend()
    }

    fn settle(&self) -> StoreResult<()> {
        Ok(())
    }
}

pub(super) struct Bed {
    pub(super) disk: Arc<Disk>,
    pub(super) clock: ManualClock,
    pub(super) queues: EmbeddedQueues,
    pub(super) committer: Arc<Committer>,
    pub(super) rounds: Rounds,
    pub(super) durability: Durability,
    pub(super) body_bytes_max: usize,
}

impl Bed {
    pub(super) fn new(durability: Durability, body_bytes_max: usize) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
        Self::open(Arc::default(), clock, durability, body_bytes_max)
    }

    pub(super) fn open(
        disk: Arc<Disk>,
        clock: ManualClock,
        durability: Durability,
        body_bytes_max: usize,
    ) -> Self {
        let number = disk.store.mend().unwrap();
        let store = Arc::clone(&disk) as Arc<dyn Store>;
        let committer = Committer::new(store, durability);
        let queues =
            EmbeddedQueues::load_with(Arc::clone(&committer), Arc::new(clock.clone()), body_bytes_max);
        let queues = queues.unwrap();
        committer.add_source(queues.source());
        let rounds = Rounds::start(Arc::clone(&committer), number, None).unwrap();
        Self {
            disk,
            clock,
            queues,
            committer,
            rounds,
            durability,
            body_bytes_max,
        }
    }

    pub(super) fn reopen(mut self) -> Self {
        self.queues.close();
        self.rounds.stop().unwrap();
        Self::open(self.disk, self.clock, self.durability, self.body_bytes_max)
    }

    /// Time passes, and what is due is done.
    pub(super) fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.queues.source().tick();
    }

    pub(super) async fn stored(&self) {
        self.committer.when_stored().await.unwrap();
    }

    pub(super) async fn push(&self, payload: &'static str) -> JobId {
        self.push_as(Push::new(payload)).await
    }

    pub(super) async fn push_as(&self, push: Push) -> JobId {
        self.queues.push(&queue(), push).await.unwrap().id
    }

    pub(super) async fn reserve(&self, max: usize) -> Vec<Reserved> {
        self.queues
            .reserve(&queue(), max, LEASE, Duration::ZERO)
            .await
            .unwrap()
    }

    pub(super) async fn one(&self) -> Reserved {
        let reserved = self.reserve(1).await;
        assert_eq!(reserved.len(), 1);
        reserved.into_iter().next().unwrap()
    }

    pub(super) fn waiting(&self) -> Answer<Vec<Reserved>> {
        self.queues.reserve(&queue(), 1, LEASE, LONG)
    }

    pub(super) async fn counts(&self) -> [u64; 4] {
        let Counts {
            ready,
            delayed,
            reserved,
            dead,
        } = self.queues.counts(&queue()).await.unwrap();
        [ready, delayed, reserved, dead]
    }

    pub(super) async fn peek(&self, state: JobState) -> Vec<Peeked> {
        self.queues.peek(&queue(), state, None, JOBS_MAX).await.unwrap()
    }
}
