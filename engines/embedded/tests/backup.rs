//! Backups of a running engine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt;
use switchboard_engine::keys::{BatchOutcome, Scan, Write};
use switchboard_engine::queues::{JobState, Push};
use switchboard_engine::{Bucket, Engine, EngineError, Key, QueueName};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use tempfile::TempDir;

fn open(path: &Path) -> Arc<Embedded> {
    Embedded::open(EmbeddedOptions::new(DataDir::Path(path.to_owned()))).unwrap()
}

fn key(name: String) -> Key {
    Key::new(name).unwrap()
}

async fn put_blob(engine: &Embedded, name: &str, content: &[u8]) {
    let mut writer = engine
        .blobs()
        .put(&Bucket::default(), name.into(), None)
        .await
        .unwrap();
    writer.write(content.to_vec().into()).await.unwrap();
    writer.finish().await.unwrap();
}

async fn blob(engine: &Embedded, name: &str) -> Vec<u8> {
    let reader = engine
        .blobs()
        .get(&Bucket::default(), name, None)
        .await
        .unwrap()
        .unwrap();
    let parts: Vec<_> = reader.parts.try_collect().await.unwrap();
    parts.concat()
}

/// Writes the same number to two keys, again and again, until told to stop, and replaces a blob.
async fn keep_writing(engine: Arc<Embedded>, stop: Arc<AtomicBool>) {
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        number += 1;
        let put = || Write::put(number.to_string());
        let batch = vec![(key("left".to_owned()), put()), (key("right".to_owned()), put())];
        let outcome = engine.keys().batch(&Bucket::default(), batch).await.unwrap();
        assert!(matches!(outcome, BatchOutcome::Done(_)));
        if number % 20 == 0 {
            put_blob(&engine, "changing", number.to_string().repeat(1_000).as_bytes()).await;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_one_moment_of_an_engine_at_work() {
    let directory = TempDir::new().unwrap();
    let engine = open(&directory.path().join("data"));
    for number in 0..3_000 {
        let write = Write::put(format!("value {number}").repeat(1 + number % 200));
        engine
            .keys()
            .write(&Bucket::default(), key(format!("key {number}")), write)
            .await
            .unwrap();
    }
    let queue = QueueName::new("jobs").unwrap();
    engine.queues().push(&queue, Push::new("a job")).await.unwrap();
    put_blob(&engine, "large", &vec![7; 1_000_000]).await;
    put_blob(&engine, "changing", b"0").await;

    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(keep_writing(Arc::clone(&engine), Arc::clone(&stop)));
    for round in 0..3 {
        let target = directory.path().join(format!("backup {round}"));
        let backup = engine.backup(target.clone()).await.unwrap();
        assert!(backup.records >= 3_000 && backup.contents >= 2, "{backup:?}");
        let copy = open(&target);
        let get = async |name: &str| {
            copy.keys()
                .get(&Bucket::default(), name.as_bytes())
                .await
                .unwrap()
        };
        let value = async |name: &str| get(name).await.map(|entry| entry.value);
        assert_eq!(value("left").await, value("right").await, "a batch is torn");
        assert_eq!(value("key 1999").await.unwrap(), "value 1999".repeat(200));
        assert_eq!(blob(&copy, "large").await, vec![7; 1_000_000]);
        assert!(!blob(&copy, "changing").await.is_empty());
        let jobs = copy
            .queues()
            .peek(&queue, JobState::Ready, None, 10)
            .await
            .unwrap();
        assert_eq!(jobs.len(), 1);
        let count = copy.keys().count(&Bucket::default()).await.unwrap();
        assert!(count >= 3_000, "{count}");
    }
    stop.store(true, Ordering::Release);
    writing.await.unwrap();
}

#[tokio::test]
async fn a_backup_gives_no_revision_that_the_engine_gave() {
    let directory = TempDir::new().unwrap();
    let engine = open(&directory.path().join("data"));
    let put = |engine: Arc<Embedded>| async move {
        engine
            .keys()
            .write(&Bucket::default(), key("a".to_owned()), Write::put("1"))
            .await
            .unwrap();
        let page = engine
            .keys()
            .scan(&Bucket::default(), Scan::default())
            .await
            .unwrap();
        page.entries[0].1.revision
    };
    put(Arc::clone(&engine)).await;
    let target = directory.path().join("backup");
    engine.backup(target.clone()).await.unwrap();
    let after = put(Arc::clone(&engine)).await;
    assert!(put(open(&target)).await > after);
}

#[tokio::test]
async fn a_backup_needs_a_directory_of_its_own() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let engine = open(&data);
    for taken in [directory.path(), &data] {
        let outcome = engine.backup(taken.to_owned()).await;
        assert!(matches!(outcome, Err(EngineError::Invalid(_))), "{outcome:?}");
    }
    let outcome = engine.backup("/proc/self/backup".into()).await;
    assert!(
        matches!(outcome, Err(EngineError::Unavailable { .. })),
        "{outcome:?}"
    );
    let memory = Embedded::open(EmbeddedOptions::new(DataDir::Memory)).unwrap();
    let outcome = memory.backup(directory.path().join("other")).await;
    assert!(matches!(outcome, Err(EngineError::Unsupported(_))), "{outcome:?}");
}
