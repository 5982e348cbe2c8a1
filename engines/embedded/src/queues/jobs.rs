//! The jobs of one queue, by their states: what is in memory for each of them, however many there are.
//!
//! Pure: no clock, no disk, no waiting. A job costs about 80 bytes here, at most [`JOB_COST_BYTES`]; its body is not
//! part of it. Times are monotonic milliseconds ([`Moment`](super::moment::Moment)).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use foldhash::{HashMap, HashMapExt};
use switchboard_engine::queues::{Counts, JobState, PRIORITY_MAX};

use super::moment::NEVER;

/// Most bytes that one job costs in memory beside its body: its slot and its place in the order of its state, in the
/// emptiest nodes that a B-tree has.
pub(crate) const JOB_COST_BYTES: usize = 120;

/// The emptiest node of a B-tree holds 5 of 11 entries, and about 16 bytes beside them.
const fn node_bytes_for_one(entry: usize) -> usize {
    (11 * entry + 16) / 5
}

const _: () = assert!(
    node_bytes_for_one(size_of::<(u64, Slot)>()) + node_bytes_for_one(size_of::<(u64, u64)>())
        <= JOB_COST_BYTES
);

const PRIORITIES: usize = PRIORITY_MAX as usize + 1;

/// What is known of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// When the delay or the lease ends; [`NEVER`] in other states.
    pub(crate) due: u64,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// Most attempts.
    pub(crate) attempts_max: u32,
    /// Its priority.
    pub(crate) priority: u8,
    /// Where it stands.
    pub(crate) state: JobState,
    /// How far the disk knows of it.
    pub(crate) marks: Marks,
}

/// How far the disk knows of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    /// Its state is to be written.
    pub(crate) unsaved: bool,
    /// A record of it may be on the disk, so that its end has to be written too.
    pub(crate) written: bool,
    /// Its body is on the disk, so that memory may let go of it.
    pub(crate) safe: bool,
    /// It has a reason for the failure of its last attempt.
    pub(crate) reason: bool,
}

/// Jobs under leases, dead ones, and those that wait, each state in its order.
#[derive(Debug)]
pub(crate) struct Jobs {
    slots: BTreeMap<u64, Slot>,
    ready: [BTreeSet<u64>; PRIORITIES],
    delayed: BTreeSet<(u64, u64)>,
    leases: BTreeSet<(u64, u64)>,
    /// Of the reserved jobs.
    tokens: HashMap<u64, u64>,
    dead: u64,
    /// No delay and no lease ends before.
    quiet_until: u64,
}

impl Jobs {
    pub(crate) fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            ready: Default::default(),
            delayed: BTreeSet::new(),
            leases: BTreeSet::new(),
            tokens: HashMap::new(),
            dead: 0,
            quiet_until: NEVER,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn slot(&self, id: u64) -> Option<&Slot> {
        self.slots.get(&id)
    }

    pub(crate) fn marks_mut(&mut self, id: u64) -> Option<&mut Marks> {
        self.slots.get_mut(&id).map(|slot| &mut slot.marks)
    }

    /// What the reservation of a job is told by, while it is reserved.
    pub(crate) fn token(&self, id: u64) -> Option<u64> {
        self.tokens.get(&id).copied()
    }

    /// No delay and no lease ends before this; it may be too early, never too late.
    pub(crate) fn quiet_until(&self) -> u64 {
        self.quiet_until
    }

    /// Adds a job, in the state that its slot says; `token` counts for a reserved one.
    pub(crate) fn insert(&mut self, id: u64, slot: Slot, token: u64) {
        self.slots.insert(id, slot);
        self.enter(id, slot, token);
    }

    /// Takes a job away, whatever its state.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Slot> {
        let slot = self.slots.remove(&id)?;
        self.leave(id, slot);
        Some(slot)
    }

    /// The next job that a worker gets.
    pub(crate) fn first_ready(&self) -> Option<(u64, Slot)> {
        let id = self.ready.iter().rev().find_map(|ids| ids.first())?;
        self.with_slot(*id)
    }

    /// Brings a job to a state. `due` counts for the delayed and the reserved, `token` for the reserved. What the slot
    /// is then is told; `None` if there is no such job.
    pub(crate) fn change(
        &mut self,
        id: u64,
        state: JobState,
        due: u64,
        token: u64,
        attempts: u32,
    ) -> Option<Slot> {
        let slot = self.slots.get_mut(&id)?;
        let before = *slot;
        slot.state = state;
        slot.due = due;
        slot.attempts = attempts;
        let after = *slot;
        self.leave(id, before);
        self.enter(id, after, token);
        Some(after)
    }

    /// The delayed job whose time came first, if it has come.
    pub(crate) fn first_delay_over(&self, now: u64) -> Option<(u64, Slot)> {
        self.with_slot(first_due(&self.delayed, now)?)
    }

    /// The reserved job whose lease ended first, if it has ended.
    pub(crate) fn first_lease_over(&self, now: u64) -> Option<(u64, Slot)> {
        self.with_slot(first_due(&self.leases, now)?)
    }

    /// Finds out exactly when the next delay or lease ends.
    pub(crate) fn settle(&mut self) {
        let first = |order: &BTreeSet<(u64, u64)>| order.first().map_or(NEVER, |(due, _)| *due);
        self.quiet_until = first(&self.delayed).min(first(&self.leases));
    }

    /// How many there are.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            ready: self.ready.iter().map(|ids| ids.len() as u64).sum(),
            delayed: self.delayed.len() as u64,
            reserved: self.leases.len() as u64,
            dead: self.dead,
        }
    }

    /// How many are in that state.
    pub(crate) fn count(&self, state: JobState) -> u64 {
        let counts = self.counts();
        match state {
            JobState::Ready => counts.ready,
            JobState::Delayed => counts.delayed,
            JobState::Reserved => counts.reserved,
            JobState::Dead => counts.dead,
        }
    }

    /// Looks at jobs by id, from `first` on, at most `steps` of them. `visit` stops it. The id to go on with is told,
    /// `None` after the last one.
    pub(crate) fn walk(
        &self,
        first: u64,
        steps: usize,
        mut visit: impl FnMut(u64, &Slot) -> ControlFlow<()>,
    ) -> Option<u64> {
        let mut left = steps;
        for (id, slot) in self.slots.range(first..) {
            if left == 0 {
                return Some(*id);
            }
            left -= 1;
            if visit(*id, slot).is_break() {
                return None;
            }
        }
        None
    }

    fn with_slot(&self, id: u64) -> Option<(u64, Slot)> {
        Some((id, *self.slots.get(&id)?))
    }

    fn enter(&mut self, id: u64, slot: Slot, token: u64) {
        match slot.state {
            JobState::Ready => {
                self.ready_of(slot.priority).insert(id);
            }
            JobState::Delayed => {
                self.delayed.insert((slot.due, id));
                self.quiet_until = self.quiet_until.min(slot.due);
            }
            JobState::Reserved => {
                self.leases.insert((slot.due, id));
                self.tokens.insert(id, token);
                self.quiet_until = self.quiet_until.min(slot.due);
            }
            JobState::Dead => self.dead += 1,
        }
    }

    fn leave(&mut self, id: u64, slot: Slot) {
        match slot.state {
            JobState::Ready => {
                self.ready_of(slot.priority).remove(&id);
            }
            JobState::Delayed => {
                self.delayed.remove(&(slot.due, id));
            }
            JobState::Reserved => {
                self.leases.remove(&(slot.due, id));
                self.tokens.remove(&id);
            }
            JobState::Dead => self.dead -= 1,
        }
    }

    /// A priority over the highest, which only a damaged record could bring, counts as the highest.
    fn ready_of(&mut self, priority: u8) -> &mut BTreeSet<u64> {
        let [lower @ .., highest] = &mut self.ready;
        lower.get_mut(usize::from(priority)).unwrap_or(highest)
    }
}

fn first_due(order: &BTreeSet<(u64, u64)>, now: u64) -> Option<u64> {
    let (due, id) = order.first()?;
    (*due <= now).then_some(*id)
}
