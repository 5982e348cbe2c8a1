//! Who waits for elements: `BLPOP` and its like, when there is nothing.
//!
//! Each key has a line, first come first served. Whoever adds an element wakes the first of the line, who tries again
//! and, served or gone, wakes the next: so that several elements reach as many, and nobody's going away loses one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use foldhash::HashMap;
use parking_lot::Mutex;
use switchboard_hub::keys::Key;
use tokio::sync::Notify;

/// The lines of all keys of all databases.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    lines: Mutex<HashMap<Place, VecDeque<Arc<Notify>>>>,
    /// How many wait: mostly nobody, and then nothing is locked.
    count: AtomicUsize,
}

/// Database and key.
type Place = (u32, Bytes);

/// One who stands in line. Dropped, it is out of it, and the next is woken.
#[derive(Debug)]
pub(crate) struct Ticket<'w> {
    waiting: &'w Waiting,
    places: Vec<Place>,
    woken: Arc<Notify>,
}

impl Waiting {
    /// Stands in line for these keys. What was added before may have been missed: try again after this.
    pub(crate) fn enter(&self, database: u32, keys: &[Key]) -> Ticket<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        // A key may be a slice of a read buffer, which the wait should not keep.
        let place = |key: &Key| (database, Bytes::copy_from_slice(key.as_ref()));
        let mut places: Vec<_> = keys.iter().map(place).collect();
        places.sort_unstable();
        places.dedup();
        let woken = Arc::new(Notify::new());
        let mut lines = self.lines.lock();
        for place in &places {
            lines
                .entry(place.clone())
                .or_default()
                .push_back(Arc::clone(&woken));
        }
        drop(lines);
        Ticket {
            waiting: self,
            places,
            woken,
        }
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Wakes the first who waits for that key.
    pub(crate) fn feed(&self, database: u32, key: &Key) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let place = (database, key.to_bytes());
        if let Some(first) = self.lines.lock().get(&place).and_then(VecDeque::front) {
            first.notify_one();
        }
    }
}

impl Ticket<'_> {
    /// Waits until it may be worth while to try again. Cancel safe.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Wakes those who stand right behind: what is there is nothing for this one.
    pub(crate) fn pass(&self) {
        let lines = self.waiting.lines.lock();
        for line in self.places.iter().filter_map(|place| lines.get(place)) {
            let own = line.iter().position(|other| Arc::ptr_eq(other, &self.woken));
            if let Some(next) = own.and_then(|own| line.get(own + 1)) {
                next.notify_one();
            }
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut lines = self.waiting.lines.lock();
        for place in &self.places {
            let Some(line) = lines.get_mut(place) else {
                continue;
            };
            line.retain(|other| !Arc::ptr_eq(other, &self.woken));
            match line.front() {
                Some(first) => first.notify_one(),
                None => {
                    lines.remove(place);
                }
            }
        }
        drop(lines);
        self.waiting.count.fetch_sub(1, Ordering::SeqCst);
    }
}
