//! Watches: what there is by a scan, then what the stream brings; and the end of what expires, to the millisecond.
//!
//! A watch is a task with a position in the stream. It reads only as fast as it is read, and when its feed is
//! interrupted it goes on from its position, or, if what came after that may be lost, begins anew with a Reset.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::{FutureExt, StreamExt};
use switchboard_engine::keys::{Revision, Scan, Watch, WatchEvent, WatchFrom};
use switchboard_engine::{Bucket, EngineError, Result};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::Shared;
use super::expiring::{self, Expiring};
use super::record::{Record, State};
use super::scan::Scanner;
use crate::feed::{Fed, Feed, Start, sequence_since};
use crate::link::{DELETED_KEPT, Patience, Trouble};
use crate::names::{Family, Stream};

/// Most events that wait for their reader.
const UNREAD_MAX: usize = 16;

/// How often a watch looks at the clock while it knows of a key that expires: the clock may be moved by hand.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How much earlier than [`DELETED_KEPT`] it counts as lost what was deleted: as much as clocks may differ.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(300);

/// How long to wait before a feed is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);

/// Begins a watch: what is written once this is answered is told.
pub(super) async fn begin(
    shared: Arc<Shared>,
    bucket: Bucket,
    prefix: Bytes,
    from: WatchFrom,
) -> Result<Watch> {
    let (events, unread) = mpsc::channel(UNREAD_MAX);
    let mut watcher = Watcher {
        shared,
        bucket,
        prefix,
        events,
        position: 0,
        stage: Stage::Changes,
        told: Told::default(),
        expiring: Expiring::default(),
    };
    let mut patience = Patience::new(&watcher.shared.link);
    let (position, stage) = loop {
        match watcher.start(from).await {
            Ok(start) => break start,
            Err(trouble) => patience.rest(trouble).await?,
        }
    };
    watcher.position = position;
    watcher.stage = stage;
    match from {
        WatchFrom::Now => watcher.told.up_to = position,
        // Of deletes that came shortly before he may not have been told: the messages may have been cleared away.
        WatchFrom::After(revision) => watcher.told.add(revision.0),
        WatchFrom::Everything => {}
    }
    let closed = watcher.shared.link.closed.clone();
    tokio::spawn(async move { closed.run_until_cancelled(watcher.run()).await });
    let watch = futures_util::stream::unfold(unread, |mut unread| async move {
        let event = unread.recv().await?;
        Some((event, unread))
    });
    Ok(watch.boxed())
}

/// What a watch has to tell next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// All there is, after a Reset if its reader may know something.
    Everything { reset: bool },
    /// What has changed up to that sequence, which is not yet said to be all.
    Until(u64),
    /// What changes.
    Changes,
}

/// Why a watch stops, or begins again.
enum Stop {
    Trouble(Trouble),
    /// Nobody reads it any more.
    Unread,
    /// Its reader has to forget what it knows.
    Reset,
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Trouble(Trouble::Error(error))
    }
}

/// Deletes that were told, each of which has two messages, side by side or one soon after the other: of a key that is
/// long gone only that for watchers is left.
#[derive(Debug, Default)]
struct Told {
    /// All up to that sequence, one way or another.
    up_to: u64,
    latest: VecDeque<u64>,
}

impl Told {
    /// Deletes that are remembered: both messages come together, or within moments.
    const LATEST_MAX: usize = 1_024;

    fn is_news(&self, first: u64) -> bool {
        first > self.up_to && !self.latest.contains(&first)
    }

    fn add(&mut self, first: u64) {
        if self.latest.len() >= Self::LATEST_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(first);
    }
}

struct Watcher {
    shared: Arc<Shared>,
    bucket: Bucket,
    prefix: Bytes,
    events: mpsc::Sender<Result<WatchEvent>>,
    /// The last sequence that is done with.
    position: u64,
    stage: Stage,
    told: Told,
    expiring: Expiring,
}

impl Watcher {
    async fn start(&self, from: WatchFrom) -> Result<(u64, Stage), Trouble> {
        let link = &self.shared.link;
        match from {
            WatchFrom::Everything => Ok((
                link.catch_up(Stream::Keys).await?,
                Stage::Everything { reset: false },
            )),
            WatchFrom::Now => {
                let last = link.catch_up(Stream::Keys).await?;
                Ok((last, Stage::Until(last)))
            }
            WatchFrom::After(revision) => self.resume(revision.0).await,
        }
    }

    /// Where to go on for one who knows all up to a sequence.
    async fn resume(&self, known: u64) -> Result<(u64, Stage), Trouble> {
        let link = &self.shared.link;
        let (first, last) = link.first_and_last(Stream::Keys).await?;
        link.see(Stream::Keys, last);
        let is_of_this_stream = (first.saturating_sub(1)..=last).contains(&known);
        let kept = DELETED_KEPT - CLOCKS_DIFFER_MAX;
        if is_of_this_stream
            && (known == last || known + 1 >= sequence_since(link, Stream::Keys, kept).await?)
        {
            return Ok((known, Stage::Until(last)));
        }
        Ok((last, Stage::Everything { reset: true }))
    }

    async fn run(mut self) {
        loop {
            match self.follow().await {
                Stop::Unread => return,
                Stop::Reset => {}
                Stop::Trouble(Trouble::Error(error)) if !matches!(error, EngineError::Unavailable { .. }) => {
                    let _ = self.events.send(Err(error)).await;
                    return;
                }
                Stop::Trouble(_) => {
                    tokio::select! {
                        () = self.events.closed() => return,
                        () = tokio::time::sleep(REOPEN_PAUSE) => {}
                    }
                    self.go_on().await;
                }
            }
        }
    }

    /// After an interruption: from where it stopped, if nothing can have been lost.
    async fn go_on(&mut self) {
        if matches!(self.stage, Stage::Everything { .. }) {
            return;
        }
        let Ok((position, stage)) = self.resume(self.position).await else {
            return;
        };
        // That it is current may have been said, and need not be said again.
        if matches!(stage, Stage::Everything { .. }) {
            self.position = position;
            self.stage = stage;
        }
    }

    async fn follow(&mut self) -> Stop {
        match self.try_follow().await {
            Ok(never) => match never {},
            Err(stop) => stop,
        }
    }

    async fn try_follow(&mut self) -> Result<std::convert::Infallible, Stop> {
        let mut knows_expiring = false;
        if let Stage::Everything { reset } = self.stage {
            // If what follows is interrupted, it is told from the beginning.
            self.stage = Stage::Everything { reset: true };
            if reset {
                self.tell(WatchEvent::Reset).await?;
            }
            self.position = self.shared.link.catch_up(Stream::Keys).await?;
            self.told.up_to = self.position;
            self.tell_everything().await?;
            knows_expiring = true;
            self.tell_current(self.position).await?;
        }
        let names = &self.shared.link.names;
        let filters = vec![
            names.keys_under(Family::Values, &self.bucket, &self.prefix),
            names.keys_under(Family::Deleted, &self.bucket, &self.prefix),
            names.cleared(&self.bucket),
        ];
        let start = Start::After(self.position);
        let mut feed = Feed::open(&self.shared.link, Stream::Keys, filters, start, false).await?;
        if let Stage::Until(last) = self.stage
            && feed.pending == 0
        {
            self.tell_current(last).await?;
        }
        let mut finding = (!knows_expiring).then(|| self.find_expiring());
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let events = self.events.clone();
        loop {
            if finding.is_none() && self.expiring.is_used_up() {
                finding = Some(self.find_expiring());
            }
            tokio::select! {
                fed = feed.next() => self.take(fed?).await?,
                _ = look.tick(), if !self.expiring.is_empty() => self.end_what_expired().await?,
                found = OptionFuture::from(finding.as_mut()), if finding.is_some() => {
                    finding = None;
                    if let Some(found) = found {
                        self.expiring.add_all(found?);
                    }
                }
                () = events.closed() => return Err(Stop::Unread),
            }
        }
    }

    fn find_expiring(&self) -> BoxFuture<'static, Result<Expiring, Trouble>> {
        let link = Arc::clone(&self.shared.link);
        expiring::find(link, self.bucket.clone(), self.prefix.clone()).boxed()
    }

    /// What there is up to the position, in the order of keys. What is newer comes as a change.
    async fn tell_everything(&mut self) -> Result<(), Stop> {
        let mut scan = Scan {
            prefix: self.prefix.clone(),
            values: true,
            ..Scan::default()
        };
        self.expiring = Expiring::default();
        loop {
            let scanner = Scanner {
                link: &self.shared.link,
                family: Family::Values,
                bucket: &self.bucket,
            };
            let page = scanner.page(&scan).await?;
            for (key, entry) in page.entries {
                if entry.revision.0 <= self.position {
                    self.expiring.add(&key, entry.expires, entry.revision.0);
                    let entry = entry.told();
                    self.tell(WatchEvent::Put { key, entry }).await?;
                }
            }
            match page.cursor {
                Some(cursor) => scan.after = Some(cursor),
                None => return Ok(()),
            }
        }
    }

    async fn take(&mut self, fed: Fed) -> Result<(), Stop> {
        let sequence = fed.stored.sequence;
        if fed.stored.record == "c" {
            self.stage = Stage::Everything { reset: true };
            return Err(Stop::Reset);
        }
        let names = &self.shared.link.names;
        let is_of_a_value = fed.stored.subject.starts_with(&names.values());
        // That a server has cleared up what was said of a delete says nothing of its key.
        let is_worth_telling = is_of_a_value || !fed.stored.record.is_empty();
        let record = Record::of(names, fed.stored)
            .filter(|record| is_worth_telling && record.key.as_bytes().starts_with(&self.prefix));
        if let Some(record) = record {
            self.tell_change(record).await?;
        }
        self.position = self.position.max(sequence);
        if let Stage::Until(last) = self.stage
            && (fed.pending == 0 || sequence >= last)
        {
            self.tell_current(last.max(self.position)).await?;
        }
        Ok(())
    }

    async fn tell_change(&mut self, record: Record) -> Result<(), Stop> {
        let Record { key, sequence, state } = record;
        match state {
            State::Value(entry) => {
                self.expiring.add(&key, entry.expires, sequence);
                if entry
                    .expires
                    .is_none_or(|expires| expires > self.shared.link.clock.now())
                {
                    let entry = entry.told();
                    self.tell(WatchEvent::Put { key, entry }).await?;
                }
            }
            State::Deleted { first, .. } if !self.told.is_news(first) => {}
            State::Deleted { expired, first } => {
                self.told.add(first);
                // Who goes on from there has to be past both messages, if they stand side by side.
                let sequence = sequence.max(first);
                self.position = self.position.max(sequence);
                let revision = Revision(sequence);
                self.tell(WatchEvent::Delete {
                    key,
                    revision,
                    expired,
                })
                .await?;
            }
        }
        Ok(())
    }

    async fn tell_current(&mut self, sequence: u64) -> Result<(), Stop> {
        self.stage = Stage::Changes;
        let revision = Revision(sequence);
        self.tell(WatchEvent::Current { revision }).await
    }

    async fn tell(&self, event: WatchEvent) -> Result<(), Stop> {
        self.events.send(Ok(event)).await.map_err(|_| Stop::Unread)
    }

    /// Deletes what has expired, if nobody has yet; it is told as everything else that is deleted.
    async fn end_what_expired(&mut self) -> Result<(), Stop> {
        let now = self.shared.link.clock.now();
        while let Some((key, sequence)) = self.expiring.due(now) {
            self.shared
                .delete(Family::Values, &self.bucket, &key, sequence, true, Vec::new())
                .await?;
            self.expiring.pass();
        }
        Ok(())
    }
}
