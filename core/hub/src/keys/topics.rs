//! Last values of topics, seen as keys of the bucket `default`.

use bytes::Bytes;
use switchboard_engine::keys::{Entry, Page, Scan};
use switchboard_engine::names::DEFAULT_BUCKET;
use switchboard_engine::{Answer, Bucket, Key, Keys};

use crate::retained::record::{self, bucket};

/// The last value of the topic NAME is read as the key `topic:NAME` of the bucket `default`. Nothing else can be kept
/// under such keys.
pub const TOPIC_KEY_PREFIX: &str = "topic:";

/// Whether a prefix in a bucket is of keys that show topics.
pub(crate) fn is_of_topics(bucket: &Bucket, prefix: &[u8]) -> bool {
    prefix.starts_with(TOPIC_KEY_PREFIX.as_bytes()) && bucket.as_str() == DEFAULT_BUCKET
}

/// The topic whose last value a key shows; empty if the key is the prefix alone.
pub(super) fn topic_of<'a>(bucket: &Bucket, key: &'a Key) -> Option<&'a [u8]> {
    is_of_topics(bucket, key.as_ref()).then(|| without_prefix(key.as_ref()))
}

pub(super) fn get(keys: &dyn Keys, topic: &[u8]) -> Answer<Option<Entry>> {
    if topic.is_empty() {
        return Answer::ok(None);
    }
    keys.get(&bucket(), topic).map(|entry| entry.and_then(as_seen))
}

/// Of keys some of which show topics.
pub(super) fn get_many(keys: &dyn Keys, of: &Bucket, wanted: &[Key]) -> Answer<Vec<Option<Entry>>> {
    let (mut topics, mut others) = (Vec::new(), Vec::new());
    for key in wanted {
        match topic_of(of, key) {
            Some(topic) => topics.extend(Key::new(Bytes::copy_from_slice(topic))),
            None => others.push(key.clone()),
        }
    }
    // What shows the topic without a name is there for nobody.
    let shows: Vec<_> = wanted
        .iter()
        .map(|key| topic_of(of, key).map(|topic| !topic.is_empty()))
        .collect();
    let (topics, others) = (keys.get_many(&bucket(), &topics), keys.get_many(of, &others));
    Answer::later(async move {
        let (mut topics, mut others) = (topics.await?.into_iter(), others.await?.into_iter());
        let found = shows.into_iter().map(|shows| match shows {
            None => others.next().flatten(),
            Some(true) => topics.next().flatten().and_then(as_seen),
            Some(false) => None,
        });
        Ok(found.collect())
    })
}

pub(super) fn scan(keys: &dyn Keys, scan: Scan) -> Answer<Page> {
    let after = match scan.after.as_ref().map(|key| within(key.as_ref())) {
        Some(Where::Past) => return Answer::ok(Page::default()),
        Some(Where::At(topic)) => Key::new(Bytes::copy_from_slice(topic)).ok(),
        Some(Where::Before) | None => None,
    };
    let of_topics = Scan {
        prefix: scan.prefix.slice(TOPIC_KEY_PREFIX.len()..),
        after,
        ..scan
    };
    let values = of_topics.values;
    keys.scan(&bucket(), of_topics).map(move |page| Page {
        entries: page
            .entries
            .into_iter()
            .filter_map(|(key, entry)| {
                let entry = if values { as_seen(entry)? } else { entry };
                Some((with_prefix(&key)?, entry))
            })
            .collect(),
        cursor: page.cursor.as_ref().and_then(with_prefix),
    })
}

/// Where a key is, as against those that show topics.
enum Where<'a> {
    Before,
    At(&'a [u8]),
    Past,
}

fn within(key: &[u8]) -> Where<'_> {
    if key.starts_with(TOPIC_KEY_PREFIX.as_bytes()) {
        Where::At(without_prefix(key))
    } else if key < TOPIC_KEY_PREFIX.as_bytes() {
        Where::Before
    } else {
        Where::Past
    }
}

fn without_prefix(key: &[u8]) -> &[u8] {
    key.get(TOPIC_KEY_PREFIX.len()..).unwrap_or_default()
}

fn with_prefix(topic: &Key) -> Option<Key> {
    Key::new([TOPIC_KEY_PREFIX.as_bytes(), topic.as_ref()].concat()).ok()
}

/// The payload alone. What cannot be read is not shown as something else.
fn as_seen(entry: Entry) -> Option<Entry> {
    let value = record::payload(&entry.value)?;
    Some(Entry { value, ..entry })
}
