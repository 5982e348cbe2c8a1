//! What this hub knows of one queue: where each job stands, learned from the stream and from its own writes.
//!
//! It decides nothing: whoever wants a job writes on the condition that it stands as it is known to, and learns
//! otherwise. No I/O here, and no clock.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytestring::ByteString;
use switchboard_engine::Timestamp;
use switchboard_engine::queues::{Counts, JobState};

use super::record::{Head, Standing, Until, What};

/// Most jobs that are known at a time: about 200 MB. Of more, those that were pushed last are looked at when half of
/// these are gone.
pub(super) const JOBS_MAX: usize = 1_000_000;

/// Jobs that are remembered to be gone, so that late word of them makes nothing of them.
const GONE_MAX: usize = 65_536;

/// What is said of an attempt that did not end by itself.
const LEASE_OVER: &str = "the lease was over";

/// The time by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) wall: Timestamp,
    pub(super) monotonic: Duration,
}

impl Now {
    /// When that is, by the clock that only goes forward.
    fn deadline(&self, until: Until) -> Duration {
        let left = until
            .moment
            .since(self.wall)
            .min(Duration::from_millis(until.length_ms));
        self.monotonic.saturating_add(left)
    }

    fn moment(&self, deadline: Duration) -> Timestamp {
        self.wall.after(deadline.saturating_sub(self.monotonic))
    }
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Ready,
    /// Somebody at this hub is about to reserve it.
    Claimed,
    Waiting(Duration),
    Leased(Duration, ByteString),
    Dead,
}

/// One job.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) head: Head,
    /// Of the last message about where it stands; 0 if there is none.
    pub(super) sequence: u64,
    pub(super) attempts: u32,
    pub(super) reason: Option<ByteString>,
    phase: Phase,
}

impl Known {
    pub(super) fn is_dead(&self) -> bool {
        self.phase == Phase::Dead
    }

    pub(super) fn is_leased_as(&self, token: &str) -> bool {
        matches!(&self.phase, Phase::Leased(_, held) if held == token)
    }

    fn state(&self) -> JobState {
        match self.phase {
            Phase::Ready | Phase::Claimed => JobState::Ready,
            Phase::Waiting(_) => JobState::Delayed,
            Phase::Leased(..) => JobState::Reserved,
            Phase::Dead => JobState::Dead,
        }
    }

    pub(super) fn until(&self, now: Now) -> Option<Timestamp> {
        match self.phase {
            Phase::Waiting(deadline) | Phase::Leased(deadline, _) => Some(now.moment(deadline)),
            _ => None,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct View {
    jobs: HashMap<u64, Known>,
    ready: BTreeSet<(Reverse<u8>, u64)>,
    timed: BTreeSet<(Duration, u64)>,
    /// Jobs that are gone, and in which order they went. No id is given twice.
    gone: HashSet<u64>,
    went: VecDeque<u64>,
    /// Whether there are more jobs than are known.
    pub(super) has_more: bool,
}

impl View {
    /// There is a job.
    pub(super) fn learn_job(&mut self, id: u64, head: Head, now: Now) {
        if self.gone.contains(&id) || self.jobs.contains_key(&id) {
            return;
        }
        if self.jobs.len() >= JOBS_MAX {
            self.has_more = true;
            return;
        }
        let until = Until {
            moment: head.ready_at,
            length_ms: head.delay_ms,
        };
        let job = Known {
            head,
            sequence: 0,
            attempts: 0,
            reason: None,
            phase: Phase::Waiting(now.deadline(until)),
        };
        self.enter(id, job);
        self.settle(now);
    }

    /// A message of that sequence says where a job stands. False if there is no such job.
    pub(super) fn learn(&mut self, id: u64, sequence: u64, standing: Standing, now: Now) -> bool {
        if standing.what == What::Gone {
            self.forget(id);
            return true;
        }
        let Some(job) = self.jobs.get(&id) else {
            return false;
        };
        if sequence <= job.sequence {
            return true;
        }
        let Some(mut job) = self.leave(id) else {
            return false;
        };
        job.sequence = sequence;
        job.attempts = standing.attempts;
        job.reason = standing.reason;
        job.phase = match standing.what {
            What::Waiting(until) => Phase::Waiting(now.deadline(until)),
            What::Leased(until, token) => Phase::Leased(now.deadline(until), token),
            What::Dead | What::Gone => Phase::Dead,
        };
        self.enter(id, job);
        self.settle(now);
        true
    }

    /// A job is gone.
    pub(super) fn forget(&mut self, id: u64) {
        self.leave(id);
        if self.gone.insert(id) {
            self.went.push_back(id);
        }
        if self.went.len() > GONE_MAX
            && let Some(first) = self.went.pop_front()
        {
            self.gone.remove(&first);
        }
    }

    /// Whether so few are left of many that the others should be looked at.
    pub(super) fn is_short(&self) -> bool {
        self.has_more && self.jobs.len() < JOBS_MAX / 2
    }

    /// What is over is over.
    pub(super) fn settle(&mut self, now: Now) {
        while let Some((deadline, id)) = self.timed.first().copied() {
            if deadline > now.monotonic {
                return;
            }
            let Some(mut job) = self.leave(id) else {
                self.timed.pop_first();
                continue;
            };
            let failed = matches!(job.phase, Phase::Leased(..));
            if failed {
                job.reason = Some(ByteString::from_static(LEASE_OVER));
            }
            job.phase = if failed && job.attempts >= job.head.attempts_max {
                Phase::Dead
            } else {
                Phase::Ready
            };
            self.enter(id, job);
        }
    }

    /// When something is over next.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.timed.first().map(|(deadline, _)| *deadline)
    }

    /// The next jobs to be reserved, in their order, set apart for the caller, who has to say what became of each: by
    /// [`Self::learn`], or [`Self::release`].
    pub(super) fn claim(&mut self, max: usize, now: Now) -> Vec<(u64, Known)> {
        self.settle(now);
        let mut claimed = Vec::new();
        while claimed.len() < max
            && let Some((_, id)) = self.ready.pop_first()
        {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.phase = Phase::Claimed;
                claimed.push((id, job.clone()));
            }
        }
        claimed
    }

    /// A job that was claimed is still what it was, for all that is known.
    pub(super) fn release(&mut self, id: u64) {
        if let Some(job) = self.jobs.get_mut(&id)
            && job.phase == Phase::Claimed
        {
            job.phase = Phase::Ready;
            self.ready.insert((Reverse(job.head.priority), id));
        }
    }

    pub(super) fn job(&self, id: u64) -> Option<&Known> {
        self.jobs.get(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The ids of jobs in a state, in order, after that one.
    pub(super) fn in_state(&self, state: JobState, after: Option<u64>) -> Vec<u64> {
        let mut ids: Vec<u64> = self
            .jobs
            .iter()
            .filter(|(id, job)| Some(**id) > after && job.state() == state)
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for job in self.jobs.values() {
            *match job.state() {
                JobState::Ready => &mut counts.ready,
                JobState::Delayed => &mut counts.delayed,
                JobState::Reserved => &mut counts.reserved,
                JobState::Dead => &mut counts.dead,
            } += 1;
        }
        counts
    }

    fn enter(&mut self, id: u64, job: Known) {
        match &job.phase {
            Phase::Ready => {
                self.ready.insert((Reverse(job.head.priority), id));
            }
            Phase::Waiting(deadline) | Phase::Leased(deadline, _) => {
                self.timed.insert((*deadline, id));
            }
            Phase::Claimed | Phase::Dead => {}
        }
        self.jobs.insert(id, job);
    }

    fn leave(&mut self, id: u64) -> Option<Known> {
        let job = self.jobs.remove(&id)?;
        match &job.phase {
            Phase::Ready => {
                self.ready.remove(&(Reverse(job.head.priority), id));
            }
            Phase::Waiting(deadline) | Phase::Leased(deadline, _) => {
                self.timed.remove(&(*deadline, id));
            }
            Phase::Claimed | Phase::Dead => {}
        }
        Some(job)
    }
}
