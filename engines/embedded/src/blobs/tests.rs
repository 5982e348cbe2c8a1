//! Blobs in files, their index in a store in memory.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use proptest::prelude::*;
use switchboard_engine::blobs::PART_BYTES_MAX;
use switchboard_engine::{ManualClock, Timestamp};

use super::content::{CHUNK_BYTES, TEMPORARY};
use super::*;
use crate::commit::Rounds;
use crate::store::{Batch, MemoryStore, Space, Store, StoreError, StoreResult, View};

/// A store that can be made to fail.
#[derive(Debug, Default)]
struct Index {
    store: MemoryStore,
    fails: AtomicBool,
}

impl Index {
    fn check(&self) -> StoreResult<()> {
        match self.fails.load(Ordering::Acquire) {
            true => Err(StoreError::Disk("no space left".to_owned())),
            false => Ok(()),
        }
    }
}

impl Store for Index {
    fn get(&self, space: Space, key: &[u8]) -> StoreResult<Option<Bytes>> {
        self.store.get(space, key)
    }

    fn view(&self) -> Box<dyn View + '_> {
        self.store.view()
    }

    fn write(&self, batch: &Batch, number: u64) -> StoreResult<()> {
        self.check()?;
        self.store.write(batch, number)
    }

    fn sync(&self) -> StoreResult<()> {
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
    index: Arc<Index>,
    directory: tempfile::TempDir,
    clock: ManualClock,
    blobs: EmbeddedBlobs,
    committer: Arc<Committer>,
    rounds: Rounds,
}

impl Bed {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        Self::open(Arc::default(), tempfile::tempdir().unwrap(), clock)
    }

    fn open(index: Arc<Index>, directory: tempfile::TempDir, clock: ManualClock) -> Self {
        let number = index.store.mend().unwrap();
        let committer = Committer::new(Arc::clone(&index) as Arc<dyn Store>, Durability::Second);
        let root = directory.path().join("blobs");
        let clocks = Arc::new(clock.clone());
        let blobs =
            EmbeddedBlobs::open(Arc::clone(&committer), clocks, Durability::Second, Some(root)).unwrap();
        committer.add_source(blobs.source());
        let rounds = Rounds::start(Arc::clone(&committer), number, None).unwrap();
        Self {
            index,
            directory,
            clock,
            blobs,
            committer,
            rounds,
        }
    }

    fn reopen(mut self) -> Self {
        self.blobs.close();
        self.rounds.stop().unwrap();
        let bed = Self::open(self.index, self.directory, self.clock);
        // As long as the engine is open, it goes on to the end.
        bed.blobs.await_collector();
        bed
    }

    async fn writer(&self, name: &str) -> Box<dyn BlobWriter> {
        self.blobs.put(&bucket(), name.into(), None).await.unwrap()
    }

    async fn put(&self, name: &str, content: &Bytes) -> BlobInfo {
        let mut writer = self.writer(name).await;
        writer.write(content.clone()).await.unwrap();
        writer.finish().await.unwrap()
    }

    async fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let mut parts = self.blobs.get(&bucket(), name, range).await?.unwrap().parts;
        let mut content = Vec::new();
        while let Some(part) = parts.next().await {
            content.extend_from_slice(&part?);
        }
        Ok(content)
    }

    /// The files of contents, and of those that are being written.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        list_files(&self.directory.path().join("blobs"), &mut files);
        files
    }
}

fn list_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => list_files(&path, files),
            false => files.push(path),
        }
    }
}

fn bucket() -> Bucket {
    Bucket::default()
}

fn noise(bytes: usize, seed: u8) -> Bytes {
    let mut state = u32::from(seed) + 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(bytes)
    .collect()
}

fn sha256(content: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    digest.as_ref().try_into().unwrap()
}

#[tokio::test]
async fn a_blob_comes_back_with_what_is_known_of_it() {
    let bed = Bed::new();
    let content = noise(PART_BYTES_MAX * 3 + 77, 1);
    let mut writer = bed
        .blobs
        .put(&bucket(), "a".into(), Some("text/plain".into()))
        .await
        .unwrap();
    for part in content.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(part)).await.unwrap();
    }
    let info = writer.finish().await.unwrap();
    let expected = BlobInfo {
        name: "a".into(),
        size: content.len() as u64,
        sha256: sha256(&content),
        created: Timestamp::from_millis(1_000),
        content_type: Some("text/plain".into()),
    };
    assert_eq!(info, expected);
    let bed = bed.reopen();
    assert_eq!(bed.blobs.info(&bucket(), "a").await.unwrap(), Some(expected));
    assert!(bed.read("a", None).await.unwrap() == content);
    assert_eq!(bed.blobs.buckets().await.unwrap(), [bucket()]);
}

#[tokio::test]
async fn what_was_replaced_and_deleted_goes_from_the_disk() {
    let bed = Bed::new();
    bed.put("a", &noise(10, 1)).await;
    bed.put("a", &noise(20, 2)).await;
    bed.put("b", &noise(30, 3)).await;
    assert!(bed.blobs.delete(&bucket(), "b").await.unwrap());
    assert!(!bed.blobs.delete(&bucket(), "b").await.unwrap());
    assert_eq!(
        bed.files().len(),
        3,
        "the disk may not know yet that they are not needed"
    );
    bed.blobs.shelf.remove_now().await.unwrap();
    assert_eq!(bed.files().len(), 1);
    assert!(bed.read("a", None).await.unwrap() == noise(20, 2));
    bed.blobs.delete(&bucket(), "a").await.unwrap();
    bed.blobs.shelf.remove_now().await.unwrap();
    let view = bed.index.store.view();
    assert_eq!(crate::store::with_prefix(&*view, Space::Blobs, b"").count(), 0);
    drop(view);
    assert_eq!(bed.files(), [""; 0].map(PathBuf::from));
}

#[tokio::test]
async fn contents_that_belong_to_nobody_go_when_the_engine_is_opened() {
    let bed = Bed::new();
    let content = noise(200_000, 1);
    bed.put("kept", &content).await;
    bed.put("deleted", &content).await;
    bed.blobs.delete(&bucket(), "deleted").await.unwrap();
    let mut half = bed.writer("half").await;
    half.write(noise(PART_BYTES_MAX * 2, 2)).await.unwrap();
    let root = bed.directory.path().join("blobs");
    let orphan = id::ContentId::random().unwrap().path(&root);
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "moved to its place, then the process was killed").unwrap();
    fs::write(orphan.with_file_name("README"), "somebody's own").unwrap();
    assert_eq!(bed.files().len(), 5);

    let bed = bed.reopen();
    let files = bed.files();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files.contains(&orphan.with_file_name("README")));
    assert!(bed.read("kept", None).await.unwrap() == content);
    drop(half);
}

#[tokio::test]
async fn what_is_given_up_leaves_nothing() {
    let bed = Bed::new();
    let big = noise(PART_BYTES_MAX * 4, 1);
    let mut writer = bed.writer("a").await;
    drop(writer.write(big.clone()));
    let written = writer.write("more".into()).await;
    assert!(
        matches!(written, Err(EngineError::Failed(_))),
        "a part may be missing"
    );
    assert!(matches!(writer.finish().await, Err(EngineError::Failed(_))));
    let mut writer = bed.writer("a").await;
    writer.write(big.clone()).await.unwrap();
    drop(writer.finish());
    let mut writer = bed.writer("a").await;
    writer.write(big).await.unwrap();
    drop(writer);
    // They are removed by threads of their own.
    while !bed.files().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(bed.blobs.info(&bucket(), "a").await.unwrap(), None);
}

#[tokio::test]
async fn damage_is_named_and_never_served() {
    let bed = Bed::new();
    let content = noise(CHUNK_BYTES * 6, 1);
    bed.put("a", &content).await;
    let path = bed.files().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    // In the last chunk.
    let place = bytes.len() - 100;
    bytes[place] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut parts = bed.blobs.get(&bucket(), "a", None).await.unwrap().unwrap().parts;
    let mut served = Vec::new();
    let error = loop {
        match parts.next().await.unwrap() {
            Ok(part) => served.extend_from_slice(&part),
            Err(error) => break error,
        }
    };
    assert!(served.len() < content.len() && served == content[..served.len()]);
    assert!(
        matches!(&error, EngineError::Damaged(place) if place.contains("\"a\" in default")),
        "{error:?}"
    );
    assert!(parts.next().await.is_none());
    let last = content.len() as u64 - 1;
    let ranged = bed.read("a", Some(last..last + 1)).await;
    assert!(matches!(ranged, Err(EngineError::Damaged(_))));
    assert!(bed.read("a", Some(0..10)).await.unwrap() == content[..10]);

    fs::remove_file(&path).unwrap();
    let missing = bed.blobs.get(&bucket(), "a", None).await;
    assert!(matches!(missing, Err(EngineError::Damaged(place)) if place.contains("missing")));
    bed.put("a", &content).await;
    assert!(
        bed.read("a", None).await.unwrap() == content,
        "put anew, it is whole"
    );
}

#[tokio::test]
async fn an_index_that_speaks_of_another_content_is_found_out() {
    let bed = Bed::new();
    bed.put("a", &noise(1_000, 1)).await;
    let record = bed.blobs.shelf.find(&bucket(), "a").unwrap().unwrap();
    let info = BlobInfo {
        sha256: [0; 32],
        ..record.info.clone()
    };
    let reading = bed
        .blobs
        .shelf
        .contents
        .open(record.content, info.size)
        .unwrap()
        .unwrap();
    let mut parts = Reader::new(bucket(), info, reading, None).parts();
    assert!(matches!(parts.next().await, Some(Err(EngineError::Damaged(_)))));
    assert!(parts.next().await.is_none());
}

#[tokio::test]
async fn a_failing_disk_refuses_what_is_new_and_the_old_stays() {
    let bed = Bed::new();
    bed.put("a", &noise(10, 1)).await;
    bed.index.fails.store(true, Ordering::Release);
    let writer = bed.writer("a").await;
    let refused = writer.finish().await;
    assert!(
        matches!(refused, Err(EngineError::Unavailable { .. })),
        "{refused:?}"
    );
    let refused = bed.blobs.delete(&bucket(), "a").await;
    assert!(
        matches!(refused, Err(EngineError::Unavailable { .. })),
        "{refused:?}"
    );
    assert!(bed.read("a", None).await.unwrap() == noise(10, 1));
    bed.index.fails.store(false, Ordering::Release);
}

#[tokio::test]
async fn after_closing_what_is_open_is_read_to_its_end() {
    let bed = Bed::new();
    let content = noise(PART_BYTES_MAX * 3, 1);
    bed.put("a", &content).await;
    let reader = bed.blobs.get(&bucket(), "a", None).await.unwrap().unwrap();
    bed.blobs.close();
    let parts: Vec<_> = reader.parts.map(|part| part.unwrap()).collect().await;
    assert!(parts.concat() == content);
    assert!(matches!(
        bed.blobs.info(&bucket(), "a").await,
        Err(EngineError::Unavailable { .. })
    ));
    let refused = bed.blobs.put(&bucket(), "b".into(), None).await;
    assert!(matches!(refused, Err(EngineError::Unavailable { .. })));
}

#[tokio::test]
async fn without_a_directory_contents_are_in_memory() {
    let committer = Committer::new(Arc::new(MemoryStore::default()), Durability::Never);
    let clock = Arc::new(ManualClock::default());
    let blobs = EmbeddedBlobs::open(Arc::clone(&committer), clock, Durability::Never, None).unwrap();
    committer.add_source(blobs.source());
    let _rounds = Rounds::start(committer, 0, None).unwrap();
    let content = noise(CHUNK_BYTES * 5 + 3, 1);
    for _ in 0..2 {
        let mut writer = blobs.put(&bucket(), "a".into(), None).await.unwrap();
        writer.write(content.slice(..100)).await.unwrap();
        writer.write(content.slice(100..)).await.unwrap();
        writer.finish().await.unwrap();
    }
    blobs.shelf.remove_now().await.unwrap();
    let reader = blobs
        .get(&bucket(), "a", Some(10..400_000))
        .await
        .unwrap()
        .unwrap();
    let parts: Vec<_> = reader.parts.map(|part| part.unwrap()).collect().await;
    assert!(parts.concat() == content[10..]);
    assert!(blobs.delete(&bucket(), "a").await.unwrap());
    assert!(blobs.get(&bucket(), "a", None).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_readers_and_deleters_of_one_name_see_one_blob_at_a_time() {
    let bed = Arc::new(Bed::new());
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..4_u8 {
        let bed = Arc::clone(&bed);
        tasks.spawn(async move {
            for round in 0..20 {
                let content = noise(CHUNK_BYTES + usize::from(seed), seed);
                bed.put("a", &content).await;
                if let Some(reader) = bed.blobs.get(&bucket(), "a", None).await.unwrap() {
                    let sha256_expected = reader.info.sha256;
                    let parts: Vec<_> = reader.parts.map(|part| part.unwrap()).collect().await;
                    assert_eq!(sha256(&parts.concat()), sha256_expected);
                }
                if round % 5 == 0 {
                    bed.blobs.delete(&bucket(), "a").await.unwrap();
                }
                bed.blobs.shelf.remove_now().await.unwrap();
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    bed.blobs.shelf.remove_now().await.unwrap();
    bed.committer.when_stored().await.unwrap();
    let left = usize::from(bed.blobs.info(&bucket(), "a").await.unwrap().is_some());
    let temporary = bed
        .files()
        .iter()
        .filter(|path| path.parent().unwrap().ends_with(TEMPORARY))
        .count();
    assert_eq!((bed.files().len(), temporary), (left, 0));
}

/// The bytes of a blob, those of a part in which it is written, and ranges of it.
fn shapes() -> impl Strategy<Value = Vec<(usize, usize, Vec<Range<u64>>)>> {
    let range = (0_u64..600_000, 0_u64..600_000).prop_map(|(start, end)| start..end);
    let shape = (
        0..CHUNK_BYTES * 9,
        1..CHUNK_BYTES * 5,
        proptest::collection::vec(range, 1..5),
    );
    proptest::collection::vec(shape, 32)
}

proptest! {
    // One engine for all of them.
    #![proptest_config(ProptestConfig { cases: 1, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ranges_bring_their_bytes(shapes in shapes()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bed = Bed::new();
            for (size, part, ranges) in shapes {
                let content = noise(size, 1);
                let mut writer = bed.writer("a").await;
                for part in content.chunks(part) {
                    writer.write(Bytes::copy_from_slice(part)).await.unwrap();
                }
                writer.finish().await.unwrap();
                for range in ranges {
                    let from = usize::try_from(range.start).unwrap().min(size);
                    let to = usize::try_from(range.end).unwrap().min(size).max(from);
                    let read = bed.read("a", Some(range)).await.unwrap();
                    assert!(read == content[from..to], "{from}..{to} of {size}");
                }
            }
        });
    }
}
