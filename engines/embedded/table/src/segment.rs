//! Buckets of items whose hashes have some bits in common.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use seize::{Guard, LocalGuard};
use triomphe::ThinArc;

use super::bucket::{Bucket, PLACES, Pointer, TAG_BIT, tag_of};
use super::{Found, Item};

/// How many buckets a segment has: with its own fields it takes 4 KiB, so that it is split in microseconds.
const BUCKETS: usize = 63;

/// A segment is split when it has so many items: then there are few that stand in another bucket than their own.
const FULL_ITEMS: usize = BUCKETS * PLACES * 13 / 16;

/// Buckets of items.
pub(crate) struct Segment {
    /// How many bits of their hashes the items have in common.
    pub(crate) depth: u32,
    /// How many there are. The writer's own.
    items: AtomicUsize,
    /// For items whose hashes are the same in too many bits: another segment like this one.
    next: AtomicPtr<Segment>,
    buckets: [Bucket; BUCKETS],
}

/// Where an item is.
pub(crate) struct Place<'a> {
    segment: &'a Segment,
    bucket: &'a Bucket,
    place: usize,
    pub(crate) item: Pointer,
}

impl Segment {
    pub(crate) fn new(depth: u32) -> Box<Self> {
        Box::new(Self {
            depth,
            items: AtomicUsize::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            buckets: std::array::from_fn(|_| Bucket::default()),
        })
    }

    /// The buckets where an item of that hash may be, in order.
    #[inline]
    fn buckets_for(&self, hash: u64) -> impl Iterator<Item = &Bucket> {
        let bits = hash as usize & ((1 << TAG_BIT) - 1);
        let first = (bits * BUCKETS) >> TAG_BIT;
        (first..first + BUCKETS).map(|number| &self.buckets[number % BUCKETS])
    }

    /// The item of that hash that is the one.
    #[inline]
    pub(crate) fn find<'g, H>(
        &self,
        hash: u64,
        guard: &'g LocalGuard<'_>,
        is_it: &impl Fn(&Item<H>) -> bool,
    ) -> Option<Found<'g, H>> {
        let tag = tag_of(hash);
        for bucket in self.buckets_for(hash) {
            let (places, goes_on) = bucket.places(tag);
            for pointer in places.filter_map(|place| bucket.protect(place, guard)) {
                // SAFETY: the pointers of a segment are those of items of this table, and the guard keeps them alive: they
                // are retired after they were taken out.
                let found = unsafe { Found::new(pointer) };
                if is_it(&found) {
                    return Some(found);
                }
            }
            if !goes_on {
                return None;
            }
        }
        let next = guard.protect(&self.next, Ordering::Acquire);
        // SAFETY: a segment is retired after it was taken out, and the guard keeps it alive.
        let next = unsafe { next.as_ref() };
        next.and_then(|next| next.find(hash, guard, is_it))
    }

    /// Reads the tags of the bucket of a hash.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) {
        if let Some(bucket) = self.buckets_for(hash).next() {
            std::hint::black_box(bucket.places(tag_of(hash)));
        }
    }

    /// As [`Self::find`], for the writer.
    pub(crate) fn place<H>(&self, hash: u64, is_it: &impl Fn(&Item<H>) -> bool) -> Option<Place<'_>> {
        let tag = tag_of(hash);
        for bucket in self.buckets_for(hash) {
            let (places, goes_on) = bucket.places(tag);
            for place in places {
                let Some(item) = bucket.item(place) else { continue };
                // SAFETY: the writer alone takes items out, so this one lives.
                if is_it(&*unsafe { Found::new(item) }) {
                    return Some(Place {
                        segment: self,
                        bucket,
                        place,
                        item,
                    });
                }
            }
            if !goes_on {
                return None;
            }
        }
        self.next()?.place(hash, is_it)
    }

    /// Whether it should be split before an item more is added.
    pub(crate) fn is_full(&self) -> bool {
        self.items.load(Ordering::Relaxed) >= FULL_ITEMS
    }

    /// Adds an item that is not there.
    pub(crate) fn add(&self, hash: u64, item: Pointer) {
        if self.is_full() {
            let next = self.next().unwrap_or_else(|| {
                let next = Box::into_raw(Self::new(self.depth));
                self.next.store(next, Ordering::SeqCst);
                // Whoever looks for an item goes on as long as buckets tell him to.
                self.buckets.iter().for_each(Bucket::overflow);
                // SAFETY: it was made a line above; the writer alone takes it out.
                unsafe { &*next }
            });
            return next.add(hash, item);
        }
        let tag = tag_of(hash);
        // As it is not full, one of them has an empty place.
        let is_added = self.buckets_for(hash).any(|bucket| bucket.add(tag, item));
        debug_assert!(is_added);
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    /// All items, for the writer.
    pub(crate) fn items(&self) -> Vec<Pointer> {
        let places = self.buckets.iter().flat_map(|bucket| {
            let items = (0..PLACES).map(|place| bucket.item(place));
            items.flatten()
        });
        let mut items: Vec<Pointer> = places.collect();
        items.extend(self.next().into_iter().flat_map(Self::items));
        items
    }

    /// Goes through all items.
    pub(crate) fn visit<H>(&self, guard: &LocalGuard<'_>, visit: &mut impl FnMut(&Item<H>)) {
        for bucket in &self.buckets {
            for pointer in (0..PLACES).filter_map(|place| bucket.protect(place, guard)) {
                // SAFETY: as in `find`.
                visit(&*unsafe { Found::new(pointer) });
            }
        }
        let next = guard.protect(&self.next, Ordering::Acquire);
        // SAFETY: as in `find`.
        if let Some(next) = unsafe { next.as_ref() } {
            next.visit(guard, visit);
        }
    }

    fn next(&self) -> Option<&Self> {
        // SAFETY: the writer, who calls this, alone takes segments out.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }
}

impl Drop for Segment {
    /// The segments that follow go with it; the items do not.
    fn drop(&mut self) {
        let next = *self.next.get_mut();
        if !next.is_null() {
            // SAFETY: it was made by `Box::into_raw` in `add`, and is nobody else's: a segment is dropped when nobody looks
            // at it any more, nor at those that can be reached through it alone.
            drop(unsafe { Box::from_raw(next) });
        }
    }
}

impl Place<'_> {
    /// Puts another item there. Gives back the one that was there.
    pub(crate) fn replace(self, item: Pointer) -> Pointer {
        self.bucket.replace(self.place, item)
    }

    /// Takes the item out.
    pub(crate) fn clear(self) -> Pointer {
        self.bucket.clear(self.place);
        self.segment.items.fetch_sub(1, Ordering::Relaxed);
        self.item
    }
}

/// The hash of an item, for the writer.
///
/// # Safety
/// The pointer is that of an item that lives.
pub(crate) unsafe fn hash_of<H>(item: Pointer, hash_of: &impl Fn(&Item<H>) -> u64) -> u64 {
    // SAFETY: the caller says so.
    hash_of(&*unsafe { Found::new(item) })
}

/// Drops an item.
///
/// # Safety
/// The pointer came from [`ThinArc::into_raw`], and stands for one count, which nobody else drops.
pub(crate) unsafe fn drop_item<H>(item: Pointer) {
    // SAFETY: the caller says so.
    drop::<Item<H>>(unsafe { ThinArc::from_raw(item) });
}
