//! The keys whose end a watch waits for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use switchboard_engine::{Bucket, Key, Timestamp};

use super::record::{Record, State};
use crate::feed::{Feed, Start};
use crate::link::{Link, Trouble};
use crate::names::{Family, Stream};

/// Most keys whose ends are waited for; of others is learned when these are gone.
const EXPIRING_MAX: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Expiring {
    /// Soonest first, with the sequences of their messages.
    soonest: BTreeMap<(Timestamp, u64), Key>,
    /// Whether there are more.
    has_more: bool,
}

impl Expiring {
    pub(super) fn add(&mut self, key: &Key, expires: Option<Timestamp>, sequence: u64) {
        let Some(expires) = expires else { return };
        self.soonest.insert((expires, sequence), key.clone());
        if self.soonest.len() > EXPIRING_MAX {
            self.soonest.pop_last();
            self.has_more = true;
        }
    }

    pub(super) fn add_all(&mut self, others: Self) {
        self.has_more |= others.has_more;
        for ((expires, sequence), key) in others.soonest {
            self.add(&key, Some(expires), sequence);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.soonest.is_empty()
    }

    /// Whether others have to be found, now that those that were known are gone.
    pub(super) fn is_used_up(&mut self) -> bool {
        self.soonest.is_empty() && std::mem::take(&mut self.has_more)
    }

    /// A key that has expired, with the sequence of its message.
    pub(super) fn due(&self, now: Timestamp) -> Option<(Key, u64)> {
        let ((expires, sequence), key) = self.soonest.first_key_value()?;
        (*expires <= now).then(|| (key.clone(), *sequence))
    }

    /// The first is done with.
    pub(super) fn pass(&mut self) {
        self.soonest.pop_first();
    }
}

/// Finds the keys that expire under a prefix. Those that are too long to be spelled out in a subject are left to the
/// servers.
pub(super) async fn find(link: Arc<Link>, bucket: Bucket, prefix: Bytes) -> Result<Expiring, Trouble> {
    let filter = link.names.keys_under(Family::Values, &bucket, &prefix);
    let mut feed = Feed::open(&link, Stream::Keys, vec![filter], Start::LastOfEach, true).await?;
    let mut expiring = Expiring::default();
    let mut left = feed.pending;
    while left > 0 {
        let fed = feed.next().await?;
        left = fed.pending.min(left - 1);
        if let Some(record) = Record::of(&link.names, fed.stored)
            && let State::Value(entry) = record.state
            && record.key.as_bytes().starts_with(&prefix)
        {
            expiring.add(&record.key, entry.expires, record.sequence);
        }
    }
    Ok(expiring)
}
