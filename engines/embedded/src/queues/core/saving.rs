//! What is to be written of a queue, and how it comes back.

use switchboard_engine::queues::{DEDUPE_WINDOW, DELAY_MAX, JobState, LEASE_MAX};

use super::Core;
use crate::queues::dedupe::{DedupeHash, Remembered};
use crate::queues::jobs::{Marks, Slot};
use crate::queues::ledger::{CHANGE_COST_BYTES, Change};
use crate::queues::moment::{Moment, NEVER};
use crate::queues::record::{DedupeRecord, Kind, Sink, StateRecord};

impl Core {
    /// Bytes of bodies and reasons in memory: they wait to be written, or are kept for those who will reserve.
    pub(crate) fn bytes(&self) -> usize {
        self.ledger.bytes()
    }

    /// About how many bytes were ever noted to be written. It only grows, and wraps around.
    pub(crate) fn noted_bytes(&self) -> usize {
        self.ledger.noted_bytes
    }

    /// How many changes wait to be written.
    pub(crate) fn unsaved(&self) -> usize {
        self.ledger.changes.len()
    }

    /// Hands out the records of at most `changes` changes, the oldest ones, until they have `bytes_max` bytes together.
    /// How many changes they stand for is told. They are in the round that is under way until it is confirmed.
    pub(crate) fn drain(
        &mut self,
        now: Moment,
        changes: usize,
        bytes_max: usize,
        sink: &mut Sink<'_>,
    ) -> usize {
        let (mut drained, mut bytes) = (0, 0);
        while drained < changes && bytes < bytes_max {
            let Some(change) = self.ledger.changes.pop_front() else {
                break;
            };
            drained += 1;
            if self.record(now, change, &mut |kind, id, value| {
                bytes += CHANGE_COST_BYTES + value.map_or(0, <[u8]>::len);
                sink(kind, id, value);
            }) {
                self.ledger.round.push(change);
            }
        }
        drained
    }

    /// The round is in the store, where bodies are found from now on. Memory lets go of those that nobody reserves soon,
    /// and of `drop_bytes` of those of ready jobs, the youngest first.
    pub(crate) fn confirm(&mut self, drop_bytes: usize) {
        let mut dropped = 0;
        for change in std::mem::take(&mut self.ledger.round).into_iter().rev() {
            let Change::Job(id) = change else { continue };
            let Some(marks) = self.jobs.marks_mut(id) else {
                continue;
            };
            marks.safe = true;
            if !marks.unsaved {
                self.ledger.drop_reason(id);
            }
            if self.state_of(id) != Some(JobState::Ready) {
                self.ledger.take_body(id);
            } else if dropped < drop_bytes {
                dropped += self.ledger.take_body(id).map_or(0, |body| body.len());
            }
        }
    }

    /// Puts back a job that was on the disk.
    pub(crate) fn restore(&mut self, now: Moment, id: u64, record: StateRecord) {
        let due = match record.state {
            JobState::Delayed => now.due_at(record.until, DELAY_MAX),
            JobState::Reserved => now.due_at(record.until, LEASE_MAX),
            JobState::Ready | JobState::Dead => NEVER,
        };
        let slot = Slot {
            due,
            attempts: record.attempts,
            attempts_max: record.attempts_max,
            priority: record.priority,
            state: record.state,
            marks: Marks {
                unsaved: false,
                written: true,
                safe: true,
                reason: record.reason,
            },
        };
        self.jobs.insert(id, slot, record.token);
    }

    /// Puts back a dedupe id that was on the disk; those come by the ends of their windows.
    pub(crate) fn restore_dedupe(&mut self, now: Moment, hash: DedupeHash, record: DedupeRecord) {
        let until = now.due_at(record.until, DEDUPE_WINDOW);
        self.dedupes.insert(
            hash,
            Remembered {
                job: record.job,
                until,
            },
        );
    }

    /// Hands out what is to be written for a change. False if it is nothing.
    fn record(&mut self, now: Moment, change: Change, sink: &mut Sink<'_>) -> bool {
        match change {
            Change::Job(id) => return self.record_job(now, id, sink),
            Change::Gone(id, reason) => {
                let kinds = [Kind::State, Kind::Body, Kind::Reason];
                for kind in kinds.into_iter().take(if reason { 3 } else { 2 }) {
                    sink(kind, id.into(), None);
                }
            }
            Change::Dedupe(hash) => {
                let record = self.dedupes.find(hash, now.millis()).map(|known| {
                    let until = now.wall_at(known.until);
                    DedupeRecord {
                        job: known.job,
                        until,
                    }
                    .encode()
                });
                sink(Kind::Dedupe, hash.0, record.as_ref().map(<[u8; _]>::as_slice));
            }
        }
        true
    }

    fn record_job(&mut self, now: Moment, id: u64, sink: &mut Sink<'_>) -> bool {
        let token = self.jobs.token(id).unwrap_or_default();
        let Some(marks) = self.jobs.marks_mut(id) else {
            return false;
        };
        marks.unsaved = false;
        marks.written = true;
        let Some(slot) = self.jobs.slot(id) else {
            return false;
        };
        if !slot.marks.safe
            && let Some(body) = self.ledger.body(id)
        {
            sink(Kind::Body, id.into(), Some(body));
        }
        if let Some(reason) = self.ledger.reason(id) {
            sink(Kind::Reason, id.into(), Some(reason.as_bytes()));
        }
        let state = StateRecord {
            state: slot.state,
            priority: slot.priority,
            attempts: slot.attempts,
            attempts_max: slot.attempts_max,
            until: Self::due(slot).map_or_else(Default::default, |due| now.wall_at(due)),
            token,
            reason: slot.marks.reason,
        };
        sink(Kind::State, id.into(), Some(&state.encode()));
        true
    }
}
