//! What the blobs of an engine share: contents, their index in the store, and what is to be removed.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytestring::ByteString;
use foldhash::fast::FixedState;
use foldhash::{HashSet, HashSetExt};
use parking_lot::Mutex;
use switchboard_engine::blobs::BlobInfo;
use switchboard_engine::{Bucket, Clock, EngineError, Result};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, RwLock};

use super::content::Contents;
use super::id::ContentId;
use super::record::{BlobRecord, blob_key, owner_key};
use crate::commit::{Committer, Source};
use crate::store::{Batch, Space, StoreError};

/// How many blobs may be put or deleted at one time, if their names do not fall together: each waits for its own round.
const STRIPES: usize = 256;

/// How long contents that nobody needs stay: as many as come together within it are removed after one sync of the disk.
const REMOVAL_DELAY: Duration = Duration::from_secs(1);

/// How long to wait when the disk cannot be read, or the engine is closed.
const RETRY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) committer: Arc<Committer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) contents: Contents,
    /// Who puts or deletes a blob holds the one that its name falls on, from finding the blob before it to knowing that
    /// the change is in the store.
    stripes: Vec<Arc<tokio::sync::Mutex<()>>>,
    /// Contents that are in their place before the store speaks of them.
    arriving: Mutex<HashSet<ContentId>>,
    /// For the next round.
    changes: Mutex<Vec<Change>>,
    removals: Mutex<Removals>,
    /// Held by whoever removes contents, and shared by those who need all of them to stay.
    removing: Arc<RwLock<()>>,
    is_closed: AtomicBool,
}

/// A change of the index: keys, and what they are to say.
type Change = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Contents that nobody needs.
#[derive(Debug, Default)]
struct Removals {
    contents: Vec<ContentId>,
    /// A task sees to them.
    is_scheduled: bool,
}

/// Nobody else puts or deletes a blob of that name.
#[derive(Debug)]
pub(crate) struct Hold {
    bucket: Bucket,
    name: ByteString,
    _stripe: OwnedMutexGuard<()>,
}

/// A content that is in its place, or soon will be, and belongs to nobody yet. Dropped, it goes.
#[derive(Debug)]
pub(crate) struct Arrival {
    shelf: Arc<Shelf>,
    content: Option<ContentId>,
}

impl Arrival {
    /// From here on it may be that it belongs to a blob.
    fn goes_on(mut self) {
        self.content = None;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(content) = self.content {
            self.shelf.arriving.lock().remove(&content);
            self.shelf.remove_later(Some(content));
        }
    }
}

impl Shelf {
    pub(crate) fn new(committer: Arc<Committer>, clock: Arc<dyn Clock>, contents: Contents) -> Self {
        Self {
            committer,
            clock,
            contents,
            stripes: (0..STRIPES).map(|_| Arc::default()).collect(),
            arriving: Mutex::new(HashSet::new()),
            changes: Mutex::new(Vec::new()),
            removals: Mutex::default(),
            removing: Arc::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Keeps everybody else from changing a blob.
    ///
    /// # Errors
    /// Unavailable while the disk fails, and after the engine was closed.
    pub(crate) async fn hold(&self, bucket: Bucket, name: ByteString) -> Result<Hold> {
        // With fixed seeds: who makes names fall together only makes them wait for each other.
        let hash = FixedState::default().hash_one((&bucket, &name));
        let place = usize::try_from(hash % STRIPES as u64).unwrap_or_default();
        let Some(stripe) = self.stripes.get(place) else {
            return Err(EngineError::Failed("no such stripe".to_owned()));
        };
        let stripe = Arc::clone(stripe).lock_owned().await;
        self.check_open()?;
        self.committer.room().await?;
        Ok(Hold {
            bucket,
            name,
            _stripe: stripe,
        })
    }

    /// A content is about to come to its place.
    pub(crate) fn arrive(self: &Arc<Self>, content: ContentId) -> Arrival {
        self.arriving.lock().insert(content);
        Arrival {
            shelf: Arc::clone(self),
            content: Some(content),
        }
    }

    /// Makes a content the blob that is held, once it is in its place.
    ///
    /// # Errors
    /// Unavailable: then it may have become that.
    pub(crate) async fn put(
        self: &Arc<Self>,
        hold: Hold,
        arrival: Arrival,
        record: BlobRecord,
    ) -> Result<()> {
        let before = self.find_later(&hold).await?;
        let owner = blob_key(&hold.bucket, &hold.name);
        let mut change = vec![
            (owner.clone(), Some(record.encode())),
            (owner_key(record.content).to_vec(), Some(owner)),
        ];
        change.extend(
            before
                .iter()
                .map(|before| (owner_key(before.content).to_vec(), None)),
        );
        arrival.goes_on();
        self.commit(change).await?;
        self.arriving.lock().remove(&record.content);
        self.remove_later(before.map(|before| before.content));
        Ok(())
    }

    /// Takes the blob away that is held. False if there was none.
    ///
    /// # Errors
    /// Unavailable: then it may be gone.
    pub(crate) async fn delete(self: &Arc<Self>, hold: Hold) -> Result<bool> {
        let Some(before) = self.find_later(&hold).await? else {
            return Ok(false);
        };
        let change = vec![
            (blob_key(&hold.bucket, &hold.name), None),
            (owner_key(before.content).to_vec(), None),
        ];
        self.commit(change).await?;
        self.remove_later(Some(before.content));
        Ok(true)
    }

    /// What is known of a blob. It waits for the disk.
    ///
    /// # Errors
    /// Damaged; unavailable.
    pub(crate) fn find(&self, bucket: &Bucket, name: &str) -> Result<Option<BlobRecord>> {
        self.check_open()?;
        let stored = self.committer.store().get(Space::Blobs, &blob_key(bucket, name));
        let Some(stored) = stored.map_err(store_error)? else {
            return Ok(None);
        };
        match BlobRecord::decode(name.into(), &stored) {
            Some(record) => Ok(Some(record)),
            None => Err(damaged(bucket, name, "what is known of it makes no sense")),
        }
    }

    /// Whether a content belongs to a blob, or is about to. It waits for the disk.
    pub(crate) fn is_needed(&self, content: ContentId) -> Result<bool> {
        // In this order: what has arrived is in the store.
        if self.arriving.lock().contains(&content) {
            return Ok(true);
        }
        let owner = self.committer.store().get(Space::Blobs, &owner_key(content));
        owner.map(|owner| owner.is_some()).map_err(store_error)
    }

    /// # Errors
    /// Unavailable, after the engine was closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        match self.is_closed() {
            true => Err(EngineError::unavailable(RETRY, "the engine is closed")),
            false => Ok(()),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    async fn find_later(self: &Arc<Self>, hold: &Hold) -> Result<Option<BlobRecord>> {
        let shelf = Arc::clone(self);
        let (bucket, name) = (hold.bucket.clone(), hold.name.clone());
        blocking(move || shelf.find(&bucket, &name)).await
    }

    /// Waits until the store has a change, and the disk as the durability says.
    async fn commit(&self, change: Change) -> Result<()> {
        let bytes = change_bytes(&change);
        self.changes.lock().push(change);
        self.committer.changed(bytes);
        let acknowledged = self.committer.acknowledge(());
        self.committer.when_stored().await?;
        acknowledged.await
    }

    /// Removes contents when the disk has it that nobody needs them: not before, or the loss of power would bring back a
    /// blob without its content.
    fn remove_later(self: &Arc<Self>, content: Option<ContentId>) {
        let Some(content) = content else { return };
        let mut removals = self.removals.lock();
        removals.contents.push(content);
        if std::mem::replace(&mut removals.is_scheduled, true) {
            return;
        }
        drop(removals);
        // Where nothing can be spawned any more, the engine is about to end.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let shelf = Arc::clone(self);
        runtime.spawn(async move {
            tokio::time::sleep(REMOVAL_DELAY).await;
            // What is not removed now is when the engine is opened again.
            if let Err(error) = shelf.remove_now().await {
                tracing::warn!("contents of blobs that nobody needs were not removed: {error}");
            }
        });
    }

    /// As long as it is held, no content is removed.
    pub(crate) async fn keep_all(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.removing).read_owned().await
    }

    /// Removes what nobody needs any more.
    ///
    /// # Errors
    /// Unavailable and failed, when the disk does not do it.
    pub(crate) async fn remove_now(self: &Arc<Self>) -> Result<()> {
        let _removing = self.removing.write().await;
        let contents = {
            let mut removals = self.removals.lock();
            removals.is_scheduled = false;
            std::mem::take(&mut removals.contents)
        };
        if contents.is_empty() {
            return Ok(());
        }
        self.committer.when_synced().await?;
        let shelf = Arc::clone(self);
        blocking(move || {
            contents
                .into_iter()
                .try_for_each(|content| shelf.contents.remove(content))
        })
        .await
    }
}

impl Source for Shelf {
    fn collect(&self, batch: &mut Batch) -> usize {
        let changes = std::mem::take(&mut *self.changes.lock());
        for (key, value) in changes.iter().flatten() {
            match value {
                Some(value) => batch.put(Space::Blobs, key, value),
                None => batch.delete(Space::Blobs, key),
            }
        }
        changes.iter().map(change_bytes).sum()
    }
}

fn change_bytes(change: &Change) -> usize {
    let bytes = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| key.len() + value.as_ref().map_or(0, Vec::len);
    change.iter().map(bytes).sum()
}

/// Waits for the disk elsewhere.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(EngineError::Failed(format!("working on blobs: {error}"))))
}

/// Names what is damaged.
pub(crate) fn damaged(bucket: &Bucket, name: &str, how: &str) -> EngineError {
    EngineError::Damaged(format!("the blob {name:?} in {bucket}: {how}"))
}

/// The same error, with the name of the blob if it is damage.
pub(crate) fn named(bucket: &Bucket, info: &BlobInfo, error: EngineError) -> EngineError {
    match error {
        EngineError::Damaged(how) => damaged(bucket, &info.name, &how),
        other => other,
    }
}

pub(crate) fn store_error(error: StoreError) -> EngineError {
    match error {
        StoreError::Damaged(place) => EngineError::Damaged(place),
        StoreError::Disk(reason) => EngineError::unavailable(RETRY, reason),
    }
}
