//! The commit thread over a store in memory that can be made to fail.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::store::{MemoryStore, Space, StoreError, StoreResult, View};
use bytes::Bytes;

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<(u8, usize)>>);

impl Source for Notes {
    fn collect(&self, batch: &mut Batch) -> usize {
        let notes = std::mem::take(&mut *self.0.lock());
        for (note, _) in &notes {
            batch.put(Space::Queues, &[*note], b"noted");
        }
        notes.iter().map(|(_, bytes)| bytes).sum()
    }
}

#[derive(Debug, Default)]
struct Failing {
    store: MemoryStore,
    fails: AtomicBool,
    /// Locked, it holds up writes.
    held: Mutex<()>,
    syncs: AtomicUsize,
}

impl Failing {
    fn check(&self) -> StoreResult<()> {
        match self.fails.load(Ordering::Acquire) {
            true => Err(StoreError::Disk("no space left".to_owned())),
            false => Ok(()),
        }
    }
}

impl Store for Failing {
    fn get(&self, space: Space, key: &[u8]) -> StoreResult<Option<Bytes>> {
        self.store.get(space, key)
    }

    fn view(&self) -> Box<dyn View + '_> {
        self.store.view()
    }

    fn write(&self, batch: &Batch, number: u64) -> StoreResult<()> {
        let _held = self.held.lock();
        self.check()?;
        self.store.write(batch, number)
    }

    fn sync(&self) -> StoreResult<()> {
        self.syncs.fetch_add(1, Ordering::AcqRel);
        self.check()
    }

    fn mend(&self) -> StoreResult<u64> {
        self.check()?;
        self.store.mend()
    }

    fn settle(&self) -> StoreResult<()> {
        Ok(())
    }
}

struct Bed {
    store: Arc<Failing>,
    notes: Arc<Notes>,
    committer: Arc<Committer>,
    rounds: Rounds,
}

fn bed(durability: Durability) -> Bed {
    let store = Arc::new(Failing::default());
    let notes = Arc::new(Notes::default());
    let committer = Committer::new(Arc::clone(&store) as Arc<dyn Store>, durability);
    committer.add_source(Arc::clone(&notes) as Arc<dyn Source>);
    let rounds = Rounds::start(Arc::clone(&committer), 0, None).unwrap();
    Bed {
        store,
        notes,
        committer,
        rounds,
    }
}

impl Bed {
    fn note(&self, note: u8) -> Answer<()> {
        self.large_note(note, 1)
    }

    fn large_note(&self, note: u8, bytes: usize) -> Answer<()> {
        match self.committer.admit() {
            Ok(_) => {}
            Err(error) => return Answer::err(error),
        }
        self.notes.0.lock().push((note, bytes));
        self.committer.changed(bytes);
        self.committer.acknowledge(())
    }

    fn has(&self, note: u8) -> bool {
        self.store.get(Space::Queues, &[note]).unwrap().is_some()
    }
}

#[tokio::test]
async fn under_always_an_answer_comes_when_the_disk_has_it() {
    let bed = bed(Durability::Always);
    let answer = bed.note(1);
    assert!(matches!(answer, Answer::Later(_)));
    answer.await.unwrap();
    assert!(bed.has(1));
    assert!(bed.store.syncs.load(Ordering::Acquire) >= 1);
}

#[tokio::test]
async fn otherwise_it_comes_at_once_and_a_flush_waits() {
    for durability in [Durability::Second, Durability::Never] {
        let bed = bed(durability);
        assert!(matches!(bed.note(1), Answer::Now(_)));
        bed.committer.when_stored().await.unwrap();
        assert!(bed.has(1));
        bed.note(2).await.unwrap();
        bed.committer.when_synced().await.unwrap();
        assert!(bed.has(2));
        assert!(bed.store.syncs.load(Ordering::Acquire) >= 1);
    }
}

#[tokio::test]
async fn stopping_writes_everything_and_refuses_the_rest() {
    let mut bed = bed(Durability::Second);
    bed.note(7).await.unwrap();
    bed.rounds.stop().unwrap();
    assert!(bed.has(7));
    assert!(matches!(bed.note(8).await, Err(EngineError::Unavailable { .. })));
    assert!(bed.committer.when_synced().await.is_err());
    assert!(matches!(bed.committer.health(), Health::Impaired(_)));
    bed.rounds.stop().unwrap();
}

#[tokio::test]
async fn a_failing_disk_refuses_writes_and_heals_without_a_loss() {
    for durability in [Durability::Always, Durability::Second] {
        let bed = bed(durability);
        bed.note(1).await.unwrap();
        bed.committer.when_synced().await.unwrap();
        bed.store.fails.store(true, Ordering::Release);
        let outcome = bed.note(2).await;
        assert_eq!(outcome.is_err(), durability == Durability::Always);
        assert!(matches!(
            bed.committer.when_synced().await,
            Err(EngineError::Unavailable { .. })
        ));
        assert!(matches!(bed.note(3).await, Err(EngineError::Unavailable { .. })));
        assert!(
            matches!(bed.committer.health(), Health::Impaired(reason) if reason.contains("no space left"))
        );

        bed.store.fails.store(false, Ordering::Release);
        bed.committer.unpark();
        while bed.committer.health() != Health::Ready {
            tokio::task::yield_now().await;
        }
        bed.note(4).await.unwrap();
        bed.committer.when_stored().await.unwrap();
        assert!(bed.has(2) && bed.has(4));
        assert!(!bed.has(3), "what was refused did not happen");
    }
}

#[tokio::test]
async fn what_is_unwritten_is_bounded() {
    let bed = bed(Durability::Second);
    let held = bed.store.held.lock();
    let answer = bed.large_note(1, UNWRITTEN_BYTES_MAX + 1);
    assert!(matches!(answer, Answer::Now(Some(Ok(())))));
    assert_eq!(bed.committer.admit(), Ok(Admission::Wait));
    drop(held);
    bed.committer.room().await.unwrap();
    assert_eq!(bed.committer.admit(), Ok(Admission::Yes));
    assert!(bed.has(1));
}

#[tokio::test]
async fn what_is_written_before_it_was_counted_closes_nothing() {
    let bed = bed(Durability::Second);
    // Noted under a lock, and counted after it: in between the thread may come by.
    bed.notes.0.lock().push((1, 1_000));
    bed.committer.when_stored().await.unwrap();
    assert!(bed.has(1));
    bed.committer.changed(100);
    assert_eq!(bed.committer.admit(), Ok(Admission::Yes));
    bed.committer.changed(900);
    bed.committer.changed(UNWRITTEN_BYTES_MAX);
    assert_eq!(bed.committer.admit(), Ok(Admission::Yes));
    bed.committer.changed(1);
    assert_eq!(bed.committer.admit(), Ok(Admission::Wait));
}
