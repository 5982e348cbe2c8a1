//! Which segment has the items of which hashes.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use seize::{Collector, Guard, LocalGuard};

use super::bucket::Pointer;
use super::segment::{Segment, drop_item, hash_of};
use super::{Found, Item};

/// The bits of a hash from this one on choose the segment. Those below choose the bucket and are the tag.
const FIRST_BIT: u32 = 20;

/// At most so many bits choose the segment: a directory of 8 MiB, for some hundred million items. It takes bad hashes, or
/// more items, to come so far; then segments have others behind them.
const DEPTH_MAX: u32 = 20;

/// The segments, by the bits of the hashes. Each stands there as often as it takes to name all bits that it does not
/// tell apart.
type Segments = Box<[AtomicPtr<Segment>]>;

/// The table.
pub(crate) struct Directory<H> {
    /// Never null.
    segments: AtomicPtr<Segments>,
    collector: Arc<Collector>,
    items: PhantomData<Item<H>>,
}

impl<H: Send + Sync + 'static> Directory<H> {
    pub(crate) fn new(collector: Arc<Collector>) -> Self {
        let segment = Box::into_raw(Segment::new(0));
        let segments: Segments = Box::new([AtomicPtr::new(segment)]);
        Self {
            segments: AtomicPtr::new(Box::into_raw(Box::new(segments))),
            collector,
            items: PhantomData,
        }
    }

    pub(crate) fn collector(&self) -> &Collector {
        &self.collector
    }

    /// The item of that hash that is the one.
    #[inline]
    pub(crate) fn find<'g>(
        &self,
        hash: u64,
        guard: &'g LocalGuard<'_>,
        is_it: impl Fn(&Item<H>) -> bool,
    ) -> Option<Found<'g, H>> {
        let segments = guard.protect(&self.segments, Ordering::Acquire);
        // SAFETY: never null; it is retired after it was replaced, and the guard keeps it alive.
        let segments = unsafe { &*segments };
        let segment = guard.protect(&segments[index(segments, hash)], Ordering::Acquire);
        // SAFETY: the same.
        unsafe { &*segment }.find(hash, guard, &is_it)
    }

    /// Reads the tags of the bucket of a hash.
    #[inline]
    pub(crate) fn touch(&self, hash: u64, guard: &LocalGuard<'_>) {
        let segments = guard.protect(&self.segments, Ordering::Acquire);
        // SAFETY: as in `find`.
        let segments = unsafe { &*segments };
        let segment = guard.protect(&segments[index(segments, hash)], Ordering::Acquire);
        // SAFETY: as in `find`.
        unsafe { &*segment }.touch(hash);
    }

    /// Goes through all items.
    pub(crate) fn visit(&self, guard: &LocalGuard<'_>, mut visit: impl FnMut(&Item<H>)) {
        let segments = guard.protect(&self.segments, Ordering::Acquire);
        // SAFETY: as in `find`.
        let segments = unsafe { &*segments };
        for (index, segment) in segments.iter().enumerate() {
            let segment = guard.protect(segment, Ordering::Acquire);
            // SAFETY: as in `find`.
            let segment = unsafe { &*segment };
            // At the first of the places where it stands. One that was split meanwhile is seen whole, or in its two parts.
            if index < 1 << segment.depth {
                segment.visit(guard, &mut visit);
            }
        }
    }

    /// Puts an item in. The writer calls it, and nobody else at the same time.
    pub(crate) fn put(
        &self,
        hash: u64,
        item: Item<H>,
        is_it: impl Fn(&Item<H>) -> bool,
        hash_of: impl Fn(&Item<H>) -> u64,
    ) -> bool {
        let item = item.into_raw().cast_mut();
        let mut segment = self.segment(hash);
        if let Some(place) = segment.place(hash, &is_it) {
            let before = place.replace(item);
            self.retire_item(before);
            return true;
        }
        while segment.is_full() && segment.depth < DEPTH_MAX {
            self.split(hash, &hash_of);
            segment = self.segment(hash);
        }
        segment.add(hash, item);
        false
    }

    /// Takes an item out. The writer calls it, and nobody else at the same time.
    pub(crate) fn remove(&self, hash: u64, is_it: impl Fn(&Item<H>) -> bool) -> bool {
        let Some(place) = self.segment(hash).place(hash, &is_it) else {
            return false;
        };
        self.retire_item(place.clear());
        true
    }

    /// How many segments there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        let mut pointers: Vec<_> = (self.segments().iter())
            .map(|segment| segment.load(Ordering::Relaxed))
            .collect();
        pointers.sort_unstable();
        pointers.dedup();
        pointers.len()
    }

    fn segments(&self) -> &Segments {
        // SAFETY: never null, and the writer, who calls this, alone replaces it. No reference outlasts that.
        unsafe { &*self.segments.load(Ordering::Acquire) }
    }

    fn segment(&self, hash: u64) -> &Segment {
        let segments = self.segments();
        // SAFETY: the same.
        unsafe { &*segments[index(segments, hash)].load(Ordering::Acquire) }
    }

    /// Splits the segment of a hash in two.
    fn split(&self, hash: u64, hash_of_item: &impl Fn(&Item<H>) -> u64) {
        let depth = self.segment(hash).depth;
        if self.segments().len() == 1 << depth {
            self.double();
        }
        let segments = self.segments();
        let full = segments[index(segments, hash)].load(Ordering::Acquire);
        let halves = [Segment::new(depth + 1), Segment::new(depth + 1)];
        let is_of_second = |hash: u64| hash >> (FIRST_BIT + depth) & 1 == 1;
        // SAFETY: the writer, who calls this, alone takes segments out.
        for item in unsafe { &*full }.items() {
            // SAFETY: the writer alone takes items out, so it lives.
            let hash = unsafe { hash_of(item, hash_of_item) };
            halves[usize::from(is_of_second(hash))].add(hash, item);
        }
        let halves = halves.map(Box::into_raw);
        let common = (hash >> FIRST_BIT) as usize & ((1 << depth) - 1);
        for (index, segment) in segments.iter().enumerate() {
            if index & ((1 << depth) - 1) == common {
                segment.store(halves[index >> depth & 1], Ordering::SeqCst);
            }
        }
        // SAFETY: it stands nowhere any more, and was made by `Box::into_raw`. Dropping it leaves its items alone.
        unsafe { self.collector.retire(full, seize::reclaim::boxed) };
    }

    /// Makes place for twice as many segments.
    fn double(&self) {
        let before = self.segments();
        let pointers = || before.iter().map(|segment| segment.load(Ordering::Relaxed));
        let twice: Segments = pointers().chain(pointers()).map(AtomicPtr::new).collect();
        let twice = Box::into_raw(Box::new(twice));
        let before = self.segments.swap(twice, Ordering::SeqCst);
        // SAFETY: it was replaced, and was made by `Box::into_raw`. Dropping it leaves the segments alone.
        unsafe { self.collector.retire(before, seize::reclaim::boxed) };
    }

    fn retire_item(&self, item: Pointer) {
        // SAFETY: it was taken out of its only place, so the count that it stood for is nobody's any more.
        unsafe { self.collector.retire(item, |item, _| drop_item::<H>(item)) };
    }
}

/// Where the segment of a hash stands. There are a power of two of them.
#[inline]
fn index(segments: &Segments, hash: u64) -> usize {
    (hash >> FIRST_BIT) as usize & (segments.len() - 1)
}

impl<H> Drop for Directory<H> {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw`; both ends are gone, so it is nobody else's. What was replaced is the collector's.
        let segments = unsafe { Box::from_raw(*self.segments.get_mut()) };
        for (index, segment) in segments.iter().enumerate() {
            let pointer = segment.load(Ordering::Acquire);
            // SAFETY: it is dropped at the last of the places where it stands, below, and not before.
            let segment = unsafe { &*pointer };
            if index + (1 << segment.depth) < segments.len() {
                continue;
            }
            for item in segment.items() {
                // SAFETY: each item stands in one place.
                unsafe { drop_item::<H>(item) };
            }
            // SAFETY: made by `Box::into_raw`; it stands nowhere else.
            drop(unsafe { Box::from_raw(pointer) });
        }
    }
}
