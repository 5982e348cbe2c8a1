//! Changes of keys as a log of rounds, folded into records later.
//!
//! To put a key into an ordered store costs microseconds, most of them later, when tables are written and merged. So as
//! long as nobody reads the records of keys, which is while all keys are in memory, a round is written as one record
//! that has all its changes. Those are folded into records of keys many rounds at a time, the last change of each key
//! only: when there are [many](Limits) of them, when nothing changes for a while, before keys are dropped from memory,
//! before a scan, and when the engine is opened. Until a scan or short memory asked for records again, there is the log;
//! then, for [`RECORDS_TIME`], each round is written as records at once.
//!
//! Folding goes from the youngest round to the oldest, some rounds of the log with each new round, and takes the log away
//! with the last of them: a crash in between leaves the whole log, and folding it again comes to the same.
//!
//! Who comes when the log is long waits for it. Of seven million writes of 16 bytes, the first scan after them waited two
//! seconds where they were of a hundred thousand keys, 15 where each was of a key of its own; opening after a crash took
//! one and 20 (two processors that others used too; `examples/folding.rs`).
//!
//! A round of the log, under its number (big-endian): for each key `key bytes:u32 value bytes:u32`, little-endian, then
//! both as in the space of keys. Two lengths stand for something else: [`GONE`] and [`APART`].

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use foldhash::HashSet;
use futures_util::future::select;
use parking_lot::Mutex;
use switchboard_engine::{EngineError, Result};
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_128;

use self::record::{fold_round, put_numbers, read_numbers, read_round};
use super::Shared;
use crate::store::{Batch, Space, Store, StoreError, StoreResult};

mod record;

/// The first round of the log, and the one after its last.
const ROUNDS_KEY: &[u8] = b"rounds";

/// How much there may be, and how much is done at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most bytes of the log, until it is folded; while that is done, as many may come. To open the engine takes
    /// seconds for so many, or some tens where each is of another key.
    pub(super) log_bytes: u64,
    /// Most rounds of the log.
    pub(super) log_rounds: u64,
    /// How much of the log is folded with a round, beside as much as the round has: some milliseconds of work.
    pub(super) folded_bytes: usize,
    /// The same where somebody waits for it, or nothing else is to be done.
    pub(super) folded_bytes_urgent: usize,
    /// A log of at most so many bytes is folded in one step when records are wanted, or the engine is closed.
    pub(super) short_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            log_bytes: 512 * 1024 * 1024,
            log_rounds: 20_000,
            folded_bytes: 128 * 1024,
            folded_bytes_urgent: 2 * 1024 * 1024,
            short_bytes: 1024 * 1024,
        }
    }
}

/// A batch ends after so much of the log when the engine is opened.
const FOLDED_BYTES_OPENING: usize = 4 * 1024 * 1024;

/// A value of more bytes becomes a record at once: it would be written twice.
const LOGGED_VALUE_BYTES_MAX: usize = 4 * 1024;

/// How long rounds are written as records after somebody wanted them.
const RECORDS_TIME: Duration = Duration::from_secs(10);

/// How long nothing changes until the log is folded.
const IDLE_TIME: Duration = Duration::from_secs(2);

/// Instead of the length of a value: the key has none any more.
pub(super) const GONE: u32 = u32::MAX;

/// Instead of the length of a value: it became a record with this round.
const APART: u32 = u32::MAX - 1;

/// Whether the records of keys are what they should be; for those who read them.
#[derive(Debug)]
pub(super) struct Records {
    are_right: AtomicBool,
    wanted: Mutex<Option<Instant>>,
    /// Why they will not be, until the engine is opened anew.
    damage: Mutex<Option<String>>,
    changed: Notify,
}

/// The log. The commit thread's own.
#[derive(Debug)]
pub(super) struct RoundLog {
    pub(super) limits: Limits,
    first: u64,
    next: u64,
    bytes: u64,
    folding: Option<Folding>,
    /// The round being written.
    round: Vec<u8>,
    /// How many bytes the round before had.
    round_bytes: usize,
    is_logging: bool,
    grown: Instant,
    /// It cannot be read: it stays, and the next opening says so.
    is_damaged: bool,
    /// It could not be read the last time.
    has_failed: bool,
}

/// The log up to a round, being folded.
#[derive(Debug)]
struct Folding {
    /// The round after the last.
    end: u64,
    /// The oldest round that was folded.
    at: u64,
    /// What the log had when it began, in bytes.
    bytes: u64,
    /// The keys that have their records.
    seen: Seen,
}

type Seen = HashSet<u128>;

impl Default for Records {
    /// Of a store whose log was folded.
    fn default() -> Self {
        Self {
            are_right: AtomicBool::new(true),
            wanted: Mutex::default(),
            damage: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl Records {
    /// Whether each round that is in the store is there as records. Under the locks of all lanes.
    pub(super) fn are_right(&self) -> bool {
        self.are_right.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn forget_that_they_are_wanted(&self) {
        *self.wanted.lock() = None;
    }

    fn are_wanted(&self) -> bool {
        self.wanted
            .lock()
            .is_some_and(|since| since.elapsed() < RECORDS_TIME)
    }

    /// Asks for them, or to go on keeping them right. Who finds them right by chance asks for nothing: whoever starts
    /// looks once at what there is, and then writes for long.
    fn want(&self) {
        if !self.are_right() || self.are_wanted() {
            *self.wanted.lock() = Some(Instant::now());
        }
    }

    fn set(&self, are_right: bool) {
        if self.are_right.swap(are_right, Ordering::AcqRel) != are_right {
            self.changed.notify_waiters();
        }
    }
}

impl Shared {
    /// Waits until the records of keys are what they should be, which they then are for a while if that took something.
    ///
    /// # Errors
    /// Unavailable while the disk fails; damaged, if the log is.
    pub(super) async fn when_records_are_right(&self) -> Result<()> {
        self.records.want();
        loop {
            let changed = pin!(self.records.changed.notified());
            let turn = pin!(self.committer.turn());
            if self.records.are_right() {
                return Ok(());
            }
            if let Some(damage) = &*self.records.damage.lock() {
                return Err(EngineError::Damaged(damage.clone()));
            }
            self.committer.admit()?;
            self.committer.wake();
            select(changed, turn).await;
        }
    }

    /// Whether rounds should be written as records.
    fn wants_records(&self) -> bool {
        !self.is_complete()
            || self.memory.is_nearly_over()
            || self.records.are_wanted()
            || !self.committer.store().prefers_logs()
    }
}

impl RoundLog {
    /// Of a store whose log was folded. `next` is the number of its next round.
    pub(super) fn new(next: u64) -> Self {
        Self {
            limits: Limits::default(),
            first: next,
            next,
            bytes: 0,
            folding: None,
            round: Vec::new(),
            round_bytes: 0,
            is_logging: false,
            grown: Instant::now(),
            is_damaged: false,
            has_failed: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// Decides how the next round is written. Before its changes are taken.
    pub(super) fn begin(&mut self, shared: &Shared, is_closing: bool) {
        let wants_records = is_closing || shared.wants_records();
        // As much as comes while the rest is folded is short, too, or writers who are quick would keep it long for ever.
        let short_bytes = self.limits.short_bytes + 4 * self.round_bytes as u64;
        let is_short = self.bytes <= short_bytes && self.folding.is_none() && !self.is_damaged;
        self.is_logging = !(wants_records && (self.is_empty() || is_short));
        if self.is_logging {
            shared.records.set(false);
        }
        let is_long = self.bytes > self.limits.log_bytes || self.next - self.first > self.limits.log_rounds;
        if wants_records || is_long || self.is_idle() {
            self.begin_folding();
        }
    }

    fn is_idle(&self) -> bool {
        self.grown.elapsed() > IDLE_TIME
    }

    /// Whether a key's new value of so many bytes goes to the log; if not, it becomes a record now.
    pub(super) fn takes(&mut self, stored_key: impl Fn(&mut Vec<u8>), value_bytes: usize) -> bool {
        if self.is_logging && value_bytes <= LOGGED_VALUE_BYTES_MAX {
            return true;
        }
        if let Some(folding) = &mut self.folding {
            // No older value may take its place.
            let mut key = Vec::new();
            stored_key(&mut key);
            folding.seen.insert(xxh3_128(&key));
        }
        if !self.is_empty() {
            self.add(stored_key, |_| Some(APART));
        }
        false
    }

    /// Adds a change to the round: what writes the key, and what writes the value or tells the word for it.
    pub(super) fn add(
        &mut self,
        stored_key: impl Fn(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>) -> Option<u32>,
    ) {
        const LENGTH_BYTES: usize = 4;
        let begin = self.round.len();
        self.round.extend_from_slice(&[0; 2 * LENGTH_BYTES]);
        stored_key(&mut self.round);
        let middle = self.round.len();
        let word = value(&mut self.round);
        // Keys and logged values are far shorter than 4 GiB.
        let key_bytes = (middle - begin - 2 * LENGTH_BYTES) as u32;
        let value_bytes = word.unwrap_or((self.round.len() - middle) as u32);
        if let Some(head) = self.round.get_mut(begin..begin + 2 * LENGTH_BYTES) {
            head[..LENGTH_BYTES].copy_from_slice(&key_bytes.to_le_bytes());
            head[LENGTH_BYTES..].copy_from_slice(&value_bytes.to_le_bytes());
        }
    }

    /// Puts the round into the batch, and folds some of the log that there was.
    pub(super) fn end(&mut self, shared: &Shared, batch: &mut Batch) {
        let numbers = (self.first, self.next);
        self.fold_some(shared, batch);
        // Where all of the log was folded with a round of records, nothing need be known of those.
        if !self.round.is_empty() && (self.is_logging || !self.is_empty()) {
            batch.put(Space::Rounds, &self.next.to_be_bytes(), &self.round);
            self.next += 1;
            self.bytes += self.round.len() as u64;
            self.grown = Instant::now();
        }
        if (self.first, self.next) != numbers {
            put_numbers(batch, self.first, self.next);
        }
        let is_unfinished = self.folding.is_some() || !self.is_empty() && shared.wants_records();
        if is_unfinished && !self.is_damaged && !self.has_failed {
            // With the next round, which need not have anything else.
            shared.committer.wake();
        }
        const ROUND_BYTES_KEPT: usize = 4 * 1024 * 1024;
        self.round_bytes = self.round.len();
        self.round.clear();
        self.round.shrink_to(ROUND_BYTES_KEPT);
    }

    fn fold_some(&mut self, shared: &Shared, batch: &mut Batch) {
        if self.folding.is_none() || self.is_damaged {
            return;
        }
        let is_urgent = shared.wants_records() || self.is_idle();
        let budget = match (self.is_logging, is_urgent) {
            (false, _) => usize::MAX,
            (true, true) => self.limits.folded_bytes_urgent + 2 * self.round.len(),
            (true, false) => self.limits.folded_bytes + self.round.len(),
        };
        let store = shared.committer.store();
        self.has_failed = false;
        match self.fold(&**store, batch, budget, false) {
            Ok(_) => {}
            Err(StoreError::Disk(reason)) => {
                tracing::warn!("the log of keys cannot be read now: {reason}");
                self.has_failed = true;
            }
            Err(StoreError::Damaged(reason)) => {
                tracing::error!("the log of keys is damaged: {reason}");
                self.is_damaged = true;
                *shared.records.damage.lock() = Some(reason);
                shared.records.changed.notify_waiters();
            }
        }
    }

    /// Begins to fold what there is of the log. Before the changes of a round are added: what becomes a record with that
    /// round must not be taken for older.
    fn begin_folding(&mut self) {
        if self.folding.is_none() && !self.is_empty() {
            self.folding = Some(Folding {
                end: self.next,
                at: self.next,
                bytes: self.bytes,
                seen: Seen::default(),
            });
        }
    }

    /// Folds rounds of so many bytes. Tells whether that was the last of them.
    fn fold(
        &mut self,
        store: &dyn Store,
        batch: &mut Batch,
        budget: usize,
        lossy: bool,
    ) -> StoreResult<bool> {
        let Some(folding) = &mut self.folding else {
            return Ok(true);
        };
        let mut folded = 0;
        while folding.at > self.first && folded < budget {
            let number = folding.at - 1;
            match read_round(store, number).and_then(|round| {
                folded += round.len();
                fold_round(&round, &mut folding.seen, batch)
            }) {
                Err(StoreError::Damaged(reason)) if lossy => tracing::error!("a round is lost: {reason}"),
                outcome => outcome?,
            }
            folding.at = number;
        }
        if folding.at > self.first {
            return Ok(false);
        }
        for number in self.first..folding.end {
            batch.delete(Space::Rounds, &number.to_be_bytes());
        }
        self.first = folding.end;
        self.bytes = self.bytes.saturating_sub(folding.bytes);
        self.folding = None;
        Ok(true)
    }

    /// What was handed in is in the store.
    pub(super) fn stored(&self, shared: &Shared) {
        if self.is_empty() {
            shared.records.set(true);
        }
    }

    /// Sees to it that the log is folded when nothing changes. Tells whether there is something to be folded.
    pub(super) fn tick(&self, shared: &Shared) -> bool {
        if self.is_empty() || self.is_damaged {
            return false;
        }
        if self.is_idle() || shared.wants_records() {
            shared.committer.wake();
        }
        true
    }
}

/// Folds the whole log of a store that is being opened, into batches that follow the one of that number. Tells the number
/// of the last of them. With `lossy` rounds that cannot be read are left out.
pub(crate) fn fold_all(store: &dyn Store, mut number: u64, lossy: bool) -> StoreResult<u64> {
    let (first, next) = match read_numbers(store) {
        Err(StoreError::Damaged(reason)) if lossy => {
            tracing::error!("{reason}");
            return Ok(number);
        }
        numbers => numbers?,
    };
    if first == next {
        return Ok(number);
    }
    let mut log = RoundLog::new(next);
    log.first = first;
    log.begin_folding();
    let mut batch = Batch::default();
    loop {
        let is_over = log.fold(store, &mut batch, FOLDED_BYTES_OPENING, lossy)?;
        if is_over {
            put_numbers(&mut batch, next, next);
        }
        number += 1;
        store.write(&batch, number)?;
        batch.clear();
        if is_over {
            return Ok(number);
        }
    }
}

/// The number of the next round of a store whose log was folded.
pub(super) fn next_round(store: &dyn Store) -> StoreResult<u64> {
    match read_numbers(store) {
        // The loss was accepted, or it would not be open.
        Err(StoreError::Damaged(_)) => Ok(0),
        numbers => numbers.map(|(_, next)| next),
    }
}
