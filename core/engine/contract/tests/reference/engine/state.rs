//! What is kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use switchboard_engine::blobs::BlobInfo;
use switchboard_engine::keys::{Entry, Revision, WatchEvent};
use switchboard_engine::queues::{Job, JobId, JobState, Push};
use switchboard_engine::{Bucket, Key, QueueName, Timestamp};

use super::flaw::Flaw;

/// Changes that a bucket remembers for its watches: few, so that they are often behind.
const CHANGES_MAX: usize = 500;

#[derive(Clone, Default)]
pub struct State {
    pub now: Timestamp,
    pub monotonic: Duration,
    pub buckets: BTreeMap<Bucket, Kept>,
    pub queues: BTreeMap<QueueName, Line>,
    pub blobs: BTreeMap<Bucket, BTreeMap<ByteString, Arc<Blob>>>,
}

/// A bucket of keys.
#[derive(Clone, Default)]
pub struct Kept {
    pub entries: BTreeMap<Key, Entry>,
    pub revision: u64,
    pub changes: VecDeque<(Revision, WatchEvent)>,
    /// The last change that is not remembered.
    pub forgotten: u64,
}

/// A queue.
#[derive(Clone, Default)]
pub struct Line {
    pub jobs: BTreeMap<JobId, Record>,
    pub last: u64,
    pub tokens: u64,
    /// Jobs by dedupe id, and until when a push is the same.
    pub once: BTreeMap<ByteString, (JobId, Until)>,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Until {
    pub wall: Timestamp,
    pub monotonic: Duration,
}

#[derive(Clone)]
pub struct Record {
    pub job: Job,
    pub state: JobState,
    pub attempts: u32,
    pub until: Until,
    pub token: Option<ByteString>,
    pub reason: Option<ByteString>,
}

pub struct Blob {
    pub info: BlobInfo,
    pub content: Bytes,
}

impl State {
    pub fn until(&self, time: Duration) -> Until {
        Until {
            wall: self.now.after(time),
            monotonic: self.monotonic + time,
        }
    }

    pub fn settle(&mut self, now: Timestamp, monotonic: Duration, flaw: Flaw) {
        (self.now, self.monotonic) = (now, monotonic);
        for kept in self.buckets.values_mut() {
            kept.expire(now, flaw);
        }
        let over = |until: Until| match flaw {
            Flaw::LeasesByWallClock => until.wall <= now,
            _ => until.monotonic <= monotonic,
        };
        for line in self.queues.values_mut() {
            line.once.retain(|_, (_, until)| !over(*until));
            for record in line.jobs.values_mut() {
                match record.state {
                    JobState::Reserved if over(record.until) => record.fail("the lease ended".into(), None),
                    JobState::Delayed if over(record.until) => record.state = JobState::Ready,
                    _ => {}
                }
            }
        }
    }

    pub fn restart(&mut self, now: Timestamp, monotonic: Duration) {
        let renew = |until: &mut Until| until.monotonic = monotonic + until.wall.since(now);
        for kept in self.buckets.values_mut() {
            kept.changes.clear();
            kept.forgotten = kept.revision;
        }
        for line in self.queues.values_mut() {
            line.once.values_mut().for_each(|(_, until)| renew(until));
            line.jobs.values_mut().for_each(|record| renew(&mut record.until));
        }
    }

    /// This state, but for one write that is not in the older state.
    pub fn without_an_older(&self, older: &Self) -> Self {
        let mut less = self.clone();
        for (bucket, kept) in &mut less.buckets {
            let flushed = older.buckets.get(bucket).map_or(0, |kept| kept.revision);
            let oldest = kept.entries.iter().find(|(_, entry)| entry.revision.0 > flushed);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                kept.entries.remove(&key);
            }
        }
        less
    }
}

impl Kept {
    fn expire(&mut self, now: Timestamp, flaw: Flaw) {
        let gone = |entry: &Entry| match entry.expires {
            Some(moment) if flaw == Flaw::ExpiresLate => moment < now,
            Some(moment) => moment <= now,
            None => false,
        };
        let expired: Vec<Key> = self
            .entries
            .iter()
            .filter(|(_, entry)| gone(entry))
            .map(|(key, _)| key.clone())
            .collect();
        for key in expired {
            self.remove(&key, true);
        }
    }

    pub fn next_revision(&mut self) -> Revision {
        self.revision += 1;
        Revision(self.revision)
    }

    pub fn remove(&mut self, key: &Key, expired: bool) {
        if self.entries.remove(key).is_some() {
            let revision = self.next_revision();
            let key = key.clone();
            self.tell(
                revision,
                WatchEvent::Delete {
                    key,
                    revision,
                    expired,
                },
            );
        }
    }

    pub fn tell(&mut self, revision: Revision, event: WatchEvent) {
        self.changes.push_back((revision, event));
        if self.changes.len() > CHANGES_MAX
            && let Some((revision, _)) = self.changes.pop_front()
        {
            self.forgotten = revision.0;
        }
    }
}

impl Record {
    pub fn new(id: JobId, push: Push, pushed: Timestamp, ready: Until) -> Self {
        Self {
            state: if push.delay.is_zero() {
                JobState::Ready
            } else {
                JobState::Delayed
            },
            job: Job {
                id,
                payload: push.payload,
                headers: push.headers,
                priority: push.priority,
                attempts_max: push.attempts_max,
                pushed,
            },
            attempts: 0,
            until: ready,
            token: None,
            reason: None,
        }
    }

    /// The attempt failed; the job is to wait until then.
    pub fn fail(&mut self, reason: ByteString, wait: Option<Until>) {
        self.token = None;
        self.reason = Some(reason);
        self.until = wait.unwrap_or_default();
        self.state = match wait {
            _ if self.attempts >= self.job.attempts_max => JobState::Dead,
            Some(_) => JobState::Delayed,
            None => JobState::Ready,
        };
    }
}
