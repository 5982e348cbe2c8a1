//! More keys than memory: everything works, and memory stays bounded.
//!
//! One test a process, as memory is counted for all of it. `SWITCHBOARD_KEYS=10000000` tries ten million keys:
//! five and a half minutes in release mode on two processors that others used too, and 192 MiB resident at most.

use std::sync::Arc;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use switchboard_engine::keys::{Condition, Expiry, Scan, Write};
use switchboard_engine::{Bucket, Clock, Engine, Key, ManualClock, Timestamp};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Memory for hot keys: far less than the keys take.
const MEMORY_BYTES: usize = 4 * 1024 * 1024;

/// What the engine may take beside, in MiB: caches (8), memtables (8 each, some being written, and what they cost above
/// their contents), changes that are not written (16, and their batch).
const MIB_BESIDE: f32 = 120.0;

/// What one scan may take, in MiB: a page is at most 4.
const MIB_OF_A_SCAN: f32 = 24.0;

const BATCH: usize = 1_000;

fn keys() -> usize {
    let asked = std::env::var("SWITCHBOARD_KEYS");
    asked.ok().and_then(|keys| keys.parse().ok()).unwrap_or(60_000)
}

fn key(number: usize) -> Key {
    Key::new(format!("key {number:010}")).expect("a key")
}

fn value(number: usize) -> String {
    format!("{number:0100}")
}

fn open(directory: &TempDir, clock: Arc<dyn Clock>) -> Arc<Embedded> {
    let options = EmbeddedOptions {
        memory_bytes: MEMORY_BYTES,
        clock,
        ..EmbeddedOptions::new(DataDir::Path(directory.path().to_owned()))
    };
    Embedded::open(options).expect("opening")
}

async fn fill(engine: &Embedded, keys: usize, expiry: Expiry) {
    for first in (0..keys).step_by(BATCH) {
        let writes = (first..first + BATCH).map(|number| {
            let write = Write::put(value(number)).when(Condition::Absent).expiring(expiry);
            (key(number), write)
        });
        let outcome = engine.keys().batch(&Bucket::default(), writes.collect()).await;
        outcome.expect("a batch");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_keys_than_memory() {
    let directory = TempDir::new().expect("a directory");
    let clock = ManualClock::at(Timestamp::from_millis(1_000));
    let engine = open(&directory, Arc::new(clock.clone()));
    let bucket = Bucket::default();
    fill(&engine, keys(), Expiry::Never).await;
    engine.flush().await.expect("flushing");
    let mib = PeakAlloc.peak_usage_as_mb();
    assert!(mib < MIB_BESIDE, "writing took {mib} MiB");
    assert_eq!(
        engine.keys().count(&bucket).await.expect("counting"),
        keys() as u64
    );

    // Each of some keys from everywhere, read, changed and deleted.
    for number in (0..keys()).step_by(keys() / 500) {
        let entry = engine
            .keys()
            .get(&bucket, key(number).as_ref())
            .await
            .expect("reading");
        assert_eq!(entry.expect("it is there").value, value(number));
        if number % 3 == 0 {
            engine
                .keys()
                .write(&bucket, key(number), Write::delete())
                .await
                .expect("deleting");
        }
    }
    let gone = (0..keys())
        .step_by(keys() / 500)
        .filter(|number| number % 3 == 0)
        .count();

    PeakAlloc.reset_peak_usage();
    let before = PeakAlloc.current_usage_as_mb();
    let mut scan = Scan {
        values: true,
        ..Scan::default()
    };
    let mut seen = 0;
    loop {
        let page = engine.keys().scan(&bucket, scan.clone()).await.expect("scanning");
        for (key, entry) in &page.entries {
            assert!(
                key.as_ref().ends_with(&entry.value[90..]),
                "{key:?} has {entry:?}"
            );
        }
        seen += page.entries.len();
        match page.cursor {
            Some(cursor) => scan.after = Some(cursor),
            None => break,
        }
    }
    assert_eq!(seen, keys() - gone);
    let mib = PeakAlloc.peak_usage_as_mb() - before;
    assert!(mib < MIB_OF_A_SCAN, "scanning took {mib} MiB");

    engine.close().await.expect("closing");
    drop(engine);
    let engine = open(&directory, Arc::new(clock));
    assert_eq!(engine.keys().count(&bucket).await.expect("counting"), seen as u64);
    engine.keys().clear(&bucket).await.expect("clearing");
    assert_eq!(engine.keys().count(&bucket).await.expect("counting"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_expire_at_once() {
    let directory = TempDir::new().expect("a directory");
    let clock = ManualClock::at(Timestamp::from_millis(1_000));
    let engine = open(&directory, Arc::new(clock.clone()));
    let count = 20_000;
    let moment = clock.now().after(Duration::from_secs(60));
    fill(&engine, count, Expiry::At(moment)).await;
    let stays = engine
        .keys()
        .write(&Bucket::default(), key(count), Write::put("stays"));
    stays.await.expect("writing");
    clock.advance(Duration::from_secs(60));
    while engine.keys().count(&Bucket::default()).await.expect("counting") > 1 {
        engine.clear_up().await.expect("clearing up");
    }
    assert_eq!(
        engine
            .keys()
            .scan(&Bucket::default(), Scan::default())
            .await
            .expect("scanning")
            .entries
            .len(),
        1
    );
}
