//! The words of a command, all in one piece of memory.

use bytes::Bytes;
use smallvec::SmallVec;

/// What one command consists of: its name first. The memory of the list is used again for the next command.
#[derive(Debug, Clone, Default)]
pub struct Words {
    bytes: Bytes,
    places: SmallVec<[Place; 8]>,
}

/// Where a word begins and ends. Commands are far below 4 GiB.
pub(crate) type Place = (u32, u32);

/// A list with room for more words is not kept for the next command.
const KEPT_WORDS_MAX: usize = 64;

impl Words {
    /// None any more; nothing is held.
    pub fn clear(&mut self) {
        self.bytes = Bytes::new();
        self.places.clear();
        if self.places.capacity() > KEPT_WORDS_MAX {
            self.places = SmallVec::new();
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// How many bytes of memory they stand in, with what was sent between them.
    pub fn sent_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// One of them.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.places.get(index).map(|place| word(&self.bytes, *place))
    }

    /// One of them, to be kept: it shares the memory of all.
    pub fn share(&self, index: usize) -> Option<Bytes> {
        let (from, to) = *self.places.get(index)?;
        Some(self.bytes.slice(from as usize..to as usize))
    }

    /// Those from an index on.
    #[inline]
    pub fn from(&self, index: usize) -> WordSlice<'_> {
        WordSlice {
            bytes: &self.bytes,
            places: self.places.get(index..).unwrap_or_default(),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator + Clone {
        self.from(0).iter()
    }

    /// The same in memory of their own.
    pub fn unshared(&self) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(&self.bytes),
            places: self.places.clone(),
        }
    }

    /// The list, to be filled with places in the bytes that [`Self::finish`] then sets.
    pub(crate) fn places(&mut self) -> &mut SmallVec<[Place; 8]> {
        &mut self.places
    }

    /// Sets the bytes that the places are in.
    pub(crate) fn finish(&mut self, bytes: Bytes) {
        self.bytes = bytes;
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Words {}

impl<B: AsRef<[u8]>> FromIterator<B> for Words {
    fn from_iter<I: IntoIterator<Item = B>>(words: I) -> Self {
        let (mut bytes, mut places) = (Vec::new(), SmallVec::new());
        for word in words {
            let from = place(bytes.len());
            bytes.extend_from_slice(word.as_ref());
            places.push((from, place(bytes.len())));
        }
        Self {
            bytes: bytes.into(),
            places,
        }
    }
}

/// Where something stands.
pub(crate) fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[inline]
fn word(bytes: &[u8], (from, to): Place) -> &[u8] {
    bytes.get(from as usize..to as usize).unwrap_or_default()
}

/// Some words in a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct WordSlice<'a> {
    bytes: &'a [u8],
    places: &'a [Place],
}

impl<'a> WordSlice<'a> {
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.places.is_empty()
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.places.len()
    }

    /// How many bytes they have.
    pub fn bytes(self) -> usize {
        self.places.iter().map(|(from, to)| (to - from) as usize).sum()
    }

    /// One of them.
    #[inline]
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        self.places.get(index).map(|place| word(self.bytes, *place))
    }

    /// All of them.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone {
        let Self { bytes, places } = self;
        places.iter().map(move |place| word(bytes, *place))
    }

    /// Two by two, and whether one is left over.
    pub fn pairs(self) -> (impl ExactSizeIterator<Item = [&'a [u8]; 2]> + Clone, bool) {
        let Self { bytes, places } = self;
        let (pairs, rest) = places.as_chunks::<2>();
        let pair = move |[first, second]: &[Place; 2]| [word(bytes, *first), word(bytes, *second)];
        (pairs.iter().map(pair), !rest.is_empty())
    }

    /// So many at a time; the last may be fewer.
    pub fn chunks(self, size: usize) -> impl ExactSizeIterator<Item = Self> {
        let Self { bytes, places } = self;
        places
            .chunks(size.max(1))
            .map(move |places| Self { bytes, places })
    }

    /// Those before an index, and those from there on; `None` if there are not so many.
    pub fn split_at_checked(self, index: usize) -> Option<(Self, Self)> {
        let Self { bytes, places } = self;
        let (head, rest) = places.split_at_checked(index)?;
        let part = |places| Self { bytes, places };
        Some((part(head), part(rest)))
    }
}
