//! Watches: what there is, page by page, then the ring.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use switchboard_engine::keys::{Revision, Scan, Watch, WatchEvent, WatchFrom};
use switchboard_engine::{Key, Result, Timestamp};

use super::Shared;
use super::buckets::BucketState;
use super::ring::{Event, News};

/// How many changes are taken out of the ring at once.
const EVENTS_AT_ONCE: usize = 256;

/// Begins a watch.
pub(super) fn watch(
    shared: &Arc<Shared>,
    bucket: &switchboard_engine::Bucket,
    prefix: Bytes,
    from: WatchFrom,
) -> Watch {
    let watcher = Watcher::begin(shared, bucket, prefix, from);
    stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((event, watcher))
    })
    .fuse()
    .boxed()
}

#[derive(Debug)]
struct Watcher {
    shared: Arc<Shared>,
    bucket: Arc<BucketState>,
    prefix: Bytes,
    /// The number of the next change in the ring.
    next: u64,
    stage: Stage,
    /// What is to be told next.
    ready: VecDeque<WatchEvent>,
    has_failed: bool,
}

#[derive(Debug)]
enum Stage {
    /// What there is is being told, from the key after that one on.
    Scanning { after: Option<Key>, current: Revision },
    /// What changed before the watch began is being told, up to the change of that number.
    CatchingUp { until: u64, current: Revision },
    /// What changes is being told.
    Following,
}

impl Watcher {
    fn begin(
        shared: &Arc<Shared>,
        bucket: &switchboard_engine::Bucket,
        prefix: Bytes,
        from: WatchFrom,
    ) -> Self {
        let bucket = shared.begin_watch(bucket);
        let mut watcher = Self {
            shared: Arc::clone(shared),
            bucket,
            // It may be a slice of something large.
            prefix: Bytes::copy_from_slice(&prefix),
            next: 0,
            stage: Stage::Following,
            ready: VecDeque::new(),
            has_failed: false,
        };
        match from {
            WatchFrom::Everything => watcher.scan_anew(),
            WatchFrom::Now => watcher.follow_after(None),
            WatchFrom::After(revision) => watcher.follow_after(Some(revision)),
        }
        watcher
    }

    /// Everything anew: what changes from now on follows it.
    fn scan_anew(&mut self) {
        let ring = self.bucket.changes.lock();
        self.next = ring.next();
        self.stage = Stage::Scanning {
            after: None,
            current: self.bucket.last_revision(),
        };
    }

    /// What changed after a revision, or from now on.
    fn follow_after(&mut self, revision: Option<Revision>) {
        let ring = self.bucket.changes.lock();
        let current = self.bucket.last_revision();
        let until = ring.next();
        let from = match revision {
            None => Some(until),
            Some(revision) if self.bucket.is_unchanged_since(revision) => Some(until),
            Some(revision) if revision > current => None,
            Some(revision) => ring.after(revision),
        };
        drop(ring);
        match from {
            Some(from) => {
                self.next = from;
                self.stage = Stage::CatchingUp { until, current };
            }
            None => self.reset(),
        }
    }

    fn reset(&mut self) {
        self.ready.clear();
        self.ready.push_back(WatchEvent::Reset);
        self.scan_anew();
    }

    async fn next(&mut self) -> Option<Result<WatchEvent>> {
        loop {
            if self.has_failed {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            let outcome = match &self.stage {
                Stage::Scanning { after, current } => {
                    let (after, current) = (after.clone(), *current);
                    self.scan(after, current).await
                }
                Stage::CatchingUp { until, current } if self.next >= *until => {
                    self.ready.push_back(WatchEvent::Current { revision: *current });
                    self.stage = Stage::Following;
                    Ok(())
                }
                Stage::CatchingUp { .. } | Stage::Following => self.follow().await?,
            };
            if let Err(error) = outcome {
                self.has_failed = true;
                return Some(Err(error));
            }
        }
    }

    /// Tells one page of what there is.
    async fn scan(&mut self, after: Option<Key>, current: Revision) -> Result<()> {
        let scan = Scan {
            prefix: self.prefix.clone(),
            after,
            limit: 0,
            values: true,
        };
        let page = super::scan::scan_plain(&self.shared, self.bucket.name.clone(), scan).await?;
        let puts = page
            .entries
            .into_iter()
            .map(|(key, entry)| WatchEvent::Put { key, entry });
        self.ready.extend(puts);
        match page.cursor {
            Some(cursor) => {
                self.stage = Stage::Scanning {
                    after: Some(cursor),
                    current,
                };
            }
            None => {
                self.ready.push_back(WatchEvent::Current { revision: current });
                self.stage = Stage::Following;
            }
        }
        Ok(())
    }

    /// Takes changes out of the ring, or waits for some. `None` when the engine was closed.
    async fn follow(&mut self) -> Option<Result<()>> {
        let bucket = Arc::clone(&self.bucket);
        let max = match self.stage {
            Stage::CatchingUp { until, .. } => usize::try_from(until - self.next).unwrap_or(EVENTS_AT_ONCE),
            _ => EVENTS_AT_ONCE,
        };
        let news = bucket.changes.news();
        match bucket.changes.read(self.next, max.min(EVENTS_AT_ONCE)) {
            News::Ended => return None,
            News::Overtaken => self.reset(),
            News::Events(events, next) if events.is_empty() => {
                self.next = next;
                news.await;
            }
            News::Events(events, next) => {
                self.next = next;
                let prefix = &self.prefix;
                let told = events.iter().filter(|event| event.slot.key().starts_with(prefix));
                self.ready.extend(told.filter_map(tell));
            }
        }
        Some(Ok(()))
    }
}

/// A change, in the words of the contract.
fn tell(event: &Event) -> Option<WatchEvent> {
    let slot = &event.slot;
    let key = slot.to_key()?;
    Some(match slot.told(Timestamp::default) {
        Some(entry) => WatchEvent::Put { key, entry },
        None => WatchEvent::Delete {
            key,
            revision: slot.revision(),
            expired: event.is_expiry,
        },
    })
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.bucket.changes.leave();
    }
}
