//! Scans in the order of keys, though a stream has them in the order of their writes.
//!
//! A subject has one token a byte of its key, so the keys whose next byte is one of a range are those of as many
//! wildcards, and the server gives the last message of each subject that matches, up to a bound. So a page is put
//! together from ranges of the tree of keys, from the least: as many at a time as their answer holds, and where one is
//! too much, it is split. What is held at a time is one page and one answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use switchboard_engine::keys::{Entry, Page, SCAN_BYTES_MAX, SCAN_ENTRIES_MAX, Scan};
use switchboard_engine::{Bucket, EngineError, Key, Result};

use super::record::Record;
use crate::feed::{Feed, Start};
use crate::link::{Link, Patience, Read, SUBJECT_BYTES_MAX, SUBJECTS_MAX, Stored};
use crate::names::{Family, PATH_BYTES_MAX, Stream};

/// Most ranges in one request.
const RANGES_MAX: usize = 64;

/// Ranges in the first request.
const RANGES_FIRST: usize = 8;

/// Keys that are next to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Range {
    /// This one.
    One(Vec<u8>),
    /// All that begin with the stem and a byte from `low` to `high`.
    Span { stem: Vec<u8>, low: u8, high: u8 },
    /// All that begin with a stem that is as long as can be spelled out, itself included.
    Tail(Vec<u8>),
}

impl Range {
    /// All that begin with the stem, but not itself.
    fn below(stem: Vec<u8>) -> Self {
        if stem.len() >= PATH_BYTES_MAX {
            return Self::Tail(stem);
        }
        Self::Span {
            stem,
            low: 0,
            high: u8::MAX,
        }
    }

    /// The same in smaller ones, in their order.
    fn split(self) -> Vec<Self> {
        match self {
            Self::Span { stem, low, high } if low < high => {
                let middle = low + (high - low) / 2;
                vec![
                    Self::Span {
                        stem: stem.clone(),
                        low,
                        high: middle,
                    },
                    Self::Span {
                        stem,
                        low: middle + 1,
                        high,
                    },
                ]
            }
            Self::Span { mut stem, low, .. } => {
                stem.push(low);
                if stem.len() >= PATH_BYTES_MAX {
                    return vec![Self::Tail(stem)];
                }
                vec![Self::One(stem.clone()), Self::below(stem)]
            }
            whole => vec![whole],
        }
    }

    /// All that begin with the stem, in ranges along a path that leads on from it: most are under its end.
    fn along(stem: Vec<u8>, path: &[u8]) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut rest = Vec::new();
        let mut stem = stem;
        for (number, byte) in path.iter().enumerate() {
            if let Some(high) = byte.checked_sub(1) {
                let stem = stem.clone();
                parts.push(Self::Span { stem, low: 0, high });
            }
            if let Some(low) = byte.checked_add(1) {
                let stem = stem.clone();
                rest.push(Self::Span {
                    stem,
                    low,
                    high: u8::MAX,
                });
            }
            stem.push(*byte);
            if number + 1 < path.len() {
                parts.push(Self::One(stem.clone()));
            }
        }
        if stem.len() < PATH_BYTES_MAX {
            parts.push(Self::One(stem.clone()));
        }
        parts.push(Self::below(stem));
        parts.extend(rest.into_iter().rev());
        parts
    }

    fn filters(&self, scanner: &Scanner<'_>) -> Vec<String> {
        let names = &scanner.link.names;
        let under = |stem: &[u8]| names.keys_under(scanner.family, scanner.bucket, stem);
        match self {
            Self::One(key) => vec![names.key(scanner.family, scanner.bucket, key)],
            Self::Tail(stem) => vec![under(stem)],
            Self::Span {
                stem,
                low: 0,
                high: 255,
            } => vec![under(stem)],
            Self::Span { stem, low, high } => {
                let mut stem = stem.clone();
                (*low..=*high)
                    .map(|byte| {
                        stem.push(byte);
                        let filter = under(&stem);
                        stem.pop();
                        filter
                    })
                    .collect()
            }
        }
    }
}

/// The ranges of all keys that begin with the prefix and come after that one, in their order.
fn ranges(prefix: &[u8], after: Option<&[u8]>) -> VecDeque<Range> {
    let mut ranges = VecDeque::new();
    let path = &prefix[..prefix.len().min(PATH_BYTES_MAX)];
    let Some(after) = after.filter(|after| *after >= prefix) else {
        if !path.is_empty() && path.len() == prefix.len() && path.len() < PATH_BYTES_MAX {
            ranges.push_back(Range::One(path.to_vec()));
        }
        ranges.push_back(Range::below(path.to_vec()));
        return ranges;
    };
    if !after.starts_with(prefix) {
        return ranges;
    }
    let spelled = &after[..after.len().min(PATH_BYTES_MAX)];
    ranges.push_back(Range::below(spelled.to_vec()));
    for (length, byte) in spelled.iter().enumerate().skip(path.len()).rev() {
        if let Some(low) = byte.checked_add(1) {
            ranges.push_back(Range::Span {
                stem: spelled[..length].to_vec(),
                low,
                high: u8::MAX,
            });
        }
    }
    ranges
}

/// Reads the pages of one bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanner<'a> {
    pub(crate) link: &'a Arc<Link>,
    pub(crate) family: Family,
    pub(crate) bucket: &'a Bucket,
}

impl Scanner<'_> {
    /// One page.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn page(&self, scan: &Scan) -> Result<Page> {
        let limit = match scan.limit {
            0 => SCAN_ENTRIES_MAX,
            limit => limit.min(SCAN_ENTRIES_MAX),
        };
        let mut page = Filling {
            page: Page::default(),
            bytes: 0,
            limit,
            values: scan.values,
        };
        let after = scan.after.as_ref().map(AsRef::as_ref);
        let mut ranges = ranges(&scan.prefix, after);
        let mut together = RANGES_FIRST;
        while !ranges.is_empty() {
            let (count, filters) = self.take(&ranges, together);
            match self.link.latest(Stream::Keys, &filters).await? {
                Read::All(stored) => {
                    ranges.drain(..count);
                    together = (count * 2).min(RANGES_MAX);
                    let records = stored
                        .into_iter()
                        .filter_map(|stored| Record::of(&self.link.names, stored));
                    if page.add(self.wanted(scan, records)) {
                        return Ok(page.page);
                    }
                }
                Read::TooMany if count > 1 => together = count / 2,
                Read::TooMany => {
                    let Some(range) = ranges.pop_front() else { continue };
                    if let Range::Tail(stem) = range {
                        if page.add(self.tail(scan, &stem, limit).await?) {
                            return Ok(page.page);
                        }
                        continue;
                    }
                    for part in self.split(range).await?.into_iter().rev() {
                        ranges.push_front(part);
                    }
                }
            }
        }
        Ok(page.page)
    }

    /// The same in smaller ranges. Where keys have a long beginning in common, that is skipped: two of them show it.
    async fn split(&self, range: Range) -> Result<Vec<Range>> {
        let Range::Span {
            stem,
            low: 0,
            high: u8::MAX,
        } = &range
        else {
            return Ok(range.split());
        };
        let names = &self.link.names;
        let filter = names.keys_under(self.family, self.bucket, stem);
        let (first, last) = tokio::try_join!(
            self.link.one_of(Stream::Keys, "next_by_subj", &filter),
            self.link.one_of(Stream::Keys, "last_by_subj", &filter),
        )?;
        let path = |stored: Option<Stored>| {
            stored
                .map(|stored| names.path_of(&stored.subject))
                .unwrap_or_default()
        };
        let (first, last) = (path(first), path(last));
        let both = first.iter().zip(&last).take_while(|(first, last)| first == last);
        match first.get(stem.len()..both.count()) {
            Some(path) if !path.is_empty() => Ok(Range::along(stem.clone(), path)),
            _ => Ok(range.split()),
        }
    }

    /// The filters of as many ranges as fit into one request, one at least.
    fn take(&self, ranges: &VecDeque<Range>, together: usize) -> (usize, Vec<String>) {
        let mut filters: Vec<String> = Vec::new();
        let mut bytes = 0;
        let mut count = 0;
        for range in ranges.iter().take(together) {
            let more = range.filters(self);
            let more_bytes: usize = more.iter().map(String::len).sum();
            let fits = filters.len() + more.len() <= SUBJECTS_MAX && bytes + more_bytes <= SUBJECT_BYTES_MAX;
            if count > 0 && !fits {
                break;
            }
            bytes += more_bytes;
            filters.extend(more);
            count += 1;
        }
        (count, filters)
    }

    /// What was asked for of what came, in order.
    fn wanted(&self, scan: &Scan, records: impl Iterator<Item = Record>) -> BTreeMap<Key, Entry> {
        let now = self.link.clock.now();
        records
            .filter(|record| is_wanted(scan, &record.key))
            .filter_map(|record| Some((record.key.clone(), record.entry_at(now)?)))
            .collect()
    }

    /// The least keys of a tail that is more than one answer. Their subjects do not tell their order, so all are read.
    async fn tail(&self, scan: &Scan, stem: &[u8], limit: usize) -> Result<BTreeMap<Key, Entry>> {
        let filter = self.link.names.keys_under(self.family, self.bucket, stem);
        let mut patience = Patience::new(self.link);
        loop {
            match self.try_tail(scan, filter.clone(), limit).await {
                Ok(least) => return Ok(least),
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    async fn try_tail(
        &self,
        scan: &Scan,
        filter: String,
        limit: usize,
    ) -> Result<BTreeMap<Key, Entry>, crate::link::Trouble> {
        let mut feed = Feed::open(self.link, Stream::Keys, vec![filter], Start::LastOfEach, false).await?;
        let mut least = BTreeMap::new();
        let mut bytes = 0;
        let mut left = feed.pending;
        while left > 0 {
            let fed = feed.next().await?;
            left = fed.pending;
            let record = Record::of(&self.link.names, fed.stored).into_iter();
            for (key, entry) in self.wanted(scan, record) {
                bytes += size(&key, &entry);
                least.insert(key, entry);
            }
            // One more than a page holds, so that it is known that there are more.
            while least.len() > limit + 1 || (bytes > 2 * SCAN_BYTES_MAX && least.len() > 2) {
                let Some((key, entry)) = least.pop_last() else {
                    break;
                };
                bytes -= size(&key, &entry);
            }
        }
        Ok(least)
    }
}

fn is_wanted(scan: &Scan, key: &Key) -> bool {
    key.as_bytes().starts_with(&scan.prefix) && scan.after.as_ref().is_none_or(|after| key > after)
}

fn size(key: &Key, entry: &Entry) -> usize {
    key.as_bytes().len() + entry.value.len()
}

/// A page as it grows.
struct Filling {
    page: Page,
    bytes: usize,
    limit: usize,
    values: bool,
}

impl Filling {
    /// Adds what comes next. True when the page is full, and more is to come.
    fn add(&mut self, entries: BTreeMap<Key, Entry>) -> bool {
        for (key, mut entry) in entries {
            let is_full = self.page.entries.len() >= self.limit || self.bytes >= SCAN_BYTES_MAX;
            if is_full && let Some((last, _)) = self.page.entries.last() {
                self.page.cursor = Some(last.clone());
                return true;
            }
            if !self.values {
                entry.value = Bytes::new();
            }
            self.bytes += size(&key, &entry);
            self.page.entries.push((key, entry));
        }
        false
    }
}

/// The keys of a cursor have to be keys.
pub(super) fn check(scan: &Scan) -> Result<()> {
    if scan.prefix.len() > switchboard_engine::names::KEY_BYTES_MAX {
        return Err(EngineError::TooLarge(format!(
            "the prefix has {} bytes: no key is that long",
            scan.prefix.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(range: &Range, key: &[u8]) -> bool {
        match range {
            Range::One(one) => one == key,
            Range::Span { stem, low, high } => key
                .strip_prefix(&stem[..])
                .and_then(|rest| rest.first())
                .is_some_and(|byte| (low..=high).contains(&byte)),
            Range::Tail(stem) => key.starts_with(stem),
        }
    }

    fn short() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 254, 255]), 1..5)
    }

    proptest! {
        #[test]
        fn every_key_is_in_one_range_in_order(
            prefix in prop::collection::vec(prop::sample::select(vec![0, b'a', 255]), 0..3),
            after in prop::option::of(short()),
            keys in prop::collection::btree_set(short(), 0..40),
            splits in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut ranges: Vec<Range> = ranges(&prefix, after.as_deref()).into();
            for split in splits {
                if ranges.is_empty() { break }
                let at = split.index(ranges.len());
                let parts = ranges[at].clone().split();
                ranges.splice(at..=at, parts);
            }
            let mut last = 0;
            for key in &keys {
                let wanted = key.starts_with(&prefix) && after.as_ref().is_none_or(|after| key > after);
                let found: Vec<usize> = (0..ranges.len()).filter(|at| holds(&ranges[*at], key)).collect();
                if wanted {
                    prop_assert_eq!(found.len(), 1, "{:?} in {:?}", key, &ranges);
                    prop_assert!(found[0] >= last, "out of order");
                    last = found[0];
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_key_is_in_one_range_along_a_path(
            stem in prop::collection::vec(prop::sample::select(vec![0, b'a', 255]), 0..2),
            path in short(),
            keys in prop::collection::btree_set(short(), 0..40),
        ) {
            let ranges = Range::along(stem.clone(), &path);
            let mut last = 0;
            for key in keys.iter().filter(|key| key.starts_with(&stem) && **key != stem) {
                let found: Vec<usize> = (0..ranges.len()).filter(|at| holds(&ranges[*at], key)).collect();
                prop_assert_eq!(found.len(), 1, "{:?} in {:?}", key, &ranges);
                prop_assert!(found[0] >= last, "out of order");
                last = found[0];
            }
        }
    }

    #[test]
    fn a_stem_that_is_as_long_as_can_be_has_a_tail() {
        let long = vec![b'k'; PATH_BYTES_MAX + 9];
        assert_eq!(
            ranges(&long, None),
            [Range::Tail(long[..PATH_BYTES_MAX].to_vec())]
        );
        let first = ranges(b"", Some(&long)).pop_front();
        assert_eq!(first, Some(Range::Tail(long[..PATH_BYTES_MAX].to_vec())));
        let span = Range::Span {
            stem: vec![b'k'; PATH_BYTES_MAX - 1],
            low: 5,
            high: 5,
        };
        assert!(matches!(&span.split()[..], [Range::Tail(stem)] if stem.len() == PATH_BYTES_MAX));
    }
}
