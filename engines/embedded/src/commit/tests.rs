//! The commit thread over a store in memory that can be made to fail.

use std::sync::atomic::AtomicUsize;
use std::thread::ThreadId;

use super::*;
use crate::store::{MemoryStore, Space, StoreError, StoreResult, View};
use bytes::Bytes;
use futures_util::FutureExt;

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
    /// Who wrote last.
    writer: Mutex<Option<ThreadId>>,
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
        *self.writer.lock() = Some(std::thread::current().id());
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
        self.change(note, bytes, true);
        self.committer.acknowledge(())
    }

    fn change(&self, note: u8, bytes: usize, is_awaited: bool) {
        let change = || {
            self.notes.0.lock().push((note, bytes));
            self.committer.changed(bytes);
        };
        self.committer.awaited(change, |()| is_awaited);
    }

    /// However long the disk has taken, the next round is taken for a quick one.
    fn quicken(&self) {
        self.committer.is_quick.store(true, Ordering::Relaxed);
    }

    async fn until_it_has(&self, note: u8) {
        while !self.has(note) {
            tokio::task::yield_now().await;
        }
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

#[tokio::test]
async fn who_waits_alone_for_a_quick_disk_writes_himself() {
    let bed = bed(Durability::Always);
    // Not always: the thread may be about to rest.
    loop {
        bed.quicken();
        bed.note(1).await.unwrap();
        assert!(bed.has(1));
        if *bed.store.writer.lock() == Some(std::thread::current().id()) {
            return;
        }
    }
}

#[tokio::test]
async fn who_waits_for_a_slow_disk_or_with_others_leaves_it_to_the_thread() {
    let bed = bed(Durability::Always);
    let is_own = || *bed.store.writer.lock() == Some(std::thread::current().id());
    for note in 0..100 {
        bed.committer.is_quick.store(false, Ordering::Relaxed);
        bed.note(note).await.unwrap();
        assert!(!is_own());
        // Whatever came of the measuring.
        *bed.store.writer.lock() = None;
    }
    let held = bed.store.held.lock();
    bed.quicken();
    let (first, second) = (bed.note(101), bed.note(102));
    let both = async { tokio::try_join!(first, second) };
    let release = async {
        tokio::task::yield_now().await;
        drop(held);
    };
    let (both, ()) = tokio::join!(both, release);
    both.unwrap();
    assert!(bed.has(101) && bed.has(102) && !is_own());
}

#[tokio::test]
async fn what_nobody_waits_for_in_the_end_is_written_all_the_same() {
    let bed = bed(Durability::Always);
    bed.quicken();
    drop(bed.note(1));
    bed.until_it_has(1).await;
    bed.quicken();
    bed.change(2, 1, false);
    bed.until_it_has(2).await;
    bed.quicken();
    let mut answer = bed.note(3);
    assert!((&mut answer).now_or_never().is_none());
    drop(answer);
    bed.until_it_has(3).await;
}

#[tokio::test]
async fn what_one_who_waits_cannot_write_the_thread_writes_when_the_disk_works_again() {
    let bed = bed(Durability::Always);
    for note in 0..20 {
        bed.store.fails.store(true, Ordering::Release);
        bed.quicken();
        let refused = bed.note(note).await;
        assert!(matches!(refused, Err(EngineError::Unavailable { .. })));
        bed.store.fails.store(false, Ordering::Release);
        while bed.committer.health() != Health::Ready {
            bed.committer.unpark();
            tokio::task::yield_now().await;
        }
        assert!(bed.has(note), "{note}");
    }
}

#[test]
fn after_a_slow_round_many_have_to_be_quick() {
    let (quick, slow) = (Duration::from_micros(80), Duration::from_millis(4));
    let mut pace = lead::Pace::default();
    assert!(pace.count(quick));
    assert!(!pace.count(slow));
    let until_quick = (1..).find(|_| pace.count(quick));
    assert_eq!(until_quick, Some(64));
    assert!(pace.count(quick));
}
