//! Buckets as a whole: which there are, how many keys one has, and emptying it.

use bytes::Bytes;
use futures_util::StreamExt;
use switchboard_engine::keys::Scan;
use switchboard_engine::{Bucket, Result};

use super::Shared;
use super::record::Record;
use super::scan::Scanner;
use crate::feed;
use crate::link::{DELETED_KEPT, Outgoing, Patience, Read};
use crate::names::{Family, Stream};

/// Buckets that are looked into at a time, to see whether they hold something.
const LOOKED_INTO_MAX: usize = 16;

impl Shared {
    /// The names of buckets that hold something of that family.
    pub(crate) async fn buckets(&self, family: Family) -> Result<Vec<Bucket>> {
        let filter = self.link.names.buckets(family);
        let names = self.register.all(&self.link, Stream::Keys, &filter).await?;
        let buckets = names.into_iter().filter_map(|name| Bucket::new(name).ok());
        let first = Scan {
            limit: 1,
            ..Scan::default()
        };
        let first = &first;
        let looked_into = futures_util::stream::iter(buckets).map(|bucket| async move {
            let scanner = Scanner {
                link: &self.link,
                family,
                bucket: &bucket,
            };
            let page = scanner.page(first).await?;
            Ok((!page.entries.is_empty()).then_some(bucket))
        });
        let found: Vec<Result<Option<Bucket>>> = looked_into.buffered(LOOKED_INTO_MAX).collect().await;
        found.into_iter().filter_map(Result::transpose).collect()
    }

    pub(super) async fn count(&self, bucket: &Bucket) -> Result<u64> {
        self.janitor.is_done(&self.link).await?;
        let filter = self.link.names.keys_under(Family::Values, bucket, b"");
        if let Read::All(stored) = self
            .link
            .latest(Stream::Keys, std::slice::from_ref(&filter))
            .await?
        {
            let now = self.link.clock.now();
            let there = stored
                .into_iter()
                .filter_map(|stored| Record::of(&self.link.names, stored)?.entry_at(now));
            return Ok(there.count() as u64);
        }
        let mut patience = Patience::new(&self.link);
        loop {
            match feed::count(&self.link, Stream::Keys, filter.clone()).await {
                Ok(count) => return Ok(count),
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    pub(super) async fn clear(&self, bucket: &Bucket) -> Result<()> {
        let last = self.link.catch_up(Stream::Keys).await?;
        let filter = self.link.names.keys_under(Family::Values, bucket, b"");
        self.link.purge(Stream::Keys, &filter, Some(last)).await?;
        let told = Outgoing {
            subject: self.link.names.cleared(bucket),
            expected: None,
            about: None,
            again: false,
            record: "c".to_owned(),
            ttl: Some(DELETED_KEPT),
            body: Bytes::new(),
        };
        self.link.commit(Stream::Keys, &[told]).await?;
        Ok(())
    }
}
