//! A hash table of shared items, for one writer and any number of readers who take no lock.
//!
//! The table has one pointer an item, and the item is one allocation with all that belongs to it ([`ThinArc`]): whoever
//! looks for one touches a cache line of the table, and then the item. Maps that hold keys and values of any type have an
//! allocation of their own between the two, which is a cache miss more and some thirty bytes an item.
//!
//! ```text
//! directory ─► segment: 64 buckets ─► bucket: one cache line of 7 places, with 8 bits of each hash ─► item
//! ```
//!
//! It grows by segments, each of which is split in two when it is full (extendible hashing): so no write takes longer
//! than to move some hundred pointers, and there is never more than twice the room that is needed. There is a
//! [`Writer`], who changes the table through `&mut`, and [`Reader`]s, who find in it what the last write left, or one that
//! is under way.
//!
//! **`unsafe`**: readers follow pointers that a writer may take away at any time. That needs pointers whose items are
//! freed when nobody looks at them any more, which [`seize`] sees to; no safe type gives one that costs no write to
//! memory that others read. It stays in this crate, which has no other purpose. Its tests run under AddressSanitizer
//! (`scripts/test`).

mod bucket;
mod directory;
mod segment;

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;

use seize::{Collector, LocalGuard};
use triomphe::ThinArc;

use directory::Directory;

#[cfg(test)]
mod tests;

/// An item: a head, and bytes.
pub type Item<H> = ThinArc<H, u8>;

/// A type for the items of a table with such a head, with functions of its own.
#[macro_export]
macro_rules! item {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident($head:ty);) => {
        $(#[$attribute])*
        #[derive(Clone)]
        #[repr(transparent)]
        $visibility struct $name($crate::Item<$head>);

        impl $name {
            /// An item of a table.
            #[inline]
            $visibility fn of(item: &$crate::Item<$head>) -> &Self {
                // SAFETY: it is nothing but an item: its representation is that of its only field.
                unsafe { &*::std::ptr::from_ref(item).cast::<Self>() }
            }

            /// An item for a table.
            #[inline]
            $visibility fn into_item(self) -> $crate::Item<$head> {
                self.0
            }
        }
    };
}

/// A new table without items, by its two ends. Hashes are to be as good as random in all their bits. What is replaced is
/// freed through `collector`, together with what is replaced in other tables that share it.
pub fn table<H: Send + Sync + 'static>(collector: &Arc<Collector>) -> (Reader<H>, Writer<H>) {
    let directory = Arc::new(Directory::new(Arc::clone(collector)));
    let reader = Reader {
        directory: Arc::clone(&directory),
    };
    (reader, Writer { directory })
}

/// The end of a table that finds items. Nothing that it does waits for anybody.
pub struct Reader<H> {
    directory: Arc<Directory<H>>,
}

/// The end of a table that changes it.
pub struct Writer<H> {
    directory: Arc<Directory<H>>,
}

/// A look at a table: as long as it is there no item is freed that it has found. So it should not be for long.
pub struct Look<'a, H> {
    directory: &'a Directory<H>,
    guard: LocalGuard<'a>,
}

/// An item that was found.
pub struct Found<'a, H> {
    /// It is the table's, or was: it is not counted.
    item: ManuallyDrop<Item<H>>,
    look: PhantomData<&'a ()>,
}

impl<H: Send + Sync + 'static> Reader<H> {
    /// Begins to look.
    #[inline]
    pub fn look(&self) -> Look<'_, H> {
        Look {
            directory: &self.directory,
            guard: self.directory.collector().enter(),
        }
    }
}

impl<H: Send + Sync + 'static> Look<'_, H> {
    /// The item of that hash that is the one.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl Fn(&Item<H>) -> bool) -> Option<Found<'_, H>> {
        self.directory.find(hash, &self.guard, is_it)
    }

    /// Has the part of the table read where the item of that hash is looked for first. Of several hashes the processor
    /// reads these parts at the same time, where looking for one item after the other has it wait for each.
    #[inline]
    pub fn touch(&self, hash: u64) {
        self.directory.touch(hash, &self.guard);
    }

    /// Goes through all items: every one that is there all the time, at least once.
    pub fn visit(&self, visit: impl FnMut(&Item<H>)) {
        self.directory.visit(&self.guard, visit);
    }
}

impl<H: Send + Sync + 'static> Writer<H> {
    /// Puts an item in, in the place of the one of that hash for which `is_it`. Tells whether there was one. `hash_of` tells
    /// the hashes of other items, which may have to move.
    pub fn put(
        &mut self,
        hash: u64,
        item: Item<H>,
        is_it: impl Fn(&Item<H>) -> bool,
        hash_of: impl Fn(&Item<H>) -> u64,
    ) -> bool {
        self.directory.put(hash, item, is_it, hash_of)
    }

    /// Takes the item of that hash out for which `is_it`. Tells whether there was one.
    pub fn remove(&mut self, hash: u64, is_it: impl Fn(&Item<H>) -> bool) -> bool {
        self.directory.remove(hash, is_it)
    }
}

impl<H> Found<'_, H> {
    /// # Safety
    /// The pointer is that of an item, which lives for as long as the look.
    #[inline]
    unsafe fn new(pointer: bucket::Pointer) -> Self {
        // SAFETY: the caller says so; it is not dropped, so it is not counted.
        let item = unsafe { ThinArc::from_raw(pointer) };
        Self {
            item: ManuallyDrop::new(item),
            look: PhantomData,
        }
    }
}

impl<'a, H> Found<'a, H> {
    /// Its head.
    #[inline]
    pub fn head(&self) -> &'a H {
        // SAFETY: the item lives for as long as the look, which is `'a`; where this value is does not matter.
        unsafe { &*std::ptr::from_ref(&self.item.header.header) }
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        // SAFETY: as for `head`.
        unsafe { &*std::ptr::from_ref(&self.item.slice) }
    }
}

impl<H> Deref for Found<'_, H> {
    type Target = Item<H>;

    #[inline]
    fn deref(&self) -> &Item<H> {
        &self.item
    }
}

impl<H> fmt::Debug for Reader<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<H> fmt::Debug for Writer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
