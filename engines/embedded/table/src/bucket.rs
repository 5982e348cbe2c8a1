//! Seven places for items, in one cache line with eight bits of the hash of each.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use seize::{Guard, LocalGuard};

/// A pointer to an item, as [`ThinArc::into_raw`](triomphe::ThinArc::into_raw) gives it.
pub(crate) type Pointer = *mut c_void;

/// How many places a bucket has.
pub(crate) const PLACES: usize = 7;

/// The bits of a hash from this one on are the tag. Those below choose the bucket.
pub(crate) const TAG_BIT: u32 = 12;

/// One byte of a tag in each place.
const ONES: u64 = 0x0001_0101_0101_0101;

/// The highest bit of the byte of each place.
const HIGHS: u64 = ONES << 7;

/// In the byte that is left: whether items that belong here are in the buckets that follow.
const OVERFLOW: u64 = 1 << 56;

/// The places.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Bucket {
    /// A byte a place, 0 for an empty one; then [`OVERFLOW`].
    tags: AtomicU64,
    items: [AtomicPtr<c_void>; PLACES],
}

/// The places of a bucket that may have what is looked for.
pub(crate) struct Places(u64);

/// What stands for a hash: eight of its bits, never 0.
#[inline]
pub(crate) fn tag_of(hash: u64) -> u8 {
    ((hash >> TAG_BIT) as u8).max(1)
}

impl Bucket {
    /// The tags as a reader sees them: those of the bucket, and whether to look in the next one too.
    #[inline]
    pub(crate) fn places(&self, tag: u8) -> (Places, bool) {
        let tags = self.tags.load(Ordering::SeqCst);
        (Places::with(tags, tag), tags & OVERFLOW != 0)
    }

    /// The item at a place, if it has one; protected by the guard.
    #[inline]
    pub(crate) fn protect(&self, place: usize, guard: &LocalGuard<'_>) -> Option<Pointer> {
        let pointer = guard.protect(&self.items[place], Ordering::Acquire);
        (!pointer.is_null()).then_some(pointer)
    }

    /// The item at a place, for the writer, who alone changes it.
    #[inline]
    pub(crate) fn item(&self, place: usize) -> Option<Pointer> {
        let pointer = self.items[place].load(Ordering::Acquire);
        (!pointer.is_null()).then_some(pointer)
    }

    /// Puts an item where another one is with the same tag. Gives that one back.
    pub(crate) fn replace(&self, place: usize, item: Pointer) -> Pointer {
        self.items[place].swap(item, Ordering::SeqCst)
    }

    /// Notes that items that belong here are elsewhere.
    pub(crate) fn overflow(&self) {
        let tags = self.tags.load(Ordering::Relaxed);
        self.tags.store(tags | OVERFLOW, Ordering::SeqCst);
    }

    /// Puts an item into an empty place, if there is one; if not, notes that it is in a bucket that follows.
    pub(crate) fn add(&self, tag: u8, item: Pointer) -> bool {
        let tags = self.tags.load(Ordering::Relaxed);
        let Some(place) = Places::with(tags, 0).next() else {
            self.overflow();
            return false;
        };
        // First the item: who sees the tag finds it.
        self.items[place].store(item, Ordering::SeqCst);
        self.tags
            .store(tags | u64::from(tag) << (8 * place), Ordering::SeqCst);
        true
    }

    /// Empties a place.
    pub(crate) fn clear(&self, place: usize) {
        let tags = self.tags.load(Ordering::Relaxed);
        self.tags.store(tags & !(0xff << (8 * place)), Ordering::SeqCst);
        self.items[place].store(ptr::null_mut(), Ordering::SeqCst);
    }
}

impl Places {
    /// Those whose byte is that tag; above one that is there may be some more.
    #[inline]
    fn with(tags: u64, tag: u8) -> Self {
        let differing = (tags ^ (ONES * u64::from(tag))) & (OVERFLOW - 1);
        // The lowest zero byte is found exactly: what is borrowed comes from zeros below only.
        Self(differing.wrapping_sub(ONES) & !differing & HIGHS)
    }
}

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let place = (self.0 != 0).then(|| self.0.trailing_zeros() as usize / 8);
        self.0 &= self.0.wrapping_sub(1);
        place
    }
}
